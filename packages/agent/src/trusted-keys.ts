/** The publishers an agent is told to trust, from their text. Called by `startAgent`. */
import { LIMITS, parsePublisher, ShoalError } from "@shoal/core";
import type { Publisher } from "@shoal/core";

/** Throws `ERR_KEY_INVALID`, also for a key that stands with two publishers. */
export function parseTrustedKeys(texts: readonly string[]): readonly Publisher[] {
  if (texts.length > LIMITS.publishersMax) {
    throw new ShoalError("ERR_KEY_INVALID", `${texts.length} publishers`);
  }
  const known = new Set<string>();
  return texts.map((text) => {
    const publisher = parsePublisher(text);
    if (publisher === undefined) throw new ShoalError("ERR_KEY_INVALID", text.slice(0, 100));
    for (const { keyId } of publisher.keys) {
      if (known.has(keyId)) throw new ShoalError("ERR_KEY_INVALID", "it stands twice");
      known.add(keyId);
    }
    return publisher;
  });
}

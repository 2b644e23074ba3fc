/** In which order presence is published that cannot be published at once. */
import { contentIdOf, LIMITS } from "@shoal/core";
import type { ContentId } from "@shoal/core";
import { expect, test } from "vitest";
import { OPEN_PRESENCE } from "../src/group.ts";
import { AddressRules } from "../src/address-rules.ts";
import { Presence } from "../src/presence.ts";
import { decodePresence, presenceTag } from "../src/presence-message.ts";

const contents = Array.from({ length: 100 }, (_, i) => contentIdOf(Uint8Array.of(3, i)));

/** Presence before anybody listens; what is said as soon as somebody does. */
function quiet(): { presence: Presence; listen: () => ContentId[] } {
  const said: string[] = [];
  let isHeard = false;
  const presence = new Presence({
    selfId: "self",
    scopes: [OPEN_PRESENCE],
    rules: new AddressRules({ allowLoopback: true }),
    ownAddresses: () => [],
    emit: () => {},
    offended: () => {},
    hasListeners: () => isHeard,
    send: (_topic, bytes) => {
      const message = decodePresence(bytes);
      if (message !== undefined && message !== "foreign") said.push(message.tag);
      return Promise.resolve(true);
    },
  });
  const listen = (): ContentId[] => {
    isHeard = true;
    presence.drain();
    presence.close();
    const idOf = new Map(contents.map((id) => [presenceTag(OPEN_PRESENCE.key, id), id]));
    return said.map((tag) => idOf.get(tag)!);
  };
  return { presence, listen };
}

test("who fetches is heard before all that is held, which is not kept waiting for ever", () => {
  const { presence, listen } = quiet();
  const [held, fetched] = [contents.slice(0, 80), contents.slice(80)];
  for (const id of held) presence.publish(id, "holding");
  for (const id of fetched) presence.publish(id, "fetching");
  const said = listen();
  expect(said).toHaveLength(LIMITS.presenceBurstMax);
  expect(said.slice(0, 5)).toEqual([fetched[0], fetched[1], fetched[2], held[0], fetched[3]]);
  for (const id of fetched) expect(said).toContain(id);
});

test("what is said anew while it waits keeps its place", () => {
  const { presence, listen } = quiet();
  for (const id of contents) presence.publish(id, "fetching");
  presence.publish(contents[0]!, "fetching");
  expect(listen()[0]).toBe(contents[0]);
});

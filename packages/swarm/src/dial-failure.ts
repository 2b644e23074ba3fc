/**
 * Says in words why a dial failed or a connection ended, for people; libp2p's errors name its
 * classes and ports.
 */

/** One sentence without a full stop, at most 200 characters. */
export function explainDialFailure(
  error: unknown,
  context: { timedOut: boolean; protocol: string; isGroup: boolean },
): string {
  if (context.timedOut) return "the peer did not answer in time";
  const causes = error instanceof AggregateError ? error.errors : [error];
  const reasons = new Set(causes.map((cause: unknown) => explainOne(cause, context)));
  return [...reasons].join("; ").slice(0, REASON_LENGTH_MAX);
}

/** Why a connection that was open has ended without us; without an error it ended in order. */
export function explainEnd(error: Error | undefined): string {
  return error === undefined
    ? "the peer closed the connection"
    : explainOne(error).slice(0, REASON_LENGTH_MAX);
}

/** Of a peer that has not the key of our group. */
export const NOT_OF_OUR_GROUP = "the peer is not of our group";

/** Of a peer that has a group's key while we have none. */
export const OF_ANOTHER_GROUP = "the peer is of a group, or no agent";

/** What libp2p says, without a code, of peers with other keys or none (R-GRP-01), and of others. */
const NO_COMMON_HANDSHAKE = /could not negotiate|decryption|of our group/;
const ANOTHER_IDENTITY = /does not match expected remote identity/;
const REASON_LENGTH_MAX = 200;

/** By what system and library errors call themselves. */
const REASONS: ReadonlyMap<string, string> = new Map([
  ["ECONNREFUSED", "nobody listens at its address"],
  ["ECONNRESET", "the peer closed the connection"],
  ["EHOSTUNREACH", "its host cannot be reached"],
  ["ENETUNREACH", "its network cannot be reached"],
  ["ETIMEDOUT", "its host does not answer"],
  ["TimeoutError", "the peer did not answer in time"],
  ["AbortError", "the dial was given up"],
  ["EncryptionFailedError", "the encrypted handshake failed"],
  ["UnexpectedPeerError", "another peer answered at its address"],
  ["UnsupportedProtocolError", "the peer does not speak the protocol"],
  ["DialDeniedError", "none of its addresses may be dialled"],
  ["ConnectionInterceptedError", "the connection is not allowed"],
  ["StreamResetError", "the peer closed the connection"],
  ["ConnectionClosedError", "the peer closed the connection"],
]);

function explainOne(error: unknown, context?: { protocol: string; isGroup: boolean }): string {
  if (!(error instanceof Error)) return "the connection was lost";
  const { name, message } = error;
  if (name === "EncryptionFailedError" && NO_COMMON_HANDSHAKE.test(message)) {
    return context?.isGroup === true ? NOT_OF_OUR_GROUP : OF_ANOTHER_GROUP;
  }
  const code = "code" in error && typeof error.code === "string" ? error.code : "";
  const isAnother = name === "EncryptionFailedError" && ANOTHER_IDENTITY.test(message);
  const known = REASONS.get(code) ?? REASONS.get(isAnother ? "UnexpectedPeerError" : name);
  if (known === undefined) return message;
  return name === "UnsupportedProtocolError" ? `${known} ${context?.protocol ?? ""}` : known;
}

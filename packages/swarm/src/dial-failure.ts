/**
 * Says in words why a dial failed or a connection ended, for people; libp2p's errors name its
 * classes and ports.
 */

/** One sentence without a full stop, at most 200 characters. */
export function explainDialFailure(
  error: unknown,
  context: { timedOut: boolean; protocol: string },
): string {
  if (context.timedOut) return "the peer did not answer in time";
  const causes = error instanceof AggregateError ? error.errors : [error];
  const reasons = new Set(causes.map((cause: unknown) => explainOne(cause, context.protocol)));
  return [...reasons].join("; ").slice(0, REASON_LENGTH_MAX);
}

/** Why a connection that was open has ended; without an error it was closed in order. */
export function explainEnd(error: Error | undefined): string {
  return error === undefined
    ? "the connection was closed"
    : explainOne(error).slice(0, REASON_LENGTH_MAX);
}

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

function explainOne(error: unknown, protocol = ""): string {
  if (!(error instanceof Error)) return "the connection was lost";
  const code = "code" in error && typeof error.code === "string" ? error.code : "";
  const known = REASONS.get(code) ?? REASONS.get(error.name);
  if (known === undefined) return error.message;
  return error.name === "UnsupportedProtocolError" ? `${known} ${protocol}` : known;
}

/**
 * Assertions: programmer errors, left on in production. A failed one is a crash, never a value;
 * operating errors are values or `ShoalError`s (see `registry/errors.ts`).
 */
export class AssertionError extends Error {
  override readonly name = "AssertionError";
}

/** Throws `AssertionError` with `message` unless `condition` holds. */
export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new AssertionError(message);
}

/** Asserts that a content of so many pieces has the piece. Asked so often that text would count. */
export function assertPiece(piece: number, pieceCount: number): void {
  if (piece >= 0 && piece < pieceCount) return;
  throw new AssertionError(`piece ${piece} of ${pieceCount}`);
}

/** The last branch of an exhaustive `switch`; the compiler refuses it while a case is missing. */
export function unreachable(value: never): never {
  throw new AssertionError(`unreachable case: ${JSON.stringify(value)}`);
}

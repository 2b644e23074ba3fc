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

/** The last branch of an exhaustive `switch`; the compiler refuses it while a case is missing. */
export function unreachable(value: never): never {
  throw new AssertionError(`unreachable case: ${JSON.stringify(value)}`);
}

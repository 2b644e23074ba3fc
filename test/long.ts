/**
 * How much work a test does. `npm test` is short; `npm run test:long` sets `SHOAL_LONG=1` and asks
 * the same tests for more cases, larger files and more peers. Called by tests in all folders.
 */
export const isLong = process.env["SHOAL_LONG"] === "1";

/** `long` in a long run, `short` otherwise: a count, a length, a list of cases. */
export function scale<T>(short: T, long: T): T {
  return isLong ? long : short;
}

/**
 * Checks of shapes: whether a value that came from a disk or a network has the fields, and only
 * the fields, that a table says. A shape is a literal; there is nothing to compile.
 */
export type Check = (value: unknown) => boolean;

export const isText =
  (lengthMax: number): Check =>
  (value) =>
    typeof value === "string" && value.length <= lengthMax;

export const isBoolean: Check = (value) => typeof value === "boolean";

/** A whole number from `min` to `max`. */
export const isCount =
  (max: number = Number.MAX_SAFE_INTEGER, min = 0): Check =>
  (value) =>
    Number.isSafeInteger(value) && Number(value) >= min && Number(value) <= max;

export const isOneOf =
  (all: readonly string[]): Check =>
  (value) =>
    typeof value === "string" && all.includes(value);

export const isList =
  (item: Check, countMax: number): Check =>
  (value) =>
    Array.isArray(value) && value.length <= countMax && value.every((entry) => item(entry));

/** An object with all `needed` fields, perhaps some `optional` ones, and no others. */
export function isRecordOf(
  needed: Readonly<Record<string, Check>>,
  optional: Readonly<Record<string, Check>> = {},
): Check {
  const checks = new Map(Object.entries({ ...optional, ...needed }));
  const neededNames = Object.keys(needed);
  return (value) => {
    if (!isObject(value)) return false;
    for (const name of neededNames) if (!Object.hasOwn(value, name)) return false;
    for (const name of Object.keys(value)) {
      if (checks.get(name)?.(value[name]) !== true) return false;
    }
    return true;
  };
}

export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

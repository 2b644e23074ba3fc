/**
 * Counts work instead of timing it: how often collections are looked into, and how many of their
 * elements are passed, while a function runs. The numbers are the same on every machine, and rise
 * with any loop over more than there was before, wherever it is.
 *
 *   lookups   get, set, has, add and delete of maps and sets
 *   steps     elements that loops, spreads, iterators and the methods of arrays have passed
 *
 * Indexed loops, typed arrays and plain arithmetic are not seen; the tuned parts that consist of
 * them have `steps` of their own. Built-in methods are replaced meanwhile and put back, after which
 * the engine is slower in this process: to be used by a test file that does nothing else.
 */
export interface Work {
  readonly lookups: number;
  readonly steps: number;
}

type Methods = Record<string, (this: unknown, ...args: unknown[]) => unknown>;
type Callback = (...args: unknown[]) => unknown;

const LOOKUPS: readonly (readonly [object, readonly string[]])[] = [
  [Map.prototype, ["get", "set", "has", "delete"]],
  [Set.prototype, ["add", "has", "delete"]],
];
const NEXT: readonly object[] = [
  Object.getPrototypeOf(new Map().values()) as object,
  Object.getPrototypeOf(new Set().values()) as object,
  Object.getPrototypeOf([].values()) as object,
];
/** Methods of arrays that pass all elements, and those that call back until they have found one. */
const WHOLE = ["filter", "map", "forEach", "flatMap", "reduce", "slice", "sort", "toSorted"];
const UNTIL = ["find", "findIndex", "some", "every"];
const PLACES = ["indexOf", "includes"];

/** Runs `run`, which must not wait for anything, and counts what it does. */
export function countWork<Result>(run: () => Result): { result: Result; work: Work } {
  let lookups = 0;
  let steps = 0;
  const undo: (() => void)[] = [];
  const replace = (target: object, name: string, by: (original: Callback) => Callback): void => {
    const methods = target as Methods;
    const original = methods[name]!;
    undo.push(() => void (methods[name] = original));
    methods[name] = by(original);
  };
  for (const [prototype, names] of LOOKUPS) {
    for (const name of names) {
      replace(prototype, name, (original) => counting(original, () => void lookups++));
    }
  }
  for (const prototype of NEXT) {
    replace(prototype, "next", (original) => counting(original, () => void steps++));
  }
  const passed = (array: unknown): void => void (steps += (array as unknown[]).length);
  for (const name of [...WHOLE, ...PLACES]) {
    replace(Array.prototype, name, (original) => counting(original, passed));
  }
  for (const name of UNTIL) {
    replace(Array.prototype, name, (original) => {
      return function (this: unknown, callback: unknown, ...rest: unknown[]) {
        const counted = counting(callback as Callback, () => void steps++);
        return Reflect.apply(original, this, [counted, ...rest]);
      };
    });
  }
  try {
    const result = run();
    return { result, work: { lookups, steps } };
  } finally {
    for (const putBack of undo) putBack();
  }
}

function counting(original: Callback, count: (self: unknown) => void): Callback {
  return function (this: unknown, ...args: unknown[]) {
    count(this);
    return Reflect.apply(original, this, args);
  };
}

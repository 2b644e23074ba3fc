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
  /** Where most elements are passed: the share, the function and its place, the largest first. */
  readonly sites: readonly string[];
}

/** Every so many steps it is noted where they are made; seldom enough to be cheap, and a prime. */
const SAMPLE_STEPS = 1_999;
const SITES_SHOWN = 15;

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
  const samples: string[] = [];
  let isSampling = false; // Whoever writes stacks for us may use collections too.
  const looked = (): void => {
    if (!isSampling) lookups++;
  };
  const passed = (count: number): void => {
    if (isSampling) return;
    const before = Math.floor(steps / SAMPLE_STEPS);
    steps += count;
    if (Math.floor(steps / SAMPLE_STEPS) === before) return;
    isSampling = true;
    samples[samples.length] = place();
    isSampling = false;
  };
  const undo: (() => void)[] = [];
  const replace = (target: object, name: string, by: (original: Callback) => Callback): void => {
    const methods = target as Methods;
    const original = methods[name]!;
    undo.push(() => void (methods[name] = original));
    methods[name] = by(original);
  };
  for (const [prototype, names] of LOOKUPS) {
    for (const name of names) {
      replace(prototype, name, (original) => counting(original, looked));
    }
  }
  for (const prototype of NEXT) {
    replace(prototype, "next", (original) => counting(original, () => passed(1)));
  }
  const passedAll = (array: unknown): void => passed((array as unknown[]).length);
  for (const name of [...WHOLE, ...PLACES]) {
    replace(Array.prototype, name, (original) => counting(original, passedAll));
  }
  for (const name of UNTIL) {
    replace(Array.prototype, name, (original) => {
      return function (this: unknown, callback: unknown, ...rest: unknown[]) {
        const counted = counting(callback as Callback, () => passed(1));
        return Reflect.apply(original, this, [counted, ...rest]);
      };
    });
  }
  try {
    const result = run();
    for (const putBack of undo.splice(0)) putBack();
    return { result, work: { lookups, steps, sites: sitesOf(samples) } };
  } finally {
    for (const putBack of undo) putBack();
  }
}

/** The line of ours that is at work. Text alone: collections are being counted. */
function place(): string {
  const { stack = "" } = new Error();
  const at = stack.indexOf("/packages/");
  const begin = stack.lastIndexOf("\n", at);
  const end = stack.indexOf("\n", at);
  return stack.slice(begin, end).trim();
}

function sitesOf(samples: readonly string[]): string[] {
  const counts = new Map<string, number>();
  for (const site of samples) counts.set(site, (counts.get(site) ?? 0) + 1);
  const most = [...counts].toSorted(([, a], [, b]) => b - a).slice(0, SITES_SHOWN);
  return most.map(([site, count]) => `${((100 * count) / samples.length).toFixed(1)} % ${site}`);
}

function counting(original: Callback, count: (self: unknown) => void): Callback {
  return function (this: unknown, ...args: unknown[]) {
    count(this);
    return Reflect.apply(original, this, args);
  };
}

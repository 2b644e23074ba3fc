/**
 * Divides limits that overlap among flows, max-min fair: all rates rise together, in proportion to
 * their weights, and a flow stops where its demand or one of its limits is reached. What is then
 * left of the limits is given to the flows that asked for less, so that one that wakes up has room.
 *
 *   limit 8, demands ∞ ∞ 1  ->  3.5 3.5 1        limit 8, demand 1  ->  8
 *
 * A flow that no limit reaches is not limited (`Infinity`), whatever its demand. Pure; called by
 * the pacer. Cost: each round ends a limit or a flow and walks all of them once, for a few dozen.
 */

export interface Share {
  /** What it would take now if it could; `Infinity` when that is not known, 0 for none at all. */
  readonly demandBytesPerSec: number;
  readonly weight: number;
}

export interface SharedLimit {
  readonly rateBytesPerSec: number;
  /** Indexes of the flows that it binds together. */
  readonly members: readonly number[];
}

/** The rate of every flow. */
export function divideFairly(shares: readonly Share[], limits: readonly SharedLimit[]): number[] {
  const finite = limits.filter(({ rateBytesPerSec }) => rateBytesPerSec !== Infinity);
  if (finite.length === 0) return shares.map(() => Infinity);
  const rates = shares.map(() => 0);
  const isBound = shares.map(() => false);
  for (const { members } of finite) for (const index of members) isBound[index] = true;
  raise(rates, shares, finite, isBound);
  const unlimited = shares.map(({ demandBytesPerSec: demand, weight }) => {
    return { weight, demandBytesPerSec: demand === 0 ? 0 : Infinity };
  });
  raise(rates, unlimited, finite, isBound);
  return rates.map((rate, index) => (isBound[index] === true ? rate : Infinity));
}

/** Raises the rates of the bound flows until each has met its demand or a limit. */
function raise(
  rates: number[],
  shares: readonly Share[],
  limits: readonly SharedLimit[],
  isBound: readonly boolean[],
): void {
  const open = new Set<number>();
  shares.forEach(({ demandBytesPerSec }, index) => {
    if (isBound[index] === true && (rates[index] ?? 0) < demandBytesPerSec) open.add(index);
  });
  const waiting = new Set(limits);
  while (open.size > 0) {
    let step = Infinity;
    const full: SharedLimit[] = [];
    for (const limit of waiting) {
      const weight = openWeight(limit, shares, open);
      const left = limit.rateBytesPerSec - sumOf(limit, rates);
      const room = weight === 0 ? Infinity : Math.max(0, left) / weight;
      if (weight === 0) waiting.delete(limit);
      else if (room < step) full.splice(0, full.length, limit);
      else if (room === step) full.push(limit);
      step = Math.min(step, room);
    }
    for (const index of open) {
      const share = shares[index];
      if (share === undefined) continue;
      step = Math.min(step, (share.demandBytesPerSec - (rates[index] ?? 0)) / share.weight);
    }
    const before = open.size;
    for (const index of open) {
      const { weight = 0, demandBytesPerSec = 0 } = shares[index] ?? {};
      const next = (rates[index] ?? 0) + step * weight;
      rates[index] = Math.min(next, demandBytesPerSec);
      if (next >= demandBytesPerSec) open.delete(index);
    }
    if (open.size === before) {
      // No demand was met, so the step was a limit's.
      for (const limit of full) for (const index of limit.members) open.delete(index);
      for (const limit of full) waiting.delete(limit);
    }
    if (open.size === before) return;
  }
}

function openWeight(
  { members }: SharedLimit,
  shares: readonly Share[],
  open: ReadonlySet<number>,
): number {
  let sum = 0;
  for (const index of members) if (open.has(index)) sum += shares[index]?.weight ?? 0;
  return sum;
}

function sumOf({ members }: SharedLimit, rates: readonly number[]): number {
  let sum = 0;
  for (const index of members) sum += rates[index] ?? 0;
  return sum;
}

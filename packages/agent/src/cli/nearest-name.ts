/** Finds what somebody may have meant by a name that does not exist. */

/** The name that `word` begins, or the one with the fewest changes, where those are few. */
export function nearestName(word: string, names: readonly string[]): string | undefined {
  const begun = word.length > 1 ? names.filter((name) => name.startsWith(word)) : [];
  if (begun.length === 1) return begun[0];
  const distances = names.map((name) => ({ name, changes: changesBetween(word, name) }));
  const [nearest] = distances.toSorted((a, b) => a.changes - b.changes);
  return nearest !== undefined && isNear(nearest.changes, nearest.name, word)
    ? nearest.name
    : undefined;
}

/** Up to three changes, but not more than half of the name. */
function isNear(changes: number, name: string, word: string): boolean {
  return changes <= Math.min(3, Math.floor(Math.max(name.length, word.length) / 2));
}

/** Letters to add, remove, replace or swap with their neighbour. */
function changesBetween(a: string, b: string): number {
  let before: number[] = [];
  let row = Array.from({ length: b.length + 1 }, (_, at) => at);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const isSame = a[i - 1] === b[j - 1];
      const replaced = (row[j - 1] ?? 0) + (isSame ? 0 : 1);
      let least = Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1);
      const isSwap = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      if (isSwap) least = Math.min(least, (before[j - 2] ?? 0) + 1);
      next.push(least);
    }
    [before, row] = [row, next];
  }
  return row[b.length] ?? 0;
}

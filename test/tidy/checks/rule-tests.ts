/**
 * Which tests provoke which rules of the threat model: a test that proves a rule names its id. Knows
 * text of tests, not what they do.
 */
import { walk } from "./source-file.ts";
import type { SourceFile } from "./source-file.ts";

const TEST_SUFFIX = ".test.ts";

/** The rules about peers: threat model, sections 12 (protocol), 13 (scheduling) and 14 (bans). */
export const PEER_RULES: readonly string[] = [
  ...ids("R-PEER-", 30),
  ...ids("R-SCH-", 9),
  ...ids("R-BAN-", 6),
];

/** Names of tests by the rule that each names, for every rule of `rules`; none is left out. */
export function rulesInTests(
  sources: readonly SourceFile[],
  rules: readonly string[],
): ReadonlyMap<string, readonly string[]> {
  const found = new Map<string, string[]>(rules.map((rule) => [rule, []]));
  for (const { path, program } of sources) {
    if (!path.endsWith(TEST_SUFFIX)) continue;
    walk(program, ({ type, value }) => {
      if (type !== "Literal" || typeof value !== "string") return;
      for (const [rule] of value.matchAll(/R-[A-Z]+-\d\d/g)) found.get(rule)?.push(value);
    });
  }
  return found;
}

/** Complains of every rule that no test names. */
export function checkRuleTests(
  sources: readonly SourceFile[],
  rules: readonly string[],
): readonly string[] {
  const found = rulesInTests(sources, rules);
  return rules
    .filter((rule) => found.get(rule)?.length === 0)
    .map((rule) => `${rule}: no test names it`);
}

function ids(prefix: string, count: number): string[] {
  return Array.from({ length: count }, (_, i) => prefix + String(i + 1).padStart(2, "0"));
}

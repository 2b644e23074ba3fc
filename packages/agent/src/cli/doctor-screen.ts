/**
 * What the doctor has found, as a person reads it: what is wrong first, the worst before the rest,
 * each with what to do; then a line for every check, by groups.
 *
 * Knows reports and lines. Called by `shoal doctor`.
 */
import type { CheckReport } from "../service/agent-service.ts";
import { cutText } from "./cut-text.ts";
import { escapeText } from "./escape-text.ts";
import { formatCount } from "./format-values.ts";
import type { Style, Terminal } from "./terminal.ts";

type Result = CheckReport["result"];

/** The worst first. */
export const RESULTS: Readonly<Record<Result, { readonly mark: string; readonly style: Style }>> = {
  fail: { mark: "FAIL", style: "red" },
  warn: { mark: "warn", style: "yellow" },
  notRun: { mark: "not run", style: "dim" },
  pass: { mark: "ok", style: "green" },
  notApplicable: { mark: "-", style: "dim" },
};

/** By the part of a check's id before the dot. */
const GROUPS: Readonly<Record<string, string>> = {
  agent: "Agent",
  state: "State",
  machine: "Machine",
  network: "Network",
  peers: "Peers",
};

const MARK_WIDTH = 7;

/** What calls for somebody to do something, the worst first. */
export function faultsOf(checks: readonly CheckReport[]): readonly CheckReport[] {
  const order = Object.keys(RESULTS);
  return checks
    .filter(({ result }) => result === "fail" || result === "warn" || result === "notRun")
    .toSorted((a, b) => order.indexOf(a.result) - order.indexOf(b.result));
}

/** Checks under the title of their group, in the order of the groups. */
export function groupChecks(
  checks: readonly CheckReport[],
): readonly { readonly title: string; readonly checks: readonly CheckReport[] }[] {
  return Object.entries(GROUPS).flatMap(([prefix, title]) => {
    const members = checks.filter(({ id }) => id.startsWith(`${prefix}.`));
    return members.length === 0 ? [] : [{ title, checks: members }];
  });
}

/** `2 faults, 1 warning, 14 fine.` */
export function summaryText(checks: readonly CheckReport[]): string {
  const count = (result: Result): number => checks.filter((one) => one.result === result).length;
  const parts = [
    count("fail") > 0 && formatCount(count("fail"), "fault"),
    count("warn") > 0 && formatCount(count("warn"), "warning"),
    `${count("pass")} fine`,
    count("notApplicable") > 0 && `${count("notApplicable")} not needed here`,
    count("notRun") > 0 && `${count("notRun")} not run`,
  ];
  return `${parts.filter((part) => part !== false).join(", ")}.`;
}

export function doctorLines(checks: readonly CheckReport[], terminal: Terminal): string[] {
  const mark = (result: Result): string => {
    const { mark: text, style } = RESULTS[result];
    return terminal.style(style, text.padEnd(MARK_WIDTH));
  };
  const lines = [terminal.style("bold", summaryText(checks))];
  for (const { result, title, finding, remedy } of faultsOf(checks)) {
    lines.push("", `${mark(result)} ${title}: ${escapeText(finding)}`);
    if (remedy !== undefined) lines.push(`${" ".repeat(MARK_WIDTH)} → ${escapeText(remedy)}`);
  }
  const titleWidth = Math.max(0, ...checks.map(({ title }) => title.length));
  const room = terminal.width - MARK_WIDTH - titleWidth - 5;
  for (const group of groupChecks(checks)) {
    lines.push("", terminal.style("bold", group.title));
    for (const { result, title, finding } of group.checks) {
      const words = cutText(escapeText(finding), Math.max(room, 20));
      lines.push(`  ${mark(result)} ${title.padEnd(titleWidth)}  ${words}`);
    }
  }
  return lines;
}

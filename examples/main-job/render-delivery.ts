/** How a delivery looks in a terminal: pure functions from numbers to lines of text. */
import { styleText } from "node:util";
import { MiB } from "@shoal/core";
import stringWidth from "string-width";
import type { AgentProgress, DeliveryResult } from "./delivery.ts";

const BAR_LENGTH = 20;
/** Columns keep their places while states change. */
const STATE_LENGTH = "transferring".length;

/** One line per agent: how far it is, and where its bytes came from. */
export function renderProgress(agents: readonly AgentProgress[], elapsedMs: number): string {
  const rows = agents.map(({ name, snapshot }) => {
    if (snapshot === undefined)
      return [name, bar(0), "".padStart(5), "starting".padEnd(STATE_LENGTH)];
    const { transferredBytes, length, originBytes, peerBytes, state } = snapshot;
    const share = length === undefined || length === 0 ? 0 : transferredBytes / length;
    return [
      name,
      bar(share),
      `${Math.floor(share * 100)} %`.padStart(5),
      state.padEnd(STATE_LENGTH),
      `${mib(transferredBytes)} MiB`,
      `origin ${mib(originBytes)}`,
      `peers ${mib(peerBytes)}`,
    ];
  });
  const [head, ...rest] = columns(rows, [
    "left",
    "left",
    "left",
    "left",
    "right",
    "right",
    "right",
  ]);
  const seconds = `${(elapsedMs / 1_000).toFixed(1)} s`;
  return [`${head ?? ""}   ${seconds}`, ...rest].join("\n");
}

/** All agents in one line, for a pipe. */
export function renderProgressLine(agents: readonly AgentProgress[], elapsedMs: number): string {
  const parts = agents.map(({ name, snapshot }) => {
    const { transferredBytes = 0, length = 0 } = snapshot ?? {};
    return `${name} ${length === 0 ? 0 : Math.floor((transferredBytes / length) * 100)} %`;
  });
  return `${(elapsedMs / 1_000).toFixed(1)} s: ${parts.join(", ")}`;
}

/** What came of it: a table, and the origin's share in copies of the file. */
export function renderResult(result: DeliveryResult): string {
  const { length, agents, originSentBytes } = result;
  const head = ["", "time", "MiB/s", "from origin", "from peers", "SHA-256"];
  const rows = agents.map(({ name, elapsedMs, originBytes, peerBytes, isVerified }) => [
    name,
    `${(elapsedMs / 1_000).toFixed(2)} s`,
    mib(length / (elapsedMs / 1_000)),
    `${mib(originBytes)} MiB`,
    `${mib(peerBytes)} MiB`,
    isVerified ? styleText("green", "verified") : styleText("red", "WRONG"),
  ]);
  const sides: Side[] = ["left", "right", "right", "right", "right", "left"];
  const table = columns([head, ...rows], sides).join("\n");
  const copies = originCopies(result).toFixed(2);
  return (
    `${table}\n\norigin egress: ${copies} copies of the file ` +
    `(${mib(originSentBytes)} MiB for ${agents.length} agents of ${mib(length)} MiB)`
  );
}

/** Bytes the origin sent, in lengths of the file; 0 for an empty file. */
export function originCopies({ originSentBytes, length }: DeliveryResult): number {
  return length === 0 ? 0 : originSentBytes / length;
}

function bar(share: number): string {
  const full = Math.floor(share * BAR_LENGTH);
  return "█".repeat(full) + "░".repeat(BAR_LENGTH - full);
}

function mib(bytes: number): string {
  return (bytes / MiB).toFixed(1);
}

type Side = "left" | "right";

/** Pads every cell to its column's width. Columns without a side are aligned to the left. */
function columns(rows: readonly (readonly string[])[], sides: readonly Side[]): string[] {
  const count = Math.max(...rows.map((row) => row.length));
  const widths = Array.from({ length: count }, (_, column) =>
    Math.max(...rows.map((row) => stringWidth(row[column] ?? ""))),
  );
  return rows.map((row) =>
    widths
      .map((width, column) => {
        const cell = row[column] ?? "";
        const space = " ".repeat(width - stringWidth(cell));
        return sides[column] === "right" ? space + cell : cell + space;
      })
      .join("  ")
      .trimEnd(),
  );
}

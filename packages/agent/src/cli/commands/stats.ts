/** `shoal stats`: figures of the running agent, and of the month. */
import type { Command } from "commander";
import type {
  AgentService,
  MonthSnapshot,
  PerformanceSnapshot,
} from "../../service/agent-service.ts";
import type { CommandContext } from "../command-context.ts";
import { addAskOptions, addWatchOptions, subcommand } from "../define-command.ts";
import type { AskOptions, Register, WatchOptions } from "../define-command.ts";
import { withAgent } from "../find-agent.ts";
import { formatBytes, formatCount, formatPercent, formatRate } from "../format-values.ts";
import { allOptions, whenAlone } from "../group-command.ts";
import { byClass, sumOf } from "../status-screen.ts";
import { fieldLines } from "../table.ts";
import type { Field } from "../table.ts";
import { tableStyle } from "../terminal.ts";
import type { Terminal } from "../terminal.ts";
import { show } from "../watch-screen.ts";
import type { Sight } from "../watch-screen.ts";

export const addStats: Register = (program, context) => {
  const stats = subcommand(program, "stats", [
    "shoal stats",
    "shoal stats --watch",
    "shoal stats month",
  ])
    .summary("show figures of the agent")
    .description("Bytes, connections, rates and limits of the running agent since it started.");
  addWatchOptions(stats);
  whenAlone<WatchOptions>(stats, (options) =>
    withAgent(options, context, (service) =>
      show(() => lookNow(service, context), options, context),
    ),
  );
  addAskOptions(subcommand(stats, "month", ["shoal stats month", "shoal stats month --json"]))
    .summary("show bytes of this month")
    .description("Bytes since the first of the calendar month (UTC), over restarts.")
    .action((_own, command: Command) => runMonth(allOptions(command), context));
};

async function lookNow(service: AgentService, { terminal }: CommandContext): Promise<Sight> {
  const figures = await service.performance();
  const object = { type: "performance", ...figures };
  return { lines: performanceLines(figures, terminal), objects: [object], whole: object };
}

async function runMonth(options: AskOptions, context: CommandContext): Promise<void> {
  const { terminal } = context;
  const month = await withAgent(options, context, (service) => service.month());
  if (options.json === true) return terminal.json({ type: "month", ...month });
  for (const line of monthLines(month, terminal)) terminal.data(line);
}

function performanceLines(now: PerformanceSnapshot, terminal: Terminal): string[] {
  const { availableDiskBytes: free, totalDiskBytes: disk } = now;
  const room =
    free === undefined || disk === undefined
      ? undefined
      : `${formatBytes(free)} free of ${formatBytes(disk)}`;
  return section(terminal, {
    Files: [
      ["downloaded", `${now.filesDownloaded}, ${formatBytes(now.averageDownloadBytes)} each`],
      ["uploaded", `${now.filesUploaded}, ${formatBytes(now.averageUploadBytes)} each`],
      ["here", `${now.files}, of which peers may have ${now.uploadCount}`],
    ],
    Bytes: [
      ["downloaded", formatBytes(now.downloadedBytes)],
      ["from the origin", formatBytes(now.originBytes)],
      ["from cache servers", formatBytes(now.cacheServerBytes)],
      ["from peers", byClass(now.receivedBytes, formatBytes)],
      ["saved by peers", formatPercentOf(sumOf(now.receivedBytes), now.downloadedBytes)],
      ["uploaded", byClass(now.sentBytes, formatBytes)],
    ],
    Now: [
      [
        "rates",
        `down ${formatRate(now.downloadBytesPerSec)}, up ${formatRate(now.uploadBytesPerSec)}`,
      ],
      ["foreground", runningOf(now.foregroundDownloads, now.foregroundDownloadsPending)],
      ["background", runningOf(now.backgroundDownloads, now.backgroundDownloadsPending)],
      [
        "connections",
        `origin ${now.originConnections}, cache servers ${now.cacheServerConnections}`,
      ],
      ["peers", `${now.peerCount} known, connected ${byClass(now.peerConnections, String)}`],
      ["download mode", String(now.downloadMode)],
    ],
    Limits: [
      ["foreground", limitOf(now.foregroundRateBytesPerSec)],
      ["background", limitOf(now.backgroundRateBytesPerSec)],
      ["upload", limitOf(now.uploadRateBytesPerSec)],
    ],
    Machine: [
      ["processor", `${now.processorPercent.toFixed(1)} %`],
      ["memory", formatBytes(now.memoryBytes)],
      ["cache", formatBytes(now.cacheBytes)],
      ["disk", room],
    ],
  });
}

function monthLines(month: MonthSnapshot, terminal: Terminal): string[] {
  return section(terminal, {
    [month.month]: [
      ["from the origin", formatBytes(month.originBytes)],
      ["from cache servers", formatBytes(month.cacheServerBytes)],
      ["from peers", byClass(month.receivedBytes, formatBytes)],
      ["to peers", byClass(month.sentBytes, formatBytes)],
      ["foreground downloads", formatRate(month.averageForegroundBytesPerSec)],
      ["background downloads", formatRate(month.averageBackgroundBytesPerSec)],
      ["upload limit", month.isUploadLimitReached ? "reached" : "not reached"],
    ],
  });
}

function section(
  terminal: Terminal,
  sections: Readonly<Record<string, readonly Field[]>>,
): string[] {
  const style = tableStyle(terminal);
  return Object.entries(sections).flatMap(([title, fields]) => [
    style.title(title),
    ...fieldLines(fields, style),
  ]);
}

function formatPercentOf(part: number, whole: number): string | undefined {
  return whole === 0 ? undefined : formatPercent(part, whole);
}

function runningOf(running: number, waiting: number): string {
  return `${formatCount(running, "download")}, ${waiting} waiting`;
}

function limitOf(bytesPerSec: number): string {
  return bytesPerSec === 0 ? "none" : formatRate(bytesPerSec);
}

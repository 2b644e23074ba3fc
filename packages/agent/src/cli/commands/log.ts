/** `shoal log`: the latest lines of the running agent's log, and those to come. */
import { setTimeout as wait } from "node:timers/promises";
import { InvalidArgumentError, Option } from "commander";
import type { LogRecord } from "../../service/agent-service.ts";
import type { CommandContext } from "../command-context.ts";
import { addAskOptions, subcommand, valued } from "../define-command.ts";
import type { AskOptions, Register } from "../define-command.ts";
import { escapeText } from "../escape-text.ts";
import { Interruption } from "../failure.ts";
import { withAgent } from "../find-agent.ts";
import { formatClock, formatTime } from "../format-values.ts";
import type { Style, Terminal } from "../terminal.ts";

interface LogOptions extends AskOptions {
  readonly lines?: number;
  readonly level?: LogRecord["level"];
  readonly follow?: true;
}

const LEVELS = ["debug", "info", "warn", "error"] as const;
const LINES = 20;
const POLL_INTERVAL_MS = 500;

export const addLog: Register = (program, context) => {
  const command = subcommand(program, "log", [
    "shoal log",
    "shoal log --follow",
    "shoal log --level warn -n 100",
    "shoal log --json",
  ])
    .summary("show what the agent has written down")
    .description("The latest lines of the log. The agent keeps 1,000 of them.")
    .addOption(valued("-n, --lines <COUNT>", "how many; default: 20", parseLines))
    .addOption(
      new Option("--level <LEVEL>", "this and what is graver; default: all").choices(LEVELS),
    )
    .option("-f, --follow", "go on until Ctrl-C");
  addAskOptions(command).action((options: LogOptions) => runLog(options, context));
};

function parseLines(text: string): number {
  if (!/^\d{1,6}$/.test(text)) throw new InvalidArgumentError("It takes a whole number.");
  return Number(text);
}

async function runLog(options: LogOptions, context: CommandContext): Promise<void> {
  const { terminal, signal } = context;
  const { level = "debug", lines = LINES } = options;
  const write = (records: readonly LogRecord[]): void => {
    for (const record of records) {
      if (options.json === true) terminal.json({ type: "log", ...record });
      else terminal.data(recordLine(record, terminal));
    }
  };
  const isWanted = (record: LogRecord): boolean =>
    LEVELS.indexOf(record.level) >= LEVELS.indexOf(level);
  await withAgent(options, context, async (service) => {
    let records = await service.log();
    write(lines === 0 ? [] : records.filter(isWanted).slice(-lines));
    let last = records.at(-1)?.sequence;
    while (options.follow === true) {
      try {
        await wait(POLL_INTERVAL_MS, undefined, { signal });
      } catch (error) {
        if (signal.reason instanceof Interruption) return;
        throw error;
      }
      records = await service.log(last);
      write(records.filter(isWanted));
      last = records.at(-1)?.sequence ?? last;
    }
  });
}

const STYLES: Readonly<Record<LogRecord["level"], Style | undefined>> = {
  debug: "dim",
  info: undefined,
  warn: "yellow",
  error: "red",
};

function recordLine({ at, level, message, fields }: LogRecord, terminal: Terminal): string {
  const style = STYLES[level];
  const shown = level.padEnd(5);
  const about = Object.entries(fields).map(([name, value]) => ` ${name}=${quoted(String(value))}`);
  const clock = terminal.isScreen ? formatClock(at) : formatTime(at);
  const text = `${escapeText(message)}${escapeText(about.join(""))}`;
  return `${clock} ${style === undefined ? shown : terminal.style(style, shown)} ${text}`;
}

function quoted(value: string): string {
  return /[\s"=]/.test(value) || value === "" ? JSON.stringify(value) : value;
}

/** What `npm start` takes on its command line. */
import { Command, InvalidArgumentError } from "commander";
import { MiB } from "@shoal/core";

export interface Options {
  /** A URL or a path; `undefined` for a file of random bytes. */
  readonly target: string | undefined;
  readonly agents: number;
  /** Length of the random file. */
  readonly size: number;
  readonly originRate?: number;
  /** In seconds. */
  readonly timeout: number;
  readonly json?: true;
}

/** Reads the command line. Ends the process for `--help`, and with exit code 2 for a mistake. */
export function parseOptions(): Options {
  const command = new Command("npm start --")
    .description("Delivers one file from a real HTTP origin to several agents, and measures it.")
    .argument("[url-or-file]", "what to deliver (default: a new file of random bytes)")
    .option("--agents <count>", "how many agents, 1 to 8", integerIn(1, 8), 4)
    .option("--size <bytes>", "length of the random file, e.g. 64MiB", parseBytes, 256 * MiB)
    .option("--origin-rate <bytes>", "most bytes the origin sends per second", parseBytes)
    .option("--timeout <seconds>", "how long the delivery may take", integerIn(1, 86_400), 600)
    .option("--json", "print one JSON object instead of the table")
    .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : 2))
    .parse();
  return { target: command.args[0], ...command.opts<Omit<Options, "target">>() };
}

function parseBytes(text: string): number {
  const match = /^(\d+(?:\.\d+)?) ?(B|KiB|MiB|GiB)?$/.exec(text);
  if (match === null) throw new InvalidArgumentError("Write it like 64MiB, 1GiB or 1000000.");
  const scale = { B: 1, KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3 }[match[2] ?? "B"] ?? 1;
  return Math.round(Number(match[1]) * scale);
}

function integerIn(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (Number.isInteger(value) && value >= min && value <= max) return value;
    throw new InvalidArgumentError(`Write a whole number from ${min} to ${max}.`);
  };
}

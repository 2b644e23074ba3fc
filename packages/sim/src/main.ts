/**
 * The `sim` command: runs a scenario by name and prints its report, for people or as one line of
 * JSON. Exit codes: 0 every job completed, 1 some did not, 2 usage.
 *
 *   pnpm sim flash-crowd --peers 100 --seed 42 --json
 */
import { KiB, LIMITS, MiB, SETTINGS, ShoalError } from "@shoal/core";
import type { SettingName, Settings } from "@shoal/core";
import { Command, InvalidArgumentError } from "commander";
import { runFlashCrowd } from "./scenarios/flash-crowd.ts";
import type { FlashCrowdOptions, FlashCrowdReport } from "./scenarios/flash-crowd.ts";

/** As commander gives them; numbers in the units that the flags name. */
interface Flags {
  readonly peers: number;
  readonly seed: number;
  readonly lengthMib: number;
  readonly pieceKib: number;
  readonly originMibPerSec: number;
  readonly upMibPerSec: number;
  readonly downMibPerSec: number;
  readonly degree: number;
  readonly arrivalMs: number;
  readonly limitMs?: number;
  readonly corrupting: number;
  readonly set: Partial<Settings>;
  readonly json: boolean;
}

const DEFAULT_SEED = 42;

const program = new Command("sim");
program.description("Shoal in virtual time").exitOverride(({ exitCode }) => {
  process.exit(exitCode === 0 ? 0 : 2);
});
program
  .command("flash-crowd")
  .description("N agents start one cold download together; one origin behind a slow link")
  .option("--peers <count>", "agents", positiveInteger, 100)
  .option("--seed <number>", "what every random choice is made from", integer, DEFAULT_SEED)
  .option("--length-mib <number>", "length of the content", positive, 1_024)
  .option("--piece-kib <number>", "length of a piece, a power of two", pieceKib, 4_096)
  .option("--origin-mib-per-sec <number>", "uplink of the origin", positive, 10)
  .option("--up-mib-per-sec <number>", "uplink of each agent", positive, 100)
  .option("--down-mib-per-sec <number>", "downlink of each agent", positive, 100)
  .option("--degree <count>", "connections per agent on average", positiveInteger, 64)
  .option("--arrival-ms <number>", "time within which the agents start", nonNegative, 1_000)
  .option("--limit-ms <number>", "virtual time after which the run is given up", positive)
  .option("--corrupting <count>", "agents that send corrupt pieces only", integer, 0)
  .option("--set <name=value>", "a setting of every agent; may be repeated", addSetting, {})
  .option("--json", "one line of JSON", false)
  .action((flags: Flags) => flashCrowd(flags));
program.parse();

function flashCrowd(flags: Flags): void {
  const startedAt = performance.now();
  let report: FlashCrowdReport;
  try {
    report = runFlashCrowd(optionsOf(flags));
  } catch (error) {
    if (!(error instanceof ShoalError)) throw error;
    process.stderr.write(`${error.message}. ${error.remedy}\n`);
    process.exitCode = 2;
    return;
  }
  const wallSeconds = Math.round(performance.now() - startedAt) / 1_000;
  const { unfinished, ...rest } = report;
  const shown = { ...rest, wallSeconds, unfinished: unfinished.length };
  process.stdout.write(flags.json ? `${JSON.stringify(shown)}\n` : table(shown));
  if (unfinished.length === 0) return;
  for (const reason of unfinished.slice(0, 10)) process.stderr.write(`${reason}\n`);
  const args = process.argv.slice(2).filter((arg) => arg !== "--json");
  const seed = args.some((arg) => arg.startsWith("--seed")) ? "" : ` --seed ${DEFAULT_SEED}`;
  process.stderr.write(`Replay with: pnpm sim ${args.join(" ")}${seed}\n`);
  process.exitCode = 1;
}

function optionsOf(flags: Flags): FlashCrowdOptions {
  const corrupting = Array.from({ length: flags.corrupting }, (_, index) => [
    index,
    { corruptShare: 1 },
  ]);
  return {
    peers: flags.peers,
    seed: flags.seed,
    lengthBytes: Math.round(flags.lengthMib * MiB),
    pieceLengthBytes: flags.pieceKib * KiB,
    originRateBytesPerSec: flags.originMibPerSec * MiB,
    upRateBytesPerSec: flags.upMibPerSec * MiB,
    downRateBytesPerSec: flags.downMibPerSec * MiB,
    degree: flags.degree,
    arrivalMs: flags.arrivalMs,
    settings: flags.set,
    behaviours: Object.fromEntries(corrupting) as FlashCrowdOptions["behaviours"] & object,
    ...(flags.limitMs === undefined ? {} : { limitMs: flags.limitMs }),
  };
}

function table(report: object): string {
  let text = "";
  for (const [name, value] of Object.entries(report)) text += `${name.padEnd(16)} ${value}\n`;
  return text;
}

function integer(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 0) {
    throw new InvalidArgumentError("It must be a whole number.");
  }
  return value;
}

function positiveInteger(text: string): number {
  if (integer(text) === 0) throw new InvalidArgumentError("It must be at least 1.");
  return integer(text);
}

function pieceKib(text: string): number {
  const value = positiveInteger(text);
  const min = LIMITS.pieceLengthMin / KiB;
  const max = LIMITS.pieceLengthMax / KiB;
  if (value < min || value > max || (value & (value - 1)) !== 0) {
    throw new InvalidArgumentError(`It must be a power of two from ${min} to ${max}.`);
  }
  return value;
}

function nonNegative(text: string): number {
  const value = Number(text);
  if (text.trim() === "" || !Number.isFinite(value) || value < 0) {
    throw new InvalidArgumentError("It must be a number of at least 0.");
  }
  return value;
}

function positive(text: string): number {
  if (nonNegative(text) === 0) throw new InvalidArgumentError("It must be above 0.");
  return nonNegative(text);
}

function addSetting(text: string, settings: Partial<Settings>): Partial<Settings> {
  const [name = "", value = ""] = text.split("=");
  if (!Object.hasOwn(SETTINGS, name)) throw new InvalidArgumentError("There is no such setting.");
  return { ...settings, [name as SettingName]: nonNegative(value) };
}

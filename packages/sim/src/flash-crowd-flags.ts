/**
 * The flags of `sim flash-crowd`. Tests give flags too, so that the command they print on failure
 * is the run that failed.
 *
 * Knows text. Throws `InvalidArgumentError` or other errors of commander. Called by `main.ts` and
 * by tests.
 */
import { KiB, LIMITS, MiB, SETTINGS } from "@shoal/core";
import type { SettingName, Settings } from "@shoal/core";
import { Command, InvalidArgumentError } from "commander";
import type { FlashCrowdOptions } from "./scenarios/flash-crowd.ts";
import type { OriginTrouble } from "./sim-origin-server.ts";
import type { PeerBehaviour } from "./sim-swarm.ts";

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
  readonly headStartMs: number;
  readonly limitMs?: number;
  readonly peer: Readonly<Record<number, PeerBehaviour>>;
  readonly trouble?: NonNullable<FlashCrowdOptions["trouble"]>;
  readonly set: Partial<Settings>;
  readonly json: boolean;
}

const BEHAVIOURS: Readonly<Record<string, PeerBehaviour>> = {
  corrupt: { corruptShare: 1 },
  claim: { claimsAll: true },
  stall: { stalls: true },
  slow: { uploadRateBytesPerSecMax: 64 * KiB },
};

/** The command without its action. */
export function flashCrowdCommand(): Command {
  return new Command("flash-crowd")
    .description("N agents start one cold download together; one origin behind a slow link")
    .option("--peers <count>", "agents", positiveInteger, 100)
    .option("--seed <number>", "what every random choice is made from", integer, 42)
    .option("--length-mib <number>", "length of the content", positive, 1_024)
    .option("--piece-kib <number>", "length of a piece, a power of two", pieceKib, 4_096)
    .option("--origin-mib-per-sec <number>", "uplink of the origin", positive, 10)
    .option("--up-mib-per-sec <number>", "uplink of each agent", positive, 100)
    .option("--down-mib-per-sec <number>", "downlink of each agent", positive, 100)
    .option("--degree <count>", "connections per agent on average", positiveInteger, 64)
    .option("--arrival-ms <number>", "time within which the agents start", nonNegative, 1_000)
    .option("--head-start-ms <number>", "how long agent 0 is alone at first", nonNegative, 0)
    .option("--limit-ms <number>", "virtual time after which the run is given up", positive)
    .option(
      "--peer <index=how>",
      `a peer that harms: ${Object.keys(BEHAVIOURS).join(", ")}`,
      addPeer,
      {},
    )
    .option(
      "--trouble <what@from-until>",
      "the origin is down, silent or answers a status",
      trouble,
    )
    .option("--set <name=value>", "a setting of every agent; may be repeated", addSetting, {})
    .option("--json", "one line of JSON", false);
}

/** What the scenario takes, from flags that commander has read. */
export function flashCrowdOptions(command: Command): FlashCrowdOptions {
  const flags = command.opts<Flags>();
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
    headStartMs: flags.headStartMs,
    settings: flags.set,
    behaviours: flags.peer,
    ...(flags.limitMs === undefined ? {} : { limitMs: flags.limitMs }),
    ...(flags.trouble === undefined ? {} : { trouble: flags.trouble }),
  };
}

/** The same from the words of a command line. */
export function parseFlashCrowdFlags(words: readonly string[]): FlashCrowdOptions {
  const command = flashCrowdCommand().exitOverride();
  return flashCrowdOptions(command.parse(words, { from: "user" }));
}

function integer(text: string): number {
  const value = Number(text);
  if (text.trim() === "" || !Number.isSafeInteger(value) || value < 0) {
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

function addPeer(text: string, peers: Flags["peer"]): Flags["peer"] {
  const [index = "", how = ""] = text.split("=");
  const behaviour = Object.hasOwn(BEHAVIOURS, how) ? BEHAVIOURS[how] : undefined;
  if (behaviour === undefined) throw new InvalidArgumentError("There is no such behaviour.");
  return { ...peers, [integer(index)]: behaviour };
}

function trouble(text: string): NonNullable<Flags["trouble"]> {
  const match = /^(down|silent|[45]\d\d)@(\d+)-(\d+)$/.exec(text);
  if (match === null) throw new InvalidArgumentError("It must look like 503@500-5000.");
  const [, kind = "", from, until] = match;
  const what: OriginTrouble =
    kind === "down" || kind === "silent" ? { kind } : { kind: "status", status: Number(kind) };
  if (Number(from) >= Number(until)) throw new InvalidArgumentError("It must end after it begins.");
  return { what, from: Number(from), until: Number(until) };
}

function addSetting(text: string, settings: Partial<Settings>): Partial<Settings> {
  const [name = "", value = ""] = text.split("=");
  if (!Object.hasOwn(SETTINGS, name)) throw new InvalidArgumentError("There is no such setting.");
  const { min, max, unit } = SETTINGS[name as SettingName];
  const number = nonNegative(value);
  if (number < min || number > max) {
    throw new InvalidArgumentError(`It must be from ${min} to ${max} ${unit}.`);
  }
  return { ...settings, [name]: number };
}

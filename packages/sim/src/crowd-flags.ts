/**
 * The flags of the `sim` command, the same for every scenario. Tests give flags too, so that the
 * command they print on failure is the run that failed.
 *
 * Knows text. Throws `InvalidArgumentError` or other errors of commander. Called by `main.ts` and
 * by tests.
 */
import { KiB, LIMITS, MiB, SETTINGS } from "@shoal/core";
import type { SettingName, Settings } from "@shoal/core";
import { Command, InvalidArgumentError, Option } from "commander";
import type { CrowdOptions, PlannedTrouble } from "./scenarios/crowd-options.ts";
import { SCENARIOS } from "./scenarios/scenarios.ts";
import type { ScenarioName, ScenarioRow } from "./scenarios/scenarios.ts";
import type { OriginTrouble } from "./sim-origin-server.ts";
import type { PeerBehaviour } from "./peer-behaviour.ts";

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
  readonly fromArrival: boolean;
  readonly upSpread: number;
  readonly peer: Readonly<Record<number, PeerBehaviour>>;
  readonly bad?: BadShare;
  readonly trouble: readonly PlannedTrouble[];
  readonly sites: number;
  readonly wanMibPerSec: number;
  readonly wanMs: number;
  readonly wanLossPercent: number;
  readonly nat: boolean;
  readonly remoteContacts: number;
  readonly connectionLifeMs: number;
  readonly churnPercent: number;
  readonly awayMs: number;
  readonly seeds: number;
  readonly seedCopies?: number;
  readonly sharedPercent: number;
  readonly besideMib: number;
  readonly set: Partial<Settings>;
  readonly json: boolean;
  readonly baseline?: "do";
}

/** The last of every `oneIn` agents harms the others. */
interface BadShare {
  readonly oneIn: number;
  readonly behaviour: PeerBehaviour;
}

const BEHAVIOURS: Readonly<Record<string, PeerBehaviour>> = {
  corrupt: { corruptShare: 1 },
  claim: { claimsAll: true },
  stall: { stalls: true },
  slow: { uploadRateBytesPerSecMax: 64 * KiB },
};

/** The command of a scenario without its action. */
export function crowdCommand(name: ScenarioName): Command {
  const command = new Command(name).description(SCENARIOS[name].help);
  addSwarmFlags(command);
  addTroubleFlags(command);
  return command
    .option("--set <name=value>", "a setting of every agent; may be repeated", addSetting, {})
    .addOption(
      new Option("--baseline <rules>", "agents that follow other rules, beside ours").choices([
        "do",
      ]),
    )
    .option("--json", "one line of JSON", false);
}

function addSwarmFlags(command: Command): void {
  command
    .option("--peers <count>", "agents", positiveInteger, 100)
    .option("--seed <number>", "what every random choice is made from", integer, 42)
    .option("--length-mib <number>", "length of the content", positive, 1_024)
    .option("--piece-kib <number>", "length of a piece, a power of two", pieceKib, 4_096)
    .option("--origin-mib-per-sec <number>", "uplink of the origin", positive, 10)
    .option("--up-mib-per-sec <number>", "uplink of each agent", positive, 100)
    .option("--up-spread <factor>", "fastest uplink over the slowest", atLeastOne, 1)
    .option("--down-mib-per-sec <number>", "downlink of each agent", positive, 100)
    .option("--degree <count>", "connections per agent on average", positiveInteger, 64)
    .option("--arrival-ms <number>", "time within which the agents start", nonNegative, 1_000)
    .option("--from-arrival", "an agent's time counts from its own start", false)
    .option("--head-start-ms <number>", "how long agent 0 is alone at first", nonNegative, 0)
    .option("--limit-ms <number>", "virtual time after which the run is given up", positive)
    .option("--sites <count>", "LANs behind WAN links; 0 is one LAN with the origin", integer, 0)
    .option("--wan-mib-per-sec <number>", "a site's WAN link, each direction", positive, 10)
    .option("--wan-ms <number>", "one way, from a site to the middle of the WAN", nonNegative, 10)
    .option("--wan-loss-percent <number>", "packets lost on each WAN link", percent, 0)
    .option("--nat", "nobody can dial into a site", false)
    .option("--remote-contacts <count>", "agents of other sites that each hears of", integer, 2)
    .option("--seeds <count>", "agents that have the content from the start", integer, 0)
    .option("--shared-percent <number>", "pieces that all have of an earlier version", percent, 0)
    .option("--beside-mib <number>", "of another content, in the background", nonNegative, 0);
}

function addTroubleFlags(command: Command): void {
  const behaviours = Object.keys(BEHAVIOURS).join(", ");
  command
    .option("--peer <index=how>", `a peer that harms: ${behaviours}`, addPeer, {})
    .option("--bad <n=how>", "one peer in n that harms", bad)
    .option(
      "--trouble <what@from-until>",
      "the origin is down, silent, answers a status or sends slowN KiB/s; may be repeated",
      addTrouble,
      [],
    )
    .option("--connection-life-ms <number>", "mean life of connections; 0 is any", nonNegative, 0)
    .option("--churn-percent <number>", "agents that leave once and come back", percent, 0)
    .option("--away-ms <number>", "how long they are away, on average", positive, 5_000)
    .option("--seed-copies <number>", "copies after which the seeds leave", positive);
}

/** What the scenario takes, from flags that commander has read. */
export function crowdOptions(command: Command): CrowdOptions {
  const flags = command.opts<Flags>();
  return {
    scenario: command.name(),
    peers: flags.peers,
    seed: flags.seed,
    lengthBytes: Math.round(flags.lengthMib * MiB),
    pieceLengthBytes: flags.pieceKib * KiB,
    originRateBytesPerSec: flags.originMibPerSec * MiB,
    upRateBytesPerSec: flags.upMibPerSec * MiB,
    upSpread: flags.upSpread,
    downRateBytesPerSec: flags.downMibPerSec * MiB,
    degree: flags.degree,
    arrivalMs: flags.arrivalMs,
    fromArrival: flags.fromArrival,
    headStartMs: flags.headStartMs,
    settings: flags.set,
    behaviours: { ...badPeers(flags), ...flags.peer },
    troubles: flags.trouble,
    sites: flags.sites,
    wanRateBytesPerSec: flags.wanMibPerSec * MiB,
    wanLatencyMs: flags.wanMs,
    wanLossShare: flags.wanLossPercent / 100,
    hasNat: flags.nat,
    remoteContacts: flags.remoteContacts,
    connectionLifeMs: flags.connectionLifeMs,
    churnShare: flags.churnPercent / 100,
    awayMs: flags.awayMs,
    seeds: flags.seeds,
    seedCopiesMax: flags.seedCopies ?? Infinity,
    sharedShare: flags.sharedPercent / 100,
    besideBytes: Math.round(flags.besideMib * MiB),
    ...(flags.limitMs === undefined ? {} : { limitMs: flags.limitMs }),
  };
}

/** The same from the words of a command line; without a scenario's name it is the flash crowd. */
export function parseCrowdFlags(words: readonly string[]): CrowdOptions {
  const [first = "", ...rest] = words;
  const isNamed = Object.hasOwn(SCENARIOS, first);
  const name = isNamed ? (first as ScenarioName) : "flash-crowd";
  const command = crowdCommand(name).exitOverride();
  const all = [...scenarioWords(name), ...(isNamed ? rest : words)];
  return crowdOptions(command.parse(all, { from: "user" }));
}

/** The flags that make the scenario what it is, to be given before all others. */
export function scenarioWords(name: ScenarioName): string[] {
  const { flags }: ScenarioRow = SCENARIOS[name];
  return flags.split(" ").filter((word) => word !== "");
}

function badPeers({ bad: share, peers, seeds }: Flags): Record<number, PeerBehaviour> {
  const behaviours: Record<number, PeerBehaviour> = {};
  if (share === undefined) return behaviours;
  for (let index = seeds; index < peers; index++) {
    if (index % share.oneIn === share.oneIn - 1) behaviours[index] = share.behaviour;
  }
  return behaviours;
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

function percent(text: string): number {
  if (nonNegative(text) > 99.9) throw new InvalidArgumentError("It must be from 0 to 99.9.");
  return nonNegative(text);
}

function atLeastOne(text: string): number {
  if (nonNegative(text) < 1) throw new InvalidArgumentError("It must be at least 1.");
  return nonNegative(text);
}

function addPeer(text: string, peers: Flags["peer"]): Flags["peer"] {
  const [index = "", how = ""] = text.split("=");
  return { ...peers, [integer(index)]: behaviour(how) };
}

function bad(text: string): BadShare {
  const [oneIn = "", how = ""] = text.split("=");
  return { oneIn: positiveInteger(oneIn), behaviour: behaviour(how) };
}

function behaviour(how: string): PeerBehaviour {
  const found = Object.hasOwn(BEHAVIOURS, how) ? BEHAVIOURS[how] : undefined;
  if (found === undefined) throw new InvalidArgumentError("There is no such behaviour.");
  return found;
}

function addTrouble(text: string, troubles: Flags["trouble"]): Flags["trouble"] {
  const match = /^(down|silent|[45]\d\d|slow\d+)@(\d+)-(\d+)$/.exec(text);
  if (match === null) throw new InvalidArgumentError("It must look like 503@500-5000.");
  const [, kind = "", from, until] = match;
  if (Number(from) >= Number(until)) throw new InvalidArgumentError("It must end after it begins.");
  return [...troubles, { what: troubleOf(kind), from: Number(from), until: Number(until) }];
}

function troubleOf(kind: string): OriginTrouble {
  if (kind === "down" || kind === "silent") return { kind };
  if (!kind.startsWith("slow")) return { kind: "status", status: Number(kind) };
  return { kind: "slow", rateBytesPerSec: positiveInteger(kind.slice("slow".length)) * KiB };
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

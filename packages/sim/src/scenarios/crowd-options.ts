/**
 * What a crowd is: agents, links, sites, contents, and what goes wrong. A scenario is a choice of
 * these; all of it is plain data, so that it can be printed and replayed.
 *
 * Pure. Called by `Crowd`, by the flags of the `sim` command and by tests.
 */
import { MiB } from "@shoal/core";
import type { Millis, Settings } from "@shoal/core";
import type { PeerBehaviour } from "../peer-behaviour.ts";
import type { OriginTrouble } from "../sim-origin-server.ts";

/** What is wrong with the origin, and when. */
export interface PlannedTrouble {
  readonly what: OriginTrouble;
  readonly from: Millis;
  readonly until: Millis;
}

export interface CrowdOptions {
  /** Names the run in its report. Default `flash-crowd`. */
  readonly scenario?: string;
  readonly peers: number;
  readonly seed: number;
  /** Bytes of the content. Default 1 GiB. */
  readonly lengthBytes?: number;
  /** Default 4 MiB. */
  readonly pieceLengthBytes?: number;
  /** Default 10 MiB/s. */
  readonly originRateBytesPerSec?: number;
  /** Default 100 MiB/s each. */
  readonly upRateBytesPerSec?: number;
  readonly downRateBytesPerSec?: number;
  /** Uplinks lie evenly between the rate above and that over this. Default 1: they are equal. */
  readonly upSpread?: number;
  /** Connections that each agent gets on average, at most `connectionsMax`. Default 64. */
  readonly degree?: number;
  /** The agents start within this time. Default 1,000. */
  readonly arrivalMs?: Millis;
  /** How long before all others the first agent starts. Default 0: it comes with them. */
  readonly headStartMs?: Millis;
  /** Whether an agent's time counts from its own arrival, not from the crowd's. Default false. */
  readonly fromArrival?: boolean;
  /** Virtual time after which the run is given up. Default ten times the lower bound and 60 s. */
  readonly limitMs?: Millis;
  readonly settings?: Partial<Settings>;
  /** Agents that treat others badly, by position. */
  readonly behaviours?: Readonly<Record<number, PeerBehaviour>>;
  /** One at a time. Default none. */
  readonly troubles?: readonly PlannedTrouble[];
  /** Sites of equal size, each behind a WAN link. Default 0: one large LAN with the origin. */
  readonly sites?: number;
  /** Of each site, in both directions. Default 10 MiB/s. */
  readonly wanRateBytesPerSec?: number;
  /** One way, from a site to the middle of the WAN. Default 10. */
  readonly wanLatencyMs?: Millis;
  /** Share of packets that a WAN link loses. Default 0. */
  readonly wanLossShare?: number;
  /** Whether sites are behind NATs. Default false. */
  readonly hasNat?: boolean;
  /** Agents of other sites that each agent hears of. Default 2. */
  readonly remoteContacts?: number;
  /** Mean life of a connection before it breaks. Default 0: none does. */
  readonly connectionLifeMs?: Millis;
  /** Share of agents that leave once, by crash or stop, while they download. Default 0. */
  readonly churnShare?: number;
  /** How long they are away, on average. Half of those that crash lose their disk. Default 5,000. */
  readonly awayMs?: Millis;
  /** Agents, the first ones, that have the content from the start. Default 0. */
  readonly seeds?: number;
  /** Seeds leave for good when they have sent this many copies. Default `Infinity`: never. */
  readonly seedCopiesMax?: number;
  /** Every agent has an earlier version that shares this share of pieces. Default 0: none has. */
  readonly sharedShare?: number;
  /** Bytes of another content that every agent fetches in the background. Default 0: none. */
  readonly besideBytes?: number;
}

export type CompleteCrowd = Required<Omit<CrowdOptions, "limitMs">> & Pick<CrowdOptions, "limitMs">;

/** Completes options with the defaults named above. */
export function completeCrowd(options: CrowdOptions): CompleteCrowd {
  return {
    ...options,
    scenario: options.scenario ?? "flash-crowd",
    lengthBytes: options.lengthBytes ?? 1024 * MiB,
    pieceLengthBytes: options.pieceLengthBytes ?? 4 * MiB,
    originRateBytesPerSec: options.originRateBytesPerSec ?? 10 * MiB,
    upRateBytesPerSec: options.upRateBytesPerSec ?? 100 * MiB,
    downRateBytesPerSec: options.downRateBytesPerSec ?? 100 * MiB,
    upSpread: options.upSpread ?? 1,
    degree: options.degree ?? 64,
    arrivalMs: options.arrivalMs ?? 1_000,
    headStartMs: options.headStartMs ?? 0,
    fromArrival: options.fromArrival ?? false,
    settings: options.settings ?? {},
    behaviours: options.behaviours ?? {},
    troubles: options.troubles ?? [],
    sites: options.sites ?? 0,
    wanRateBytesPerSec: options.wanRateBytesPerSec ?? 10 * MiB,
    wanLatencyMs: options.wanLatencyMs ?? 10,
    wanLossShare: options.wanLossShare ?? 0,
    hasNat: options.hasNat ?? false,
    remoteContacts: options.remoteContacts ?? 2,
    connectionLifeMs: options.connectionLifeMs ?? 0,
    churnShare: options.churnShare ?? 0,
    awayMs: options.awayMs ?? 5_000,
    seeds: options.seeds ?? 0,
    seedCopiesMax: options.seedCopiesMax ?? Infinity,
    sharedShare: options.sharedShare ?? 0,
    besideBytes: options.besideBytes ?? 0,
  };
}

/** Uplinks of all agents, in order; they repeat every ten. */
export function upRates({ peers, upRateBytesPerSec, upSpread }: CompleteCrowd): number[] {
  const slowest = 1 / upSpread;
  return Array.from({ length: peers }, (_, index) => {
    return upRateBytesPerSec * (slowest + ((1 - slowest) * (index % 10)) / 9);
  });
}

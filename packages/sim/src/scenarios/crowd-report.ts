/**
 * What is measured of a crowd. Pure; called by `Crowd` and by the baseline.
 */
import type { Millis } from "@shoal/core";
import { gini, lowerBoundMs, quantile } from "../lower-bound.ts";
import { upRates } from "./crowd-options.ts";
import type { CompleteCrowd } from "./crowd-options.ts";

export interface CrowdReport {
  readonly scenario: string;
  readonly peers: number;
  readonly seed: number;
  /** Jobs that are complete. The run succeeded when it equals `peers` without the seeds. */
  readonly completed: number;
  readonly lowerBoundMs: Millis;
  /**
   * Times from the beginning of the crowd, or an agent's own, to its job's end; without those of
   * agents that harm others.
   */
  readonly p50Ms: Millis;
  readonly p99Ms: Millis;
  readonly maxMs: Millis;
  /** The same over the lower bound. */
  readonly p50Ratio: number;
  readonly p99Ratio: number;
  readonly maxRatio: number;
  /** Bytes that left the origin over the content's length. */
  readonly originCopies: number;
  /** The same without what went to agents that harm others. */
  readonly honestCopies: number;
  readonly originRequests: number;
  /** Share of received piece bytes that were thrown away, or arrived after they were given up. */
  readonly wasteShare: number;
  /** Of what agents sent, over the rates of their uplinks. */
  readonly uploadGini: number;
  /** Bytes that came to sites over their WAN links, over the content's length and the sites. */
  readonly wanCopies: number;
  /** The same of the site to which most came. */
  readonly wanCopiesMax: number;
  readonly corruptPieces: number;
  readonly bans: number;
  readonly connections: number;
  /** Times that agents left. */
  readonly departures: number;
  /** Share of all content bytes that was found on agents' own disks. */
  readonly reusedShare: number;
  /** What came of the content in the background, per agent and second, until the job was done. */
  readonly besideBytesPerSec: number;
  /** Events that engines handled, and wake-ups of the clock. */
  readonly events: number;
  readonly wakeUps: number;
  readonly traceHash: string;
  /** Jobs that are not complete, and why. */
  readonly unfinished: readonly string[];
}

/** Sums and lists that a report is made from. */
export interface CrowdMeasures {
  readonly completed: number;
  readonly timesMs: readonly Millis[];
  readonly originBytes: number;
  readonly honestBytes: number;
  readonly originRequests: number;
  readonly receivedBytes: number;
  readonly wastedBytes: number;
  /** By agent. */
  readonly sentBytes: readonly number[];
  /** By site. */
  readonly wanBytes: readonly number[];
  readonly reusedBytes: number;
  readonly counts: Pick<
    CrowdReport,
    | "corruptPieces"
    | "bans"
    | "connections"
    | "departures"
    | "besideBytesPerSec"
    | "events"
    | "wakeUps"
    | "traceHash"
    | "unfinished"
  >;
}

export function crowdReport(options: CompleteCrowd, measures: CrowdMeasures): CrowdReport {
  const { lengthBytes, seeds, peers } = options;
  const { timesMs, originBytes, receivedBytes, wastedBytes, wanBytes } = measures;
  const bound = crowdBoundMs(options);
  const [p50, p99, max] = [0.5, 0.99, 1].map((share) => quantile(timesMs, share));
  const rates = upRates(options);
  const wanTotal = wanBytes.reduce((total, bytes) => total + bytes, 0);
  const wanCopies = wanBytes.length === 0 ? 0 : wanTotal / wanBytes.length / lengthBytes;
  return {
    scenario: options.scenario,
    peers,
    seed: options.seed,
    completed: measures.completed,
    lowerBoundMs: round(bound),
    p50Ms: round(p50 ?? 0),
    p99Ms: round(p99 ?? 0),
    maxMs: round(max ?? 0),
    p50Ratio: round((p50 ?? 0) / bound),
    p99Ratio: round((p99 ?? 0) / bound),
    maxRatio: round((max ?? 0) / bound),
    originCopies: round(originBytes / lengthBytes),
    honestCopies: round(measures.honestBytes / lengthBytes),
    originRequests: measures.originRequests,
    wasteShare: round(receivedBytes === 0 ? 0 : wastedBytes / receivedBytes),
    uploadGini: round(gini(measures.sentBytes.map((bytes, index) => bytes / (rates[index] ?? 1)))),
    wanCopies: round(wanCopies),
    wanCopiesMax: round(Math.max(0, ...wanBytes) / lengthBytes),
    reusedShare: round(measures.reusedBytes / lengthBytes / Math.max(1, peers - seeds)),
    ...measures.counts,
    besideBytesPerSec: Math.round(measures.counts.besideBytesPerSec),
  };
}

/** The least time in which the last agent can be done, when all come at once. */
export function crowdBoundMs(options: CompleteCrowd): Millis {
  const { peers, seeds, sites, lengthBytes, originRateBytesPerSec } = options;
  const rates = upRates(options);
  const seedRates = rates.slice(0, seeds).reduce((total, rate) => total + rate, 0);
  const needed = lengthBytes * (1 - options.sharedShare);
  const fluid = lowerBoundMs({
    lengthBytes: needed,
    seedRateBytesPerSec: originRateBytesPerSec + seedRates,
    upRatesBytesPerSec: rates.slice(seeds),
    downRatesBytesPerSec: Array<number>(Math.max(1, peers - seeds)).fill(
      options.downRateBytesPerSec,
    ),
  });
  if (sites === 0) return fluid;
  // Sites behind NATs can give each other nothing: each takes a copy of its own.
  const copies = options.hasNat ? sites : 1;
  const byOrigin = (copies * needed * 1_000) / (originRateBytesPerSec + seedRates);
  return Math.max(fluid, byOrigin, (needed * 1_000) / options.wanRateBytesPerSec);
}

/** Three decimals are what a reader can use, and hide no difference that matters. */
function round(value: number): number {
  return Math.round(value * 1_000) / 1_000;
}

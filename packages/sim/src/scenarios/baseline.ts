/**
 * The same crowd with agents that follow the documented rules of Delivery Optimization, to compare
 * with. It knows neither churn nor harm, nor earlier versions, nor other jobs, and refuses scenarios
 * that have them rather than to be better than it is.
 *
 * Called by the `sim` command and by tests.
 */
import { assert, PieceLayout, Random } from "@shoal/core";
import type { Millis } from "@shoal/core";
import { DoAgent } from "../do-agent.ts";
import { SimOriginServer } from "../sim-origin-server.ts";
import { Site } from "../sim-site.ts";
import { VirtualClock } from "../virtual-clock.ts";
import { completeCrowd, upRates } from "./crowd-options.ts";
import type { CompleteCrowd, CrowdOptions } from "./crowd-options.ts";
import { crowdBoundMs, crowdReport } from "./crowd-report.ts";
import type { CrowdReport } from "./crowd-report.ts";

const URL = "http://origin.example/content.bin";

/** Whether the baseline can be compared with a scenario. */
export function hasBaseline(options: CrowdOptions): boolean {
  const { churnShare, behaviours, connectionLifeMs, sharedShare, besideBytes, seedCopiesMax } =
    completeCrowd(options);
  const isHealthy = churnShare === 0 && connectionLifeMs === 0 && seedCopiesMax === Infinity;
  return isHealthy && Object.keys(behaviours).length + sharedShare + besideBytes === 0;
}

/** Runs the crowd by those rules. The same options give the same report. */
export function runBaseline(options: CrowdOptions): CrowdReport {
  assert(hasBaseline(options), "the baseline knows a healthy crowd with one content");
  const baseline = new Baseline(completeCrowd(options));
  baseline.run();
  return baseline.report();
}

class Baseline {
  readonly #options: CompleteCrowd;
  readonly #clock = new VirtualClock();
  readonly #random: Random;
  readonly #server: SimOriginServer;
  readonly #sites: readonly Site[];
  readonly #agents: readonly DoAgent[];
  /** Those that have come, in order. */
  readonly #present: DoAgent[] = [];
  readonly #startedAt = new Map<DoAgent, Millis>();
  readonly #timesMs: Millis[] = [];

  constructor(options: CompleteCrowd) {
    this.#options = options;
    const { lengthBytes, pieceLengthBytes, downRateBytesPerSec, troubles } = options;
    this.#random = new Random(options.seed);
    const deps = { clock: this.#clock, random: this.#random };
    const { originRateBytesPerSec: rateBytesPerSec } = options;
    this.#server = new SimOriginServer(deps, { rateBytesPerSec });
    this.#server.setFile(URL, { length: lengthBytes, validator: {} });
    for (const { what, from, until } of troubles) this.#server.plan(what, from, until);
    this.#sites = sitesOf(options);
    const layout = PieceLayout.fixed(lengthBytes, pieceLengthBytes);
    this.#agents = upRates(options).map((upRateBytesPerSec, index) => {
      const site = this.#sites[index % Math.max(1, this.#sites.length)];
      const own = { upRateBytesPerSec, downRateBytesPerSec, seed: this.#random.uint32(), site };
      const done = (agent: DoAgent): void => this.#done(agent);
      const agentDeps = { clock: this.#clock, server: this.#server, done };
      return new DoAgent(agentDeps, { ...own, url: URL, layout });
    });
  }

  run(): void {
    const { peers, seeds, headStartMs, arrivalMs, limitMs } = this.#options;
    for (const [index, agent] of this.#agents.entries()) {
      if (index < seeds) agent.fill();
      const isFirst = index === 0 && headStartMs > 0;
      const at = isFirst ? 0 : headStartMs + arrivalMs * this.#random.fraction();
      this.#clock.schedule(index < seeds ? 0 : at, () => this.#arrive(agent));
    }
    // Without peers each agent takes a copy of its own.
    const longestMs = headStartMs + arrivalMs + peers * crowdBoundMs(this.#options) + 60_000;
    this.#clock.runUntil(() => this.#timesMs.length >= peers - seeds, limitMs ?? longestMs);
  }

  report(): CrowdReport {
    const sentBytes = this.#agents.map(({ uplink }) => uplink.sentBytes);
    const originBytes = this.#server.sentBytes;
    const scenario = `${this.#options.scenario} by documented rules`;
    return crowdReport(
      { ...this.#options, scenario },
      {
        completed: this.#timesMs.length,
        honestBytes: originBytes,
        timesMs: this.#timesMs,
        originBytes,
        originRequests: this.#server.requests,
        receivedBytes: originBytes + sentBytes.reduce((total, bytes) => total + bytes, 0),
        wastedBytes: 0,
        sentBytes,
        wanBytes: this.#sites.map((site) => site.receivedBytes),
        reusedBytes: 0,
        counts: {
          corruptPieces: 0,
          bans: 0,
          connections: 0,
          departures: 0,
          besideBytesPerSec: 0,
          events: 0,
          wakeUps: this.#clock.handled,
          traceHash: "",
          unfinished: this.#agents.flatMap((agent, index) =>
            agent.isDone ? [] : [`agent ${index}`],
          ),
        },
      },
    );
  }

  #arrive(agent: DoAgent): void {
    this.#startedAt.set(agent, this.#clock.now());
    agent.start();
    meetSome(agent, this.#present, { random: this.#random, degree: this.#options.degree });
    this.#present.push(agent);
  }

  #done(agent: DoAgent): void {
    const from = this.#options.fromArrival ? (this.#startedAt.get(agent) ?? 0) : 0;
    this.#timesMs.push(this.#clock.now() - from);
  }
}

/** An agent meets agents of its site that have come before it, chosen by the seed. */
function meetSome(
  agent: DoAgent,
  present: readonly DoAgent[],
  { random, degree }: { readonly random: Random; readonly degree: number },
): void {
  const others = present.filter(({ site }) => site === agent.site);
  const count = Math.min(others.length, Math.ceil(degree / 2));
  for (let i = 0; i < count; i++) {
    const chosen = i + random.below(others.length - i);
    const other = others[chosen]!;
    others[chosen] = others[i]!;
    agent.meet(other);
  }
}

function sitesOf(options: CompleteCrowd): Site[] {
  const { sites, wanRateBytesPerSec: rate, wanLatencyMs: latencyMs, hasNat } = options;
  const link = { upRateBytesPerSec: rate, downRateBytesPerSec: rate, latencyMs };
  const wan = { ...link, hasNat, lossShare: options.wanLossShare };
  return Array.from({ length: sites }, (_, index) => new Site(`site-${index}`, wan));
}

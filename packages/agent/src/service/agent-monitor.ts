/**
 * Looks at a running agent every 10 s: takes a point of its traffic for charts, measures how long
 * the event loop was held up (R-PROC-05), and has the month's counts stored.
 *
 * Knows counters and the process; decides nothing. Started by `startAgent`, asked by
 * `LocalAgentService`.
 */
import { randomUUID } from "node:crypto";
import { monitorEventLoopDelay } from "node:perf_hooks";
import type { IntervalHistogram } from "node:perf_hooks";
import type { CounterName, Millis, Scheduler, UnixMillis } from "@shoal/core";
import type { Logger } from "../logger.ts";
import type { TrafficPoint } from "./agent-service.ts";

export interface AgentMonitorDeps {
  /** Runs a verb on the scheduler. */
  act<Result>(verb: (scheduler: Scheduler, now: Millis) => Result): Result;
  readonly logger: Logger;
}

const INTERVAL_MS = 10_000;
/** An hour of points. */
const POINTS_MAX = 360;
/** How often the event loop is looked at, most of what wakes an idle agent; beyond it is delay. */
const LOOP_RESOLUTION_MS = 100;
/** R-PROC-05 */
const LOOP_DELAY_MS_MAX = 200;

const RECEIVED = "shoal_peer_received_bytes_total" satisfies CounterName;
const SENT = "shoal_peer_sent_bytes_total" satisfies CounterName;

/** Counters at one instant, of the monotonic clock. */
interface Reading {
  readonly at: Millis;
  readonly originBytes: number;
  readonly receivedBytes: number;
  readonly sentBytes: number;
  readonly connectedPeers: number;
}

export class AgentMonitor implements Disposable {
  readonly startedAt: UnixMillis = Date.now();
  /** Another one at every start. */
  readonly instanceId = randomUUID();
  readonly #deps: AgentMonitorDeps;
  readonly #points: TrafficPoint[] = [];
  readonly #timer: NodeJS.Timeout;
  readonly #loopDelay: IntervalHistogram;
  #last: Reading;
  #loopDelayP99Ms: Millis = 0;

  constructor(deps: AgentMonitorDeps, { intervalMs = INTERVAL_MS } = {}) {
    this.#deps = deps;
    this.#last = this.#read();
    this.#loopDelay = monitorEventLoopDelay({ resolution: LOOP_RESOLUTION_MS });
    this.#loopDelay.enable();
    this.#timer = setInterval(() => this.look(), intervalMs);
    // Looking keeps no process alive.
    this.#timer.unref();
  }

  /** The oldest first; at most an hour. */
  get traffic(): readonly TrafficPoint[] {
    return [...this.#points];
  }

  /** By how much turns of the event loop were late, but for one in a hundred, lately. */
  get loopDelayP99Ms(): Millis {
    return Math.max(this.#loopDelayP99Ms, this.#measureLoop());
  }

  /** Takes a point now; the next look is not put off by it. */
  look(): void {
    this.#takePoint();
    this.#watchLoop();
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    // What has come since the last look is of the month, too.
    this.#read();
    this.#loopDelay.disable();
  }

  #takePoint(): void {
    const [before, reading] = [this.#last, this.#read()];
    this.#last = reading;
    const tookMs = reading.at - before.at;
    if (tookMs <= 0) return;
    const rate = (bytes: number): number => Math.round((bytes * 1_000) / tookMs);
    this.#points.push({
      at: Date.now(),
      originBytesPerSec: rate(reading.originBytes - before.originBytes),
      peerReceivedBytesPerSec: rate(reading.receivedBytes - before.receivedBytes),
      peerSentBytesPerSec: rate(reading.sentBytes - before.sentBytes),
      connectedPeers: reading.connectedPeers,
    });
    if (this.#points.length > POINTS_MAX) this.#points.shift();
  }

  #watchLoop(): void {
    this.#loopDelayP99Ms = this.#measureLoop();
    this.#loopDelay.reset();
    if (this.#loopDelayP99Ms <= LOOP_DELAY_MS_MAX) return;
    const { transfers, jobs } = this.#deps.act((scheduler) => scheduler.overview.work());
    const fields = { p99Ms: this.#loopDelayP99Ms, transfers, jobs };
    this.#deps.logger.warn(fields, "the event loop was held up");
  }

  #measureLoop(): Millis {
    const p99Ms = this.#loopDelay.percentile(99) / 1e6;
    return Math.max(0, Math.round(p99Ms - LOOP_RESOLUTION_MS));
  }

  #read(): Reading {
    return this.#deps.act((scheduler, at) => {
      const { counters } = scheduler;
      scheduler.overview.saveMonth(at);
      return {
        at,
        originBytes:
          counters.get("shoal_origin_received_bytes_total") +
          counters.get("shoal_cache_server_received_bytes_total"),
        receivedBytes: counters.get(RECEIVED),
        sentBytes: counters.get(SENT),
        connectedPeers: scheduler.connectedPeers.length,
      };
    });
  }
}

/**
 * How many requests one transfer may have under way to the host it asks. Alone, as many as have
 * proved to bring more (`ConnectionCount`); among members of a swarm, whose connections add up and
 * whose rates say nothing of each other's, a share of the maximum; in the foreground, while
 * background jobs take part of the link, the maximum, since a link is divided by connections. Never
 * more than is left of the host's share (R-HTTP-09). Called by `OriginRuns`.
 */
import type { Settings } from "../registry/settings.ts";
import type { Millis } from "../units.ts";
import { ConnectionCount } from "./connection-count.ts";
import type { ContentSwarm } from "./content-swarm.ts";
import type { Demand, Urgency } from "./demand.ts";
import type { OriginHosts } from "./origin-hosts.ts";
import type { OriginRun, RunTable } from "./run-table.ts";

export interface OriginConnectionsParts {
  readonly runs: RunTable;
  readonly swarm: ContentSwarm;
  readonly urgency: Urgency;
}

export interface OriginConnectionsDeps {
  readonly settings: Settings;
  readonly originHosts: OriginHosts;
  readonly demand: Demand;
}

export class OriginConnections {
  readonly #deps: OriginConnectionsDeps;
  readonly #runs: RunTable;
  readonly #swarm: ContentSwarm;
  readonly #urgency: Urgency;
  #host: string | undefined;
  #count: ConnectionCount | undefined;

  constructor(deps: OriginConnectionsDeps, { runs, swarm, urgency }: OriginConnectionsParts) {
    this.#deps = deps;
    this.#runs = runs;
    this.#swarm = swarm;
    this.#urgency = urgency;
  }

  /** Whether one more request may begin beside those under way. */
  hasRoom(host: string, now: Millis): boolean {
    const { size, isOneEnding } = this.#runs;
    const wanted = this.#wanted(host, now);
    // For a moment one more, so that a request follows another without a gap.
    return size < wanted || (size === wanted && isOneEnding && size < this.#max(host, now));
  }

  /** A run has received `receivedBytes` in all. */
  received(run: OriginRun, receivedBytes: number, now: Millis): void {
    const bytes = receivedBytes - run.receivedBytes;
    if (bytes <= 0) return;
    run.receivedBytes = receivedBytes;
    if (!this.#isMeasured(now)) return;
    const { host } = run.source;
    const isSteady = this.#runs.size >= this.#wanted(host, now) && this.#runs.areAllDelivering;
    const count = this.#countOf(host);
    const before = count.settled;
    count.received(bytes, isSteady, now);
    if (count.settled !== before) this.#deps.originHosts.remember(host, count.settled);
  }

  /** There is not enough to ask for to keep all connections busy. */
  interrupted(): void {
    this.#count?.interrupted();
  }

  /** Whether rates say something about the number of connections. */
  #isMeasured(now: Millis): boolean {
    const { demand } = this.#deps;
    const isContended = this.#urgency.isForeground && demand.backgroundJobs > 0;
    return this.#swarm.fetchingMemberCount(now) === 0 && !isContended;
  }

  #wanted(host: string, now: Millis): number {
    const max = this.#max(host, now);
    return this.#isMeasured(now) ? Math.min(max, this.#countOf(host).wanted) : max;
  }

  #max(host: string, now: Millis): number {
    const { originConnectionsMax } = this.#deps.settings;
    const members = this.#swarm.fetchingMemberCount(now);
    const share = Math.max(1, Math.floor((2 * originConnectionsMax) / (members + 2)));
    return Math.min(share, this.#deps.originHosts.shareOf(host, this.#runs.size));
  }

  #countOf(host: string): ConnectionCount {
    if (this.#count === undefined || this.#host !== host) {
      this.#host = host;
      const { originConnectionsMax: max } = this.#deps.settings;
      this.#count = new ConnectionCount({ max, start: this.#deps.originHosts.bestCount(host) });
    }
    return this.#count;
  }
}

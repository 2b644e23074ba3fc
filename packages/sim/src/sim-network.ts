/**
 * The simulated network: who can reach whom, how long a message takes, and which connections exist.
 *
 *   control messages   take the latencies of both ends, rounded up to a tick; all messages that
 *                      reach one peer in one tick are one wake-up. In order within a connection.
 *   pieces             cross the sender's uplink and the receiver's downlink (`FairLink`), then
 *                      take the same latency.
 *   presence           reaches all who have a connection, after one delay for the whole network,
 *                      rounded up to a tick of its own; what comes together is told one by one.
 *   connections        at most one between two peers; when both dial at once they end up sharing.
 *                      A connection may be lost at an instant drawn from the seed.
 *
 * Knows peers as members of the network. Does not know contents or pieces. Called by `SimSwarm`,
 * and by scenarios that introduce peers to each other.
 */
import { assert } from "@shoal/core";
import type { ContentId, Millis, PeerId, PresenceRole, Random, SwarmEvent } from "@shoal/core";
import type { ConnectionEnd } from "./sim-connection.ts";
import { siteLatencyMs } from "./sim-site.ts";
import type { SimSwarm } from "./sim-swarm.ts";
import type { VirtualClock } from "./virtual-clock.ts";

export interface SimNetworkOptions {
  /** Resolution of control messages. Default 1 ms. */
  readonly tickMs?: Millis;
  /** Length of one turn of an uplink. Default 1 MiB. */
  readonly sliceBytesMax?: number;
  /** Mean life of a connection before it is lost; 0, the default, means none is lost. */
  readonly connectionLifeMs?: Millis;
  /** Wait before a dial that nobody answers has failed. Default 5,000. */
  readonly dialTimeoutMs?: Millis;
  /** Time in which presence reaches all members over their connections. Default 50. */
  readonly presenceDelayMs?: Millis;
}

/** Messages that reach one peer in one tick; `events[i]` is for `ends[i]`. */
export interface Delivery {
  readonly ends: ConnectionEnd[];
  readonly events: SwarmEvent[];
}

/** Resolution of presence. */
const PRESENCE_TICK_MS = 10;

/** What one peer says to all, on its way. */
interface Said {
  readonly from: SimSwarm;
  readonly event: SwarmEvent;
}

export class SimNetwork {
  readonly clock: VirtualClock;
  readonly #random: Random;
  readonly #options: Required<SimNetworkOptions>;
  readonly #swarms = new Map<PeerId, SimSwarm>();
  /** Who has published presence in a content and not left it. */
  readonly #present = new Map<ContentId, Set<SimSwarm>>();
  /** Presence on its way, by tick and content. */
  readonly #said = new Map<number, Map<ContentId, Said[]>>();
  readonly #pieceCounts = new Map<ContentId, number>();
  #lostBytes = 0;

  constructor(
    deps: { readonly clock: VirtualClock; readonly random: Random },
    options: SimNetworkOptions = {},
  ) {
    this.clock = deps.clock;
    this.#random = deps.random;
    this.#options = {
      tickMs: options.tickMs ?? 1,
      sliceBytesMax: options.sliceBytesMax ?? 1024 * 1024,
      connectionLifeMs: options.connectionLifeMs ?? 0,
      dialTimeoutMs: options.dialTimeoutMs ?? 5_000,
      presenceDelayMs: options.presenceDelayMs ?? 50,
    };
    assert(this.#options.tickMs > 0, "a tick takes time");
  }

  get sliceBytesMax(): number {
    return this.#options.sliceBytesMax;
  }

  get dialTimeoutMs(): Millis {
    return this.#options.dialTimeoutMs;
  }

  /** Bytes of pieces that arrived after nobody wanted them any more. */
  get lostBytes(): number {
    return this.#lostBytes;
  }

  countLost(bytes: number): void {
    this.#lostBytes += bytes;
  }

  /** Tells those who lie how many pieces there are to lie about. */
  describe(contentId: ContentId, pieceCount: number): void {
    this.#pieceCounts.set(contentId, pieceCount);
  }

  pieceCountOf(contentId: ContentId): number | undefined {
    return this.#pieceCounts.get(contentId);
  }

  /** True in `share` of all cases, by the network's seed. */
  draw(share: number): boolean {
    return share > 0 && this.#random.fraction() < share;
  }

  /** Puts a peer on the network; it can be dialled from now on. */
  attach(swarm: SimSwarm): void {
    assert(!this.#swarms.has(swarm.peerId), "a peer is on the network once");
    this.#swarms.set(swarm.peerId, swarm);
    swarm.inbox = new Map();
  }

  /** Takes a peer off the network; messages on their way to it are lost. */
  detach(swarm: SimSwarm): void {
    for (const present of this.#present.values()) present.delete(swarm);
    if (this.#swarms.get(swarm.peerId) === swarm) this.#swarms.delete(swarm.peerId);
    swarm.inbox = undefined;
  }

  find(peerId: PeerId): SimSwarm | undefined {
    return this.#swarms.get(peerId);
  }

  latencyMs(a: SimSwarm, b: SimSwarm): Millis {
    return a.latencyMs + b.latencyMs + siteLatencyMs(a.site, b.site);
  }

  /** Sends a control message to the other end; it arrives unless that end closes first. */
  post(from: ConnectionEnd, event: SwarmEvent): void {
    const { other } = from;
    const { inbox } = other.swarm;
    if (inbox === undefined) return;
    const { tickMs } = this.#options;
    const at = this.clock.now() + this.latencyMs(from.swarm, other.swarm);
    const tick = Math.ceil(at / tickMs);
    let delivery = inbox.get(tick);
    if (delivery === undefined) {
      delivery = { ends: [], events: [] };
      inbox.set(tick, delivery);
      const { swarm } = other;
      this.clock.schedule(tick * tickMs, () => this.#deliver(swarm, tick));
    }
    delivery.ends.push(other);
    delivery.events.push(event);
  }

  /**
   * Presence goes from peer to peer over connections: whoever has one hears it a little later, if
   * it has published presence in the content itself. Two sites behind NATs have no connection.
   */
  publish(from: SimSwarm, contentId: ContentId, role: PresenceRole): void {
    let present = this.#present.get(contentId);
    if (present === undefined) this.#present.set(contentId, (present = new Set()));
    if (role === "left") present.delete(from);
    else present.add(from);
    const { peerId } = from;
    const addresses = [`/sim/${peerId}`];
    const event: SwarmEvent = { type: "presenceHeard", peerId, addresses, contentId, role };
    const at = this.clock.now() + this.#options.presenceDelayMs;
    const tick = Math.ceil(at / PRESENCE_TICK_MS);
    let said = this.#said.get(tick);
    if (said === undefined) {
      this.#said.set(tick, (said = new Map()));
      this.clock.schedule(tick * PRESENCE_TICK_MS, () => this.#tell(tick));
    }
    const ofContent = said.get(contentId);
    if (ofContent === undefined) said.set(contentId, [{ from, event }]);
    else ofContent.push({ from, event });
  }

  /** Each peer hears everything in turn: so a large simulation visits each peer's memory once. */
  #tell(tick: number): void {
    const said = this.#said.get(tick);
    this.#said.delete(tick);
    for (const [contentId, all] of said ?? []) {
      for (const swarm of this.#present.get(contentId) ?? []) {
        for (const { from, event } of all) {
          const isApart = swarm.site !== from.site && swarm.site?.hasNat && from.site?.hasNat;
          if (swarm !== from && isApart !== true) swarm.presenceArrived(event);
        }
      }
    }
  }

  /** When a new connection is to be lost; `Infinity` when it is not. */
  drawLossAt(): Millis {
    const { connectionLifeMs } = this.#options;
    if (connectionLifeMs === 0) return Infinity;
    return this.clock.now() + connectionLifeMs * 2 * this.#random.fraction();
  }

  /**
   * Tells a peer about up to `count` others chosen by the seed, spread over `withinMs`; about those
   * that `among` accepts, default all. Addresses are hints as discovery gives them.
   */
  introduce(
    peerId: PeerId,
    options: {
      readonly count: number;
      readonly withinMs: Millis;
      readonly among?: (other: SimSwarm, self: SimSwarm) => boolean;
    },
  ): void {
    const { count, withinMs, among } = options;
    const swarm = this.#swarms.get(peerId);
    if (swarm === undefined) return;
    const others: PeerId[] = [];
    for (const other of this.#swarms.values()) {
      if (other !== swarm && among?.(other, swarm) !== false) others.push(other.peerId);
    }
    for (let i = 0; i < Math.min(count, others.length); i++) {
      const chosen = i + this.#random.below(others.length - i);
      const other = others[chosen]!;
      others[chosen] = others[i]!;
      const at = this.clock.now() + withinMs * this.#random.fraction();
      this.clock.schedule(at, () => swarm.discovered(other));
    }
  }

  #deliver(swarm: SimSwarm, tick: number): void {
    const delivery = swarm.inbox?.get(tick);
    if (delivery === undefined) return;
    swarm.inbox?.delete(tick);
    const { ends, events } = delivery;
    for (let i = 0; i < events.length; i++) swarm.receive(ends[i]!, events[i]!);
  }
}

/**
 * An agent that follows what is documented of Delivery Optimization, as far as it decides who sends
 * a piece (behaviour reference, sections 7 and 20), over the same links and the same origin:
 *
 *   - it starts at the origin at once, and nobody coordinates who fetches what from there;
 *   - peers of the same site are asked as soon as they have pieces, in parallel with the origin;
 *   - the origin is asked for more while the download is slower than the minimum quality of
 *     service, or while peers have nothing to give;
 *   - uploads are served all at once.
 *
 * What is not public is chosen in its favour: pieces come from the origin in random order, so that
 * agents that start together have something to exchange, and nothing is ever lost or refused.
 *
 * Knows pieces, neighbours and one request to the origin. Called by `runBaseline`.
 */
import { Random } from "@shoal/core";
import type { Millis, PieceIndex, PieceLayout } from "@shoal/core";
import { Downlink, FairLink } from "./fair-link.ts";
import type { Crossing, Flow } from "./fair-link.ts";
import type { OriginBody, SimOriginServer } from "./sim-origin-server.ts";
import { crossingTo, lossyRateBytesPerSec, siteLatencyMs } from "./sim-site.ts";
import type { Place, Site } from "./sim-site.ts";
import type { VirtualClock } from "./virtual-clock.ts";

export interface DoAgentDeps {
  readonly clock: VirtualClock;
  readonly server: SimOriginServer;
  /** Called when all pieces are here. */
  readonly done: (agent: DoAgent) => void;
}

export interface DoAgentOptions {
  readonly seed: number;
  readonly url: string;
  readonly layout: PieceLayout;
  readonly upRateBytesPerSec: number;
  readonly downRateBytesPerSec: number;
  readonly site: Site | undefined;
}

/** `DOMinBackgroundQos`: 2,500 KB/s. */
const QOS_BYTES_PER_SEC_MIN = 2_500 * 1_024;
/** The time over which the rate of the download is taken. */
const RATE_WINDOW_MS = 2_000;
/** Pieces asked of one peer at a time. */
const DEPTH = 2;
const SLICE_BYTES_MAX = 1_024 * 1_024;
const LATENCY_MS = 0.5;
const ORIGIN_LATENCY_MS = 5;
const RETRY_MS = 1_000;

export class DoAgent implements Place {
  readonly site: Site | undefined;
  readonly downlink: Downlink;
  readonly uplink: FairLink;
  readonly #deps: DoAgentDeps;
  readonly #options: DoAgentOptions;
  readonly #random: Random;
  readonly #has: Uint8Array;
  readonly #isAsked: Uint8Array;
  /** Requests under way, by neighbour. */
  readonly #neighbours = new Map<DoAgent, number>();
  #missing: number;
  #fromPeers = 0;
  #isAskingOrigin = false;
  /** When pieces came, and how long they are; those of the window. */
  #arrivals: Array<{ readonly at: Millis; readonly bytes: number }> = [];

  constructor(deps: DoAgentDeps, options: DoAgentOptions) {
    this.#deps = deps;
    this.#options = options;
    this.#random = new Random(options.seed);
    this.site = options.site;
    this.downlink = new Downlink(options.downRateBytesPerSec);
    const { upRateBytesPerSec: rateBytesPerSec } = options;
    this.uplink = new FairLink(deps, { rateBytesPerSec, sliceBytesMax: SLICE_BYTES_MAX });
    const { pieceCount } = options.layout;
    this.#has = new Uint8Array(pieceCount);
    this.#isAsked = new Uint8Array(pieceCount);
    this.#missing = pieceCount;
  }

  get isDone(): boolean {
    return this.#missing === 0;
  }

  /** Has everything from now on. */
  fill(): void {
    this.#has.fill(1);
    this.#missing = 0;
  }

  start(): void {
    this.#fillIn();
  }

  /** Both hear what the other has from now on. */
  meet(other: DoAgent): void {
    this.#neighbours.set(other, 0);
    other.#neighbours.set(this, 0);
    this.#fillIn();
    other.#fillIn();
  }

  /** A neighbour has got a piece. */
  heard(neighbour: DoAgent, piece: PieceIndex): void {
    if (this.#isWanted(piece)) this.#askPeer(neighbour);
  }

  arrived(piece: PieceIndex): void {
    if (this.#has[piece] === 1) return;
    const { clock, done } = this.#deps;
    this.#has[piece] = 1;
    this.#missing--;
    this.#arrivals.push({ at: clock.now(), bytes: this.#options.layout.length(piece) });
    clock.schedule(clock.now() + LATENCY_MS, () => {
      for (const neighbour of this.#neighbours.keys()) neighbour.heard(this, piece);
    });
    if (this.isDone) done(this);
    else this.#fillIn();
  }

  /** The request to the origin has failed; after a while another is made. */
  originFailed(piece: PieceIndex): void {
    const { clock } = this.#deps;
    this.#isAsked[piece] = 0;
    clock.schedule(clock.now() + RETRY_MS, () => {
      this.#isAskingOrigin = false;
      this.#fillIn();
    });
  }

  originDelivered(piece: PieceIndex): void {
    this.#isAskingOrigin = false;
    this.arrived(piece);
  }

  #isWanted(piece: PieceIndex): boolean {
    return this.#has[piece] === 0 && this.#isAsked[piece] === 0;
  }

  #fillIn(): void {
    for (const neighbour of this.#neighbours.keys()) this.#askPeer(neighbour);
    if (this.#isAskingOrigin || this.isDone) return;
    if (this.#fromPeers > 0 && this.#rateBytesPerSec() >= QOS_BYTES_PER_SEC_MIN) return;
    this.#askOrigin();
  }

  #askPeer(neighbour: DoAgent): void {
    for (;;) {
      const asked = this.#neighbours.get(neighbour) ?? DEPTH;
      if (asked >= DEPTH || this.isDone) return;
      const piece = this.#choose((candidate) => neighbour.#has[candidate] === 1);
      if (piece === undefined) return;
      this.#neighbours.set(neighbour, asked + 1);
      this.#isAsked[piece] = 1;
      this.#fromPeers++;
      const { clock } = this.#deps;
      const latencyMs = LATENCY_MS + siteLatencyMs(this.site, neighbour.site);
      const way = { from: neighbour, to: this, latencyMs };
      const upload = new DoUpload(way, this.#options.layout.length(piece), (at) => {
        clock.schedule(at + latencyMs, () => this.#peerDelivered(neighbour, piece));
      });
      clock.schedule(clock.now() + latencyMs, () => neighbour.uplink.add(upload));
    }
  }

  #peerDelivered(neighbour: DoAgent, piece: PieceIndex): void {
    this.#fromPeers--;
    this.#neighbours.set(neighbour, (this.#neighbours.get(neighbour) ?? 1) - 1);
    this.arrived(piece);
  }

  #askOrigin(): void {
    const piece = this.#choose(() => true);
    if (piece === undefined) return;
    this.#isAskingOrigin = true;
    this.#isAsked[piece] = 1;
    const { clock, server } = this.#deps;
    const { layout, url } = this.#options;
    const latencyMs = ORIGIN_LATENCY_MS + siteLatencyMs(this.site, undefined);
    clock.schedule(clock.now() + latencyMs, () => {
      const trouble = server.troubleWith(server.request(url));
      if (trouble?.kind === "down" || trouble?.kind === "status") return this.originFailed(piece);
      server.begin(new DoBody(this, { ...this.#deps, piece, latencyMs }, layout.length(piece)));
    });
  }

  /** A wanted piece, from a random place on. */
  #choose(isThere: (piece: PieceIndex) => boolean): PieceIndex | undefined {
    const { pieceCount } = this.#options.layout;
    const first = this.#random.below(pieceCount);
    for (let i = 0; i < pieceCount; i++) {
      const piece = (first + i) % pieceCount;
      if (this.#isWanted(piece) && isThere(piece)) return piece;
    }
    return undefined;
  }

  #rateBytesPerSec(): number {
    const since = this.#deps.clock.now() - RATE_WINDOW_MS;
    this.#arrivals = this.#arrivals.filter(({ at }) => at > since);
    const bytes = this.#arrivals.reduce((total, arrival) => total + arrival.bytes, 0);
    return (bytes * 1_000) / RATE_WINDOW_MS;
  }
}

/** A piece on its way to a neighbour. */
class DoUpload implements Flow {
  readonly downlink: Crossing;
  readonly rateBytesPerSecMax: number;
  readonly #arrives: (at: Millis) => void;
  #remaining: number;

  constructor(
    { from, to, latencyMs }: { from: DoAgent; to: DoAgent; latencyMs: Millis },
    length: number,
    arrives: (at: Millis) => void,
  ) {
    this.downlink = crossingTo(from.site, to);
    this.rateBytesPerSecMax = lossyRateBytesPerSec(from.site, to.site, latencyMs);
    this.#remaining = length;
    this.#arrives = arrives;
  }

  nextSliceBytes(sliceBytesMax: number): number {
    return Math.min(this.#remaining, sliceBytesMax);
  }

  sliceSent(bytes: number, arrivesAt: Millis): boolean {
    this.#remaining -= bytes;
    if (this.#remaining === 0) this.#arrives(arrivesAt);
    return this.#remaining > 0;
  }
}

/** A piece on its way from the origin. */
class DoBody implements OriginBody {
  readonly downlink: Crossing;
  readonly rateBytesPerSecMax: number;
  readonly isPaused = false;
  readonly #agent: DoAgent;
  readonly #request: DoAgentDeps & { readonly piece: PieceIndex; readonly latencyMs: Millis };
  #remaining: number;

  constructor(
    agent: DoAgent,
    request: DoAgentDeps & { readonly piece: PieceIndex; readonly latencyMs: Millis },
    length: number,
  ) {
    this.#agent = agent;
    this.#request = request;
    this.#remaining = length;
    this.downlink = crossingTo(undefined, agent);
    const pathRate = lossyRateBytesPerSec(undefined, agent.site, request.latencyMs);
    this.rateBytesPerSecMax = Math.min(request.server.requestRateBytesPerSecMax, pathRate);
  }

  nextSliceBytes(sliceBytesMax: number): number {
    return Math.min(this.#remaining, sliceBytesMax);
  }

  sliceSent(bytes: number, arrivesAt: Millis): boolean {
    this.#remaining -= bytes;
    if (this.#remaining > 0) return true;
    const { clock, server, piece, latencyMs } = this.#request;
    server.end(this);
    clock.schedule(arrivesAt + latencyMs, () => this.#agent.originDelivered(piece));
    return false;
  }

  sliceCut(bytes: number): void {
    this.#remaining -= bytes;
  }

  interrupted(): void {
    this.#agent.originFailed(this.#request.piece);
  }
}

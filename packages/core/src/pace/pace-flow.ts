/**
 * One transfer's part in the division: what came of it from its origin and its peers, and what it
 * may take of each. The origin's rate is obeyed by the adapter (`setPace`); peers are asked no more
 * than a bucket of tokens allows.
 *
 * Counts; what the rates are is the pacer's to decide. Called by `Fetcher` and `PeerRequests`.
 */
import { isLocalUrl } from "../job/network.ts";
import type { OriginEvent } from "../ports/origin-port.ts";
import type { PieceLayout } from "../content/layout.ts";
import type { Urgency } from "../schedule/demand.ts";
import { RateMeter } from "../schedule/pace.ts";
import type { Millis, RequestId, TransferId } from "../units.ts";
import type { Share } from "./fair-shares.ts";
import { TokenBucket } from "./token-bucket.ts";

export interface PaceFlowOptions {
  readonly transferId: TransferId;
  readonly layout: PieceLayout;
  /** Absent: it has no origin. */
  readonly url: string | undefined;
  readonly urgency: Urgency;
}

/** Requests for bytes under way, and the place that was asked last. */
interface Asked {
  readonly size: number;
  readonly lastAsked: { readonly url: string; readonly host: string } | undefined;
}

/** Bytes that came, for whoever counts all flows. */
export type BytesCame = (source: "origin" | "peers", bytes: number, now: Millis) => void;

/** A flow is hungry while it takes about what it may. */
const HUNGRY_SHARE = 0.75;
/** One that is not may grow by this much at a time, and from this rate. */
const GROWTH = 1.25;
const DEMAND_BYTES_PER_SEC_MIN = 16 * 1_024;
/** The time a rate is averaged over, and for which a new flow counts as hungry. */
const WINDOW_MS = 2_000;

/** What came from one kind of source, and what may. */
export class PacePart {
  rateBytesPerSec = Infinity;
  readonly #meter: RateMeter;
  readonly #openedAt: Millis;

  constructor(now: Millis) {
    this.#meter = new RateMeter(now, WINDOW_MS);
    this.#openedAt = now;
  }

  add(bytes: number, now: Millis): void {
    this.#meter.add(bytes, now);
  }

  /** Over the last two seconds. */
  tookBytesPerSec(now: Millis): number {
    return this.#meter.rateBytesPerSec(now);
  }

  /** Whether it takes about all that it may. */
  isAtLimit(now: Millis): boolean {
    return this.tookBytesPerSec(now) >= HUNGRY_SHARE * this.rateBytesPerSec;
  }

  /** What it would take now; `Infinity` when it takes all it may, so that nobody knows. */
  demandBytesPerSec(now: Millis, isAsking: boolean): number {
    if (!isAsking) return DEMAND_BYTES_PER_SEC_MIN;
    if (now - this.#openedAt < WINDOW_MS) return Infinity;
    if (this.isAtLimit(now)) return Infinity;
    return Math.max(this.tookBytesPerSec(now) * GROWTH, DEMAND_BYTES_PER_SEC_MIN);
  }
}

export class PaceFlow {
  readonly transferId: TransferId;
  readonly urgency: Urgency;
  /** Of the place that is asked, at first the file's URL; redirects are not followed up. */
  #place: Asked["lastAsked"];
  readonly origin: PacePart;
  readonly peers: PacePart;
  /** Whether there has been a peer to ask. */
  #hasPeers = false;
  #originRequests = 0;
  readonly #layout: PieceLayout;
  readonly #bucket: TokenBucket;
  readonly #came: BytesCame;
  readonly #close: () => void;
  /** Bytes counted of each request to the origin, and bytes of its whole pieces. */
  readonly #counted = new Map<RequestId, { bytes: number; pieceBytes: number }>();

  constructor(
    options: PaceFlowOptions,
    hooks: { readonly came: BytesCame; close(flow: PaceFlow): void },
    now: Millis,
  ) {
    this.transferId = options.transferId;
    this.urgency = options.urgency;
    const { url } = options;
    this.#place = url === undefined ? undefined : { url, host: URL.parse(url)?.host ?? url };
    this.origin = new PacePart(now);
    this.peers = new PacePart(now);
    this.#layout = options.layout;
    this.#bucket = new TokenBucket(Infinity, now);
    this.#came = hooks.came;
    this.#close = () => hooks.close(this);
  }

  /** Counts what comes from the origin, as soon as it is told of. */
  originEvent(event: OriginEvent, now: Millis): void {
    const { requestId } = event;
    if (event.type === "rangeFinished" || event.type === "originFailed") {
      this.#counted.delete(requestId);
      return;
    }
    if (event.type !== "rangePiece" && event.type !== "rangeProgress") return;
    const counted = this.#counted.get(requestId) ?? { bytes: 0, pieceBytes: 0 };
    this.#counted.set(requestId, counted);
    if (event.type === "rangePiece") counted.pieceBytes += this.#layout.length(event.piece);
    const told = event.type === "rangePiece" ? counted.pieceBytes : event.receivedBytes;
    if (told <= counted.bytes) return;
    this.origin.add(told - counted.bytes, now);
    this.#came("origin", told - counted.bytes, now);
    counted.bytes = told;
  }

  /** Host and port of the place that is asked; absent: there is none. */
  get host(): string | undefined {
    return this.#place?.host;
  }

  /**
   * How many requests are under way, to which place (a cache server or a mirror may be asked
   * instead of the file's own URL), and whether all pieces are there.
   */
  settled({ size, lastAsked }: Asked, isComplete: boolean): void {
    this.#originRequests = size;
    this.#place = lastAsked ?? this.#place;
    if (isComplete) this.close();
  }

  /** Whether it is one of those that make room for others: it has nobody but a distant origin. */
  get mayYield(): boolean {
    const isDistant = this.#place !== undefined && !isLocalUrl(this.#place.url);
    return !this.urgency.isForeground && isDistant && !this.#hasPeers;
  }

  /** What its origin and its peers would take now, and how much each weighs. */
  shares(now: Millis): [origin: Share, peers: Share] {
    const fromOrigin = this.origin.demandBytesPerSec(now, this.#originRequests > 0);
    const fromPeers = this.#hasPeers ? this.peers.demandBytesPerSec(now, true) : 0;
    // Together they weigh as one job while both take all they may.
    const weight = fromOrigin === Infinity && fromPeers === Infinity ? 0.5 : 1;
    return [
      { demandBytesPerSec: fromOrigin, weight },
      { demandBytesPerSec: fromPeers, weight },
    ];
  }

  /** Whether a peer may be asked for a piece now. */
  canAsk(now: Millis): boolean {
    this.#hasPeers = true;
    return this.#bucket.canSpend(now);
  }

  /** When a peer may be asked again; `now` when one may already. */
  askableAt(now: Millis): Millis {
    return this.#bucket.readyAt(now);
  }

  asked(bytes: number, now: Millis): void {
    this.#bucket.spend(bytes, now);
    this.peers.add(bytes, now);
    this.#came("peers", bytes, now);
  }

  /** The peer has refused what it was asked for. */
  refused(bytes: number, now: Millis): void {
    this.#bucket.refund(bytes, now);
  }

  setPeersRate(rateBytesPerSec: number, now: Millis): void {
    this.peers.rateBytesPerSec = rateBytesPerSec;
    this.#bucket.setRate(Math.max(1, rateBytesPerSec), now);
  }

  /** Nothing more is fetched. Idempotent. */
  close(): void {
    this.#close();
  }
}

/**
 * What peers have asked of us and not yet got. Bounded per peer and in total, served in turns: next
 * comes the peer that has had the fewest bytes (R-PEER-16, R-PEER-27).
 *
 *   queued ──slot free──▶ reading (store) ──▶ sending (swarm) ──▶ done
 *
 * Knows which transfer can serve a piece, not what a piece is. Called by the scheduler.
 */
import type { Counters } from "../registry/counters.ts";
import { LIMITS } from "../registry/limits.ts";
import type { Settings } from "../registry/settings.ts";
import type { TokenBucket } from "../pace/token-bucket.ts";
import type { RefusalReason, SwarmEvent } from "../ports/swarm-port.ts";
import type { BufferId, Millis, PeerId, PieceIndex, RequestId, TransferId } from "../units.ts";
import { SENT_COUNTERS } from "../policy/peer-class.ts";
import type { PeerClass } from "../policy/peer-class.ts";
import { MonthMeter } from "./month-meter.ts";
import type { MonthMeterDeps } from "./month-meter.ts";
import type { Outbox } from "./outbox.ts";
import type { Link } from "./peer-link.ts";
import { UploadSpeed } from "./upload-speed.ts";

/** What may wait for tokens: well below the shortest time in which peers expect a piece. */
const BACKLOG_MS_MAX = 4_000;
/** What may wait for others to be sent: whoever would wait longer had better ask elsewhere. */
const WAIT_MS_MAX = 1_000;

interface Upload {
  readonly peerId: PeerId;
  /** The peer's number for it. */
  readonly requestId: RequestId;
  readonly transferId: TransferId;
  readonly piece: PieceIndex;
  readonly length: number;
  phase: "queued" | "reading" | "sending";
  cancelled: boolean;
}

/** What is kept per peer while it has uploads; `sentBytes` decides whose turn it is. */
interface Customer {
  readonly peerClass: PeerClass;
  readonly uploads: Map<RequestId, Upload>;
  active: number;
  sentBytes: number;
}

/** How an upload ended. */
export type UploadEnd = Extract<SwarmEvent, { type: "uploadFinished" }>;

export interface UploadQueueDeps extends MonthMeterDeps {
  readonly counters: Counters;
  /** The limit of all uploads, and that of uploads to the LAN. */
  readonly pacer: { readonly uploads: TokenBucket; readonly lanUploads: TokenBucket };
}

export class UploadQueue {
  readonly #outbox: Outbox;
  readonly #settings: Settings;
  readonly #counters: Counters;
  readonly #customers = new Map<PeerId, Customer>();
  /** Uploads being read, by our own number for the read. */
  readonly #reads = new Map<RequestId, Upload>();
  readonly #pacer: UploadQueueDeps["pacer"];
  /** What the Internet has had this month. */
  readonly month: MonthMeter;
  readonly #speed = new UploadSpeed();
  #total = 0;
  #active = 0;
  #deadline: Millis = Infinity;
  /** Since `serve` looked last, something was asked for or a place came free. */
  #isChanged = false;

  constructor(deps: UploadQueueDeps) {
    this.#outbox = deps.outbox;
    this.#settings = deps.settings;
    this.#counters = deps.counters;
    this.#pacer = deps.pacer;
    this.month = new MonthMeter(deps);
  }

  /** Uploads queued or under way. */
  get size(): number {
    return this.#total;
  }

  connected({ peerId, peerClass }: Pick<Link, "peerId" | "peerClass">): void {
    // A newcomer starts level with the peer that has had least, so that it gets its turn at once
    // without being owed the past.
    let least = Infinity;
    for (const customer of this.#customers.values()) least = Math.min(least, customer.sentBytes);
    const sentBytes = Number.isFinite(least) ? least : 0;
    this.#customers.set(peerId, { peerClass, uploads: new Map(), active: 0, sentBytes });
  }

  disconnected(peerId: PeerId, now: Millis): void {
    const customer = this.#customers.get(peerId);
    if (customer === undefined) return;
    for (const upload of customer.uploads.values()) {
      this.#forget(upload, 0, now);
      upload.cancelled = true;
    }
    this.#customers.delete(peerId);
  }

  request(
    request: { peerId: PeerId; requestId: RequestId; piece: PieceIndex },
    server: { readonly transferId: TransferId; readonly length: number } | undefined,
    now: Millis,
  ): void {
    const { peerId, requestId, piece } = request;
    const customer = this.#customers.get(peerId);
    if (customer === undefined) return;
    if (server === undefined) return this.#refuse(peerId, requestId, "notFound");
    const { peerClass } = customer;
    const full =
      this.#isBehind(peerClass, server.length) ||
      (peerClass === "internet" && !this.month.maySend(now)) ||
      customer.uploads.size >= LIMITS.requestsPerPeerMax ||
      this.#total >= LIMITS.requestsTotalMax ||
      this.#settings.uploadsMax === 0;
    if (full || customer.uploads.has(requestId)) return this.#refuse(peerId, requestId, "busy");
    const upload: Upload = {
      peerId,
      requestId,
      transferId: server.transferId,
      piece,
      length: server.length,
      phase: "queued",
      cancelled: false,
    };
    customer.uploads.set(requestId, upload);
    this.#total++;
    this.#isChanged = true;
  }

  /** The peer no longer wants it. What is being sent is ended by the swarm adapter. */
  cancel(peerId: PeerId, requestId: RequestId, now: Millis): void {
    const upload = this.#customers.get(peerId)?.uploads.get(requestId);
    if (upload === undefined) return;
    upload.cancelled = true;
    if (upload.phase === "queued") this.#forget(upload, 0, now);
  }

  /** The store has read a piece. Returns false when nobody waits for it any more. */
  read(readId: RequestId, bufferId: BufferId, now: Millis): boolean {
    const upload = this.#reads.get(readId);
    if (upload === undefined) return false;
    this.#reads.delete(readId);
    if (upload.cancelled) {
      this.#forget(upload, 0, now);
      return false;
    }
    upload.phase = "sending";
    const { peerId, requestId } = upload;
    this.#outbox.swarm({ type: "sendPiece", peerId, requestId, bufferId });
    return true;
  }

  /** The store cannot deliver the piece after all. */
  lost(readId: RequestId, now: Millis): void {
    const upload = this.#reads.get(readId);
    if (upload === undefined) return;
    this.#reads.delete(readId);
    this.#forget(upload, 0, now);
    if (!upload.cancelled) this.#refuse(upload.peerId, upload.requestId, "notFound");
  }

  /** Returns the transfer that was served; `undefined` when the upload is not known any more. */
  finished({ peerId, requestId, sentBytes }: UploadEnd, now: Millis): TransferId | undefined {
    const customer = this.#customers.get(peerId);
    const upload = customer?.uploads.get(requestId);
    if (customer === undefined || upload === undefined) return undefined;
    this.#counters.add("shoal_peer_sent_bytes_total", sentBytes);
    this.#counters.add(SENT_COUNTERS[customer.peerClass], sentBytes);
    if (customer.peerClass === "internet") this.month.sent(sentBytes, now);
    customer.sentBytes += sentBytes;
    this.#forget(upload, sentBytes, now);
    return upload.transferId;
  }

  /** A content is no longer served: its queued uploads are refused. */
  drop(transferId: TransferId, now: Millis, reason: RefusalReason = "notFound"): void {
    for (const customer of this.#customers.values()) {
      for (const upload of customer.uploads.values()) {
        if (upload.transferId !== transferId || upload.phase !== "queued") continue;
        this.#forget(upload, 0, now);
        this.#refuse(upload.peerId, upload.requestId, reason);
      }
    }
  }

  /** Begins as many uploads as there are slots and tokens for. To be called after every event. */
  serve(now: Millis): void {
    if (!this.#isChanged && now < this.#deadline) return;
    this.#isChanged = false;
    this.#deadline = Infinity;
    while (this.#active < this.#settings.uploadsMax && this.#active < this.#total) {
      const upload = this.#next(now);
      if (upload === undefined) return;
      const customer = this.#customers.get(upload.peerId);
      if (customer === undefined) return;
      for (const bucket of this.#bucketsOf(customer.peerClass)) bucket.spend(upload.length, now);
      upload.phase = "reading";
      customer.active++;
      this.#active++;
      this.#speed.begun(upload.peerId, now);
      const readId = this.#outbox.nextRequestId();
      this.#reads.set(readId, upload);
      const { transferId, piece } = upload;
      this.#outbox.store({ type: "readPiece", transferId, piece, requestId: readId });
    }
  }

  /** There may be tokens sooner than thought. */
  rateChanged(): void {
    this.#isChanged = true;
  }

  /** When `serve` may do what it cannot do now: the rate of uploads is used up. */
  pollDeadline(): Millis {
    return Math.min(this.#deadline, this.month.pollDeadline());
  }

  /** Whether one more would wait so long that its peer had better ask elsewhere. */
  #isBehind(peerClass: PeerClass, length: number): boolean {
    if (this.#bucketsOf(peerClass).some((bucket) => this.#isBacklogged(bucket))) return true;
    if (this.#total < this.#settings.uploadsPerPeerMax) return false;
    return this.#speed.expectedMs(length + this.#bytesBefore) > WAIT_MS_MAX;
  }

  /** What goes before one more: of each peer no more than it may have at a time, since they take turns. */
  get #bytesBefore(): number {
    let bytes = 0;
    for (const { uploads } of this.#customers.values()) {
      let turns = this.#settings.uploadsPerPeerMax;
      for (const { length } of uploads.values()) {
        if (turns-- === 0) break;
        bytes += length;
      }
    }
    return bytes;
  }

  /** Whether what waits for the bucket's tokens already would take too long. */
  #isBacklogged(bucket: TokenBucket): boolean {
    if (bucket.rateBytesPerSec === Infinity) return false;
    let bytes = 0;
    for (const { uploads, peerClass } of this.#customers.values()) {
      if (!this.#bucketsOf(peerClass).includes(bucket)) continue;
      for (const { phase, length } of uploads.values()) if (phase === "queued") bytes += length;
    }
    return (bytes * 1_000) / bucket.rateBytesPerSec > BACKLOG_MS_MAX;
  }

  /** The limits that uploads to peers of the class are under. */
  #bucketsOf(peerClass: PeerClass): readonly TokenBucket[] {
    const { uploads, lanUploads } = this.#pacer;
    return peerClass === "lan" || peerClass === "linkLocal" ? [uploads, lanUploads] : [uploads];
  }

  /**
   * The oldest request of the peer that has had the fewest bytes and has a place and tokens left;
   * where tokens alone are missing, the deadline is when there are some.
   */
  #next(now: Millis): Upload | undefined {
    let best: Upload | undefined;
    let least = Infinity;
    for (const customer of this.#customers.values()) {
      if (customer.sentBytes >= least || customer.uploads.size === customer.active) continue;
      if (customer.active >= this.#settings.uploadsPerPeerMax) continue;
      const buckets = this.#bucketsOf(customer.peerClass);
      const readyAt = Math.max(...buckets.map((bucket) => bucket.readyAt(now)));
      if (readyAt > now) {
        this.#deadline = Math.min(this.#deadline, readyAt);
        continue;
      }
      for (const upload of customer.uploads.values()) {
        if (upload.phase !== "queued") continue;
        best = upload;
        least = customer.sentBytes;
        break;
      }
    }
    return best;
  }

  #forget(upload: Upload, sentBytes: number, now: Millis): void {
    const customer = this.#customers.get(upload.peerId);
    if (customer === undefined || customer.uploads.get(upload.requestId) !== upload) return;
    customer.uploads.delete(upload.requestId);
    this.#total--;
    this.#isChanged = true;
    if (upload.phase === "queued") return;
    customer.active--;
    this.#active--;
    this.#speed.ended(upload.peerId, sentBytes, now);
  }

  #refuse(peerId: PeerId, requestId: RequestId, reason: RefusalReason): void {
    this.#counters.add("shoal_uploads_refused_total");
    this.#outbox.swarm({ type: "refuseRequest", peerId, requestId, reason });
  }
}

/**
 * The origin as a source of one transfer: which runs of pieces to ask it for, and when not to.
 *
 * Pieces that peers have are left to peers, and pieces that another member owns or claims are left
 * to that member, unless peers are slow or silent: the origin must never make a job slower than
 * plain HTTP would be. Every run has a reason code (`ORIGIN_REASONS`). Failures wait by backoff
 * (R-TIME-05). Called by `Fetcher`.
 */
import type { Counters } from "../registry/counters.ts";
import type { Settings } from "../registry/settings.ts";
import type { RangeMap } from "../job/ranges.ts";
import { errorInfo } from "../registry/errors.ts";
import type { ErrorInfo } from "../registry/errors.ts";
import type { Random } from "../random.ts";
import type { OriginFailure, OriginRequestOptions, Validator } from "../ports/origin-port.ts";
import { LIMITS } from "../registry/limits.ts";
import type { Millis, PeerId, PieceIndex, RequestId } from "../units.ts";
import { OWNERSHIP } from "./content-swarm.ts";
import type { ContentSwarm } from "./content-swarm.ts";
import type { Demand, Urgency } from "./demand.ts";
import type { OriginReason } from "./notice.ts";
import type { Outbox } from "./outbox.ts";
import { OriginPolicy } from "./origin-policy.ts";
import { backoffMs } from "./pace.ts";
import type { PeerTable } from "./peer-table.ts";
import type { PeerRequests } from "./peer-requests.ts";
import type { PieceLedger } from "./piece-ledger.ts";
import { RunSearch } from "./run-search.ts";
import type { NextRun } from "./run-search.ts";

interface OriginRun {
  readonly requestId: RequestId;
  readonly first: PieceIndex;
  readonly count: number;
  readonly reason: OriginReason;
  readonly startedAt: Millis;
  /** Pieces of the run that have not come yet. */
  readonly owed: Set<PieceIndex>;
  claimedAt: Millis;
}

export interface OriginRunsDeps {
  readonly outbox: Outbox;
  readonly random: Random;
  readonly settings: Settings;
  readonly counters: Counters;
  readonly peers: PeerTable;
  readonly demand: Demand;
}

export interface OriginRunsOptions {
  readonly transferId: number;
  readonly url: string | undefined;
  /** Pieces are checked by a manifest; without one, ranges may not be combined freely. */
  readonly verified: boolean;
  readonly validator?: Validator;
  readonly acceptsRanges: boolean;
  /** Where the pieces lie, when only ranges of the remote file are wanted. */
  readonly rangeMap?: RangeMap;
  readonly request?: OriginRequestOptions;
  readonly urgency: Urgency;
}

/** How long a search that found nothing stands; new facts end it sooner (`wake`). */
const RECHECK_MS = 100;
/** R-HTTP-14 */
const CORRUPT_PIECES_MAX = 3;

export class OriginRuns {
  readonly #deps: OriginRunsDeps;
  readonly #options: OriginRunsOptions;
  readonly #ledger: PieceLedger;
  readonly #swarm: ContentSwarm;
  readonly #peers: PeerRequests | undefined;
  readonly #runs = new Map<RequestId, OriginRun>();
  readonly #policy: OriginPolicy;
  readonly #search: RunSearch;
  /** Members for which runs were given up when they came. */
  readonly #yieldedTo = new Set<PeerId>();
  #validator: Validator | undefined;
  #mode: "range" | "stream";
  readonly #startedAt: Millis;
  #failures = 0;
  #nextTryAt: Millis = 0;
  /** The turn of others; void as soon as nobody has to be left room any more. */
  #pausedUntil: Millis = 0;
  #searchAgainAt: Millis = 0;
  #deadline: Millis = Infinity;
  /** The last failure; fatal when the URL will never work. */
  failure: { readonly error: ErrorInfo; readonly fatal: boolean } | undefined;
  /** Why later bytes cannot follow the stored ones: another file, or no way to tell. */
  changed: ErrorInfo | undefined;

  constructor(
    deps: OriginRunsDeps,
    parts: { ledger: PieceLedger; swarm: ContentSwarm; peers: PeerRequests | undefined },
    options: OriginRunsOptions,
    now: Millis,
  ) {
    this.#deps = deps;
    this.#ledger = parts.ledger;
    this.#swarm = parts.swarm;
    this.#peers = parts.peers;
    this.#options = options;
    // With digests the bytes prove themselves, whatever the server calls them (R-HTTP-11).
    this.#validator = options.verified ? undefined : options.validator;
    this.#mode = options.acceptsRanges ? "range" : "stream";
    this.#startedAt = now;
    this.#policy = new OriginPolicy(deps, parts, now);
    this.#search = new RunSearch(deps, { ...parts, policy: this.#policy }, options.verified, now);
  }

  /** Runs under way. */
  get size(): number {
    return this.#runs.size;
  }

  /** Whether the origin may yet deliver something. */
  get isUsable(): boolean {
    return this.#options.url !== undefined && this.failure?.fatal !== true;
  }

  /** Whether it failed so often in a row that the job should wait (R-TIME-05). */
  get isExhausted(): boolean {
    return this.#failures >= this.#deps.settings.originFailuresMax;
  }

  /** Something changed that may make a piece eligible: search again at once. */
  wake(): void {
    this.#searchAgainAt = 0;
  }

  peerPieceStored(bytes: number, now: Millis): void {
    this.#policy.peerPieceStored(bytes, now);
  }

  /** Starts as many runs as there is a reason for. */
  fill(now: Millis): void {
    this.#deadline = Infinity;
    const { url } = this.#options;
    if (url === undefined || this.failure?.fatal === true) return;
    const waitUntil = Math.max(this.#nextTryAt, this.#searchAgainAt);
    if (now < waitUntil) {
      this.#deadline = waitUntil;
      return;
    }
    if (now < this.#pausedUntil && this.#deps.demand.yields(this.#options.urgency)) {
      this.#deadline = Math.min(this.#pausedUntil, now + RECHECK_MS);
      return;
    }
    while (this.#runs.size < this.#connectionsMax(now) && this.#ledger.hasBudget()) {
      const run = this.#search.find(now, {
        mode: this.#mode,
        isCombinable: this.#isCombinable,
        runCount: this.#runs.size,
      });
      if (run === undefined) {
        this.#searchAgainAt = now + RECHECK_MS;
        this.#deadline = this.#ledger.picker.missingCount === 0 ? Infinity : this.#searchAgainAt;
        return;
      }
      this.#start(run, url, now);
    }
    if (this.#search.isColdStart(now))
      this.#deadline = this.#startedAt + this.#deps.settings.coldStartMs;
  }

  /** A piece of a run has come; false when the run is not ours any more. */
  pieceArrived(requestId: RequestId, piece: PieceIndex): boolean {
    const run = this.#runs.get(requestId);
    if (run === undefined) return false;
    if (run.owed.delete(piece)) this.#ledger.picker.unmarkRequested(piece);
    return true;
  }

  /** A peer was sooner with the piece: a run is given up when nothing it still owes is missing. */
  pieceCameElsewhere(piece: PieceIndex): void {
    const { picker } = this.#ledger;
    for (const run of this.#runs.values()) {
      if (!run.owed.has(piece)) continue;
      if ([...run.owed].every((owed) => picker.isHeld(owed))) this.#cancel(run);
    }
  }

  pieceStored(): void {
    this.#failures = 0;
    if (this.failure?.fatal === false) this.failure = undefined;
  }

  /** The origin sent bytes that do not match: tried again on a new connection (R-HTTP-14). */
  pieceCorrupt(piece: PieceIndex): void {
    const tries = this.#policy.pieceCorrupt(piece);
    this.wake();
    if (tries >= CORRUPT_PIECES_MAX) {
      const error = errorInfo("ERR_ORIGIN_CONTENT_MISMATCH", `piece ${piece}, ${tries} times`);
      this.failure = { error, fatal: true };
      this.cancelAll();
    }
  }

  /** The runs under way, to tell a newcomer of them. */
  *claims(): Generator<{ readonly first: PieceIndex; readonly count: number }> {
    for (const { first, count } of this.#runs.values()) yield { first, count };
  }

  /**
   * A member has come. Runs begun when fewer were known, and now the share of others, are given up
   * as long as that wastes little: it is what keeps a cold start of many at one copy. Once only for
   * each member, so that nobody stops our runs again and again by coming and going (R-SCH-03).
   */
  memberJoined(peerId: PeerId, now: Millis): void {
    this.wake();
    const isKnown = this.#yieldedTo.has(peerId);
    if (isKnown || this.#yieldedTo.size >= LIMITS.peersKnownMax) return;
    this.#yieldedTo.add(peerId);
    const isYoung = now - this.#startedAt < this.#deps.settings.coldStartMs;
    for (const run of this.#runs.values()) {
      const isFresh = isYoung && run.owed.size === run.count;
      if (run.reason !== "noPeers" && !(run.reason === "owned" && isFresh)) continue;
      for (const piece of run.owed) {
        if (this.#swarm.ownership(piece, now) !== OWNERSHIP.others) continue;
        this.#cancel(run);
        break;
      }
    }
  }

  /** Bytes still come. The run's claim is repeated, so that others see the member is not silent. */
  progressed(requestId: RequestId, now: Millis): void {
    const run = this.#runs.get(requestId);
    if (run !== undefined && now - run.claimedAt >= this.#deps.settings.stallTimeoutMs / 4) {
      run.claimedAt = now;
      this.claimsDue.push({ first: run.first, count: run.count });
    }
  }

  /** Claims to announce; `Fetcher` takes them away. */
  readonly claimsDue: Array<{ readonly first: PieceIndex; readonly count: number }> = [];

  finished(requestId: RequestId, validator: Validator, now: Millis): void {
    const run = this.#runs.get(requestId);
    if (run === undefined) return;
    if (!this.#options.verified) this.#validator ??= validator;
    const last = this.#ledger.layout.end(run.first + run.count - 1);
    const bytes = last - this.#ledger.layout.start(run.first);
    const rate = (bytes * 1_000 * this.#runs.size) / Math.max(1, now - run.startedAt);
    this.#policy.measured(rate);
    this.#end(run);
    const { demand } = this.#deps;
    if (demand.yields(this.#options.urgency)) {
      this.#pausedUntil = now + demand.pauseMs(now - run.startedAt);
    }
    this.wake();
  }

  failed(requestId: RequestId, failure: OriginFailure, now: Millis): void {
    const run = this.#runs.get(requestId);
    if (run === undefined) return;
    this.#end(run);
    this.#deps.counters.add("shoal_origin_failures_total");
    switch (failure.kind) {
      case "rangeBroken":
      case "rangeUnsupported":
        if (this.#options.rangeMap !== undefined) {
          const { message } = failure.error;
          this.failure = { error: errorInfo("ERR_RANGES_UNSUPPORTED", message), fatal: true };
        } else if (this.#mode === "stream") this.failure = { error: failure.error, fatal: true };
        this.cancelAll();
        this.#mode = "stream";
        return;
      case "changed":
        this.cancelAll();
        if (this.#options.verified) this.#waitAfterFailure(failure, now);
        else this.changed = failure.error;
        return;
      case "fatal":
        this.failure = { error: failure.error, fatal: true };
        this.cancelAll();
        return;
      case "transient":
      case "timeout":
        if (!this.#options.verified && this.#validator?.etag === undefined) {
          this.changed = failure.error; // R-HTTP-13: only a strong ETag tells files apart.
        }
        this.#waitAfterFailure(failure, now);
    }
  }

  cancelAll(): void {
    for (const run of this.#runs.values()) this.#cancel(run);
  }

  /** When `fill` may find something that it does not find now. */
  pollDeadline(): Millis {
    return this.#deadline;
  }

  /**
   * Whether bytes of several requests may be put together (R-HTTP-13). Ranges cannot be had
   * otherwise; length and validator of every answer are compared.
   */
  get #isCombinable(): boolean {
    const { verified, rangeMap } = this.#options;
    return verified || rangeMap !== undefined || this.#validator?.etag !== undefined;
  }

  /** Alone: as configured. In a swarm the members' connections add up, so each has fewer. */
  #connectionsMax(now: Millis): number {
    if (this.#mode === "stream" || !this.#isCombinable || this.#search.isColdStart(now)) return 1;
    if (this.#deps.demand.yields(this.#options.urgency)) return 1;
    const { originConnectionsMax } = this.#deps.settings;
    const members = this.#swarm.fetchingMemberCount;
    return Math.max(1, Math.floor((2 * originConnectionsMax) / (members + 2)));
  }

  #start({ first, count: found, reason }: NextRun, url: string, now: Millis): void {
    const { outbox, counters } = this.#deps;
    const { transferId, rangeMap, request } = this.#options;
    const count = rangeMap?.piecesTogether(first, found) ?? found;
    const owed = new Set<PieceIndex>();
    let fresh = false;
    if (count === 1) this.#peers?.makeRoom(first);
    for (let piece = first; piece < first + count; piece++) {
      // A stream also passes over pieces that are here, or that two peers owe already.
      if (!isWanted(this.#ledger.picker, piece)) continue;
      owed.add(piece);
      this.#ledger.picker.markRequested(piece);
      if (this.#policy.wasCorrupt(piece)) fresh = true;
    }
    const requestId = outbox.nextRequestId();
    this.#runs.set(requestId, {
      requestId,
      first,
      count,
      reason,
      startedAt: now,
      owed,
      claimedAt: now,
    });
    this.#search.started(first, count);
    this.#policy.runBegun();
    this.claimsDue.push({ first, count });
    counters.add("shoal_origin_requests_total");
    outbox.notice({
      type: "originAsked",
      transferId,
      firstPiece: first,
      pieceCount: count,
      reason,
    });
    outbox.origin({
      type: "fetchRange",
      requestId,
      transferId,
      url,
      layout: this.#ledger.layout,
      firstPiece: first,
      pieceCount: count,
      mode: this.#mode,
      fresh,
      ...(rangeMap && {
        remote: { start: rangeMap.remoteStart(first), length: rangeMap.remoteLength },
      }),
      ...(request && { request }),
      ...(this.#validator === undefined ? {} : { validator: this.#validator }),
    });
  }

  #waitAfterFailure(failure: OriginFailure, now: Millis): void {
    this.failure = { error: failure.error, fatal: false };
    // Runs that fail together are one failure: the wait began with the first.
    if (now < this.#nextTryAt) return;
    this.#failures++;
    const { settings, random } = this.#deps;
    const bounds = { min: settings.retryDelayMsMin, max: settings.retryDelayMsMax };
    const waitMs = failure.retryAfterMs ?? backoffMs(this.#failures, bounds, random);
    this.#nextTryAt = now + waitMs;
  }

  #cancel(run: OriginRun): void {
    this.#end(run);
    this.#deps.outbox.origin({ type: "cancelOrigin", requestId: run.requestId });
  }

  #end(run: OriginRun): void {
    this.#runs.delete(run.requestId);
    for (const piece of run.owed) this.#ledger.picker.unmarkRequested(piece);
    run.owed.clear();
  }
}

function isWanted(picker: PieceLedger["picker"], piece: PieceIndex): boolean {
  return !picker.isHeld(piece) && picker.requestedCount(piece) < 2;
}

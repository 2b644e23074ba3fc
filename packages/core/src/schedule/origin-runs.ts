/**
 * The origin as a source of one transfer: which runs of pieces to ask it for, and when not to.
 * Cache servers and mirrors stand in for it (`FileSources`). Checked by digests, pieces may come
 * from any of them; without, all bytes are from one, and another means to begin anew (R-HTTP-11).
 *
 * Pieces that peers have are left to peers, and pieces that another member owns or claims are left
 * to that member, unless peers are slow or silent: the origin must never make a job slower than
 * plain HTTP would be. Every run has a reason code (`ORIGIN_REASONS`). Failures wait by backoff
 * (R-TIME-05). Called by `Fetcher`.
 */
import { errorInfo } from "../registry/errors.ts";
import type { ErrorInfo } from "../registry/errors.ts";
import type { OriginFailure, Validator } from "../ports/origin-port.ts";
import type { Millis, PeerId, PieceIndex, RequestId } from "../units.ts";
import type { ContentSwarm } from "./content-swarm.ts";
import type { FileSource } from "./file-sources.ts";
import { OriginConnections } from "./origin-connections.ts";
import type { OriginRunsDeps, OriginRunsOptions } from "./origin-runs-options.ts";
import { isWanted, OriginPolicy } from "./origin-policy.ts";
import type { PeerRequests } from "./peer-requests.ts";
import type { PieceLedger } from "./piece-ledger.ts";
import { RunSearch } from "./run-search.ts";
import type { NextRun } from "./run-search.ts";
import { RunTable } from "./run-table.ts";
import type { Claim, OriginRun } from "./run-table.ts";
import { RunYield } from "./run-yield.ts";

/** How long a search that found nothing stands; new facts end it sooner (`wake`). */
const RECHECK_MS = 100;
/** The same for who fetches nothing, as long as others do. */
const IDLE_RECHECK_MS = 500;
/** R-HTTP-14 */
const CORRUPT_PIECES_MAX = 3;

export class OriginRuns {
  readonly #deps: OriginRunsDeps;
  readonly #options: OriginRunsOptions;
  readonly #ledger: PieceLedger;
  readonly #swarm: ContentSwarm;
  readonly #peers: PeerRequests | undefined;
  readonly #runs: RunTable;
  readonly #policy: OriginPolicy;
  readonly #search: RunSearch;
  readonly #yield: RunYield;
  readonly #connections: OriginConnections;
  /** Without digests: where all bytes come from. */
  #bound: FileSource | undefined;
  /** The place that was asked last. */
  lastAsked: FileSource | undefined;
  /** Pieces that the store has not judged yet, and where they came from. */
  readonly #cameFrom = new Map<PieceIndex, FileSource>();
  #validator: Validator | undefined;
  readonly #startedAt: Millis;
  /** The turn of others; void as soon as nobody has to be left room any more. */
  #pausedUntil: Millis = 0;
  #searchAgainAt: Millis = 0;
  #deadline: Millis = Infinity;
  /** Why later bytes cannot follow the stored ones: another file or place, or no way to tell. */
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
    if (!options.verified) this.#bound = options.sources.find(options.sourceUrl);
    this.#runs = new RunTable(deps, parts.ledger);
    this.#yield = new RunYield(this.#runs, parts.swarm);
    const all = { ...parts, urgency: options.urgency };
    this.#connections = new OriginConnections(deps, { ...all, runs: this.#runs });
    this.#startedAt = now;
    this.#policy = new OriginPolicy(deps, all, now);
    this.#search = new RunSearch(deps, { ...all, policy: this.#policy }, options.verified, now);
  }

  /** For those who explain what is done: the rules and the runs. */
  get work(): { readonly policy: OriginPolicy; readonly runs: RunTable; pausedUntil: Millis } {
    return { policy: this.#policy, runs: this.#runs, pausedUntil: this.#pausedUntil };
  }

  /** Runs under way. */
  get size(): number {
    return this.#runs.size;
  }

  /** Whether the origin may yet deliver something. */
  get isUsable(): boolean {
    const { sources } = this.#options;
    if (this.#bound === undefined) return sources.isUsable;
    return sources.readyAt(this.#bound) !== Infinity;
  }

  /** Whether it failed so often in a row that the job should wait (R-TIME-05). */
  get isExhausted(): boolean {
    const { sources } = this.#options;
    return this.#bound === undefined ? sources.isExhausted : sources.isSpent(this.#bound);
  }

  /** The last failure; fatal when none of the file's URLs will ever work. */
  get failure(): { readonly error: ErrorInfo; readonly fatal: boolean } | undefined {
    return this.#options.sources.failure;
  }

  /** Something changed that may make a piece eligible: search again at once. */
  wake(): void {
    this.#searchAgainAt = 0;
  }

  /** The disk has lost a piece. Another answer may be of another file than what is here (R-HTTP-13). */
  pieceLost(): void {
    if (!this.#isCombinable) this.changed = errorInfo("ERR_DISK_IO", "a stored piece is lost");
    this.wake();
  }

  peerPieceStored(bytes: number, now: Millis): void {
    this.#policy.peerPieceStored(bytes, now);
  }

  /** Starts as many runs as there is a reason for. */
  fill(now: Millis): void {
    this.#deadline = Infinity;
    if (!this.isUsable) return;
    const { sources, urgency } = this.#options;
    const heldUntil = this.#peers === undefined ? 0 : sources.peersOnlyUntil;
    // Who is known already says in a moment what is being fetched.
    const heardAt =
      this.#swarm.memberCount > 0 ? this.#startedAt + this.#deps.settings.firstWordsMs : 0;
    const waitUntil = Math.max(heldUntil, this.#searchAgainAt, heardAt);
    if (now < waitUntil) {
      this.#deadline = waitUntil;
      return;
    }
    if (now < this.#pausedUntil && this.#deps.demand.yields(urgency)) {
      this.#deadline = Math.min(this.#pausedUntil, now + RECHECK_MS);
      return;
    }
    const source = this.#sourceNow(now);
    if (source === undefined) {
      this.#deadline = this.#bound ? sources.readyAt(this.#bound) : sources.retryAt(now);
      return;
    }
    while (this.#mayStart(source, now) && this.#ledger.hasBudget()) {
      const run = this.#search.find(now, {
        mode: this.#modeOf(source),
        isCombinable: this.#isCombinable,
        runCount: this.#runs.size,
      });
      if (run === undefined) {
        this.#connections.interrupted();
        this.#searchAgainAt = now + (this.#swarm.isInCrew(now) ? RECHECK_MS : IDLE_RECHECK_MS);
        this.#deadline = this.#ledger.picker.missingCount === 0 ? Infinity : this.#searchAgainAt;
        return;
      }
      this.#start(run, source, now);
    }
    if (this.#search.isColdStart(now))
      this.#deadline = this.#startedAt + this.#deps.settings.coldStartMs;
  }

  /** A piece of a run has come; returns from where, unless the run is not ours any more. */
  pieceArrived(requestId: RequestId, piece: PieceIndex, now: Millis): FileSource | undefined {
    const run = this.#runs.get(requestId);
    if (run === undefined) return undefined;
    if (run.owed.delete(piece)) this.#ledger.picker.unmarkRequested(piece);
    if (!this.#ledger.picker.isHeld(piece)) this.#ledger.record.note(piece, run.source, run.reason);
    this.#cameFrom.set(piece, run.source);
    run.pieceBytes += this.#ledger.layout.length(piece);
    this.#received(run, run.pieceBytes, now);
    return run.source;
  }

  pieceCameElsewhere(piece: PieceIndex): void {
    this.#runs.pieceCameElsewhere(piece);
  }

  pieceStored(piece: PieceIndex): void {
    const source = this.#cameFrom.get(piece);
    this.#cameFrom.delete(piece);
    this.#search.pieceStored(piece);
    if (source === undefined) return;
    this.#policy.delivered(source);
    this.#options.sources.delivered(source);
  }

  /**
   * The origin sent bytes that do not match: tried again on a new connection, and after the last
   * try from another place (R-HTTP-14).
   */
  pieceCorrupt(piece: PieceIndex, now: Millis): void {
    const source = this.#cameFrom.get(piece);
    this.#cameFrom.delete(piece);
    this.wake();
    if (source === undefined) return;
    this.#search.pieceCorrupt(piece);
    if (this.#policy.pieceCorrupt(piece, source) < CORRUPT_PIECES_MAX) return;
    const details = `piece ${piece}, ${CORRUPT_PIECES_MAX} times`;
    this.#giveUp(source, errorInfo("ERR_ORIGIN_CONTENT_MISMATCH", details), now);
  }

  /** The runs under way, to tell a newcomer of them. */
  get claims(): readonly Claim[] {
    return Array.from(this.#runs.all(), ({ first, count }) => ({ first, count }));
  }

  /** Claims to announce; they are given once. */
  takeClaimsDue(): readonly Claim[] {
    return this.#runs.claimsDue.splice(0);
  }

  /** A member has come. Where runs are left to it, or to others, more may be heard in a moment. */
  memberJoined(now: Millis): void {
    this.wake();
    if (this.#yield.toCrew(now)) this.#deadline = now + RECHECK_MS;
  }

  /** A member is about to fetch a run, or fetching it. */
  memberClaimed(peerId: PeerId, claim: Claim, now: Millis): void {
    if (this.#yield.toClaimer(peerId, claim)) this.#deadline = now + RECHECK_MS;
  }

  memberHolds(peerId: PeerId, holds: (piece: PieceIndex) => boolean): void {
    this.#yield.toHolder(peerId, holds);
  }

  /** Small runs at the beginning say nothing of how many connections are worth having. */
  #received(run: OriginRun, bytes: number, now: Millis): void {
    if (this.#search.isBeginning(now)) run.receivedBytes = Math.max(run.receivedBytes, bytes);
    else this.#connections.received(run, bytes, now);
  }

  /** Bytes still come, though no piece is whole yet. */
  progressed(requestId: RequestId, receivedBytes: number, now: Millis): void {
    const run = this.#runs.get(requestId);
    if (run !== undefined) this.#received(run, receivedBytes, now);
    if (run !== undefined) this.#runs.repeatClaim(run, this.#deps.settings.stallTimeoutMs / 4, now);
  }

  finished(requestId: RequestId, validator: Validator, now: Millis): void {
    const run = this.#runs.get(requestId);
    if (run === undefined) return;
    if (!this.#options.verified) this.#validator ??= validator;
    const last = this.#ledger.layout.end(run.first + run.count - 1);
    const bytes = last - this.#ledger.layout.start(run.first);
    const rate = (bytes * 1_000 * this.#runs.size) / Math.max(1, now - run.startedAt);
    this.#policy.measured(rate);
    this.#runs.end(run);
    const { demand } = this.#deps;
    if (demand.yields(this.#options.urgency)) {
      this.#pausedUntil = now + demand.pauseMs(now - run.startedAt);
    }
    this.wake();
  }

  failed(requestId: RequestId, failure: OriginFailure, now: Millis): void {
    const run = this.#runs.get(requestId);
    if (run === undefined) return;
    this.#runs.end(run);
    this.#deps.counters.add("shoal_origin_failures_total");
    const { source } = run;
    const { sources, verified } = this.#options;
    switch (failure.kind) {
      case "rangeBroken":
      case "rangeUnsupported":
        return this.#rangesFailed(run, failure.error, now);
      case "fatal":
        return this.#giveUp(source, failure.error, now);
      case "changed": {
        this.#runs.cancelFrom(source);
        const isAnother = verified && this.#policy.hasAnotherFile(source);
        if (!verified || (isAnother && this.#options.isAnnounced)) {
          return void (this.changed = failure.error);
        }
        if (!isAnother) break;
        const error = errorInfo("ERR_ORIGIN_CONTENT_MISMATCH", failure.error.message);
        return this.#giveUp(source, error, now);
      }
      case "transient":
      case "timeout":
        // R-HTTP-13: only a strong ETag tells files apart.
        if (!verified && this.#validator?.etag === undefined) this.changed = failure.error;
    }
    const { error, retryAfterMs } = failure;
    const wait = retryAfterMs === undefined ? {} : { retryAfterMs };
    sources.failed(source, { error, hasDelivered: run.receivedBytes > 0, ...wait }, now);
    // Where all bytes must be from one place, another is worth it when this one gives nothing.
    const isUseless = sources.isSpent(source) || this.#ledger.storedBytes === 0;
    if (!verified && isUseless && sources.hasOther(source)) this.changed = error;
  }

  cancelAll(): void {
    this.#runs.cancelAll();
  }

  /** The place will not work for this file. */
  #giveUp(source: FileSource, error: ErrorInfo, now: Millis): void {
    const { sources, verified } = this.#options;
    sources.failedForGood(source, error, now);
    this.#runs.cancelFrom(source);
    if (!verified && sources.hasOther(source)) this.changed = error;
  }

  /** R-HTTP-12: once more as one stream, unless that has failed or cannot be (ranges wanted). */
  #rangesFailed({ source, mode, pieceBytes }: OriginRun, error: ErrorInfo, now: Millis): void {
    const { sources, rangeMap } = this.#options;
    if (rangeMap !== undefined) {
      return this.#giveUp(source, errorInfo("ERR_RANGES_UNSUPPORTED", error.message), now);
    }
    if (mode === "stream") return this.#giveUp(source, error, now);
    this.#runs.cancelFrom(source);
    sources.rangesBroken(source);
    // The stream may be of another file than what is here (R-HTTP-13).
    if (!this.#isCombinable && pieceBytes + this.#ledger.storedBytes > 0) this.changed = error;
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

  /** Where to ask now; `undefined` when all that may be asked have to wait. */
  #sourceNow(now: Millis): FileSource | undefined {
    const { sources, verified } = this.#options;
    if (verified) return sources.next(now);
    this.#bound ??= sources.next(now);
    if (this.#bound === undefined || now < sources.readyAt(this.#bound)) return undefined;
    return this.#bound;
  }

  #modeOf(source: FileSource): "range" | "stream" {
    const { acceptsRanges, sources } = this.#options;
    return acceptsRanges && sources.hasRanges(source) ? "range" : "stream";
  }

  #mayStart(source: FileSource, now: Millis): boolean {
    if (this.#runs.size === 0) return true;
    const isOne = this.#modeOf(source) === "stream" || !this.#isCombinable;
    if (isOne || this.#search.isColdStart(now)) return false;
    if (this.#deps.demand.yields(this.#options.urgency)) return false;
    return this.#connections.hasRoom(source.host, now);
  }

  #start({ first, count: found, reason }: NextRun, source: FileSource, now: Millis): void {
    const { outbox, counters } = this.#deps;
    const { transferId, rangeMap } = this.#options;
    this.lastAsked = source;
    const { url, request } = source;
    const mode = this.#modeOf(source);
    const count = rangeMap?.piecesTogether(first, found) ?? found;
    const owed = new Set<PieceIndex>();
    let fresh = false;
    if (count === 1) this.#peers?.makeRoom(first);
    for (let piece = first; piece < first + count; piece++) {
      // A stream also passes over pieces that are here, or that two peers owe already.
      if (!isWanted(this.#ledger.picker, piece)) continue;
      owed.add(piece);
      if (this.#policy.wasCorrupt(piece)) fresh = true;
    }
    const requestId = outbox.nextRequestId();
    const run = { requestId, source, mode, first, count, reason, owed };
    const begun = { startedAt: now, claimedAt: now, receivedBytes: 0, pieceBytes: 0 };
    this.#runs.begin({ ...run, ...begun });
    this.#search.started(first, count);
    this.#policy.runBegun();
    counters.add("shoal_origin_requests_total");
    const asked = { transferId, firstPiece: first, pieceCount: count };
    outbox.notice({ type: "originAsked", ...asked, reason });
    outbox.origin({
      type: "fetchRange",
      requestId,
      ...asked,
      url,
      layout: this.#ledger.layout,
      mode,
      fresh,
      ...(rangeMap && {
        remote: { start: rangeMap.remoteStart(first), length: rangeMap.remoteLength },
      }),
      ...(request && { request }),
      ...(this.#validator === undefined ? {} : { validator: this.#validator }),
    });
  }
}

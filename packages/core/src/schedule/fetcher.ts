/**
 * Fetches the pieces of one content: from peers, from the origin, into the store. Begins when the
 * part file is open and ends when every piece is committed, or when no source is left.
 *
 * Knows the sources and the ledger; knows nothing of jobs, manifests or publication. Called by
 * `Transfer`, which reads `status` after each call.
 */
import { unreachable } from "../assert.ts";
import type { PieceSet } from "../content/piece-set.ts";
import type { PaceFlow } from "../pace/pace-flow.ts";
import type { OriginEvent } from "../ports/origin-port.ts";
import type { StoreEvent } from "../ports/store-port.ts";
import type { PresenceRole, RefusalReason } from "../ports/swarm-port.ts";
import type { BufferId, Millis, PeerId, PieceIndex } from "../units.ts";
import { Announcer } from "./announcer.ts";
import { ContentSwarm } from "./content-swarm.ts";
import { countBytes } from "./count-bytes.ts";
import type { FetchBytes, FetcherOptions, FetchParts, FetchStatus } from "./fetcher-options.ts";
import type { MachineDeps } from "./machine-deps.ts";
import { OriginRuns } from "./origin-runs.ts";
import type { Link } from "./peer-table.ts";
import { PeerRequests } from "./peer-requests.ts";
import { PeerWords } from "./peer-words.ts";
import type { PeerBitfield } from "./peer-words.ts";
import { PieceLedger } from "./piece-ledger.ts";
import type { PieceOrigin } from "./piece-ledger.ts";
import type { RecentPeer } from "./recent-peers.ts";
import type { PeerEvent, Stage, WordOutcome } from "./stage.ts";
import { Starvation } from "./starvation.ts";

export class Fetcher implements Stage {
  /** For those who explain what it does. */
  readonly parts: FetchParts;
  readonly #deps: MachineDeps;
  readonly #options: FetcherOptions;
  readonly #ledger: PieceLedger;
  readonly #swarm: ContentSwarm;
  readonly #peers: PeerRequests | undefined;
  readonly #origin: OriginRuns;
  readonly #pace: PaceFlow;
  readonly #announcer: Announcer;
  readonly #words: PeerWords;
  readonly #starvation: Starvation;
  #isStarted = false;
  #status: FetchStatus = { name: "fetching" };

  /** Somebody waits for what is stored to be committed: peers, or a stream. */
  readonly #isAwaited = (): boolean => this.#options.isStreamed || this.#announcer.isHeard;

  constructor(deps: MachineDeps, options: FetcherOptions, now: Millis) {
    this.#deps = deps;
    this.#options = options;
    const { contentId, layout, urgency } = options;
    this.#ledger = new PieceLedger(deps, options);
    const { originExtentBytes: extentBytes, stallTimeoutMs } = deps.settings;
    const bounds = { selfId: deps.selfId, extentBytes, stallTimeoutMs };
    this.#swarm = new ContentSwarm(layout, { contentId, ...bounds });
    const pace = deps.pacer.open({ ...options, url: options.sources.url }, now);
    this.#pace = pace;
    const known = { ledger: this.#ledger, swarm: this.#swarm };
    this.#peers = contentId && new PeerRequests(deps, known, { contentId, urgency, pace });
    const parts = { ...known, peers: this.#peers };
    this.#announcer = new Announcer(deps, parts, options);
    const verified = contentId !== undefined;
    this.#origin = new OriginRuns(deps, parts, { ...options, verified }, now);
    this.parts = { ...parts, contentId, sources: options.sources, origin: this.#origin, pace };
    this.#words = new PeerWords(deps, this.parts);
    this.#starvation = new Starvation(deps, this.parts);
  }

  /** Begins to ask for pieces. What is known of peers should have been told before. */
  start(now: Millis): void {
    this.#isStarted = true;
    this.#settle(now);
  }

  get status(): FetchStatus {
    return this.#status;
  }

  get #isFetching(): boolean {
    return this.#status.name === "fetching";
  }

  get storedBytes(): number {
    return this.#ledger.storedBytes;
  }

  get committed(): PieceSet {
    return this.#ledger.committed;
  }

  get memberCount(): number {
    return this.#swarm.memberCount;
  }

  /** Requests to the origin under way. */
  get originRequests(): number {
    return this.#origin.size;
  }

  peerEvent(event: PeerEvent, link: Link, now: Millis): WordOutcome {
    switch (event.type) {
      case "peerHave":
        return this.#words.have(event, link, now, this.#isStarted && this.#isFetching);
      case "peerJoined":
        this.#announcer.add(link);
        this.#words.member(link, now);
        this.#origin.memberJoined(now);
        this.#announcer.claim(this.#origin.claims, [link]);
        break;
      case "peerBitfield":
        if (!this.#words.bitfield(link, event.pieceCount, event.bits, now)) return "untrue";
        break;
      case "peerClaimed":
        this.#words.claimed(link, { first: event.firstPiece, count: event.pieceCount }, now);
        return "moved";
      case "peerPiece":
        this.#peerPiece(event.requestId, event.bufferId, now);
        break;
      case "requestRefused":
        this.#peerRefused(event.requestId, event.reason, now);
        break;
      case "peerLeft":
        this.peerGone(link.peerId, now);
        return "moved";
      case "peerManifest":
      case "peerAnnouncement":
        return "moved";
      default:
        return unreachable(event);
    }
    this.#settle(now);
    return "moved";
  }

  /** All that is known of what peers hold, as each would say it now. */
  bitfields(): Iterable<readonly [Link, PeerBitfield]> {
    return this.#words.bitfields();
  }

  /** A member's presence; returns whether that changes what there is to do. */
  presence({ peerId, hash }: RecentPeer, role: PresenceRole, now: Millis): boolean {
    if (!this.#swarm.presence(peerId, role, now, hash)) return false;
    this.#origin.memberJoined(now);
    return true;
  }

  /** Whether this agent and the member fetch from the origin for all. */
  isInCrewWith(peerId: PeerId, now: Millis): boolean {
    return this.#swarm.isInCrew(now) && this.#swarm.isOfCrew(peerId, now);
  }

  /** Whether this agent fetches from the origin for all. */
  isInCrew(now: Millis): boolean {
    return this.#swarm.isInCrew(now);
  }

  peerGone(peerId: PeerId, now: Millis): void {
    this.#announcer.remove(peerId);
    this.#words.gone(peerId);
    this.#origin.wake();
    this.#settle(now);
  }

  owns(requestId: number): boolean {
    return this.#peers?.owns(requestId) === true;
  }

  /** A `rangePiece`, `rangeProgress`, `rangeFinished` or `originFailed` of this transfer. */
  originEvent(event: OriginEvent, now: Millis): void {
    this.#pace.originEvent(event, now);
    switch (event.type) {
      case "rangePiece":
        this.#originPiece(event, now);
        break;
      case "rangeProgress":
        this.#origin.progressed(event.requestId, event.receivedBytes, now);
        break;
      case "rangeFinished":
        this.#origin.finished(event.requestId, event.validator, now);
        break;
      case "originFailed":
        this.#origin.failed(event.requestId, event.failure, now);
        break;
      default:
        return;
    }
    this.#settle(now);
  }

  storeEvent(event: StoreEvent, now: Millis): void {
    if (event.type === "pieceStored") this.#pieceStored(event.piece, now);
    else if (event.type === "pieceCorrupt") this.#pieceCorrupt(event.piece, now);
    else if (event.type === "piecesCommitted") this.#piecesCommitted(event.pieces, now);
    else if (event.type === "pieceLost") this.#pieceLost(event.piece, now);
  }

  #pieceStored(piece: PieceIndex, now: Millis): void {
    const from = this.#ledger.stored(piece, now);
    if (from === undefined) return;
    const { transferId, layout } = this.#options;
    const length = layout.length(piece);
    this.#deps.counters.add("shoal_verified_bytes_total", length);
    if (from === "reuse") this.#count("reused", length);
    else if (from === "origin") this.#origin.pieceStored(piece);
    else {
      this.#deps.peers.credit(from.peerId, now);
      this.#deps.demand.placesFreed++;
      this.#swarm.proved(from.peerId);
      this.#origin.peerPieceStored(length, now);
    }
    const sender = typeof from === "string" ? from : from.peerId;
    this.#deps.outbox.notice({ type: "pieceStored", transferId, piece, from: sender });
    this.#settle(now);
  }

  #count(what: keyof FetchBytes, length: number): void {
    const { bytes } = this.#options;
    countBytes({ bytes, counters: this.#deps.counters }, what, length);
  }

  #pieceCorrupt(piece: PieceIndex, now: Millis): void {
    const from = this.#ledger.corrupt(piece);
    if (from === undefined) return;
    if (from === "reuse") {
      this.#origin.wake();
      return this.#settle(now);
    }
    this.#count("wasted", this.#options.layout.length(piece));
    this.#deps.counters.add("shoal_corrupt_pieces_total");
    if (from === "origin") this.#origin.pieceCorrupt(piece, now);
    else {
      this.#peers?.cancelLink(from);
      this.#deps.peers.offended(from.peerId, "corruptPiece", now);
    }
    this.#settle(now);
  }

  #piecesCommitted(pieces: readonly PieceIndex[], now: Millis): void {
    this.#ledger.commitEnded();
    const fresh = pieces.filter((piece) => this.#ledger.pieceCommitted(piece));
    this.#announcer.committed(fresh, now);
    this.#settle(now);
  }

  /** The disk has lost a committed piece (R-FS-10). */
  #pieceLost(piece: PieceIndex, now: Millis): void {
    this.#ledger.lost(piece);
    this.#origin.pieceLost();
    if (this.#status.name === "complete") this.#status = { name: "fetching" };
    this.#settle(now);
  }

  /** Withdraws every request; nothing is asked for any more. */
  stop(): void {
    this.#announcer.flush();
    this.#peers?.cancelAll();
    this.#origin.cancelAll();
    this.#ledger.close();
    this.#pace.close();
  }

  pollDeadline(): Millis {
    if (!this.#isFetching) return Infinity;
    return Math.min(
      this.#ledger.pollDeadline(this.#isAwaited),
      this.#announcer.pollDeadline(),
      this.#peers?.pollDeadline() ?? Infinity,
      this.#origin.pollDeadline(),
      this.#starvation.pollDeadline(),
    );
  }

  handleTimeout(now: Millis): void {
    this.#announcer.handleTimeout(now);
    this.#peers?.handleTimeout(now);
    this.#settle(now);
  }

  checkInvariants(): void {
    this.#ledger.checkInvariants();
  }

  /** Tells a peer that has just connected what is being fetched, before it can begin with it. */
  announceClaims(link: Link): void {
    this.#announcer.claim(this.#origin.claims, [link]);
  }

  #peerPiece(requestId: number, bufferId: BufferId, now: Millis): void {
    const answer = this.#peers?.answered(requestId);
    if (answer === undefined) return this.#deps.outbox.release(bufferId);
    const { piece, link, askedAt } = answer;
    const length = this.#options.layout.length(piece);
    this.#count("peers", length);
    this.#options.receivedBytes[link.peerClass] += length;
    this.#deps.peers.received(link, { length, askedAt }, now);
    this.#peers?.gateway.received(link, length, now);
    this.#swarm.heard(link.peerId, now);
    this.#receive(piece, link, bufferId);
  }

  #peerRefused(requestId: number, reason: RefusalReason, now: Millis): void {
    const answer = this.#peers?.refused(requestId, now);
    if (answer === undefined) return;
    const { link, piece } = answer;
    if (reason === "busy") {
      const { retryDelayMsMin } = this.#deps.settings;
      this.#peers?.snub(link, now + this.#deps.random.jitter(retryDelayMsMin / 4, 0.5));
    } else {
      this.#ledger.picker.sourceLost(link.slot, piece);
      this.#deps.peers.offended(link.peerId, "notFound", now);
    }
  }

  #originPiece(
    { requestId, piece, bufferId }: Extract<OriginEvent, { type: "rangePiece" }>,
    now: Millis,
  ): void {
    const source = this.#origin.pieceArrived(requestId, piece, now);
    const isCached = source?.kind === "cacheServer";
    this.#count(isCached ? "cacheServers" : "origin", this.#options.layout.length(piece));
    if (source !== undefined) this.#receive(piece, "origin", bufferId);
    else this.#waste(piece, bufferId);
  }

  #receive(piece: PieceIndex, from: PieceOrigin, bufferId: BufferId): void {
    if (!this.#ledger.received(piece, from, bufferId)) return this.#waste(piece, bufferId);
    this.#peers?.cancelPiece(piece);
    this.#origin.pieceCameElsewhere(piece);
  }

  #waste(piece: PieceIndex, bufferId: BufferId): void {
    this.#count("wasted", this.#options.layout.length(piece));
    this.#deps.outbox.release(bufferId);
  }

  /** After any change: ask for more, announce claims, sync what is due, and see how we stand. */
  #settle(now: Millis): void {
    if (!this.#isStarted || !this.#isFetching) return;
    const because = this.#origin.changed;
    if (because !== undefined) return void (this.#status = { name: "changed", because });
    // The origin first: what it is asked for no peer has, and peers would take all of the budget.
    this.#origin.fill(now);
    this.#peers?.fill(now);
    const claims = this.#origin.takeClaimsDue();
    if (claims.length > 0) this.#announcer.claim(claims);
    this.#announcer.claimRemote(now);
    this.#ledger.sync(now, this.#isAwaited);
    this.#pace.settled(this.#origin, this.#ledger.isComplete);
    if (this.#ledger.isComplete) this.#status = { name: "complete" };
    else {
      const failure = this.#starvation.check(now);
      if (failure !== undefined) this.#status = { name: "failed", ...failure };
    }
  }
}

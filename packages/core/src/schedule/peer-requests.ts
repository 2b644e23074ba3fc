/**
 * Pieces asked of peers and not yet answered, and whom to ask for what next.
 *
 * Every peer is kept busy to its depth, one piece at a time in turns, so that faster peers ask for
 * more simply by answering sooner. In endgame an idle peer may be asked for a piece that another
 * source already owes; the loser is cancelled. Called by `Fetcher`.
 */
import { LIMITS } from "../registry/limits.ts";
import type { Counters } from "../registry/counters.ts";
import type { PeerReason } from "../registry/reasons.ts";
import type { Settings } from "../registry/settings.ts";
import type { PaceFlow } from "../pace/pace-flow.ts";
import { MiB } from "../units.ts";
import type { ContentId, Millis, PeerId, PieceIndex, RequestId } from "../units.ts";
import type { ContentSwarm } from "./content-swarm.ts";
import type { Demand, Urgency } from "./demand.ts";
import { Gateway } from "./gateway.ts";
import type { Outbox } from "./outbox.ts";
import { isCrowded, isOnProbation, owedBy } from "./peer-link.ts";
import type { Link, PeerTable } from "./peer-table.ts";
import type { PieceLedger } from "./piece-ledger.ts";
import { SlotShares } from "./slot-shares.ts";

interface PeerRequest {
  readonly requestId: RequestId;
  readonly link: Link;
  readonly piece: PieceIndex;
  readonly askedAt: Millis;
  readonly deadline: Millis;
  /** It was asked while it had to leave room for others. */
  readonly yields: boolean;
  /** It was asked of a peer far away, while others were near. */
  readonly isRemote: boolean;
}

export interface PeerRequestsDeps {
  readonly outbox: Outbox;
  readonly peers: PeerTable;
  readonly settings: Settings;
  readonly counters: Counters;
  readonly demand: Demand;
}

export interface PeerRequestsOptions {
  readonly contentId: ContentId;
  readonly urgency: Urgency;
  readonly pace: PaceFlow;
}

/** R-SCH-02: a piece may take this many times as long as expected. */
const LATENESS_FACTOR = 8;
const RATE_ASSUMED_BYTES_PER_SEC = MiB;
/** How soon to look again at peers that other transfers keep busy, and when one has a place. */
const RECHECK_MS = 100;
const FREED_RECHECK_MS = 5;
/** How soon to look again whether the pace allows more. */
const PACE_RECHECK_MS = 500;

export class PeerRequests {
  readonly #deps: PeerRequestsDeps;
  readonly #ledger: PieceLedger;
  readonly #options: PeerRequestsOptions;
  /** What may be asked of peers that are far away while others are near. */
  readonly gateway: Gateway;
  readonly #links = new Map<PeerId, Link>();
  readonly #requests = new Map<RequestId, PeerRequest>();
  readonly #byPiece = new Map<PieceIndex, PeerRequest[]>();
  readonly #shares: SlotShares;
  readonly #picked = new Uint32Array(LIMITS.endgamePiecesMax);
  /** A lower bound of all deadlines and ends of busy times; exact after `handleTimeout`. */
  #deadline: Millis = Infinity;
  #turn = 0;
  /** Since when others have the places that it would ask for, and how many had come free by then. */
  #waiting: { readonly at: Millis; readonly placesFreed: number } | undefined;

  constructor(
    deps: PeerRequestsDeps,
    parts: { readonly ledger: PieceLedger; readonly swarm: ContentSwarm },
    options: PeerRequestsOptions,
  ) {
    this.#deps = deps;
    const { ledger } = parts;
    this.#ledger = ledger;
    this.#options = options;
    this.gateway = new Gateway({ ...parts, links: this.#links }, deps.settings.stallTimeoutMs);
    const canGive = (link: Link): boolean => ledger.picker.interesting(link.slot);
    this.#shares = new SlotShares({ links: this.#links, canGive }, deps.settings);
  }

  /** Requests not yet answered. */
  get size(): number {
    return this.#requests.size;
  }

  /** A piece that has been owed for `lateMs` or half its time; the longest awaited first. */
  latePiece(now: Millis, lateMs: Millis): PieceIndex | undefined {
    for (const { piece, askedAt, deadline } of this.#requests.values()) {
      const waitedMs = now - askedAt;
      if (waitedMs > lateMs || 2 * waitedMs > deadline - askedAt) return piece;
    }
    return undefined;
  }

  /** Of two peers that owe the piece the one asked first is let off, for the origin to be asked. */
  makeRoom(piece: PieceIndex): void {
    const [first, second] = this.#byPiece.get(piece) ?? [];
    if (first !== undefined && second !== undefined) this.#cancel(first);
  }

  /** The peers that may be asked. */
  get links(): ReadonlyMap<PeerId, Link> {
    return this.#links;
  }

  addLink(link: Link): void {
    this.#links.set(link.peerId, link);
    this.gateway.linkAdded(link);
  }

  /** The peer is gone or left the content: its requests are withdrawn, and free again. */
  removeLink(peerId: PeerId): void {
    const link = this.#links.get(peerId);
    if (link === undefined) return;
    this.#links.delete(peerId);
    const isConnected = this.#deps.peers.links.get(peerId) === link;
    for (const request of this.#requests.values()) {
      if (request.link !== link) continue;
      if (isConnected) this.#cancel(request);
      else this.#forget(request);
    }
    this.gateway.linkRemoved(link);
  }

  /** Whether some peer has a piece that is still missing. */
  hasOffer(): boolean {
    for (const link of this.#links.values()) {
      if (this.#ledger.picker.interesting(link.slot)) return true;
    }
    return false;
  }

  /** Asks every peer that has room, one piece each in turns, until nobody takes any more. */
  fill(now: Millis): void {
    if (this.#links.size === 0) return;
    this.#turn = (this.#turn + 1) % this.#links.size;
    this.#waiting = undefined;
    if (this.#mayAsk()) this.#fillInTurns(now);
    // Where nothing may be asked, no peer that comes free changes that.
    if (this.#mayAsk()) this.#watchSharedPeers(now);
  }

  /** Whether some peer has something to be asked for, whatever else is in the way. */
  #mayAsk(): boolean {
    const { picker } = this.#ledger;
    if (!this.#ledger.hasBudget()) return false;
    return this.#isEndgame() || picker.hasFreeOffer();
  }

  #fillInTurns(now: Millis): void {
    const links = [...this.#links.values()];
    let asked = true;
    while (asked && this.#ledger.hasBudget()) {
      asked = false;
      for (let i = 0; i < links.length; i++) {
        const link = links[(this.#turn + i) % links.length];
        if (link !== undefined && this.#askNext(link, now)) asked = true;
      }
    }
  }

  /** Asks one peer, whose offer has just grown. Returns whether that changed anything. */
  fillFrom(link: Link, now: Millis): boolean {
    const before = this.pollDeadline();
    let asked = false;
    while (this.#askNext(link, now)) asked = true;
    return asked || this.pollDeadline() !== before;
  }

  /** How the peer stands: asked, or why it is not, the weightiest reason first. */
  standingOf(link: Link, now: Millis): PeerReason {
    const { picker, layout } = this.#ledger;
    const { pieceLengthMax } = layout;
    const { busyUntil, outstanding } = link;
    if (now < busyUntil) return busyUntil === link.stalledUntil ? "stalled" : "busy";
    if (outstanding > 0) return isOnProbation(link) ? "probation" : "asked";
    if (picker.missingCount === 0) return "nothingMissing";
    if (picker.sourceCount(link.slot) === 0) return "holdsNothing";
    if (!picker.interesting(link.slot)) return "nothingNew";
    if (picker.freeCount === 0) return "othersAsked";
    if (isOnProbation(link) && owedBy(link) > 0) return "probation";
    if (isOnProbation(link) && isCrowded(this.#deps.peers.linksAt(link.address))) {
      return "addressProbation";
    }
    const refusal = this.#shares.refusal(link, pieceLengthMax);
    if (refusal !== undefined) return refusal;
    if (!this.#ledger.hasBudget()) return "inFlightFull";
    if (this.#options.pace.askableAt(now) > now) return "limitReached";
    return this.gateway.isRemote(link) ? "leftToNeighbours" : "idle";
  }

  /** Leaves the peer alone for a while. */
  snub(link: Link, until: Millis): void {
    link.busyUntil = until;
    this.#deadline = Math.min(this.#deadline, until);
  }

  /** Whether the request is one of this transfer's, still waiting. */
  owns(requestId: RequestId): boolean {
    return this.#requests.has(requestId);
  }

  /** The answer to a request has come; `undefined` when it is not one of ours any more. */
  answered(requestId: RequestId): { piece: PieceIndex; link: Link; askedAt: Millis } | undefined {
    const request = this.#requests.get(requestId);
    if (request !== undefined) this.#forget(request);
    return request;
  }

  /** Like `answered`, where the answer is no. */
  refused(requestId: RequestId, now: Millis): { piece: PieceIndex; link: Link } | undefined {
    const answer = this.answered(requestId);
    if (answer !== undefined) {
      this.#options.pace.refused(this.#ledger.layout.length(answer.piece), now);
    }
    return answer;
  }

  /** The piece has come from elsewhere: whoever still owes it is told so. */
  cancelPiece(piece: PieceIndex): void {
    for (const request of this.#byPiece.get(piece)?.slice() ?? []) this.#cancel(request);
  }

  /** Withdraws everything asked of one peer, whose word is in doubt. */
  cancelLink(link: Link): void {
    for (const request of this.#requests.values()) if (request.link === link) this.#cancel(request);
  }

  cancelAll(): void {
    for (const request of this.#requests.values()) this.#cancel(request);
  }

  pollDeadline(): Millis {
    const deadline = Math.min(this.#deadline, this.gateway.pollDeadline());
    if (this.#waiting === undefined) return deadline;
    const isFreed = this.#waiting.placesFreed !== this.#deps.demand.placesFreed;
    return isFreed ? Math.min(deadline, this.#waiting.at + FREED_RECHECK_MS) : deadline;
  }

  /** Gives up on pieces that are late (R-SCH-02); their peers are snubbed for a while. */
  handleTimeout(now: Millis): void {
    this.#waiting = undefined;
    if (now < this.#deadline) return;
    this.#deadline = Infinity;
    for (const { busyUntil } of this.#links.values()) {
      if (busyUntil > now) this.#deadline = Math.min(this.#deadline, busyUntil);
    }
    for (const request of this.#requests.values()) {
      if (request.deadline > now) {
        this.#deadline = Math.min(this.#deadline, request.deadline);
        continue;
      }
      this.#cancel(request);
      this.#deps.counters.add("shoal_peer_timeouts_total");
      request.link.stalledUntil = now + this.#deps.settings.stallTimeoutMs;
      this.snub(request.link, request.link.stalledUntil);
      this.#deps.peers.offended(request.link.peerId, "stall", now);
    }
  }

  /** What other transfers keep busy or made busy comes free without any event here: look again. */
  #watchSharedPeers(now: Millis): void {
    if (this.#ledger.picker.freeCount === 0) return;
    let owed = 0;
    for (const link of this.#links.values()) {
      // Of most there is nothing to say, so the picker is asked about few.
      const taken = owedBy(link) + link.manifests.asked;
      if (taken === 0 && link.busyUntil <= now && !isOnProbation(link)) continue;
      if (!this.#ledger.picker.interesting(link.slot)) continue;
      owed += taken;
      if (isOnProbation(link) && isCrowded(this.#deps.peers.linksAt(link.address))) owed++;
      if (link.busyUntil > now) this.#deadline = Math.min(this.#deadline, link.busyUntil);
    }
    const ownOwed = this.#requests.size + this.#ledger.storingCount;
    if (owed <= ownOwed) return;
    this.#deadline = Math.min(this.#deadline, now + RECHECK_MS);
    this.#waiting = { at: now, placesFreed: this.#deps.demand.placesFreed };
  }

  #askNext(link: Link, now: Millis): boolean {
    const { picker, layout } = this.#ledger;
    if (!this.#ledger.hasBudget() || !picker.interesting(link.slot)) return false;
    const yields = this.#deps.demand.yields(this.#options.urgency);
    if (!this.#deps.peers.hasRoom(link, layout.pieceLengthMax, now, yields)) return false;
    if (!this.#shares.admits(link, layout.pieceLengthMax)) return false;
    const { pace } = this.#options;
    if (!pace.canAsk(now)) {
      // A limit may be lifted long before a debt under it would be paid.
      this.#deadline = Math.min(this.#deadline, pace.askableAt(now), now + PACE_RECHECK_MS);
      return false;
    }
    if (this.gateway.isRemote(link)) return this.#askRemote(link, now);
    if (picker.pick(link.slot, 1, this.#picked) === 1) {
      this.#ask(link, this.#picked[0]!, now);
      return true;
    }
    return this.#askEndgame(link, now);
  }

  /** Looks again a little later where there is nothing to ask for now. */
  #askRemote(link: Link, now: Millis): boolean {
    if (this.#ledger.picker.freeCount === 0) return false;
    const piece = this.gateway.pick(link, now);
    if (piece !== undefined) this.#ask(link, piece, now);
    else this.#deadline = Math.min(this.#deadline, this.gateway.searchAgainAt(link));
    return piece !== undefined;
  }

  /** An idle peer is asked for one of the last pieces, if another source owes it already. */
  #askEndgame(link: Link, now: Millis): boolean {
    const { picker } = this.#ledger;
    if (!this.#isEndgame() || link.outstanding > 0) return false;
    const count = picker.pickEndgame(link.slot, this.#picked.length, this.#picked);
    for (let i = 0; i < count; i++) {
      const piece = this.#picked[i]!;
      if (this.#byPiece.get(piece)?.some((request) => request.link === link)) continue;
      this.#deps.counters.add("shoal_endgame_requests_total");
      this.#ask(link, piece, now);
      return true;
    }
    return false;
  }

  /** The last pieces are all on their way. */
  #isEndgame(): boolean {
    const { freeCount, missingCount } = this.#ledger.picker;
    return freeCount === 0 && missingCount <= LIMITS.endgamePiecesMax;
  }

  #ask(link: Link, piece: PieceIndex, now: Millis): void {
    const { outbox, settings } = this.#deps;
    const length = this.#ledger.layout.length(piece);
    // A peer that has delivered nothing lately is given the time of a modest one.
    const rate = link.received.rateBytesPerSec(now) || RATE_ASSUMED_BYTES_PER_SEC;
    const byRateMs = ((link.outstanding + 1) * length * 1_000) / rate;
    // It waits on a thin link beside those of others, as the ones before did.
    const expectedMs = Math.max(byRateMs, length * link.msPerByte);
    const patienceMs = Math.min(
      Math.max(settings.pieceTimeoutMsMin, LATENESS_FACTOR * expectedMs),
      LIMITS.pieceTimeoutMsMax,
    );
    const requestId = outbox.nextRequestId();
    const request: PeerRequest = {
      requestId,
      link,
      piece,
      askedAt: now,
      deadline: now + patienceMs,
      yields: this.#deps.demand.yields(this.#options.urgency),
      isRemote: this.gateway.isRemote(link),
    };
    this.#requests.set(requestId, request);
    const others = this.#byPiece.get(piece);
    if (others === undefined) this.#byPiece.set(piece, [request]);
    else others.push(request);
    this.#deadline = Math.min(this.#deadline, request.deadline);
    link.outstanding++;
    if (request.yields) link.yielding++;
    if (request.isRemote) this.gateway.asked(link, piece);
    this.#shares.asked(requestId, link, length);
    this.#ledger.requested(piece);
    this.#options.pace.asked(length, now);
    const { peerId } = link;
    const { contentId } = this.#options;
    outbox.swarm({ type: "requestPiece", peerId, requestId, contentId, piece, length });
  }

  #cancel(request: PeerRequest): void {
    this.#forget(request);
    const { peerId } = request.link;
    this.#deps.outbox.swarm({ type: "cancelRequest", peerId, requestId: request.requestId });
  }

  #forget(request: PeerRequest): void {
    this.#requests.delete(request.requestId);
    request.link.outstanding--;
    this.#deps.demand.placesFreed++;
    if (request.yields) request.link.yielding--;
    if (request.isRemote) this.gateway.ended();
    this.#shares.ended(request.requestId);
    this.#ledger.unrequested(request.piece);
    const others = this.#byPiece.get(request.piece)?.filter((other) => other !== request) ?? [];
    if (others.length === 0) this.#byPiece.delete(request.piece);
    else this.#byPiece.set(request.piece, others);
  }
}

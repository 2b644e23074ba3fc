/**
 * The peers this agent knows: their addresses, whether they are connected, what they have done, and
 * when they may be dialled again.
 *
 *   known ──dial──▶ dialling ──▶ connected ──▶ known (dial later, by backoff)
 *     any state ──second proven offence──▶ banned ──ban over──▶ known
 *
 * Knows nothing of contents or pieces. Scores and offences: threat model section 14. Called by the
 * scheduler.
 */
import type { Counters } from "../registry/counters.ts";
import { LIMITS } from "../registry/limits.ts";
import type { Settings } from "../registry/settings.ts";
import type { Random } from "../random.ts";
import type { Offence } from "../ports/swarm-port.ts";
import type { Millis, PeerId } from "../units.ts";
import type { Outbox } from "./outbox.ts";
import { backoffMs, RateMeter } from "./pace.ts";

/** A connected peer's record; lives from `peerConnected` to `peerDisconnected`. */
export interface Link {
  readonly peerId: PeerId;
  readonly host: string;
  /** A small number, reused after disconnection; names the peer in the picker. */
  readonly slot: number;
  /** Requests the peer accepts at a time. */
  readonly requestsMax: number;
  /** Requests of ours, of all transfers, not yet answered. */
  outstanding: number;
  /** Those of them that leave room for others: at most one, which takes nobody's place. */
  yielding: number;
  /** Pieces it has delivered that the store has not judged yet. */
  unverified: number;
  /** Verified pieces since connection or the last offence; ends probation (R-SCH-06). */
  goodPieces: number;
  /** Nothing is asked of the peer before this instant: it said it was busy. */
  busyUntil: Millis;
  readonly received: RateMeter;
}

type PeerState =
  | { readonly name: "known"; readonly dialAt: Millis }
  | { readonly name: "dialling" }
  | { readonly name: "connected"; readonly link: Link }
  | { readonly name: "banned"; readonly until: Millis };

interface Peer {
  readonly peerId: PeerId;
  addresses: readonly string[];
  isStatic: boolean;
  state: PeerState;
  dialFailures: number;
  score: number;
  scoredAt: Millis;
  corruptPieces: number;
  bans: number;
}

/** Threat model section 14. */
const SCORE_MIN = -100;
const SCORE_MAX = 50;
const PENALTIES: Readonly<Record<Offence, number>> = {
  malformedFrame: 25,
  surplusBytes: 25,
  corruptPiece: 50,
  corruptManifest: 50,
  notFound: 5,
  stall: 10,
  requestFlood: 5,
};
/** R-BAN-01 */
const CORRUPT_PIECES_MAX = 2;
const BAN_MS_MAX = 7 * 24 * 3_600_000;
/** R-SCH-06 */
const PROBATION_PIECES = 2;
/** Requests ahead of need: what a peer delivers in this time is kept outstanding. */
const PIPELINE_MS = 100;

export interface PeerTableDeps {
  readonly outbox: Outbox;
  readonly random: Random;
  readonly settings: Settings;
  readonly counters: Counters;
}

export class PeerTable {
  readonly #deps: PeerTableDeps;
  readonly #peers = new Map<PeerId, Peer>();
  readonly #links = new Map<PeerId, Link>();
  readonly #freeSlots: number[] = [];
  #slotCount = 0;
  #dialling = 0;
  #wanted = false;
  /** When due peers were last dialled: who is still due then waits for a place, not for time. */
  #dialledAt: Millis = -1;
  #deadline: Millis | undefined;

  constructor(deps: PeerTableDeps) {
    this.#deps = deps;
  }

  get links(): ReadonlyMap<PeerId, Link> {
    return this.#links;
  }

  /** Whether some peer is being dialled or waits for its turn; so that waiting for it makes sense. */
  get hopeful(): boolean {
    if (this.#dialling > 0) return true;
    for (const peer of this.#peers.values()) {
      if (peer.state.name === "known" && peer.dialFailures === 0) return true;
    }
    return false;
  }

  /** Whether transfers look for peers; static peers are dialled regardless. */
  setWanted(wanted: boolean, now: Millis): void {
    if (wanted === this.#wanted) return;
    this.#wanted = wanted;
    this.dial(now);
  }

  discovered(
    found: { peerId: PeerId; addresses: readonly string[]; isStatic: boolean },
    now: Millis,
  ): void {
    const addresses = found.addresses.slice(0, LIMITS.addressesPerPeerMax);
    const peer = this.#peers.get(found.peerId);
    if (peer === undefined) {
      if (this.#peers.size >= LIMITS.peersKnownMax && !this.#forgetOne()) return;
      this.#peers.set(found.peerId, newPeer(found.peerId, addresses, found.isStatic, now));
    } else {
      // Hints are unproved: what the user said of a peer comes before them.
      const isWeaker = peer.isStatic && !found.isStatic;
      const both = isWeaker ? [...peer.addresses, ...addresses] : [...addresses, ...peer.addresses];
      peer.addresses = [...new Set(both)].slice(0, LIMITS.addressesPerPeerMax);
      if (found.isStatic && !peer.isStatic) {
        peer.isStatic = true;
        if (peer.state.name === "known") peer.state = { name: "known", dialAt: now };
      }
    }
    this.dial(now);
  }

  /** any state but banned -> connected. A banned peer is sent away: `undefined`. */
  connected(
    event: { peerId: PeerId; host: string; requestsMax: number },
    now: Millis,
  ): Link | undefined {
    let peer = this.#peers.get(event.peerId);
    const isBanned = peer?.state.name === "banned" && peer.state.until > now;
    if (peer?.state.name === "dialling") this.#dialling--;
    if (isBanned || this.#links.size >= this.#deps.settings.connectionsMax) {
      const reason = isBanned ? "banned" : "too many connections";
      this.#deps.outbox.swarm({ type: "disconnectPeer", peerId: event.peerId, reason });
      if (peer?.state.name === "dialling") this.#waitBeforeDialling(peer, now);
      return undefined;
    }
    if (peer === undefined) {
      if (this.#peers.size >= LIMITS.peersKnownMax) this.#forgetOne();
      peer = newPeer(event.peerId, [], false, now);
      this.#peers.set(event.peerId, peer);
    }
    const link: Link = {
      peerId: event.peerId,
      host: event.host,
      slot: this.#freeSlots.pop() ?? this.#slotCount++,
      // Who takes no request at all could never be asked, and would be waited for.
      requestsMax: Math.max(1, event.requestsMax),
      outstanding: 0,
      yielding: 0,
      unverified: 0,
      goodPieces: 0,
      busyUntil: 0,
      received: new RateMeter(now),
    };
    peer.state = { name: "connected", link };
    peer.dialFailures = 0;
    this.#links.set(event.peerId, link);
    this.#deps.outbox.notice({ type: "peerConnected", peerId: event.peerId });
    this.dial(now);
    return link;
  }

  /** connected -> known, or stays banned. Returns the link that ended, if there was one. */
  disconnected(peerId: PeerId, reason: string, now: Millis): Link | undefined {
    const link = this.#links.get(peerId);
    const peer = this.#peers.get(peerId);
    if (link !== undefined) {
      this.#links.delete(peerId);
      this.#freeSlots.push(link.slot);
      this.#deps.outbox.notice({ type: "peerDisconnected", peerId, reason });
    }
    if (peer?.state.name === "connected") this.#waitBeforeDialling(peer, now);
    this.dial(now);
    return link;
  }

  /** dialling -> known, to be dialled again after a growing wait. */
  dialFailed(peerId: PeerId, now: Millis): void {
    const peer = this.#peers.get(peerId);
    if (peer?.state.name !== "dialling") return;
    this.#dialling--;
    this.#waitBeforeDialling(peer, now);
    this.dial(now);
  }

  /** A verified piece from the peer. */
  credit(peerId: PeerId, now: Millis): void {
    const peer = this.#peers.get(peerId);
    if (peer === undefined) return;
    this.#recover(peer, now);
    peer.score = Math.min(SCORE_MAX, peer.score + 1);
    if (peer.state.name === "connected") peer.state.link.goodPieces++;
  }

  /** Something only a broken or hostile peer does; may end in a ban (R-BAN-01). */
  offended(peerId: PeerId, offence: Offence, now: Millis): void {
    const peer = this.#peers.get(peerId);
    if (peer === undefined || peer.state.name === "banned") return;
    this.#recover(peer, now);
    peer.score = Math.max(SCORE_MIN, peer.score - PENALTIES[offence]);
    if (peer.state.name === "connected") peer.state.link.goodPieces = 0;
    this.#deps.outbox.notice({ type: "peerOffended", peerId, offence });
    if (offence === "corruptPiece" || offence === "corruptManifest") peer.corruptPieces++;
    if (peer.score <= SCORE_MIN || peer.corruptPieces >= CORRUPT_PIECES_MAX) {
      this.#ban(peer, offence, now);
    }
  }

  /**
   * Whether the peer may be asked for one more piece, by what it has proved: on probation one at a
   * time, until the last one is verified (R-SCH-06, R-SCH-07); later as many as keep it busy.
   */
  hasRoom(link: Link, pieceLength: number, now: Millis, yields: boolean): boolean {
    if (now < link.busyUntil || (yields && link.yielding > 0)) return false;
    if (link.goodPieces < PROBATION_PIECES) return link.outstanding + link.unverified === 0;
    if (yields) return link.outstanding < link.requestsMax;
    const rate = link.received.rateBytesPerSec(now);
    const ahead = 2 + Math.ceil((rate * PIPELINE_MS) / 1_000 / pieceLength);
    const { inFlightPerPeerMax } = this.#deps.settings;
    const asked = link.outstanding - link.yielding;
    return asked < Math.min(ahead, link.requestsMax - link.yielding, inFlightPerPeerMax);
  }

  /** Dials whom it is time to dial, static peers first, within the bounds. */
  dial(now: Millis): void {
    const { settings, outbox } = this.#deps;
    this.#dialledAt = now;
    this.#deadline = undefined;
    for (const isStatic of [true, false]) {
      if (!isStatic && !this.#wanted) return;
      for (const peer of this.#peers.values()) {
        if (this.#dialling >= settings.dialsMax) return;
        if (this.#links.size + this.#dialling >= settings.connectionsMax) return;
        if (peer.isStatic !== isStatic || !isDue(peer, now)) continue;
        peer.state = { name: "dialling" };
        this.#dialling++;
        outbox.swarm({ type: "dialPeer", peerId: peer.peerId, addresses: peer.addresses });
      }
    }
  }

  /** The next instant at which a peer may be dialled, or a ban ends. */
  pollDeadline(): Millis {
    this.#deadline ??= this.#nextDeadline();
    return this.#deadline;
  }

  handleTimeout(now: Millis): void {
    for (const peer of this.#peers.values()) {
      if (peer.state.name === "banned" && peer.state.until <= now) {
        peer.state = { name: "known", dialAt: now };
        peer.corruptPieces = 0;
      }
    }
    this.dial(now);
  }

  #nextDeadline(): Millis {
    let deadline = Infinity;
    for (const { state, addresses, isStatic } of this.#peers.values()) {
      if (state.name === "banned") deadline = Math.min(deadline, state.until);
      if (state.name !== "known" || addresses.length === 0) continue;
      if (!(isStatic || this.#wanted) || state.dialAt <= this.#dialledAt) continue;
      deadline = Math.min(deadline, state.dialAt);
    }
    return deadline;
  }

  /** known/dialling/connected -> banned, longer each time. */
  #ban(peer: Peer, offence: Offence, now: Millis): void {
    const { settings, outbox, counters } = this.#deps;
    const banMs = Math.min(settings.banMs * 2 ** peer.bans, BAN_MS_MAX);
    if (peer.state.name === "dialling") this.#dialling--;
    const wasConnected = peer.state.name === "connected";
    if (peer.state.name === "connected") peer.state.link.busyUntil = Infinity;
    peer.state = { name: "banned", until: now + banMs };
    this.#deadline = undefined;
    peer.bans++;
    counters.add("shoal_peer_bans_total");
    outbox.notice({ type: "peerBanned", peerId: peer.peerId, offence });
    if (wasConnected) {
      outbox.swarm({ type: "disconnectPeer", peerId: peer.peerId, reason: `banned: ${offence}` });
    }
  }

  #waitBeforeDialling(peer: Peer, now: Millis): void {
    const { settings, random } = this.#deps;
    this.#deadline = undefined;
    peer.dialFailures++;
    const bounds = { min: settings.dialBackoffMsMin, max: settings.dialBackoffMsMax };
    peer.state = { name: "known", dialAt: now + backoffMs(peer.dialFailures, bounds, random) };
  }

  /** A point a minute towards zero. */
  #recover(peer: Peer, now: Millis): void {
    const points = (now - peer.scoredAt) / 60_000;
    peer.scoredAt = now;
    peer.score = Math.sign(peer.score) * Math.max(0, Math.abs(peer.score) - points);
  }

  /**
   * Makes room by forgetting the first peer that is merely known and not the user's choice, else
   * the first that is banned: identities are free, so old bans of theirs must not fill the table.
   */
  #forgetOne(): boolean {
    for (const name of ["known", "banned"] as const) {
      for (const peer of this.#peers.values()) {
        if (peer.state.name !== name || peer.isStatic || this.#links.has(peer.peerId)) continue;
        this.#peers.delete(peer.peerId);
        return true;
      }
    }
    return false;
  }
}

function newPeer(
  peerId: PeerId,
  addresses: readonly string[],
  isStatic: boolean,
  now: Millis,
): Peer {
  return {
    peerId,
    addresses,
    isStatic,
    state: { name: "known", dialAt: now },
    dialFailures: 0,
    score: 0,
    scoredAt: now,
    corruptPieces: 0,
    bans: 0,
  };
}

function isDue(peer: Peer, now: Millis): boolean {
  return peer.state.name === "known" && peer.addresses.length > 0 && peer.state.dialAt <= now;
}

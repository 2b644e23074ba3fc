/**
 * The peers this agent knows: their addresses, whether they are connected, and when they may be
 * dialled again.
 *
 *   known ──dial──▶ dialling ──▶ connected ──▶ known (dial later, by backoff)
 *     any state ──ban──▶ banned ──ban over, or removed──▶ known
 *
 * Knows nothing of contents or pieces. What peers have done, and bans, are `Conduct`'s. Called by
 * the scheduler.
 */
import type { Counters } from "../registry/counters.ts";
import { LIMITS } from "../registry/limits.ts";
import type { Settings } from "../registry/settings.ts";
import type { Random } from "../random.ts";
import { peerClassOf, RECEIVED_COUNTERS } from "../policy/peer-class.ts";
import { proximityOf } from "../policy/proximity.ts";
import type { StoreEvent } from "../ports/store-port.ts";
import type { Offence, SwarmEvent } from "../ports/swarm-port.ts";
import type { Millis, PeerId } from "../units.ts";
import { addressKey } from "./address-key.ts";
import { Conduct } from "./conduct.ts";
import type { Ban, BanList } from "./conduct.ts";
import { DialBackoff } from "./dial-backoff.ts";
import { Dialler } from "./dialler.ts";
import { isNews, newPeer, noteFailure } from "./known-peer.ts";
import type { Peer, PeerHint } from "./known-peer.ts";
import type { Outbox } from "./outbox.ts";
import { PeerMemory } from "./peer-memory.ts";
import { isCrowded, isOnProbation, newLink, noteService, owedBy, takesMore } from "./peer-link.ts";
import type { PeerGate } from "./peer-gate.ts";
import type { Link } from "./peer-link.ts";
import type { WallClock } from "./wall-clock.ts";

export type { Link } from "./peer-link.ts";

type StateLoaded = Extract<StoreEvent, { readonly type: "stateLoaded" }>;

/** The part of all connections that is kept for preferred and static peers: one in so many. */
const PREFERRED_PART = 8;
/** Requests that every peer may owe, however slow it is. */
const DEPTH_MIN = 2;
const NOT_ADMITTED = "policy";
/** Requests ahead of need: what a peer delivers in this time is kept outstanding. */
const PIPELINE_MS = 100;

export interface PeerTableDeps {
  readonly outbox: Outbox;
  readonly random: Random;
  readonly settings: Settings;
  readonly counters: Counters;
  readonly wallClock: WallClock;
  readonly gate: PeerGate;
}

/** Who is known, and what stands in the way of a connection. */
export interface PeerTableParts {
  readonly peers: ReadonlyMap<PeerId, Peer>;
  readonly conduct: Conduct;
  readonly backoff: DialBackoff;
  /** How many are being dialled. */
  readonly dialling: number;
}

type PeerConnected = Omit<Extract<SwarmEvent, { type: "peerConnected" }>, "type">;
type DialFailure = Extract<SwarmEvent, { type: "dialFailed" }>;

export class PeerTable implements BanList {
  readonly #deps: PeerTableDeps;
  readonly #conduct: Conduct;
  readonly #memory: PeerMemory;
  readonly #backoff: DialBackoff;
  readonly #peers = new Map<PeerId, Peer>();
  readonly #links = new Map<PeerId, Link>();
  /** The same by slot, and by address. */
  readonly #linksBySlot: Array<Link | undefined> = [];
  readonly #linksByAddress = new Map<string, readonly Link[]>();
  readonly #freeSlots: number[] = [];
  #slotCount = 0;
  readonly #dialler: Dialler;

  constructor(deps: PeerTableDeps) {
    this.#deps = deps;
    this.#conduct = new Conduct(deps);
    this.#memory = new PeerMemory(deps);
    const bannedUntil = (address: string) => this.#conduct.bannedUntil("address", address);
    this.#backoff = new DialBackoff({ ...deps, bannedUntil });
    const known = { peers: this.#peers, links: this.#links, backoff: this.#backoff };
    this.#dialler = new Dialler({ ...deps, ...known });
  }

  /** Takes over what earlier runs have stored about peers. */
  load({ conduct = [], peers = [] }: Pick<StateLoaded, "conduct" | "peers">, now: Millis): void {
    this.#dialler.began(now);
    this.#conduct.load(conduct, now);
    for (const { peerId, addresses } of this.#memory.load(peers, now)) {
      this.discovered({ peerId, addresses, isStatic: false, foundBy: "memory" }, now);
    }
    for (const peer of this.#peers.values()) this.#applyBan(peer);
    for (const { address } of this.#links.values()) {
      if (this.#conduct.isBanned("address", address)) this.#emptyAddress(address, now);
    }
    this.#dialler.dial(now);
  }

  bans(now: Millis): Ban[] {
    return this.#conduct.bans(now);
  }

  /** banned -> known */
  removeBan(subject: string, now: Millis): boolean {
    if (!this.#conduct.remove(subject, now)) return false;
    this.#endBans(now);
    return true;
  }

  /** For those who explain why a peer is not used. */
  get parts(): PeerTableParts {
    const dialling = this.#dialler.size;
    return { peers: this.#peers, conduct: this.#conduct, backoff: this.#backoff, dialling };
  }

  /** Who is dialled, and when. */
  get dialler(): Dialler {
    return this.#dialler;
  }

  get links(): ReadonlyMap<PeerId, Link> {
    return this.#links;
  }
  /** Where the connected peer with the slot is. */
  addressOf(slot: number): string {
    return this.#linksBySlot[slot]?.address ?? "";
  }

  /** Connected peers with the address; not to be kept. O(1). */
  linksAt(address: string): readonly Link[] {
    return this.#linksByAddress.get(address) ?? [];
  }

  /** Returns whether that changes what there is to do. */
  discovered(found: PeerHint & { readonly peerId: PeerId }, now: Millis): boolean {
    const addresses = found.addresses.slice(0, LIMITS.addressesPerPeerMax);
    const known = this.#peers.get(found.peerId);
    // Members say again and again that they are there; what is known of them rarely changes.
    if (known !== undefined && !isNews(known, found)) return this.#dialler.dialIfDue(now);
    if (known === undefined) {
      if (this.#peers.size >= LIMITS.peersKnownMax && !this.#forgetOne()) return false;
      const peer = newPeer({ ...found, addresses }, now);
      this.#applyBan(peer);
      this.#peers.set(found.peerId, peer);
      this.#dialler.known(peer);
    } else {
      known.isPreferred ||= found.isPreferred === true;
      // Hints are unproved: what the user said of a peer comes before them.
      const isWeaker = known.isStatic && !found.isStatic;
      known.isLocal ||= found.isLocal === true;
      const both = isWeaker
        ? [...known.addresses, ...addresses]
        : [...addresses, ...known.addresses];
      known.addresses = [...new Set(both)].slice(0, LIMITS.addressesPerPeerMax);
      if (found.isStatic && !known.isStatic) {
        known.isStatic = true;
        known.foundBy = "static";
        if (known.state.name === "known") known.state = { name: "known", dialAt: now };
      }
      this.#dialler.known(known);
    }
    this.#dialler.dial(now);
    return true;
  }

  /** any state but banned -> connected. Who is banned, or comes from where it is, is sent away. */
  connected(event: PeerConnected, now: Millis): Link | undefined {
    let peer = this.#peers.get(event.peerId);
    const address = addressKey(event.host);
    const isBanned =
      this.#conduct.isBanned("peer", event.peerId) ||
      (peer?.isStatic !== true && this.#conduct.isBanned("address", address));
    if (peer?.state.name === "dialling") this.#dialler.ended();
    const isRefused = !this.#dialler.admits(peer);
    if (isBanned || isRefused || this.#links.size >= this.#linksMax(peer)) {
      const reason = isBanned ? "banned" : isRefused ? NOT_ADMITTED : "too many connections";
      this.#deps.outbox.swarm({ type: "disconnectPeer", peerId: event.peerId, reason });
      if (peer?.state.name === "dialling") this.#waitBeforeDialling(peer, now);
      return undefined;
    }
    if (peer === undefined) {
      if (this.#peers.size >= LIMITS.peersKnownMax) this.#forgetOne();
      peer = newPeer({ peerId: event.peerId }, now);
      this.#peers.set(event.peerId, peer);
      this.#dialler.known(peer);
    }
    const place = { isLocal: peer.isLocal, reach: event.reach ?? "private" };
    const peerClass = peerClassOf(place, this.#deps.settings.downloadMode);
    const slot = this.#freeSlots.pop() ?? this.#slotCount++;
    const link = newLink(event, { address, peerClass, proximity: proximityOf(place), slot }, now);
    peer.state = { name: "connected", link };
    peer.dialFailures = 0;
    this.#backoff.succeeded(address);
    this.#unlist(event.peerId);
    this.#links.set(event.peerId, link);
    this.#linksBySlot[slot] = link;
    this.#linksByAddress.set(address, [...this.linksAt(address), link]);
    this.#deps.outbox.notice({ type: "peerConnected", peerId: event.peerId });
    this.#dialler.dial(now);
    return link;
  }

  /** connected -> known, or stays banned. Returns the link that ended, if there was one. */
  disconnected(peerId: PeerId, reason: string, now: Millis): Link | undefined {
    const link = this.#unlist(peerId);
    const peer = this.#peers.get(peerId);
    if (link !== undefined) {
      this.#freeSlots.push(link.slot);
      this.#deps.outbox.notice({ type: "peerDisconnected", peerId, reason });
    }
    if (peer !== undefined) noteFailure(peer, "disconnected", reason);
    if (peer?.state.name === "connected") this.#waitBeforeDialling(peer, now);
    this.#dialler.dial(now);
    return link;
  }

  /** dialling -> known, to be dialled again after a growing wait. */
  dialFailed({ peerId, reason, isForeign = false }: DialFailure, now: Millis): void {
    const peer = this.#peers.get(peerId);
    if (peer?.state.name !== "dialling") return;
    noteFailure(peer, "dialFailed", reason);
    this.#dialler.ended();
    this.#waitBeforeDialling(peer, now);
    if (isForeign) peer.state = { name: "known", dialAt: now + LIMITS.foreignRetryMs };
    this.#backoff.failed(peer, (address) => this.linksAt(address).length > 0, now);
    this.#dialler.dial(now);
  }

  /** Bytes of a piece have come from the peer. */
  received(link: Link, piece: { length: number; askedAt: Millis }, now: Millis): void {
    const { length, askedAt } = piece;
    link.received.add(length, now);
    link.traffic.received.add(length, now);
    noteService(link, { length, tookMs: now - askedAt });
    this.#deps.counters.add(RECEIVED_COUNTERS[link.peerClass], length);
  }

  /** The gate has moved: whom it does not admit is sent away, all others may be dialled at once. */
  gateMoved(now: Millis): void {
    for (const peer of this.#peers.values()) {
      const { peerId, state } = peer;
      if (state.name === "known") peer.state = { name: "known", dialAt: now };
      if (state.name !== "connected" || this.#dialler.admits(peer)) continue;
      state.link.busyUntil = Infinity;
      this.#deps.outbox.swarm({ type: "disconnectPeer", peerId, reason: NOT_ADMITTED });
    }
    this.#dialler.dial(now);
  }

  /** A verified piece from the peer. */
  credit(peerId: PeerId, now: Millis): void {
    const link = this.#links.get(peerId);
    if (link === undefined) return;
    this.#conduct.credit(peerId, now);
    const peer = this.#peers.get(peerId);
    const isFirst = link.goodPieces++ === 0;
    // Whom the user names is the user's to name again.
    if (isFirst && peer?.isStatic === false) this.#memory.delivered(peer, link.address, now);
  }

  /** Something only a broken or hostile peer does; may end in a ban (R-BAN-01, R-BAN-02). */
  offended(peerId: PeerId, offence: Offence, now: Millis): void {
    const peer = this.#peers.get(peerId);
    if (peer === undefined || peer.state.name === "banned") return;
    const link = this.#links.get(peerId);
    if (link !== undefined) link.goodPieces = 0;
    this.#deps.outbox.notice({ type: "peerOffended", peerId, offence });
    // One that has not connected has proved nothing about its address.
    const address = link?.address ?? "";
    this.#conduct.offended({ peerId, address }, offence, now);
    this.#applyBan(peer, `banned: ${offence}`);
    if (this.#conduct.isBanned("peer", peerId)) this.#memory.forget(peerId, now);
    if (this.#conduct.isBanned("address", address)) this.#emptyAddress(address, now);
  }

  /** What the peer said of a content cannot be true; the adapter, which cannot know, is told. */
  lied(peerId: PeerId, now: Millis): void {
    this.offended(peerId, "malformedFrame", now);
    const link = this.#links.get(peerId);
    if (link === undefined || link.busyUntil === Infinity) return;
    link.busyUntil = Infinity;
    const reason = "what it said of a content cannot be true";
    this.#deps.outbox.swarm({ type: "disconnectPeer", peerId, reason });
  }

  /**
   * Whether the peer may be asked for one more piece, by what it has proved: on probation one at a
   * time, until the last one is verified, and two at one address (R-SCH-06, R-SCH-07); later as many
   * as keep it busy.
   */
  hasRoom(link: Link, pieceLength: number, now: Millis, yields: boolean): boolean {
    if (now < link.busyUntil || (yields && link.yielding > 0)) return false;
    if (isOnProbation(link)) return owedBy(link) === 0 && !isCrowded(this.linksAt(link.address));
    const requestsMax = link.requestsMax - link.manifests.kept;
    if (yields) return link.outstanding < requestsMax;
    const { inFlightPerPeerMax } = this.#deps.settings;
    const asked = link.outstanding - link.yielding;
    const rate = link.received.rateBytesPerSec(now);
    const byRate = DEPTH_MIN + Math.ceil((rate * PIPELINE_MS) / 1_000 / pieceLength);
    const depthMax = Math.min(requestsMax - link.yielding, inFlightPerPeerMax);
    return takesMore(link, asked, Math.min(depthMax, byRate));
  }

  /** The next instant at which a peer may be dialled, a ban ends, or conduct is stored. */
  pollDeadline(): Millis {
    return Math.min(
      this.#dialler.pollDeadline(),
      this.#conduct.pollDeadline(),
      this.#memory.pollDeadline(),
    );
  }

  handleTimeout(now: Millis): void {
    this.#conduct.handleTimeout(now);
    this.#memory.handleTimeout(now);
    this.#endBans(now);
  }

  /** banned -> known, for those whose ban is over. */
  #endBans(now: Millis): void {
    for (const peer of this.#peers.values()) {
      if (peer.state.name !== "banned" || this.#conduct.isBanned("peer", peer.peerId)) continue;
      peer.state = { name: "known", dialAt: now };
    }
    this.#dialler.dial(now);
  }

  /** known/dialling -> banned, for a peer that conduct says is. */
  #applyBan(peer: Peer, reason = "banned"): void {
    const { peerId, state } = peer;
    if (!this.#conduct.isBanned("peer", peerId)) return;
    if (state.name === "dialling") this.#dialler.ended();
    if (state.name === "connected") {
      state.link.busyUntil = Infinity;
      this.#deps.outbox.swarm({ type: "disconnectPeer", peerId, reason });
    }
    peer.state = { name: "banned" };
    this.#dialler.changed();
  }

  /** Sends away who has proved nothing, from an address that is refused (R-BAN-02). */
  #emptyAddress(address: string, now: Millis): void {
    this.#dialler.changed();
    for (const link of this.linksAt(address)) {
      const { peerId } = link;
      const peer = this.#peers.get(peerId);
      if (peer?.state.name !== "connected" || peer.isStatic || !isOnProbation(link)) continue;
      link.busyUntil = Infinity;
      this.#deps.outbox.swarm({ type: "disconnectPeer", peerId, reason: "its address is banned" });
      this.#waitBeforeDialling(peer, now);
    }
  }

  #unlist(peerId: PeerId): Link | undefined {
    const link = this.#links.get(peerId);
    if (link === undefined) return undefined;
    this.#links.delete(peerId);
    this.#linksBySlot[link.slot] = undefined;
    const others = this.linksAt(link.address).filter((other) => other !== link);
    if (others.length > 0) this.#linksByAddress.set(link.address, others);
    else this.#linksByAddress.delete(link.address);
    return link;
  }

  /** Some places are kept for those that are worth one beyond those that are wanted anyway. */
  #linksMax(peer: Peer | undefined): number {
    const { connectionsMax } = this.#deps.settings;
    if (peer?.isStatic === true || peer?.isPreferred === true) return connectionsMax;
    return connectionsMax - Math.floor(connectionsMax / PREFERRED_PART);
  }

  #waitBeforeDialling(peer: Peer, now: Millis): void {
    this.#dialler.changed();
    peer.dialFailures++;
    peer.state = { name: "known", dialAt: now + this.#backoff.waitMs(peer.dialFailures) };
  }

  /**
   * Makes room by forgetting the first peer that is merely known and not the user's choice, else
   * the first that is banned, whose ban conduct remembers: identities are free.
   */
  #forgetOne(): boolean {
    for (const name of ["known", "banned"] as const) {
      for (const peer of this.#peers.values()) {
        if (peer.state.name !== name || peer.isStatic || this.#links.has(peer.peerId)) continue;
        this.#peers.delete(peer.peerId);
        this.#dialler.forgotten(peer);
        return true;
      }
    }
    return false;
  }
}

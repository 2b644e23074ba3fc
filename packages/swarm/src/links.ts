/**
 * The links of all peers: which one counts, what is being dialled, and what core hears of it.
 *
 * Two peers that dial each other get two connections. The one with the lower peer id chooses: it
 * greets on one connection only, and the other side uses the one on which it is greeted. So both
 * use the same, none that is in use is given up, and each side reports one `peerConnected`.
 *
 *              lower id                        higher id
 *   dialler    HELLO unless one is chosen      HELLO unless one is open; open when greeted
 *   listener   answers the first HELLO,        answers every HELLO: being greeted
 *              closes the others               means being chosen
 *
 * A peer that greets anew although its link has been open for long has lost that link without our
 * seeing it; the new one takes its place.
 *
 * Knows links and connections, not frames. Called by the swarm and, as their host, by links.
 */
import type { Connection } from "@libp2p/interface";
import { assert } from "@shoal/core";
import type { PeerId, PieceBytes, SwarmEvent } from "@shoal/core";
import { abortConnection } from "./abort-connection.ts";
import { reachOf } from "./address-rules.ts";
import type { Link, LinkHost } from "./link.ts";

interface Peer {
  /** Links that have neither been chosen nor closed. */
  readonly candidates: Set<Link>;
  /** The link that counts: chosen by whoever has the lower id. */
  chosen: Link | undefined;
  chosenAt: number;
  /** Ends the dial under way. */
  dial: AbortController | undefined;
  /** Core waits for `peerConnected` or `dialFailed`. */
  isAwaited: boolean;
  /** Why the last attempt failed. */
  failure: string;
  /** It speaks another version of the protocol. */
  isForeign: boolean;
}

interface LinkTableDeps {
  readonly selfId: PeerId;
  readonly emit: (event: SwarmEvent, payload?: PieceBytes) => void;
}

export class LinkTable implements LinkHost {
  readonly #selfId: PeerId;
  readonly #emit: LinkTableDeps["emit"];
  readonly #handshakeTimeoutMs: number;
  readonly #peers = new Map<PeerId, Peer>();
  readonly #hostByLink = new Map<Link, string>();
  readonly #idleTimeoutMs: number;
  /** Open links, and when each is looked at to see whether it is idle (R-PEER-19). */
  readonly #idleTimers = new Map<Link, NodeJS.Timeout>();
  /** Connections without an open link, and the deadline of each (R-PEER-25). */
  readonly #deadlines = new Map<Connection, NodeJS.Timeout>();
  #isClosed = false;

  constructor(deps: LinkTableDeps, options: { handshakeTimeoutMs: number; idleTimeoutMs: number }) {
    this.#selfId = deps.selfId;
    this.#emit = deps.emit;
    this.#idleTimeoutMs = options.idleTimeoutMs;
    this.#handshakeTimeoutMs = options.handshakeTimeoutMs;
  }

  /** The open link to a peer. */
  get(peerId: PeerId): Link | undefined {
    const link = this.#peers.get(peerId)?.chosen;
    return link?.isOpen === true ? link : undefined;
  }

  /** Gives a new connection the time of a handshake to become a link. */
  watch(connection: Connection): void {
    if (this.#isClosed) return abortConnection(connection, "the agent is closing");
    const timer = setTimeout(() => {
      this.#deadlines.delete(connection);
      abortConnection(connection, `no greeting within ${this.#handshakeTimeoutMs} ms`);
    }, this.#handshakeTimeoutMs);
    this.#deadlines.set(connection, timer);
    connection.addEventListener("close", () => this.#unwatch(connection));
  }

  /** Takes in a link that has just been made. A dialler's greets here, if it may. */
  add(link: Link, host: string): void {
    if (this.#isClosed) return link.close("the agent is closing");
    const peer = this.#peer(link.peerId);
    peer.candidates.add(link);
    this.#hostByLink.set(link, host);
    if (!link.isDialler) return;
    const isRival = this.#isChooser(link.peerId)
      ? peer.chosen !== undefined
      : peer.chosen?.isOpen === true;
    if (isRival) return link.close(RIVAL);
    if (this.#isChooser(link.peerId)) this.#choose(peer, link);
    link.greet();
  }

  admits(link: Link): boolean {
    const peer = this.#peer(link.peerId);
    const { chosen } = peer;
    if (chosen !== undefined) {
      const isOld = chosen.isOpen && performance.now() - peer.chosenAt >= this.#handshakeTimeoutMs;
      if (this.#isChooser(link.peerId) && !isOld) return false;
      chosen.close("the peer opened a new connection");
    }
    this.#choose(peer, link);
    return true;
  }

  opened(link: Link, requestsMax: number): void {
    const { peerId } = link;
    const peer = this.#peer(peerId);
    if (peer.chosen !== link) {
      // A dialler with the higher id, greeted and thereby chosen.
      peer.chosen?.close("the peer opened a new connection");
      this.#choose(peer, link);
    }
    this.#unwatch(link.connection);
    this.#watchIdle(link);
    peer.isAwaited = false;
    const host = this.#hostByLink.get(link) ?? "";
    const transport = transportOf(link.connection.encryption);
    const place = { host, reach: reachOf(host), ...(transport !== undefined && { transport }) };
    this.#emit({ type: "peerConnected", peerId, ...place, requestsMax });
    for (const candidate of peer.candidates) candidate.close(RIVAL);
  }

  closed(link: Link, reason: string, manner: "abort" | "farewell"): void {
    this.#hostByLink.delete(link);
    clearTimeout(this.#idleTimers.get(link));
    this.#idleTimers.delete(link);
    const { peerId } = link;
    const peer = this.#peers.get(peerId);
    if (peer === undefined) return;
    peer.candidates.delete(link);
    if (peer.chosen === link) {
      peer.chosen = undefined;
      if (link.wasOpen) this.#emit({ type: "peerDisconnected", peerId, reason });
    }
    if (reason !== RIVAL) peer.failure = reason;
    if (manner === "farewell") peer.isForeign = true;
    this.#settle(peerId, peer);
  }

  emit(event: SwarmEvent, payload?: PieceBytes): void {
    this.#emit(event, payload);
  }

  /** Registers a dial; `undefined` when there is nothing to do. Ends with `endDial`. */
  beginDial(peerId: PeerId): AbortController | undefined {
    const peer = this.#peer(peerId);
    if (this.get(peerId) !== undefined) return undefined;
    peer.isAwaited = true;
    if (peer.dial !== undefined) return undefined;
    peer.dial = new AbortController();
    return peer.dial;
  }

  /** The dial has led to a link, or failed for the reason given. */
  endDial(peerId: PeerId, failure: string | undefined): void {
    const peer = this.#peer(peerId);
    peer.dial = undefined;
    if (failure !== undefined) peer.failure = failure;
    this.#settle(peerId, peer);
  }

  /** Closes every connection to the peer and gives up dialling it. */
  disconnect(peerId: PeerId, reason: string): void {
    const peer = this.#peers.get(peerId);
    if (peer === undefined) return;
    peer.dial?.abort(new Error(reason));
    for (const link of [peer.chosen, ...peer.candidates]) link?.close(reason);
  }

  /** Closes everything. */
  close(): void {
    this.#isClosed = true;
    for (const peer of this.#peers.values()) {
      for (const link of [peer.chosen, ...peer.candidates]) link?.close("the agent is closing");
    }
    for (const connection of this.#deadlines.keys()) {
      this.#unwatch(connection);
      abortConnection(connection, "the agent is closing");
    }
  }

  checkInvariants(): void {
    for (const [peerId, peer] of this.#peers) {
      const { chosen, candidates } = peer;
      assert(chosen === undefined || !candidates.has(chosen), "a chosen link is no candidate");
      assert(chosen === undefined || chosen.peerId === peerId, "a link belongs to its peer");
      for (const link of candidates) assert(!link.isOpen, "a candidate is not open");
      const isWatched = chosen !== undefined && this.#idleTimers.has(chosen);
      assert(isWatched === (chosen?.isOpen === true), "an open link is watched");
      assert(this.#isUsed(peer), "a peer without links and dials is forgotten");
    }
  }

  #peer(peerId: PeerId): Peer {
    let peer = this.#peers.get(peerId);
    if (peer === undefined) {
      peer = {
        candidates: new Set(),
        chosen: undefined,
        chosenAt: 0,
        dial: undefined,
        isAwaited: false,
        failure: "",
        isForeign: false,
      };
      this.#peers.set(peerId, peer);
    }
    return peer;
  }

  #isChooser(peerId: PeerId): boolean {
    return this.#selfId < peerId;
  }

  #choose(peer: Peer, link: Link): void {
    peer.candidates.delete(link);
    peer.chosen = link;
    peer.chosenAt = performance.now();
  }

  #unwatch(connection: Connection): void {
    clearTimeout(this.#deadlines.get(connection));
    this.#deadlines.delete(connection);
  }

  /** Ends a link of no use for the time allowed; looks again when that time may be over. */
  #watchIdle(link: Link): void {
    const leftMs = link.usefulAt + this.#idleTimeoutMs - performance.now();
    if (leftMs <= 0) return link.close(`of no use for ${this.#idleTimeoutMs} ms`);
    const timer = setTimeout(() => this.#watchIdle(link), leftMs).unref();
    this.#idleTimers.set(link, timer);
  }

  #isUsed(peer: Peer): boolean {
    return peer.chosen !== undefined || peer.candidates.size > 0 || peer.dial !== undefined;
  }

  /** When nothing is left that could become a link, core hears so and the peer is forgotten. */
  #settle(peerId: PeerId, peer: Peer): void {
    if (this.#isUsed(peer)) return;
    this.#peers.delete(peerId);
    if (!peer.isAwaited) return;
    const { failure: reason, isForeign } = peer;
    this.#emit({ type: "dialFailed", peerId, reason, ...(isForeign && { isForeign }) });
  }
}

/** Why a connection ends that lost against another to the same peer. */
const RIVAL = "another connection to the peer is in use";

/** The kind of handshake; those of groups have longer names than the kind alone. */
function transportOf(protocol: string | undefined): string | undefined {
  return protocol?.split("/")[1];
}

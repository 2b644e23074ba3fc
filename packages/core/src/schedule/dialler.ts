/**
 * Whom to dial, and when: peers the user named first, then those that fetch for others as we do,
 * then others until as many are connected as are wanted. Not more than so many at a time, and
 * whoever failed waits (`DialBackoff`). While nothing is wanted, a few neighbours are kept, so that
 * a transfer begins among peers that can speak at once.
 *
 * Knows peers and links, not contents. Called by `PeerTable` and by who wants peers.
 */
import type { Settings } from "../registry/settings.ts";
import type { Millis, PeerId } from "../units.ts";
import type { DialBackoff } from "./dial-backoff.ts";
import { DIAL_TURNS, isDue, turnOf } from "./known-peer.ts";
import type { DialTurn, Peer } from "./known-peer.ts";
import type { Outbox } from "./outbox.ts";
import type { PeerGate } from "./peer-gate.ts";
import type { Link } from "./peer-link.ts";

export interface DiallerDeps {
  readonly outbox: Outbox;
  readonly settings: Settings;
  readonly gate: PeerGate;
  readonly peers: ReadonlyMap<PeerId, Peer>;
  readonly links: ReadonlyMap<PeerId, Link>;
  readonly backoff: DialBackoff;
}

export class Dialler {
  readonly #deps: DiallerDeps;
  /** All known peers by the turn in which they are dialled, each kind in the order of hearing. */
  readonly #ofTurn: Readonly<Record<DialTurn, Set<Peer>>> = {
    static: new Set(),
    preferred: new Set(),
    other: new Set(),
  };
  #steps = 0;
  #dialling = 0;
  #wanted = false;
  #seekers = 0;
  #beganAt: Millis = -Infinity;
  /** When due peers were last dialled: who is still due then waits for a place, not for time. */
  #dialledAt: Millis = -1;
  #deadline: Millis | undefined;

  constructor(deps: DiallerDeps) {
    this.#deps = deps;
  }

  /** Peers looked at so far, to find one to dial or when to: the cost of the work, for tests. */
  get steps(): number {
    return this.#steps;
  }

  /** Dials under way. */
  get size(): number {
    return this.#dialling;
  }

  /** Whether some peer is being dialled or waits for its turn; so that waiting for it makes sense. */
  get hopeful(): boolean {
    if (this.#dialling > 0) return true;
    for (const peer of this.#deps.peers.values()) {
      if (peer.state.name !== "known" || peer.dialFailures > 0) continue;
      if (!this.admits(peer)) continue;
      if (this.#deps.backoff.openAt(peer) === -Infinity) return true;
    }
    return false;
  }

  /** Peers that are not connected, and may be soon. */
  *inSight(): Generator<PeerId> {
    for (const { peerId, state, dialFailures } of this.#deps.peers.values()) {
      if ((state.name === "known" && dialFailures === 0) || state.name === "dialling") yield peerId;
    }
  }

  /** Whether transfers look for peers; static peers are dialled regardless. */
  setWanted(wanted: boolean, now: Millis): void {
    if (wanted === this.#wanted) return;
    this.#wanted = wanted;
    this.dial(now);
  }

  /** Somebody looks for peers whose content has no name yet; until `stopSeeking`. */
  startSeeking(now: Millis): void {
    if (this.#seekers++ === 0) this.dial(now);
  }

  stopSeeking(): void {
    this.#seekers--;
  }

  /** Dials whom it is time to dial, static peers first, within the bounds. */
  dial(now: Millis): void {
    const { settings, outbox, backoff } = this.#deps;
    this.#dialledAt = now;
    this.#deadline = undefined;
    for (const turn of DIAL_TURNS) {
      for (const peer of this.#ofTurn[turn]) {
        if (this.#dialling >= settings.dialsMax) return;
        if (!this.#hasTurn(turn)) break;
        this.#steps++;
        if (!isDue(peer, now) || !this.#mayDial(peer)) continue;
        const addresses = backoff.open(peer, now);
        if (addresses.length === 0) continue;
        peer.state = { name: "dialling" };
        this.#dialling++;
        outbox.swarm({ type: "dialPeer", peerId: peer.peerId, addresses });
      }
    }
  }

  /** The agent has begun to look for peers. */
  began(now: Millis): void {
    this.#beganAt = now;
  }

  /** Whether the agent has only just begun to look, and has seen nobody: others may be near. */
  isBlind(now: Millis): boolean {
    const { settings, gate, peers } = this.#deps;
    if (peers.size > 0 || gate.peering.partners === "none") return false;
    return now - this.#beganAt < 2 * settings.coldStartMs;
  }

  /**
   * A hint said nothing that was not known: as long as no instant has come, nobody is due. Returns
   * whether one has.
   */
  dialIfDue(now: Millis): boolean {
    const isDue = this.#deadline === undefined || now >= this.#deadline;
    if (isDue) this.dial(now);
    else this.#dialledAt = now;
    return isDue;
  }

  /** A peer has come to be known, or is of another kind now. */
  known(peer: Peer): void {
    const turn = turnOf(peer);
    for (const other of DIAL_TURNS) if (other !== turn) this.#ofTurn[other].delete(peer);
    this.#ofTurn[turn].add(peer);
  }

  /** The peer is not known any more. */
  forgotten(peer: Peer): void {
    this.#ofTurn[turnOf(peer)].delete(peer);
  }

  /** A dial is over, whatever came of it. */
  ended(): void {
    this.#dialling--;
  }

  /** Some peer may be dialled at another time than was thought. */
  changed(): void {
    this.#deadline = undefined;
  }

  /** The next instant at which a peer may be dialled that may not be now. */
  pollDeadline(): Millis {
    this.#deadline ??= this.#nextDeadline();
    return this.#deadline;
  }

  /** Whether policy lets us be connected with the peer; `undefined` is one never heard of. */
  admits(peer: Peer | undefined): boolean {
    const { partners } = this.#deps.gate.peering;
    return partners === "all" || (partners === "local" && peer?.isLocal === true);
  }

  /** Whether one more of the kind may be connected with. */
  #hasTurn(turn: DialTurn): boolean {
    const { connectionsIdle, connectionsWanted, connectionsMax } = this.#deps.settings;
    let linksMax = connectionsMax;
    if (turn !== "static" && this.#isIdle) linksMax = Math.min(connectionsIdle, connectionsMax);
    else if (turn === "other") linksMax = Math.min(connectionsWanted, connectionsMax);
    return this.#deps.links.size + this.#dialling < linksMax;
  }

  /** Nobody looks for peers. */
  get #isIdle(): boolean {
    return !this.#wanted && this.#seekers === 0;
  }

  /** Who is far away may be known by hearsay only, and is not kept for later. */
  #mayDial(peer: Peer): boolean {
    return this.admits(peer) && (peer.isStatic || peer.isLocal || !this.#isIdle);
  }

  #nextDeadline(): Millis {
    let deadline = Infinity;
    for (const turn of DIAL_TURNS) {
      if (!this.#hasTurn(turn)) continue;
      for (const peer of this.#ofTurn[turn]) {
        this.#steps++;
        if (peer.state.name !== "known" || peer.addresses.length === 0) continue;
        if (!this.#mayDial(peer)) continue;
        const dialAt = Math.max(peer.state.dialAt, this.#deps.backoff.openAt(peer));
        if (dialAt > this.#dialledAt) deadline = Math.min(deadline, dialAt);
      }
    }
    return deadline;
  }
}

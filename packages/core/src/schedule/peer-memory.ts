/**
 * Peers that have delivered, remembered from run to run, so that an agent that starts again finds
 * its swarm before discovery has. What is remembered is a hint like any other: it is dialled when a
 * transfer wants peers, and proves itself anew.
 *
 * Only addresses of the host that delivered are kept: what else was said of the peer is unproved
 * (R-PEER-29). Times are of the wall clock in the store. Knows ids and addresses, not connections.
 * Called by `PeerTable`.
 */
import { isCount, isList, isRecordOf, isText } from "../job/shape.ts";
import { LIMITS } from "../registry/limits.ts";
import type { Millis, PeerId, UnixMillis } from "../units.ts";
import { addressKeyOf } from "./address-key.ts";
import type { Outbox } from "./outbox.ts";
import type { WallClock } from "./wall-clock.ts";

/** As it is stored: plain JSON. */
export interface RememberedPeer {
  readonly peerId: PeerId;
  /** Multiaddrs without the peer's id; at least one. */
  readonly addresses: readonly string[];
  /** When it first delivered in the last run in which it did. */
  readonly seenAt: UnixMillis;
}

/** After so long an address is more likely somebody else's. */
const MEMORY_MS = 30 * 24 * 3_600_000;
/** How long changes wait to be stored together. */
const SAVE_DELAY_MS = 2_000;
const ADDRESS_LENGTH_MAX = 256;

const isRememberedShape = isRecordOf({
  peerId: (value) => isText(LIMITS.nameLengthMax)(value) && value !== "",
  addresses: (value) =>
    isList(isText(ADDRESS_LENGTH_MAX), LIMITS.addressesPerPeerMax)(value) &&
    (value as readonly string[]).length > 0,
  seenAt: isCount(8.64e15),
});

/** The record, or `undefined` when it is not one. */
export function parseRememberedPeer(value: unknown): RememberedPeer | undefined {
  return isRememberedShape(value) ? (value as RememberedPeer) : undefined;
}

export class PeerMemory {
  readonly #deps: { readonly outbox: Outbox; readonly wallClock: WallClock };
  /** The one that was seen last comes last; bounded by `LIMITS.rememberedPeersMax`. */
  readonly #peers = new Map<PeerId, RememberedPeer>();
  #saveAt: Millis = Infinity;

  constructor(deps: { outbox: Outbox; wallClock: WallClock }) {
    this.#deps = deps;
  }

  /** Takes over what earlier runs have stored, the oldest first; returns whom to try. */
  load(stored: readonly RememberedPeer[], now: Millis): readonly RememberedPeer[] {
    const wallAt = this.#deps.wallClock.at(now);
    for (const peer of stored.slice(-LIMITS.rememberedPeersMax)) {
      if (wallAt - peer.seenAt < MEMORY_MS) this.#peers.set(peer.peerId, peer);
    }
    return Array.from(this.#peers.values()).toReversed();
  }

  /** The peer, connected from `host` (an `addressKey`), has delivered for the first time. */
  delivered(
    { peerId, addresses }: { readonly peerId: PeerId; readonly addresses: readonly string[] },
    host: string,
    now: Millis,
  ): void {
    const proved = addresses.filter(
      (address) => addressKeyOf(address) === host && address.length <= ADDRESS_LENGTH_MAX,
    );
    if (proved.length === 0) return;
    const seenAt = this.#deps.wallClock.at(now);
    this.#peers.delete(peerId);
    this.#peers.set(peerId, { peerId, addresses: proved, seenAt });
    const [oldest] = this.#peers.keys();
    if (this.#peers.size > LIMITS.rememberedPeersMax && oldest !== undefined) {
      this.#peers.delete(oldest);
    }
    this.#saveAt = Math.min(this.#saveAt, now + SAVE_DELAY_MS);
  }

  /** Somebody who was banned is not tried again. */
  forget(peerId: PeerId, now: Millis): void {
    if (!this.#peers.delete(peerId)) return;
    this.#saveAt = Math.min(this.#saveAt, now + SAVE_DELAY_MS);
  }

  pollDeadline(): Millis {
    return this.#saveAt;
  }

  handleTimeout(now: Millis): void {
    if (now < this.#saveAt) return;
    this.#saveAt = Infinity;
    this.#deps.outbox.store({ type: "savePeers", peers: [...this.#peers.values()] });
  }
}

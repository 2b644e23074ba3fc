/**
 * The peers heard of lately, a bounded number of them: beyond it the one that came first is
 * forgotten, unless it has been heard of again, in which case it takes another turn as if it had
 * just come (the second-chance rule of page caches).
 *
 *   queue    a b c b d      in the order of their turns; the first b was deleted and came again
 *
 * Most of what is heard is of somebody known, by far: that costs one lookup and moves nothing.
 *
 * Knows ids and their hashes. Called by `Presence`. Cost: O(1) for each, on average.
 */
import { hashText32 } from "../random.ts";
import type { PeerId } from "../units.ts";

export interface RecentPeer {
  readonly peerId: PeerId;
  /** `hashText32` of the id. */
  readonly hash: number;
  /** It has been heard of since its turn began. */
  isHeardAgain: boolean;
}

/** A peer that has not been heard of before. */
export function newcomer(peerId: PeerId): RecentPeer {
  return { peerId, hash: hashText32(peerId), isHeardAgain: false };
}

export class RecentPeers {
  readonly #max: number;
  readonly #known = new Map<PeerId, RecentPeer>();
  /** Entries from `#first` on count, and of those the ones that are still known. */
  #queue: RecentPeer[] = [];
  #first = 0;
  #steps = 0;

  constructor(max: number) {
    this.#max = max;
  }

  get size(): number {
    return this.#known.size;
  }

  /** Entries of the queue looked at so far: the cost of the work, for tests. */
  get steps(): number {
    return this.#steps;
  }

  /** The peer, if it is known; it has been heard of again. */
  heard(peerId: PeerId): RecentPeer | undefined {
    const peer = this.#known.get(peerId);
    if (peer !== undefined) peer.isHeardAgain = true;
    return peer;
  }

  /** A peer that is not known. */
  add(peerId: PeerId): RecentPeer {
    const peer = newcomer(peerId);
    this.#known.set(peerId, peer);
    this.#queue.push(peer);
    if (this.#known.size > this.#max) this.#dropFirst();
    if (this.#queue.length - this.#first > 2 * this.#max) this.#dropStale();
    if (this.#first > this.#max) this.#shorten();
    return peer;
  }

  /** Returns whether it was known. */
  delete(peerId: PeerId): boolean {
    return this.#known.delete(peerId);
  }

  #isStale(peer: RecentPeer): boolean {
    this.#steps++;
    return this.#known.get(peer.peerId) !== peer;
  }

  /** Somebody has just come, so the queue does not run out before one is found. */
  #dropFirst(): void {
    for (;;) {
      const peer = this.#queue[this.#first++]!;
      if (this.#isStale(peer)) continue;
      if (!peer.isHeardAgain) return void this.#known.delete(peer.peerId);
      peer.isHeardAgain = false;
      this.#queue.push(peer);
    }
  }

  /** The same few have gone and come again and again. */
  #dropStale(): void {
    this.#queue = this.#queue.slice(this.#first).filter((peer) => !this.#isStale(peer));
    this.#first = 0;
  }

  /** Gives back the room of entries that are passed. */
  #shorten(): void {
    this.#queue = this.#queue.slice(this.#first);
    this.#first = 0;
  }
}

/**
 * The peers heard of last, a bounded number of them: whoever was heard of longest ago is forgotten.
 *
 *   queue    a1 b2 c3 a4 b5 d6      who was heard of, and in which turn
 *   turns    a4 b5 c3 d6            the last turn of each; a1 and b2 are stale
 *
 * A set whose first entry is deleted and added again all the time keeps the holes of those entries
 * in front, and finding its first one walks over them; here stale entries are passed once.
 *
 * Knows ids. Called by `Presence`. Cost: O(1) for each, on average.
 */
import type { PeerId } from "../units.ts";

export class RecentPeers {
  readonly #max: number;
  readonly #turns = new Map<PeerId, number>();
  /** Entries from `#first` on count; entry i is of turn `#firstTurn` + i. */
  #queue: PeerId[] = [];
  #first = 0;
  #firstTurn = 0;
  #steps = 0;

  constructor(max: number) {
    this.#max = max;
  }

  get size(): number {
    return this.#turns.size;
  }

  /** Entries of the queue looked at so far: the cost of the work, for tests. */
  get steps(): number {
    return this.#steps;
  }

  /** The peer is the last heard of from now on. Returns whether it is new. */
  add(peerId: PeerId): boolean {
    const isNew = !this.#turns.has(peerId);
    this.#turns.set(peerId, this.#firstTurn + this.#queue.length);
    this.#queue.push(peerId);
    if (this.#turns.size > this.#max) this.#dropOldest();
    if (this.#queue.length > 2 * this.#max + this.#first) this.#dropStale();
    if (this.#first > this.#max) this.#shorten();
    return isNew;
  }

  /** Returns whether it was known. */
  delete(peerId: PeerId): boolean {
    return this.#turns.delete(peerId);
  }

  #isStale(at: number): boolean {
    this.#steps++;
    return this.#turns.get(this.#queue[at]!) !== this.#firstTurn + at;
  }

  #dropOldest(): void {
    while (this.#isStale(this.#first)) this.#first++;
    this.#turns.delete(this.#queue[this.#first++]!);
  }

  /** The same few have been heard of again and again: their last turns are counted from 0 anew. */
  #dropStale(): void {
    const live: PeerId[] = [];
    for (let at = this.#first; at < this.#queue.length; at++) {
      if (!this.#isStale(at)) live.push(this.#queue[at]!);
    }
    this.#queue = live;
    this.#first = 0;
    this.#firstTurn = 0;
    for (let at = 0; at < live.length; at++) this.#turns.set(live[at]!, at);
  }

  /** Gives back the room of entries that are passed. */
  #shorten(): void {
    this.#queue = this.#queue.slice(this.#first);
    this.#firstTurn += this.#first;
    this.#first = 0;
  }
}

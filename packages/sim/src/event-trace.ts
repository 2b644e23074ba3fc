/**
 * A running hash over everything that happened in a run: two runs of one seed have the same hash or
 * they are not the same run. Two FNV-1a lanes of 32 bits with different beginnings; integers only,
 * so that every machine gets the same number.
 *
 * Knows the shape of events. Called by the simulated agents for every event they hand to an engine.
 */
import { hashText32 } from "@shoal/core";
import type { Millis, SchedulerEvent } from "@shoal/core";

export class EventTrace {
  #low = 0x811c9dc5;
  #high = 0xcbf29ce4;
  #count = 0;
  /** Hashes of event types and peer ids; bounded by how many there are in a run. */
  readonly #texts = new Map<string, number>();

  /** Events recorded so far. */
  get count(): number {
    return this.#count;
  }

  /** The hash as 16 lower-case hex digits. */
  get hash(): string {
    return hex32(this.#low) + hex32(this.#high);
  }

  /** Adds what makes an event that one: when, at which agent, its type and its ids. */
  record(now: Millis, agent: number, event: SchedulerEvent): void {
    this.#count++;
    this.#add(Math.round(now * 1_000));
    this.#add(agent);
    this.#add(this.#hashOf(event.type));
    if ("peerId" in event) this.#add(this.#hashOf(event.peerId));
    if ("requestId" in event) this.#add(event.requestId);
    if ("transferId" in event) this.#add(event.transferId);
    if ("piece" in event) this.#add(event.piece);
    if ("pieces" in event) for (const piece of event.pieces) this.#add(piece);
  }

  #add(value: number): void {
    // Instants exceed 32 bits after an hour; both halves count.
    const high = Math.floor(value / 0x1_0000_0000);
    this.#low = Math.imul(this.#low ^ value, 0x01000193);
    this.#high = Math.imul(this.#high ^ (this.#low >>> 7) ^ high, 0x01000193);
  }

  #hashOf(text: string): number {
    let hash = this.#texts.get(text);
    if (hash === undefined) {
      hash = hashText32(text);
      this.#texts.set(text, hash);
    }
    return hash;
  }
}

function hex32(value: number): string {
  return (value >>> 0).toString(16).padStart(8, "0");
}

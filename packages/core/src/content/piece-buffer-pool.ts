/**
 * Reusable buffers for pieces on their way between a source, the store and a peer. The memory is
 * shared between threads, so that the store's worker digests and writes a piece without a copy or
 * a transfer (native digest, file and socket calls accept shared memory; `TextDecoder` and
 * `crypto.subtle` do not).
 *
 * Knows lengths only. Bounds what it keeps for reuse, not what is out: the scheduler bounds pieces
 * in flight.
 */
import { assert } from "../assert.ts";
import type { PieceBytes } from "../ports/port.ts";
import { KiB, MiB } from "../units.ts";

export interface PieceBufferPoolOptions {
  /** Bytes of idle buffers kept for reuse. Default 32 MiB. */
  readonly retainedBytesMax?: number;
}

export class PieceBufferPool {
  readonly #retainedBytesMax: number;
  readonly #idle = new Map<number, SharedArrayBuffer[]>();
  #retainedBytes = 0;
  #borrowed = 0;

  constructor({ retainedBytesMax = 32 * MiB }: PieceBufferPoolOptions = {}) {
    this.#retainedBytesMax = retainedBytesMax;
  }

  /** Buffers taken and not yet released; 0 when nothing leaks. */
  get borrowed(): number {
    return this.#borrowed;
  }

  /** A buffer of exactly `length` bytes, with old contents. Whoever owns it calls `release` once. */
  take(length: number): PieceBytes {
    const capacity = capacityFor(length);
    const idle = this.#idle.get(capacity)?.pop();
    if (idle !== undefined) this.#retainedBytes -= capacity;
    const memory = idle ?? new SharedArrayBuffer(capacity);
    this.#borrowed++;
    let released = false;
    return {
      bytes: new Uint8Array(memory, 0, length),
      release: () => {
        assert(!released, "a piece buffer is released once");
        released = true;
        this.#giveBack(memory);
      },
    };
  }

  #giveBack(memory: SharedArrayBuffer): void {
    this.#borrowed--;
    const capacity = memory.byteLength;
    if (this.#retainedBytes + capacity > this.#retainedBytesMax) return;
    this.#retainedBytes += capacity;
    const idle = this.#idle.get(capacity);
    if (idle === undefined) this.#idle.set(capacity, [memory]);
    else idle.push(memory);
  }
}

/** Powers of two from 64 KiB, so that buffers fit pieces of other lengths too. */
function capacityFor(length: number): number {
  let capacity = 64 * KiB;
  while (capacity < length) capacity *= 2;
  return capacity;
}

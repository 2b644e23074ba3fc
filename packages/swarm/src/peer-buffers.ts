/**
 * All memory that peers can make us hold, together: what came and was not taken, what was to leave
 * and was not (R-PEER-20). Above three quarters of the bound no peer gets another stream; beyond
 * the bound the connection that holds most of it ends. Pieces are not counted: how many are asked
 * for and served is core's decision.
 *
 * Knows numbers. Filled by yamux's guard and by links.
 */

/** One connection's, or one link's. */
export interface BufferHolder {
  /** In bytes, now. */
  readonly measure: () => number;
  /** Gives all of it up. */
  readonly shed: (reason: string) => void;
}

const CROWDED_SHARE = 0.75;

export class PeerBuffers {
  readonly #bytesMax: number;
  /** What each held when it was last measured. */
  readonly #bytes = new Map<BufferHolder, number>();
  #total = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  add(holder: BufferHolder): void {
    this.#bytes.set(holder, 0);
  }

  remove(holder: BufferHolder): void {
    this.#total -= this.#bytes.get(holder) ?? 0;
    this.#bytes.delete(holder);
  }

  /** Something of the holder's has changed. May end it, or another. */
  changed(holder: BufferHolder): void {
    this.#measure(holder);
    if (this.#total > this.#bytesMax) this.#shed();
  }

  /** Whether new streams are to be refused. Measures everything. */
  isCrowded(): boolean {
    for (const holder of this.#bytes.keys()) this.#measure(holder);
    return this.#total > this.#bytesMax * CROWDED_SHARE;
  }

  #measure(holder: BufferHolder): void {
    const before = this.#bytes.get(holder);
    if (before === undefined) return;
    const bytes = holder.measure();
    this.#bytes.set(holder, bytes);
    this.#total += bytes - before;
  }

  #shed(): void {
    for (const holder of this.#bytes.keys()) this.#measure(holder);
    if (this.#total <= this.#bytesMax) return;
    const [largest] = [...this.#bytes].toSorted(([, a], [, b]) => b - a);
    if (largest === undefined) return;
    const [holder] = largest;
    this.remove(holder);
    holder.shed("peers together hold too much memory");
  }
}

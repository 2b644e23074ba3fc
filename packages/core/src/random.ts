/**
 * A seeded random source. Everything random that core decides comes from one of these, so that a
 * seed replays a run. Not for secrets. Algorithm: sfc32 (Chris Doty-Humphrey, PractRand), seeded
 * through splitmix32.
 */
export class Random {
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;

  constructor(seed: number) {
    let state = seed >>> 0;
    const next = (): number => {
      state = (state + 0x9e3779b9) | 0;
      return mix32(state);
    };
    this.#a = next();
    this.#b = next();
    this.#c = next();
    for (let i = 0; i < 12; i++) this.uint32(); // PractRand's warm-up for sfc32
  }

  /** A uniform integer in [0, 2^32). */
  uint32(): number {
    const t = (((this.#a + this.#b) | 0) + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = ((this.#c << 21) | (this.#c >>> 11)) + t;
    this.#c |= 0;
    return t >>> 0;
  }

  /** A uniform integer in [0, count). `count` must be in [1, 2^32]. */
  below(count: number): number {
    return Math.floor((this.uint32() / 0x1_0000_0000) * count);
  }

  /** A uniform number in [0, 1). */
  fraction(): number {
    return this.uint32() / 0x1_0000_0000;
  }

  /** `value` changed by a uniform share of at most ±`share`. */
  jitter(value: number, share: number): number {
    return value * (1 + share * (2 * this.fraction() - 1));
  }
}

/** Scrambles 32 bits so that near inputs give unrelated outputs (the splitmix32 finaliser). */
export function mix32(value: number): number {
  let z = value | 0;
  z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
  z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
  return z ^ (z >>> 15);
}

/** A 32-bit hash of text (FNV-1a, finished with `mix32`); for tables and ranks, not for trust. */
export function hashText32(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) {
    hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  }
  return mix32(hash) >>> 0;
}

/**
 * Content-defined chunking: cuts a content where its own bytes say so, so that an insertion moves
 * the boundaries near it and no others, and two versions of a file have most of their chunks in
 * common. The method is a gear hash over the last 32 bytes. It is specified in docs/manifest.md:
 * whoever publishes the same bytes makes the same manifest.
 *
 *   |<- minimum: no cut ->|<- a cut where the hash begins with enough zero bits ->| maximum: a cut
 *
 * Cost: about 0.7 ns per byte after each minimum; no copies, nothing allocated. Knows bytes; knows
 * neither files nor digests. Called by `describeFile`.
 */
import { assert } from "../assert.ts";
import { sha256 } from "../hash/digest.ts";
import { LIMITS } from "../registry/limits.ts";
import { KiB, MiB } from "../units.ts";

/**
 * Chosen for the bytes that are fetched around a change: with casync's bounds, 16 to 256 KiB, and a
 * mean of 48 KiB in place of its 64, a tenth less (`test/bench/update-bench.ts`). Pulling lengths
 * towards the mean by a second mask, as FastCDC does, was tried: it gained nothing there.
 */
export const NOMINAL_LENGTH_DEFAULT = 64 * KiB;
/** The longest whose pieces stay within the longest piece. */
export const NOMINAL_LENGTH_MAX = 8 * MiB;
/** Half of what a manifest may have, because pieces come out shorter than the nominal length. */
const PIECES_MAX = LIMITS.piecesPerManifestMax / 2;

/**
 * For every byte value the first four bytes, as a big-endian number, of the SHA-256 of that byte.
 * Public, so that anybody can make the same cuts.
 */
export const GEAR = Int32Array.from({ length: 256 }, (_, byte) => {
  const digest = sha256(Uint8Array.of(byte));
  return new DataView(digest.buffer, digest.byteOffset).getInt32(0);
});

/** Lengths in bytes. */
export interface ChunkLengths {
  /** No piece but the last is shorter. */
  readonly min: number;
  readonly max: number;
  /** How many of the hash's highest bits are zero where a piece ends. */
  readonly bits: number;
}

/**
 * What goes with a nominal length, which is a power of two. Pieces of arbitrary bytes are three
 * quarters of it long on average.
 */
export function chunkLengths(nominal: number): ChunkLengths {
  assert((nominal & (nominal - 1)) === 0, "a nominal length is a power of two");
  const max = Math.min(4 * nominal, LIMITS.pieceLengthMax);
  return { min: nominal / 4, max, bits: Math.log2(nominal) - 1 };
}

/** The nominal length for a content of this length, unless the publisher names one. */
export function chooseNominalLength(contentLength: number): number {
  let nominal = NOMINAL_LENGTH_DEFAULT;
  while (nominal < NOMINAL_LENGTH_MAX && contentLength / nominal > PIECES_MAX) nominal *= 2;
  return nominal;
}

/** Cuts one content, whose bytes are given in order and in parts of any length. */
export class ContentChunker {
  readonly #min: number;
  readonly #max: number;
  readonly #mask: number;
  /** Bytes of the piece that has not been cut yet. */
  #length = 0;
  #hash = 0;

  constructor(nominal: number) {
    const { min, max, bits } = chunkLengths(nominal);
    this.#min = min;
    this.#max = max;
    this.#mask = -1 << (32 - bits);
  }

  /**
   * Takes `bytes` from `from` on, up to the end of a piece: returns the index after its last byte,
   * or -1 when all bytes are taken and the piece goes on. What is left in the end is the last piece.
   */
  next(bytes: Uint8Array, from: number): number {
    const begin = from - this.#length;
    const mask = this.#mask;
    const end = Math.min(bytes.length, begin + this.#max);
    let at = Math.max(from, Math.min(bytes.length, begin + this.#min));
    let hash = this.#hash;
    while (at < end) {
      hash = ((hash << 1) + GEAR[bytes[at++]!]!) | 0;
      if ((hash & mask) === 0) return this.#cut(at);
    }
    if (at === begin + this.#max) return this.#cut(at);
    this.#hash = hash;
    this.#length = at - begin;
    return -1;
  }

  #cut(at: number): number {
    this.#length = 0;
    this.#hash = 0;
    return at;
  }
}

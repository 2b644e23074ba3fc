/**
 * A bit per piece, with fast intersection: what one source has, and which pieces are free. Unlike
 * `PieceSet` it counts nothing and asserts nothing; `Picker` keeps the counts and checks its input.
 *
 * The first bit of a word is its most significant, as bits lie in the bytes of a `PieceSet`. One
 * array and no view of another kind: the engine keeps small ones beside the object itself, and
 * loops over all sources look into one bit map each.
 */
export class Bitmap {
  readonly #words: Uint32Array;

  constructor(bitCount: number) {
    this.#words = new Uint32Array((bitCount + 31) >>> 5);
  }

  has(bit: number): boolean {
    return (this.#words[bit >>> 5]! & (FIRST >>> (bit & 31))) !== 0;
  }

  add(bit: number): void {
    this.#words[bit >>> 5]! |= FIRST >>> (bit & 31);
  }

  delete(bit: number): void {
    this.#words[bit >>> 5]! &= ~(FIRST >>> (bit & 31));
  }

  /** Replaces the contents by bytes laid out as `PieceSet.toBytes` gives them. */
  load(bytes: Uint8Array): void {
    this.#words.fill(0);
    for (let byte = 0; byte < bytes.length; byte++) {
      this.#words[byte >>> 2]! |= bytes[byte]! << (24 - 8 * (byte & 3));
    }
  }

  /** What `load` of so many bytes would take for the same bits. */
  toBytes(byteLength: number): Uint8Array {
    const bytes = new Uint8Array(byteLength);
    for (let byte = 0; byte < byteLength; byte++) {
      bytes[byte] = this.#words[byte >>> 2]! >>> (24 - 8 * (byte & 3));
    }
    return bytes;
  }

  /**
   * Writes the bits set here and in `other` to `out`, ascending, and returns how many. `out` must
   * have room. Cost: a step per 32 bits, and one per bit found.
   */
  intersect(other: Bitmap, out: Uint32Array): number {
    const words = this.#words;
    const otherWords = other.#words;
    let count = 0;
    for (let word = 0; word < words.length; word++) {
      let rest = words[word]! & otherWords[word]!;
      while (rest !== 0) {
        const bit = Math.clz32(rest);
        out[count++] = 32 * word + bit;
        rest &= ~(FIRST >>> bit);
      }
    }
    return count;
  }
}

const FIRST = 0x8000_0000;

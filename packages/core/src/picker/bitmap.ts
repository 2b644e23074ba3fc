/**
 * A bit per piece, with fast intersection: what one source has, and which pieces are free. Unlike
 * `PieceSet` it counts nothing and asserts nothing; `Picker` keeps the counts and checks its input.
 *
 * Bits lie as in `PieceSet` (most significant first), in memory padded to whole 32-bit words.
 */
export class Bitmap {
  readonly #bytes: Uint8Array;
  readonly #words: Uint32Array;

  constructor(bitCount: number) {
    this.#words = new Uint32Array((bitCount + 31) >>> 5);
    this.#bytes = new Uint8Array(this.#words.buffer);
  }

  has(bit: number): boolean {
    return (this.#bytes[bit >>> 3]! & (0x80 >> (bit & 7))) !== 0;
  }

  add(bit: number): void {
    this.#bytes[bit >>> 3]! |= 0x80 >> (bit & 7);
  }

  delete(bit: number): void {
    this.#bytes[bit >>> 3]! &= ~(0x80 >> (bit & 7));
  }

  /** Replaces the contents by bytes laid out as `PieceSet.toBytes` gives them. */
  load(bytes: Uint8Array): void {
    this.#bytes.set(bytes);
  }

  /**
   * Writes the bits set here and in `other` to `out`, ascending, and returns how many. `out` must
   * have room. Cost: a step per 32 bits, and one per bit found.
   */
  intersect(other: Bitmap, out: Uint32Array): number {
    const words = this.#words;
    const bytes = this.#bytes;
    const otherWords = other.#words;
    const otherBytes = other.#bytes;
    let count = 0;
    for (let word = 0; word < words.length; word++) {
      if ((words[word]! & otherWords[word]!) === 0) continue;
      for (let byte = 4 * word; byte < 4 * word + 4; byte++) {
        let rest = bytes[byte]! & otherBytes[byte]!;
        while (rest !== 0) {
          const bit = Math.clz32(rest) - 24;
          out[count++] = 8 * byte + bit;
          rest &= ~(0x80 >> bit);
        }
      }
    }
    return count;
  }
}

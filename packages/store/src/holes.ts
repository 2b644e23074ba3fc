/**
 * Which bytes of a piece must be written into a file that began as one hole, and which can stay a
 * hole because they are zero: what the bit map claims is there either way (R-FS-14).
 *
 *   file    |  64 KiB  |  64 KiB  |  64 KiB  |  64 KiB  |     blocks, counted from the file's start
 *   piece        |dddd  0000000000 0000000000  00dd|          d: data, 0: zeros
 *   written      |ddddd|                     |00dd|
 *
 * Cost: a comparison per block that ends at the first byte of data; one bit per block. Knows bytes
 * and offsets, not pieces. Used by `PartFile`, as long as nobody else has written to the file.
 */
import { KiB } from "@shoal/core";

const BLOCK_BYTES = 64 * KiB;
const ZEROS = new Uint8Array(BLOCK_BYTES);

export class Holes {
  /** A bit for every block that something was written to. */
  readonly #written: Uint8Array;

  /** `length` of the file in bytes. */
  constructor(length: number) {
    this.#written = new Uint8Array(Math.ceil(length / BLOCK_BYTES / 8));
  }

  /** The runs of `bytes`, to lie at `position`, that must be written; they count as written then. */
  dataRuns(bytes: Uint8Array, position: number): Uint8Array[] {
    const runs: Uint8Array[] = [];
    let runStart = 0;
    let at = 0;
    while (at < bytes.length) {
      const block = Math.floor((position + at) / BLOCK_BYTES);
      const end = Math.min(bytes.length, (block + 1) * BLOCK_BYTES - position);
      if (this.#isHole(block, bytes.subarray(at, end))) {
        if (at > runStart) runs.push(bytes.subarray(runStart, at));
        runStart = end;
      } else {
        this.#written[block >> 3]! |= 1 << (block & 7);
      }
      at = end;
    }
    if (at > runStart) runs.push(bytes.subarray(runStart, at));
    return runs;
  }

  #isHole(block: number, bytes: Uint8Array): boolean {
    if ((this.#written[block >> 3]! & (1 << (block & 7))) !== 0) return false;
    return Buffer.compare(bytes, ZEROS.subarray(0, bytes.length)) === 0;
  }
}

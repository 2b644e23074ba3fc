/**
 * Byte ranges of a file: what may be asked for, and how the pieces of the packed content lie in the
 * remote file. Ranges are written one after the other, in the order given (job-API reference,
 * section 13).
 *
 *   remote   |....AAAA......CCCCC..BBBBBB...|      asked for: A, B, C
 *   content  |AAAA|BBB|BBB|CCC|CC|                 no piece lies in two ranges
 *
 * Piece lengths depend on the remote file's length alone, so that ranges that are added later leave
 * the pieces before them as they are.
 */
import { choosePieceLength, PieceLayout } from "../content/layout.ts";
import { errorInfo } from "../registry/errors.ts";
import type { ErrorInfo } from "../registry/errors.ts";
import { LIMITS } from "../registry/limits.ts";
import type { ByteOffset, PieceIndex } from "../units.ts";

export interface JobRange {
  readonly offset: ByteOffset;
  /** At least 1; absent: to the end of the file. */
  readonly length?: number;
}

/** What is wrong with the ranges, whatever the file; `undefined` when nothing is. */
export function checkRanges(ranges: readonly JobRange[]): ErrorInfo | undefined {
  if (ranges.length > LIMITS.rangesPerFileMax) {
    return errorInfo("ERR_RANGE_LIMIT", `${ranges.length} ranges`);
  }
  for (const { offset, length } of ranges) {
    if (!isByteCount(offset)) return errorInfo("ERR_RANGE_INVALID", `offset ${String(offset)}`);
    if (length !== undefined && !isByteCount(length)) {
      return errorInfo("ERR_RANGE_INVALID", `length ${String(length)}`);
    }
  }
  const sorted = ranges.toSorted((a, b) => a.offset - b.offset);
  for (const [index, next] of sorted.slice(1).entries()) {
    const before = sorted[index]!;
    const end = before.offset + (before.length ?? Infinity);
    if (next.offset === before.offset || next.offset < end) {
      return errorInfo("ERR_RANGES_OVERLAP", `at offset ${next.offset}`);
    }
  }
  const empty = ranges.find(({ length }) => length === 0);
  return empty && errorInfo("ERR_RANGE_INVALID", `no bytes at offset ${empty.offset}`);
}

/** Ranges of a remote file whose length is known. */
export class RangeMap {
  /** Of the packed content. */
  readonly layout: PieceLayout;
  readonly remoteLength: number;
  /** Where each piece begins in the remote file. */
  readonly #starts: readonly ByteOffset[];

  private constructor(remoteLength: number, pieces: ReadonlyArray<readonly [ByteOffset, number]>) {
    this.remoteLength = remoteLength;
    this.layout = PieceLayout.explicit(Uint32Array.from(pieces, ([, length]) => length));
    this.#starts = pieces.map(([start]) => start);
  }

  /** `ranges` have passed `checkRanges`. Refused with `ERR_RANGE_INVALID` beyond the file's end. */
  static of(ranges: readonly JobRange[], remoteLength: number): RangeMap | ErrorInfo {
    const pieceLength = choosePieceLength(remoteLength);
    const pieces: Array<readonly [ByteOffset, number]> = [];
    for (const { offset, length = remoteLength - offset } of ranges) {
      const end = offset + length;
      if (length < 1 || end > remoteLength) {
        const details = `${offset} to ${end} of ${remoteLength} bytes`;
        return errorInfo("ERR_RANGE_INVALID", details);
      }
      for (let start = offset; start < end; start += pieceLength) {
        pieces.push([start, Math.min(pieceLength, end - start)]);
      }
    }
    return new RangeMap(remoteLength, pieces);
  }

  remoteStart(piece: PieceIndex): ByteOffset {
    return this.#starts[piece]!;
  }

  /** How many of `count` pieces from `first` on follow each other in the remote file, too. */
  piecesTogether(first: PieceIndex, count: number): number {
    let together = 1;
    let end = this.remoteStart(first) + this.layout.length(first);
    while (together < count && this.#starts[first + together] === end) {
      end += this.layout.length(first + together);
      together++;
    }
    return together;
  }
}

function isByteCount(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0 && value <= LIMITS.contentLengthMax;
}

/**
 * Yamux frames as they come, in place of yamux's own decoder, which waits until a data frame is
 * whole. A data frame is handed on in parts, each as a frame of its own: the sum of their lengths
 * is what counts against the window, and nothing but a header is ever held. A frame may name no
 * more than was ever allowed ahead (R-PEER-20).
 *
 * Bytes are views of what came, which is written over soon after. Streams that keep what they get
 * get copies.
 *
 * Knows the format of yamux frames. Called by yamux; made by `guarded-yamux.ts`.
 */
import { LIMITS } from "@shoal/core";
import { Uint8ArrayList } from "uint8arraylist";

/** A frame, or a part of a data frame, as yamux's muxer takes it. */
export interface YamuxFrame {
  readonly header: YamuxHeader;
  readonly data?: Uint8ArrayList;
}

interface YamuxHeader {
  readonly type: number;
  readonly flag: number;
  readonly streamID: number;
  readonly length: number;
}

const HEADER_LENGTH = 12;
const VERSION = 0;
const DATA = 0;
/** SYN and ACK belong to a frame's first part, FIN and RST to its last. */
const [SYN, ACK, FIN, RST] = [1, 2, 4, 8];

export class PartwiseDecoder {
  readonly #keeps: (streamId: number) => boolean;
  readonly #head = new Uint8Array(HEADER_LENGTH);
  readonly #view = new DataView(this.#head.buffer);
  #headLength = 0;
  /** The data frame whose parts are coming: what of it has not come, and what it says. */
  #bytesLeft = 0;
  #frame: YamuxHeader = { type: DATA, flag: 0, streamID: 0, length: 0 };

  /** `keeps` says whether a stream keeps what it gets. */
  constructor(keeps: (streamId: number) => boolean) {
    this.#keeps = keeps;
  }

  /** Throws when what came is no frame, or too long a one. */
  *emitFrames(bytes: Uint8Array | Uint8ArrayList): Generator<YamuxFrame> {
    for (const part of bytes instanceof Uint8Array ? [bytes] : bytes) {
      for (let at = 0; at < part.length;) {
        if (this.#bytesLeft > 0) {
          const end = Math.min(part.length, at + this.#bytesLeft);
          yield this.#partOf(part.subarray(at, end));
          at = end;
          continue;
        }
        const end = Math.min(part.length, at + HEADER_LENGTH - this.#headLength);
        this.#head.set(part.subarray(at, end), this.#headLength);
        this.#headLength += end - at;
        at = end;
        if (this.#headLength < HEADER_LENGTH) continue;
        this.#headLength = 0;
        const header = this.#header();
        if (header.type !== DATA) yield { header };
        else if (header.length === 0) yield { header, data: new Uint8ArrayList() };
        else this.#begin(header);
      }
    }
  }

  #header(): YamuxHeader {
    if (this.#head[0] !== VERSION) throw new Error("the peer sent what is no frame");
    return {
      type: this.#view.getUint8(1),
      flag: this.#view.getUint16(2),
      streamID: this.#view.getUint32(4),
      length: this.#view.getUint32(8),
    };
  }

  #begin(header: YamuxHeader): void {
    if (header.length > LIMITS.streamReadBytesMax) {
      throw new Error("the peer sent a frame larger than we allow");
    }
    this.#frame = header;
    this.#bytesLeft = header.length;
  }

  #partOf(bytes: Uint8Array): YamuxFrame {
    const { type, streamID, flag, length } = this.#frame;
    const isFirst = this.#bytesLeft === length;
    this.#bytesLeft -= bytes.length;
    const isLast = this.#bytesLeft === 0;
    const flags = flag & ((isFirst ? SYN | ACK : 0) | (isLast ? FIN | RST : 0));
    const own = this.#keeps(streamID) ? Uint8Array.from(bytes) : bytes;
    const header = { type, streamID, flag: flags, length: bytes.length };
    return { header, data: new Uint8ArrayList(own) };
  }
}

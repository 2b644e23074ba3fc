/**
 * Bytes of the peer protocol to frames, refusing what its layouts and bounds do not allow before it
 * is kept. docs/wire.md is the specification.
 *
 * Knows one stream's place between two frames. Knows neither streams nor what a frame means for
 * whom. Called by the link.
 *
 * Cost: the bytes of piece data are handed on as views of what the network delivered, in parts,
 * without waiting for the end of their frame; a control frame is copied only when it arrives in
 * more than one part, and at most 64 KiB are ever held (R-PEER-12, R-PEER-21).
 */
import { contentIdFromDigest, DIGEST_LENGTH, LIMITS, unreachable } from "@shoal/core";
import type { ContentId, PieceIndex } from "@shoal/core";
import { FRAME_HEADER_LENGTH, FrameError, FRAMES, HELLO_LENGTH, REFUSALS } from "./frames.ts";
import type { ControlFrame, Frame, FrameName } from "./frames.ts";
import { NONCE_LENGTH } from "./group-proof.ts";

/**
 * Reads frames out of parts of a byte stream, cut anywhere. Usable as a stage of a pipe:
 * `pipe(parts, (source) => decoder.decode(source), handle)`. After it threw it must not be used.
 */
export class FrameDecoder {
  /** The header and, for piece data, the id; then the bytes of the body. */
  readonly #prefix = new Uint8Array(FRAME_HEADER_LENGTH + 4);
  readonly #prefixView = new DataView(this.#prefix.buffer);
  #prefixLength = 0;
  #prefixNeeded = FRAME_HEADER_LENGTH;
  #type: FrameName = "hello";
  #bodyLeft = 0;
  /** A control body that began in an earlier part. */
  #body: Uint8Array | undefined;

  *decode(parts: Iterable<Uint8Array>): Generator<Frame> {
    for (const part of parts) {
      let offset = 0;
      while (offset < part.length) {
        if (this.#prefixLength < this.#prefixNeeded) {
          offset = this.#takePrefix(part, offset);
          continue;
        }
        const end = Math.min(part.length, offset + this.#bodyLeft);
        const bytes = part.subarray(offset, end);
        offset = end;
        if (this.#type === "pieceData") {
          yield { type: "pieceData", id: this.#prefixView.getUint32(FRAME_HEADER_LENGTH), bytes };
        } else {
          const body = this.#takeBody(bytes);
          if (body !== undefined) yield decodeBody(this.#type, body);
        }
        this.#bodyLeft -= bytes.length;
        if (this.#bodyLeft === 0) this.#nextFrame();
      }
    }
  }

  #takePrefix(part: Uint8Array, begin: number): number {
    let offset = begin;
    while (offset < part.length && this.#prefixLength < this.#prefixNeeded) {
      this.#prefix[this.#prefixLength++] = part[offset++]!;
    }
    if (this.#prefixLength === FRAME_HEADER_LENGTH) this.#checkHeader();
    return offset;
  }

  #checkHeader(): void {
    const length = this.#prefixView.getUint32(0);
    const name = NAME_BY_CODE[this.#prefix[4]!];
    if (name === undefined) throw new FrameError(`unknown frame type ${this.#prefix[4]}`);
    if (this.#prefix[5] !== 0 || this.#prefix[6] !== 0 || this.#prefix[7] !== 0) {
      throw new FrameError("reserved header bytes are not zero");
    }
    const { bodyMin, bodyMax } = FRAMES[name];
    if (length < bodyMin || length > bodyMax) {
      throw new FrameError(`${name} of ${length} bytes, allowed ${bodyMin} to ${bodyMax}`);
    }
    this.#type = name;
    this.#bodyLeft = length;
    if (name === "pieceData") {
      this.#prefixNeeded = FRAME_HEADER_LENGTH + 4;
      this.#bodyLeft -= 4;
    }
  }

  /** Collects a control body; returns it when it is whole. */
  #takeBody(bytes: Uint8Array): Uint8Array | undefined {
    if (this.#body === undefined) {
      if (bytes.length === this.#bodyLeft) return bytes;
      this.#body = new Uint8Array(this.#bodyLeft);
    }
    const body = this.#body;
    body.set(bytes, body.length - this.#bodyLeft);
    return bytes.length === this.#bodyLeft ? body : undefined;
  }

  #nextFrame(): void {
    this.#body = undefined;
    this.#prefixLength = 0;
    this.#prefixNeeded = FRAME_HEADER_LENGTH;
  }
}

const NAME_BY_CODE: readonly (FrameName | undefined)[] = codesToNames();

function codesToNames(): (FrameName | undefined)[] {
  const names: (FrameName | undefined)[] = [];
  for (const name of Object.keys(FRAMES) as FrameName[]) names[FRAMES[name].code] = name;
  return names;
}

/** `body` has a length that the table allows. What is kept of it is copied. */
function decodeBody(type: Exclude<FrameName, "pieceData">, body: Uint8Array): ControlFrame {
  const view = new DataView(body.buffer, body.byteOffset, body.length);
  switch (type) {
    case "hello":
      return decodeHello(body, view);
    case "proof":
      return { type, proof: Uint8Array.from(body) };
    case "join":
    case "leave":
      return { type, contentId: contentIdAt(body, 0) };
    case "bitfield":
      return decodeBitfield(body, view);
    case "have":
      return decodeHave(body, view);
    case "claim":
      return decodeClaim(body, view);
    case "request": {
      const piece = pieceAt(view, 4 + DIGEST_LENGTH);
      return { type, id: view.getUint32(0), contentId: contentIdAt(body, 4), piece };
    }
    case "manifestRequest":
      return { type, id: view.getUint32(0), contentId: contentIdAt(body, 4) };
    case "cancel":
      return { type, id: view.getUint32(0) };
    case "refuse": {
      const reason = REFUSALS[body[4]!];
      if (reason === undefined) throw new FrameError(`unknown refusal ${body[4]}`);
      return { type, id: view.getUint32(0), reason };
    }
    case "manifest": {
      const length = view.getUint32(4);
      if (length === 0 || length > LIMITS.manifestBytesMax) {
        throw new FrameError(`manifest of ${length} bytes`);
      }
      return { type, id: view.getUint32(0), length };
    }
    case "announcementRequest":
      return { type, id: view.getUint32(0), tag: new Uint8Array(body.subarray(4)) };
    case "announcement":
      return { type, id: view.getUint32(0), bytes: new Uint8Array(body.subarray(4)) };
    default:
      return unreachable(type);
  }
}

function decodeHello(body: Uint8Array, view: DataView): ControlFrame {
  const version = view.getUint16(0);
  const features = view.getUint16(2);
  const hello = { version, features, requestsMax: view.getUint32(4) };
  if (body.length < HELLO_LENGTH + NONCE_LENGTH) return { type: "hello", ...hello };
  const nonce = Uint8Array.from(body.subarray(HELLO_LENGTH, HELLO_LENGTH + NONCE_LENGTH));
  return { type: "hello", ...hello, nonce };
}

/** A have-map: exactly ⌈n/8⌉ bytes, spare bits zero (R-PEER-13). */
function decodeBitfield(body: Uint8Array, view: DataView): ControlFrame {
  const pieceCount = view.getUint32(DIGEST_LENGTH);
  // Not `slice`, which makes no copy of a Buffer.
  const bits = new Uint8Array(body.subarray(DIGEST_LENGTH + 4));
  if (bits.length !== Math.ceil(pieceCount / 8)) {
    throw new FrameError(`have-map of ${bits.length} bytes for ${pieceCount} pieces`);
  }
  const used = pieceCount % 8;
  if (used !== 0 && (bits[bits.length - 1]! & (0xff >> used)) !== 0) {
    throw new FrameError("have-map with spare bits");
  }
  return { type: "bitfield", contentId: contentIdAt(body, 0), pieceCount, bits };
}

function decodeHave(body: Uint8Array, view: DataView): ControlFrame {
  if ((body.length - DIGEST_LENGTH) % 4 !== 0) throw new FrameError("HAVE with half a piece");
  const pieces: PieceIndex[] = [];
  for (let at = DIGEST_LENGTH; at < body.length; at += 4) pieces.push(pieceAt(view, at));
  return { type: "have", contentId: contentIdAt(body, 0), pieces };
}

function decodeClaim(body: Uint8Array, view: DataView): ControlFrame {
  const firstPiece = pieceAt(view, DIGEST_LENGTH);
  const pieceCount = view.getUint32(DIGEST_LENGTH + 4);
  if (pieceCount === 0 || firstPiece + pieceCount > LIMITS.piecesPerManifestMax) {
    throw new FrameError(`claim of ${pieceCount} pieces from ${firstPiece}`);
  }
  return { type: "claim", contentId: contentIdAt(body, 0), firstPiece, pieceCount };
}

function pieceAt(view: DataView, offset: number): PieceIndex {
  const piece = view.getUint32(offset);
  if (piece >= LIMITS.piecesPerManifestMax) throw new FrameError(`piece ${piece} is out of range`);
  return piece;
}

function contentIdAt(body: Uint8Array, offset: number): ContentId {
  return contentIdFromDigest(body.subarray(offset, offset + DIGEST_LENGTH));
}

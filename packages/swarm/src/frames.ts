/**
 * The frames of the peer protocol: bytes to frames and back. docs/wire.md is the specification.
 *
 *   | u32 body length | u8 type | 3 zero bytes | body … |          numbers are big-endian
 *
 * Knows layouts and limits. Knows neither streams nor what a frame means for whom. Called by the
 * link (decoding and encoding) and by the frame writer (the header of piece data).
 *
 * Cost: the bytes of piece data are handed on as views of what the network delivered, in parts,
 * without waiting for the end of their frame; a control frame is copied only when it arrives in
 * more than one part, and at most 64 KiB are ever held (R-PEER-12, R-PEER-21).
 */
import {
  contentIdFromDigest,
  DIGEST_LENGTH,
  digestOfContentId,
  KiB,
  LIMITS,
  unreachable,
} from "@shoal/core";
import type { ContentId, Offence, PieceIndex, RefusalReason } from "@shoal/core";
import { NONCE_LENGTH, PROOF_LENGTH } from "./group-proof.ts";

/** Version of the protocol, in HELLO. */
export const WIRE_VERSION = 1;
export const FRAME_HEADER_LENGTH = 8;
/** Bytes of piece data or manifest that fit into one frame. */
export const SLICE_LENGTH_MAX = LIMITS.dataFrameBytesMax - 4;
/** What every HELLO has; in groups a nonce follows. */
const HELLO_LENGTH = 8;
const CONTROL_BODY_MAX = LIMITS.controlFrameBytesMax - FRAME_HEADER_LENGTH;
/** Pieces that fit into one HAVE. */
export const HAVE_PIECES_MAX = Math.floor((CONTROL_BODY_MAX - DIGEST_LENGTH) / 4);

interface FrameRow {
  readonly code: number;
  /** Bytes of the body; a frame outside is refused before its body is read. */
  readonly bodyMin: number;
  readonly bodyMax: number;
}

const row = (code: number, bodyMin: number, bodyMax = bodyMin): FrameRow => ({
  code,
  bodyMin,
  bodyMax,
});

/** Every type of frame, by its name in code. */
export const FRAMES = {
  hello: row(1, HELLO_LENGTH, 4 * KiB),
  join: row(2, DIGEST_LENGTH),
  leave: row(3, DIGEST_LENGTH),
  bitfield: row(4, DIGEST_LENGTH + 4, DIGEST_LENGTH + 4 + LIMITS.haveMapBytesMax),
  have: row(5, DIGEST_LENGTH + 4, DIGEST_LENGTH + 4 * HAVE_PIECES_MAX),
  claim: row(6, DIGEST_LENGTH + 8),
  request: row(7, DIGEST_LENGTH + 8),
  manifestRequest: row(8, DIGEST_LENGTH + 4),
  cancel: row(9, 4),
  refuse: row(10, 5),
  pieceData: row(11, 5, LIMITS.dataFrameBytesMax),
  manifest: row(12, 8),
  proof: row(13, PROOF_LENGTH),
  announcementRequest: row(14, DIGEST_LENGTH + 4),
  announcement: row(15, 5, 4 + LIMITS.announcementBytesMax),
} as const satisfies Record<string, FrameRow>;
type FrameName = keyof typeof FRAMES;

/** Bits of `features` in HELLO: what its sender knows beyond the frames that every agent knows. */
export const FEATURES = { announcements: 1 } as const;

/** Why a request ends without its bytes. `cancelled` answers the requester's own CANCEL. */
export const REFUSALS = ["busy", "notFound", "cancelled"] as const satisfies readonly (
  | RefusalReason
  | "cancelled"
)[];
export type Refusal = (typeof REFUSALS)[number];

export type ControlFrame =
  | {
      readonly type: "hello";
      readonly version: number;
      /** Bits of `FEATURES`. Default 0. */
      readonly features?: number;
      readonly requestsMax: number;
      /** Only in groups. */
      readonly nonce?: Uint8Array | undefined;
    }
  | { readonly type: "proof"; readonly proof: Uint8Array }
  | { readonly type: "join" | "leave"; readonly contentId: ContentId }
  | {
      readonly type: "bitfield";
      readonly contentId: ContentId;
      readonly pieceCount: number;
      readonly bits: Uint8Array;
    }
  | {
      readonly type: "have";
      readonly contentId: ContentId;
      readonly pieces: readonly PieceIndex[];
    }
  | {
      readonly type: "claim";
      readonly contentId: ContentId;
      readonly firstPiece: PieceIndex;
      readonly pieceCount: number;
    }
  | {
      readonly type: "request";
      readonly id: number;
      readonly contentId: ContentId;
      readonly piece: PieceIndex;
    }
  | { readonly type: "manifestRequest"; readonly id: number; readonly contentId: ContentId }
  | { readonly type: "cancel"; readonly id: number }
  | { readonly type: "refuse"; readonly id: number; readonly reason: Refusal }
  | { readonly type: "manifest"; readonly id: number; readonly length: number }
  | { readonly type: "announcementRequest"; readonly id: number; readonly tag: Uint8Array }
  | { readonly type: "announcement"; readonly id: number; readonly bytes: Uint8Array };

/**
 * Some bytes of one PIECE_DATA frame: a view of the network's buffer, valid until the next part is
 * decoded. One frame may come as several of these.
 */
export interface PieceDataPart {
  readonly type: "pieceData";
  readonly id: number;
  readonly bytes: Uint8Array;
}

export type Frame = ControlFrame | PieceDataPart;

/** The part of a link's life in which a frame may come. */
export function placeOf({ type }: Frame): "greeting" | "proving" | "open" {
  if (type === "hello") return "greeting";
  return type === "proof" ? "proving" : "open";
}

/** A peer broke the protocol; `offence` says how. The only error decoding throws. */
export class FrameError extends Error {
  override readonly name = "FrameError";
  readonly offence: Offence;

  constructor(message: string, offence: Offence = "malformedFrame") {
    super(message);
    this.offence = offence;
  }
}

const NAME_BY_CODE: readonly (FrameName | undefined)[] = codesToNames();

function codesToNames(): (FrameName | undefined)[] {
  const names: (FrameName | undefined)[] = [];
  for (const name of Object.keys(FRAMES) as FrameName[]) names[FRAMES[name].code] = name;
  return names;
}

/** Encodes everything but piece data, whose bytes are sent from where they lie. */
export function encodeFrame(frame: ControlFrame): Uint8Array {
  const bytes = new Uint8Array(FRAME_HEADER_LENGTH + bodyLength(frame));
  const view = writeHeader(bytes, frame.type, bytes.length - FRAME_HEADER_LENGTH);
  const body = FRAME_HEADER_LENGTH;
  if ("contentId" in frame) {
    const hasId = frame.type === "request" || frame.type === "manifestRequest";
    bytes.set(digestOfContentId(frame.contentId), hasId ? body + 4 : body);
  }
  const rest = body + DIGEST_LENGTH;
  if ("id" in frame) view.setUint32(body, frame.id);
  switch (frame.type) {
    case "hello":
      view.setUint16(body, frame.version);
      view.setUint16(body + 2, frame.features ?? 0);
      view.setUint32(body + 4, frame.requestsMax);
      if (frame.nonce !== undefined) bytes.set(frame.nonce, body + HELLO_LENGTH);
      break;
    case "proof":
      bytes.set(frame.proof, body);
      break;
    case "bitfield":
      view.setUint32(rest, frame.pieceCount);
      bytes.set(frame.bits, rest + 4);
      break;
    case "have":
      for (let i = 0; i < frame.pieces.length; i++) view.setUint32(rest + 4 * i, frame.pieces[i]!);
      break;
    case "claim":
      view.setUint32(rest, frame.firstPiece);
      view.setUint32(rest + 4, frame.pieceCount);
      break;
    case "request":
      view.setUint32(rest + 4, frame.piece);
      break;
    case "refuse":
      view.setUint8(body + 4, REFUSALS.indexOf(frame.reason));
      break;
    case "manifest":
      view.setUint32(body + 4, frame.length);
      break;
    case "announcementRequest":
      bytes.set(frame.tag, body + 4);
      break;
    case "announcement":
      bytes.set(frame.bytes, body + 4);
      break;
    case "join":
    case "leave":
    case "manifestRequest":
    case "cancel":
      break;
    default:
      unreachable(frame);
  }
  return bytes;
}

/** The header and id of a PIECE_DATA frame; `length` bytes of the piece must follow. */
export function encodePieceDataHeader(id: number, length: number): Uint8Array {
  const bytes = new Uint8Array(FRAME_HEADER_LENGTH + 4);
  writeHeader(bytes, "pieceData", length + 4).setUint32(FRAME_HEADER_LENGTH, id);
  return bytes;
}

function bodyLength(frame: ControlFrame): number {
  if (frame.type === "bitfield") return DIGEST_LENGTH + 4 + frame.bits.length;
  if (frame.type === "have") return DIGEST_LENGTH + 4 * frame.pieces.length;
  if (frame.type === "announcement") return 4 + frame.bytes.length;
  if (frame.type === "hello") return HELLO_LENGTH + (frame.nonce?.length ?? 0);
  return FRAMES[frame.type].bodyMin;
}

function writeHeader(bytes: Uint8Array, type: FrameName, length: number): DataView {
  const view = new DataView(bytes.buffer);
  view.setUint32(0, length);
  view.setUint8(4, FRAMES[type].code);
  return view;
}

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

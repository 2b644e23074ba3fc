/**
 * The frames of the peer protocol: their types, layouts and bounds, and how they become bytes.
 * `frame-decoder.ts` reads them. docs/wire.md is the specification.
 *
 *   | u32 body length | u8 type | 3 zero bytes | body … |          numbers are big-endian
 *
 * Knows layouts and limits. Knows neither streams nor what a frame means for whom. Called by the
 * link and its requests (encoding) and by the frame writer (the header of piece data).
 */
import { DIGEST_LENGTH, digestOfContentId, KiB, LIMITS, unreachable } from "@shoal/core";
import type { ContentId, Offence, PieceIndex, RefusalReason } from "@shoal/core";
import { PROOF_LENGTH } from "./group-proof.ts";

/** Version of the protocol, in HELLO. */
export const WIRE_VERSION = 1;
export const FRAME_HEADER_LENGTH = 8;
/** What every HELLO has; in groups a nonce follows. */
export const HELLO_LENGTH = 8;
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
  pieceData: row(11, 5, 4 + LIMITS.sliceBytesMax),
  manifest: row(12, 8),
  proof: row(13, PROOF_LENGTH),
  announcementRequest: row(14, DIGEST_LENGTH + 4),
  announcement: row(15, 5, 4 + LIMITS.announcementBytesMax),
} as const satisfies Record<string, FrameRow>;
export type FrameName = keyof typeof FRAMES;

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

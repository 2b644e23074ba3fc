/** The codec of the peer protocol: golden bytes, round trips, hostile input. */
import { contentIdFromDigest, LIMITS, MiB } from "@shoal/core";
import fc from "fast-check";
import { expect, test } from "vitest";
import { FrameDecoder } from "../src/frame-decoder.ts";
import {
  encodeFrame,
  encodePieceDataHeader,
  FrameError,
  FRAMES,
  HAVE_PIECES_MAX,
  REFUSALS,
} from "../src/frames.ts";
import type { ControlFrame, Frame } from "../src/frames.ts";

const digest = Uint8Array.from({ length: 32 }, (_, i) => i);
const contentId = contentIdFromDigest(digest);
const DIGEST = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

/** Written by hand from docs/wire.md: length, type and zeroes, then the body. */
const GOLDEN: ReadonlyArray<readonly [ControlFrame, string]> = [
  // 8 bytes, type 1: version 1, knows announcements, 8 requests
  [
    { type: "hello", version: 1, features: 1, requestsMax: 8 },
    "00000008 01000000 0001 0001 00000008",
  ],
  // 40 bytes, type 1: version 1, no features, 8 requests, a nonce
  [
    { type: "hello", version: 1, features: 0, requestsMax: 8, nonce: digest },
    `00000028 01000000 0001 0000 00000008 ${DIGEST}`,
  ],
  // 32 bytes, type 13: a proof
  [{ type: "proof", proof: digest }, `00000020 0d000000 ${DIGEST}`],
  // 32 bytes, type 2: the digest
  [{ type: "join", contentId }, `00000020 02000000 ${DIGEST}`],
  [{ type: "leave", contentId }, `00000020 03000000 ${DIGEST}`],
  // 38 bytes, type 4: digest, 10 pieces, pieces 0 and 9
  [
    { type: "bitfield", contentId, pieceCount: 10, bits: Uint8Array.of(0x80, 0x40) },
    `00000026 04000000 ${DIGEST} 0000000a 8040`,
  ],
  // 40 bytes, type 5: digest, pieces 1 and 131071
  [
    { type: "have", contentId, pieces: [1, 131_071] },
    `00000028 05000000 ${DIGEST} 00000001 0001ffff`,
  ],
  // 40 bytes, type 6: digest, first 3, count 4
  [
    { type: "claim", contentId, firstPiece: 3, pieceCount: 4 },
    `00000028 06000000 ${DIGEST} 00000003 00000004`,
  ],
  // 40 bytes, type 7: id 7, digest, piece 9
  [
    { type: "request", id: 7, contentId, piece: 9 },
    `00000028 07000000 00000007 ${DIGEST} 00000009`,
  ],
  // 36 bytes, type 8: id 8, digest
  [{ type: "manifestRequest", id: 8, contentId }, `00000024 08000000 00000008 ${DIGEST}`],
  // 4 bytes, type 9: id 0xfffffffe
  [{ type: "cancel", id: 0xfffffffe }, "00000004 09000000 fffffffe"],
  // 5 bytes, type 10: id 7, reason 1
  [{ type: "refuse", id: 7, reason: "notFound" }, "00000005 0a000000 00000007 01"],
  // 8 bytes, type 12: id 8, 5 MiB
  [{ type: "manifest", id: 8, length: 5 * MiB }, "00000008 0c000000 00000008 00500000"],
  // 36 bytes, type 14: id 9, tag
  [{ type: "announcementRequest", id: 9, tag: digest }, `00000024 0e000000 00000009 ${DIGEST}`],
  // 6 bytes, type 15: id 9, what is signed
  [{ type: "announcement", id: 9, bytes: Uint8Array.of(1, 2) }, "00000006 0f000000 00000009 0102"],
];

function fromHex(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text.replaceAll(" ", ""), "hex"));
}

function decodeAll(parts: Iterable<Uint8Array>): Frame[] {
  return [...new FrameDecoder().decode(parts)];
}

function errorOf(run: () => void): unknown {
  try {
    run();
    return undefined;
  } catch (error) {
    return error;
  }
}

/** Cuts bytes after the given offsets. */
function cut(bytes: Uint8Array, at: readonly number[]): Uint8Array[] {
  const parts: Uint8Array[] = [];
  let begin = 0;
  for (const end of [...at].toSorted((a, b) => a - b)) {
    if (end <= begin || end >= bytes.length) continue;
    parts.push(bytes.subarray(begin, end));
    begin = end;
  }
  parts.push(bytes.subarray(begin));
  return parts;
}

test.each(GOLDEN)("encodes and decodes the golden bytes of %o", (frame, text) => {
  expect(Buffer.from(encodeFrame(frame)).toString("hex")).toBe(text.replaceAll(" ", ""));
  expect(decodeAll([fromHex(text)])).toEqual([frame]);
});

test("encodes and decodes the golden bytes of piece data", () => {
  // 7 bytes, type 11: id 5, then the piece's bytes
  const header = encodePieceDataHeader(5, 3);
  expect(Buffer.from(header).toString("hex")).toBe("000000070b00000000000005");
  const frames = decodeAll([header, Uint8Array.of(1, 2, 3)]);
  expect(frames).toEqual([{ type: "pieceData", id: 5, bytes: Uint8Array.of(1, 2, 3) }]);
});

test("gives every type of frame its own code", () => {
  const codes = Object.values(FRAMES).map(({ code }) => code);
  expect(new Set(codes).size).toBe(codes.length);
});

const id = fc.integer({ min: 0, max: 0xffffffff });
const piece = fc.integer({ min: 0, max: LIMITS.piecesPerManifestMax - 1 });
const anyContentId = fc.uint8Array({ minLength: 32, maxLength: 32 }).map(contentIdFromDigest);
const anyControlFrame: fc.Arbitrary<ControlFrame> = fc.oneof(
  fc.record({
    type: fc.constant("hello" as const),
    version: fc.integer({ min: 0, max: 0xffff }),
    features: fc.integer({ min: 0, max: 0xffff }),
    requestsMax: id,
  }),
  fc.record({
    type: fc.constant("proof" as const),
    proof: fc.uint8Array({ minLength: 32, maxLength: 32 }),
  }),
  fc.record({ type: fc.constantFrom("join" as const, "leave" as const), contentId: anyContentId }),
  fc
    .record({ contentId: anyContentId, set: fc.array(fc.boolean(), { maxLength: 200 }) })
    .map(({ contentId: ofContent, set }) => ({
      type: "bitfield" as const,
      contentId: ofContent,
      pieceCount: set.length,
      bits: packBits(set),
    })),
  fc.record({
    type: fc.constant("have" as const),
    contentId: anyContentId,
    pieces: fc.array(piece, { minLength: 1, maxLength: 50 }),
  }),
  fc.record({
    type: fc.constant("claim" as const),
    contentId: anyContentId,
    firstPiece: fc.integer({ min: 0, max: 1_000 }),
    pieceCount: fc.integer({ min: 1, max: 1_000 }),
  }),
  fc.record({ type: fc.constant("request" as const), id, contentId: anyContentId, piece }),
  fc.record({ type: fc.constant("manifestRequest" as const), id, contentId: anyContentId }),
  fc.record({ type: fc.constant("cancel" as const), id }),
  fc.record({ type: fc.constant("refuse" as const), id, reason: fc.constantFrom(...REFUSALS) }),
  fc.record({
    type: fc.constant("manifest" as const),
    id,
    length: fc.integer({ min: 1, max: LIMITS.manifestBytesMax }),
  }),
  fc.record({
    type: fc.constant("announcementRequest" as const),
    id,
    tag: fc.uint8Array({ minLength: 32, maxLength: 32 }),
  }),
  fc.record({
    type: fc.constant("announcement" as const),
    id,
    bytes: fc.uint8Array({ minLength: 1, maxLength: 200 }),
  }),
);

function packBits(set: readonly boolean[]): Uint8Array {
  const bits = new Uint8Array(Math.ceil(set.length / 8));
  for (const [i, has] of set.entries()) if (has) bits[i >> 3]! |= 0x80 >> (i & 7);
  return bits;
}

test("decodes what it encodes, however the bytes are cut", () => {
  const splits = fc.array(fc.nat({ max: 3_000 }), { maxLength: 30 });
  fc.assert(
    fc.property(
      fc.array(anyControlFrame, { minLength: 1, maxLength: 10 }),
      splits,
      (frames, at) => {
        const bytes = Buffer.concat(frames.map(encodeFrame));
        expect(decodeAll(cut(bytes, at))).toEqual(frames);
      },
    ),
  );
});

test("hands on piece data byte for byte, however the bytes are cut", () => {
  const slices = fc.array(fc.uint8Array({ minLength: 1, maxLength: 300 }), { minLength: 1 });
  fc.assert(
    fc.property(slices, fc.array(fc.nat({ max: 2_000 })), (pieces, at) => {
      const bytes = Buffer.concat(
        pieces.flatMap((slice, i) => [encodePieceDataHeader(i, slice.length), slice]),
      );
      const received = pieces.map(() => [] as number[]);
      for (const frame of decodeAll(cut(bytes, at))) {
        if (frame.type === "pieceData") received[frame.id]?.push(...frame.bytes);
      }
      expect(received).toEqual(pieces.map((slice) => [...slice]));
    }),
  );
});

test("R-TEST-04: arbitrary bytes end in frames or in a FrameError, and nothing else", () => {
  const hostile = fc.oneof(
    fc.uint8Array({ maxLength: 400 }),
    // A plausible header makes the decoder look at the body.
    fc
      .tuple(fc.nat({ max: 300_000 }), fc.nat({ max: 14 }), fc.uint8Array({ maxLength: 200 }))
      .map(([length, code, body]) => {
        const header = new Uint8Array(8);
        new DataView(header.buffer).setUint32(0, length % 2 === 0 ? length : body.length);
        header[4] = code;
        return new Uint8Array(Buffer.concat([header, body]));
      }),
  );
  fc.assert(
    fc.property(hostile, fc.array(fc.nat({ max: 400 })), (bytes, at) => {
      const error = errorOf(() => decodeAll(cut(bytes, at)));
      expect(error === undefined || error instanceof FrameError).toBe(true);
    }),
    { numRuns: 2_000 },
  );
});

const REFUSED: ReadonlyArray<readonly [string, string]> = [
  ["an unknown type", "00000000 0d000000"],
  ["type zero", "00000000 00000000"],
  ["reserved bytes that are not zero", `00000020 02000100 ${DIGEST}`],
  ["a frame of 4 GiB", "ffffffff 0b000000"],
  ["piece data one byte too long", "00080005 0b000000"],
  ["piece data without a byte", "00000004 0b000000 00000001"],
  ["a HAVE longer than a control frame", "00010000 05000000"],
  ["a HAVE without a piece", `00000020 05000000 ${DIGEST}`],
  ["a HAVE with half a piece", `00000026 05000000 ${DIGEST} 00000001 0001`],
  ["a piece out of range", `00000024 05000000 ${DIGEST} 00020000`],
  ["a request one byte short", `00000027 07000000 00000007 ${DIGEST} 000000`],
  ["a claim of nothing", `00000028 06000000 ${DIGEST} 00000003 00000000`],
  ["a claim beyond the last piece", `00000028 06000000 ${DIGEST} 0001ffff 00000002`],
  ["R-PEER-13: a have-map with spare bits", `00000025 04000000 ${DIGEST} 00000007 01`],
  ["R-PEER-13: a have-map too long", `00000026 04000000 ${DIGEST} 00000008 0000`],
  ["R-PEER-13: a have-map too short", `00000025 04000000 ${DIGEST} 00000009 00`],
  ["an unknown refusal", "00000005 0a000000 00000007 03"],
  ["a manifest of nothing", "00000008 0c000000 00000008 00000000"],
  ["R-PEER-14: a manifest beyond its limit", "00000008 0c000000 00000008 01000001"],
];

test.each(REFUSED)("refuses %s", (_, text) => {
  expect(() => decodeAll([fromHex(text)])).toThrow(FrameError);
  expect(() => decodeAll(cut(fromHex(text), [1, 5, 9, 20]))).toThrow(FrameError);
});

test("R-PEER-12: refuses a length before it allocates for it", () => {
  const before = process.memoryUsage().arrayBuffers;
  for (let i = 0; i < 1_000; i++) {
    expect(() => decodeAll([fromHex("7fffffff 05000000")])).toThrow(FrameError);
  }
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(MiB);
});

test("fits the longest HAVE and the largest have-map into a control frame (R-PEER-11)", () => {
  const pieces = Array.from({ length: HAVE_PIECES_MAX }, (_, i) => i);
  const have = encodeFrame({ type: "have", contentId, pieces });
  expect(have.length).toBeLessThanOrEqual(LIMITS.controlFrameBytesMax);
  expect(decodeAll([have])).toEqual([{ type: "have", contentId, pieces }]);
  const bits = new Uint8Array(LIMITS.haveMapBytesMax).fill(0xff);
  const bitfield = { type: "bitfield", contentId, pieceCount: bits.length * 8, bits } as const;
  expect(decodeAll([encodeFrame(bitfield)])).toEqual([bitfield]);
});

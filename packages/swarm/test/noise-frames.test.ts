/** Frames of Noise, against libp2p's own cipher in JavaScript, cut in any way and tampered with. */
import { randomBytes } from "node:crypto";
import { pureJsCrypto } from "@chainsafe/libp2p-noise";
import fc from "fast-check";
import { Uint8ArrayList } from "uint8arraylist";
import { expect, test } from "vitest";
import { FrameOpener, FrameSealer, giveBack } from "../src/noise-frames.ts";
import { someBytes } from "./test-swarm.ts";

const PLAINTEXT_LENGTH_MAX = 65_519;
const FRAMES_MAX = 2 ** 32;
/** OpenSSL's, by Node. */
const NOT_AUTHENTIC = "unable to authenticate data";
const key = Uint8Array.from({ length: 32 }, (_, i) => i);

function nonceOf(frame: number): Uint8Array {
  const nonce = Buffer.alloc(12);
  nonce.writeBigUInt64LE(BigInt(frame), 4);
  return nonce;
}

/** As the specification has it, by libp2p's slow cipher: the frames of one send. */
function referenceFrames(plaintext: Uint8Array, firstFrame = 0): Buffer {
  const frames: Uint8Array[] = [];
  for (let at = 0; at < plaintext.length; at += PLAINTEXT_LENGTH_MAX) {
    const part = plaintext.subarray(at, at + PLAINTEXT_LENGTH_MAX);
    const nonce = nonceOf(firstFrame + frames.length / 2);
    const none = new Uint8Array(0);
    const sealed = pureJsCrypto.chaCha20Poly1305Encrypt(part, nonce, none, key).subarray();
    frames.push(Buffer.of(sealed.length >> 8, sealed.length & 0xff), sealed);
  }
  return Buffer.concat(frames);
}

function open(opener: FrameOpener, parts: readonly Uint8Array[]): Buffer[] {
  const frames: Buffer[] = [];
  for (const part of parts) {
    for (const plaintext of opener.open(part)) frames.push(Buffer.concat(plaintext));
  }
  return frames;
}

/** The bytes in parts that begin at these places. */
function cutAt(bytes: Uint8Array, places: readonly number[]): Uint8Array[] {
  const cuts = [0, ...places.map((place) => place % (bytes.length + 1)), bytes.length];
  const sorted = cuts.toSorted((a, b) => a - b);
  return sorted.slice(1).map((end, i) => bytes.subarray(sorted[i], end));
}

const places = fc.array(fc.nat(200_000), { maxLength: 6 });

test("seals to the byte what libp2p's cipher seals, whatever parts it is given", () => {
  const lengths = fc.oneof(fc.nat(300), fc.constantFrom(65_518, 65_519, 65_520, 131_038, 150_000));
  fc.assert(
    fc.property(lengths, places, (length, cuts) => {
      const plaintext = someBytes(length, length);
      const sealed = new FrameSealer(key).seal(new Uint8ArrayList(...cutAt(plaintext, cuts)));
      expect(Buffer.compare(Buffer.concat(sealed), referenceFrames(plaintext))).toBe(0);
    }),
    { numRuns: 30 },
  );
});

test("opens what libp2p's cipher has sealed, wherever it is cut", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 140_000 }), places, (length, cuts) => {
      const plaintext = someBytes(length, length);
      const frames = open(new FrameOpener(key), cutAt(referenceFrames(plaintext), cuts));
      expect(frames.length).toBe(Math.ceil(length / PLAINTEXT_LENGTH_MAX));
      expect(Buffer.compare(Buffer.concat(frames), plaintext)).toBe(0);
    }),
    { numRuns: 30 },
  );
});

test("opens byte by byte, and frames with nothing in them", () => {
  const sealed = referenceFrames(someBytes(40, 1));
  const none = new Uint8Array(0);
  const empty = pureJsCrypto.chaCha20Poly1305Encrypt(none, nonceOf(1), none, key).subarray();
  const bytes = Buffer.concat([sealed, Buffer.of(0, 16), empty]);
  const opener = new FrameOpener(key);
  const frames = open(
    opener,
    [...bytes].map((byte) => Uint8Array.of(byte)),
  );
  expect(frames).toEqual([Buffer.from(someBytes(40, 1)), Buffer.alloc(0)]);
});

test("seals on with another number for every frame", () => {
  const sealer = new FrameSealer(key);
  const plaintext = new Uint8ArrayList(someBytes(100, 1));
  const sends = [1, 2, 3].map(() => Buffer.concat(sealer.seal(plaintext)).toString("hex"));
  expect(new Set(sends).size).toBe(3);
  expect(sends[2]).toBe(referenceFrames(someBytes(100, 1), 2).toString("hex"));
});

test("nothing of a frame is handed on before its tag has come", () => {
  const sealed = referenceFrames(someBytes(1_000, 1));
  const opener = new FrameOpener(key);
  expect(open(opener, [sealed.subarray(0, -1)])).toEqual([]);
  expect(open(opener, [sealed.subarray(-1)])).toEqual([Buffer.from(someBytes(1_000, 1))]);
});

test.each([
  ["in the ciphertext", 2],
  ["in the last of it", 101],
  ["in the tag", 102],
  ["in the tag's end", 117],
])("refuses a frame with another bit %s", (_, place) => {
  const sealed = referenceFrames(someBytes(100, 1));
  sealed[place]! ^= 1;
  const opener = new FrameOpener(key);
  expect(() => open(opener, [sealed])).toThrow(NOT_AUTHENTIC);
  // And what would have come after it.
  expect(() => open(opener, [referenceFrames(someBytes(100, 1))])).toThrow("state");
});

test("refuses a frame that comes twice, too early, with another length, or of another key", () => {
  const [first, second] = [0, 1].map((frame) => referenceFrames(someBytes(100, 1), frame));
  expect(() => open(new FrameOpener(key), [first!, first!])).toThrow(NOT_AUTHENTIC);
  expect(() => open(new FrameOpener(key), [second!])).toThrow(NOT_AUTHENTIC);
  const shorter = Buffer.concat([Buffer.of(0, 115), first!.subarray(2)]);
  expect(() => open(new FrameOpener(key), [shorter])).toThrow(NOT_AUTHENTIC);
  expect(() => open(new FrameOpener(randomBytes(32)), [first!])).toThrow(NOT_AUTHENTIC);
});

test.each([0, 1, 15])("refuses a frame of %i bytes, which has no tag", (length) => {
  const bytes = Buffer.concat([Buffer.of(0, length), Buffer.alloc(length)]);
  expect(() => open(new FrameOpener(key), [bytes])).toThrow("no tag");
});

test("seals and opens as many frames as a key is good for, and not one more", () => {
  const last = FRAMES_MAX - 1;
  const plaintext = someBytes(8, 1);
  const sealed = referenceFrames(plaintext, last);
  const sealer = new FrameSealer(key, last);
  expect(Buffer.concat(sealer.seal(new Uint8ArrayList(plaintext)))).toEqual(sealed);
  expect(() => sealer.seal(new Uint8ArrayList(plaintext))).toThrow("no numbers are left");
  const opener = new FrameOpener(key, last);
  expect(open(opener, [sealed])).toEqual([Buffer.from(plaintext)]);
  const surplus = referenceFrames(plaintext, FRAMES_MAX);
  expect(() => open(opener, [surplus])).toThrow("no numbers are left");
});

test("memory that is given back is gone, and none that others share", () => {
  const sealed = new FrameSealer(key).seal(new Uint8ArrayList(someBytes(1_000, 1)));
  const shared = new Uint8Array(100);
  giveBack([...sealed, shared.subarray(10)]);
  const ciphertext = sealed[1]!;
  expect(ciphertext.length).toBe(0);
  expect(shared.length).toBe(100);
});

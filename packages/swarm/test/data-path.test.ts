/**
 * What a MiB between two agents costs, counted and not timed: copies of its bytes, writes to
 * sockets, events for what is read. These figures are the same on every machine; what moves them is
 * a change to the data path, or to Node or libp2p below it.
 */
import { Socket } from "node:net";
import { MiB } from "@shoal/core";
import { expect, onTestFinished, test } from "vitest";
import { connectedPair } from "./test-swarm.ts";

const PIECES = 32;
const AT_A_TIME = 8;

interface Counts {
  copiedBytes: number;
  /** Of them, copied by V8 into memory that threads share, which it does word by word. */
  slowlyCopiedBytes: number;
  socketWrites: number;
  /** Parts that sockets handed on one by one. */
  reads: number;
  /** Given back at once, and not left to the garbage collector. */
  freedBytes: number;
}

type Method = (this: unknown, ...args: never[]) => unknown;

/** Calls `count` before every call of a method, until the test has finished. */
function watch(owner: object, name: string, count: (...args: never[]) => void): void {
  const before = Object.getOwnPropertyDescriptor(owner, name);
  const method = Reflect.get(owner, name) as Method;
  const counted: Method = function (this: unknown, ...args) {
    Reflect.apply(count, this, args);
    return Reflect.apply(method, this, args);
  };
  Object.defineProperty(owner, name, { value: counted, configurable: true, writable: true });
  onTestFinished(() => {
    if (before === undefined) Reflect.deleteProperty(owner, name);
    else Object.defineProperty(owner, name, before);
  });
}

function startCounting(): Counts {
  const counts = { copiedBytes: 0, slowlyCopiedBytes: 0, socketWrites: 0, reads: 0, freedBytes: 0 };
  const copied = ({ byteLength = 0 }: { byteLength?: number }): void => {
    counts.copiedBytes += byteLength;
  };
  const typedArray = Object.getPrototypeOf(Uint8Array) as { readonly prototype: object };
  watch(typedArray, "from", copied);
  watch(typedArray.prototype, "set", function (this: Uint8Array, part: Uint8Array) {
    copied(part);
    if (this.buffer instanceof SharedArrayBuffer) counts.slowlyCopiedBytes += part.byteLength;
  });
  watch(Buffer.prototype, "copy", (_target, _at, begin: number, end: number) => {
    counts.copiedBytes += end - begin;
  });
  watch(Buffer, "concat", (parts: readonly Uint8Array[]) => {
    for (const part of parts) copied(part);
  });
  watch(Socket.prototype, "_writeGeneric", () => counts.socketWrites++);
  watch(Socket.prototype, "push", (part: Uint8Array | null) => {
    if (part !== null) counts.reads++;
  });
  watch(ArrayBuffer.prototype, "transfer", function (this: ArrayBuffer) {
    counts.freedBytes += this.byteLength;
  });
  return counts;
}

test.each([
  ["TLS", "both", 0],
  ["Noise", "noise", 2],
] as const)(
  "over %s a MiB is copied once, and costs at most six socket writes",
  async (_, transports, freedTimes) => {
    const [a, b] = await connectedPair({ transports });
    const source = b.payload(MiB, 1);
    b.onEvent = (event) => {
      if (event.type !== "pieceRequested") return;
      const { peerId, requestId } = event;
      b.sendPiece(peerId, requestId, { bytes: source.bytes, release: () => {} });
    };
    const counts = startCounting();
    for (let i = 0; i < PIECES; i++) {
      if (i >= AT_A_TIME) await a.next("peerPiece", i - AT_A_TIME + 1);
      a.requestPiece(b.peerId, i, i, MiB);
    }
    await a.next("peerPiece", PIECES);
    expect(a.pieces.get(PIECES - 1)).toEqual(source.bytes);
    source.release();
    // Once from the socket's memory to the piece's, and once by this test, which keeps the pieces.
    expect(counts.copiedBytes / MiB / PIECES).toBeGreaterThanOrEqual(2);
    expect(counts.copiedBytes / MiB / PIECES).toBeLessThan(2.05);
    expect(counts.slowlyCopiedBytes).toBe(0);
    // Two slices, a request, leave to send more, and what did not fit into a turn.
    expect(counts.socketWrites / PIECES).toBeLessThanOrEqual(6);
    // Read into one piece of memory, and not a record or 64 KiB at a time; sockets that other tests
    // have left may have something to say meanwhile.
    expect(counts.reads).toBeLessThan(PIECES);
    // What is allocated for Noise: the ciphertext at one end, the plaintext at the other.
    expect(counts.freedBytes / MiB / PIECES).toBeGreaterThanOrEqual(freedTimes);
  },
);

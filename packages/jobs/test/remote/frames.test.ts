/** The codec of the job socket: golden bytes, round trips, hostile input. */
import { PassThrough } from "node:stream";
import { LIMITS, ShoalError } from "@shoal/core";
import fc from "fast-check";
import { expect, test } from "vitest";
import { encodeFrame, FrameDecoder, readFrames } from "../../src/remote/frames.ts";
import type { Frame } from "../../src/remote/frames.ts";
import { parseAgentMessage, parseCallerMessage, partsOf } from "../../src/remote/messages.ts";

const BINARY_MAX = 64;

/** Written by hand from docs/job-socket.md: JSON length, binary length, JSON. */
const GOLDEN: ReadonlyArray<readonly [object, number, string]> = [
  // 12 bytes of JSON, none beside it: {"a":[1,""]}
  [{ a: [1, ""] }, 0, "0000000c 00000000 7b2261223a5b312c22225d7d"],
  // 10 bytes of JSON, 3 beside it: {"a":"é"}, é being two bytes
  [{ a: "é" }, 3, "0000000a 00000003 7b2261223a22c3a9227d"],
];

test.each(GOLDEN)("encodes and decodes the golden bytes of %j", (message, length, text) => {
  const golden = Buffer.from(text.replaceAll(" ", ""), "hex");
  expect(Buffer.from(encodeFrame(message, length)).toString("hex")).toBe(golden.toString("hex"));
  const binary = new Uint8Array(length).fill(7);
  const frames = [...new FrameDecoder(BINARY_MAX).take(Buffer.concat([golden, binary]))];
  expect(frames).toEqual([{ message, binary: expect.objectContaining({ length }) as unknown }]);
});

test("decodes what was encoded, however it is cut", () => {
  const message = fc.dictionary(fc.string({ unit: "binary" }), fc.oneof(fc.integer(), fc.string()));
  const frame = fc.tuple(message, fc.uint8Array({ maxLength: BINARY_MAX }));
  const property = fc.property(fc.array(frame), fc.integer({ min: 1, max: 99 }), (sent, step) => {
    const bytes = Buffer.concat(
      sent.flatMap(([json, binary]) => [encodeFrame(json, binary.length), binary]),
    );
    const decoder = new FrameDecoder(BINARY_MAX);
    const received: Frame[] = [];
    for (let at = 0; at < bytes.length; at += step) {
      received.push(...decoder.take(bytes.subarray(at, at + step)));
    }
    expect(decoder.isBusy).toBe(false);
    expect(received.map(({ message: json }) => JSON.stringify(json))).toEqual(
      sent.map(([json]) => JSON.stringify(json)),
    );
    expect(received.map(({ binary }) => [...binary])).toEqual(
      sent.map(([, binary]) => [...binary]),
    );
  });
  fc.assert(property, { numRuns: 200 });
});

function takeAnything(bytes: Uint8Array): unknown {
  try {
    for (const { message } of new FrameDecoder(BINARY_MAX).take(bytes)) {
      parseCallerMessage(message);
      parseAgentMessage(message);
    }
    return "taken";
  } catch (error) {
    return error instanceof ShoalError ? error.code : error;
  }
}

test("refuses what is no frame with ERR_USAGE, and never with anything else", () => {
  const anything = fc.oneof(
    fc.uint8Array({ maxLength: 200 }),
    fc.json().map((text) => {
      const bytes = Buffer.concat([Buffer.alloc(8), Buffer.from(text)]);
      bytes.writeUInt32BE(bytes.length - 8);
      return bytes;
    }),
  );
  const property = fc.property(anything, (bytes) => {
    expect(["taken", "ERR_USAGE"]).toContain(takeAnything(bytes));
  });
  fc.assert(property, { numRuns: 1_000 });
});

test("reserves nothing for a frame that is too long (R-API-09)", () => {
  const header = Buffer.alloc(8);
  header.writeUInt32BE(LIMITS.jobFrameJsonBytesMax + 1);
  expect(() => [...new FrameDecoder(0).take(header)]).toThrow("a frame is too long");
  expect(() => encodeFrame({ text: "x".repeat(LIMITS.jobFrameJsonBytesMax) })).toThrow("too many");
});

test("refuses JSON of too many values, or nested too deeply, at both ends (R-API-09)", () => {
  const wide = Array.from({ length: LIMITS.jsonPartsMax }, () => 0);
  const deep: unknown = JSON.parse("[".repeat(16) + "]".repeat(16));
  for (const message of [{ wide }, { deep }]) {
    const json = Buffer.from(JSON.stringify(message));
    const header = Buffer.alloc(8);
    header.writeUInt32BE(json.length);
    const refused = expect.objectContaining({ code: "ERR_USAGE" }) as Error;
    expect(() => [...new FrameDecoder(0).take(Buffer.concat([header, json]))]).toThrow(refused);
    expect(() => encodeFrame(message)).toThrow(refused);
  }
  const text = '[{,"\\'.repeat(LIMITS.jsonPartsMax);
  expect(encodeFrame({ text }).length).toBeGreaterThan(text.length);
});

test("refuses values that JSON would change", () => {
  for (const value of [NaN, -Infinity, 1n]) {
    expect(() => encodeFrame({ value })).toThrow(expect.objectContaining({ code: "ERR_USAGE" }));
  }
});

test("ends a socket on which a frame takes too long, however it trickles (R-API-09)", async () => {
  const socket = new PassThrough();
  const frames = readFrames(socket, { binaryBytesMax: 0, timeoutMs: 50 });
  const trickle = setInterval(() => socket.write(Uint8Array.of(0)), 10);
  const startedAt = performance.now();
  await expect(frames.next()).rejects.toMatchObject({ code: "ERR_TIMEOUT" });
  clearInterval(trickle);
  expect(performance.now() - startedAt).toBeLessThan(5_000);
  expect(socket.destroyed).toBe(true);
});

test("puts items of a long answer into runs that fit, in order, one at least in each", () => {
  const items = Array.from({ length: 100 }, (_, i) => ({ text: "x".repeat(i * 1_000) }));
  const runs = [...partsOf([...items, { text: "x".repeat(LIMITS.jobPartBytesMax) }])];
  expect(runs.flat()).toHaveLength(101);
  expect(runs.flat().slice(0, 100)).toEqual(items);
  for (const run of runs.slice(0, -1)) {
    expect(JSON.stringify(run).length).toBeLessThanOrEqual(LIMITS.jobPartBytesMax + 2);
  }
  expect(runs.at(-1)).toHaveLength(1);
  expect([...partsOf([])]).toEqual([]);
});

/** Yamux frames in parts: what is handed on, of whatever parts it came in. */
import { LIMITS } from "@shoal/core";
import fc from "fast-check";
import { Uint8ArrayList } from "uint8arraylist";
import { expect, test } from "vitest";
import { PartwiseDecoder } from "../src/partwise-decoder.ts";
import type { YamuxFrame } from "../src/partwise-decoder.ts";

const [DATA, WINDOW_UPDATE] = [0, 1];
const [SYN, FIN] = [1, 4];

interface Frame {
  readonly type: number;
  readonly flag: number;
  readonly streamID: number;
  readonly length: number;
  readonly data: Uint8Array;
}

function encode({ type, flag, streamID, length, data }: Frame): Buffer {
  const head = Buffer.alloc(12);
  head.writeUInt8(type, 1);
  head.writeUInt16BE(flag, 2);
  head.writeUInt32BE(streamID, 4);
  head.writeUInt32BE(length, 8);
  return Buffer.concat([head, data]);
}

function dataFrame(data: Uint8Array, { flag = 0, streamID = 1 } = {}): Frame {
  return { type: DATA, flag, streamID, length: data.length, data };
}

function decode(parts: readonly Uint8Array[], decoder = new PartwiseDecoder(() => true)) {
  const frames: YamuxFrame[] = [];
  for (const part of parts) frames.push(...decoder.emitFrames(part));
  return frames;
}

const anyFrame = fc.oneof(
  fc
    .record({
      data: fc.uint8Array({ maxLength: 50 }),
      flag: fc.nat(15),
      streamID: fc.nat(2 ** 32 - 1),
    })
    .map(({ data, ...head }) => dataFrame(data, head)),
  fc
    .record({ flag: fc.nat(15), streamID: fc.nat(9), length: fc.nat(2 ** 32 - 1) })
    .map((head): Frame => ({ type: WINDOW_UPDATE, ...head, data: new Uint8Array(0) })),
);

test("wherever the bytes are cut, the parts of each frame add up to it", () => {
  fc.assert(
    fc.property(fc.array(anyFrame), fc.array(fc.nat(2_000)), (frames, cuts) => {
      const bytes = Buffer.concat(frames.map(encode));
      const places = cuts.map((cut) => cut % (bytes.length + 1)).toSorted((x, y) => x - y);
      const parts = [0, ...places].map((at, i) => bytes.subarray(at, places[i] ?? bytes.length));
      const decoded = decode(parts);
      for (const frame of frames) {
        let flag = 0;
        const data: Uint8Array[] = [];
        let left = frame.length;
        do {
          const { header, data: list } = decoded.shift()!;
          expect(header).toMatchObject({ type: frame.type, streamID: frame.streamID });
          expect(flag & header.flag).toBe(0);
          flag |= header.flag;
          data.push(list?.slice() ?? new Uint8Array(0));
          expect(list?.byteLength ?? header.length).toBe(header.length);
          left -= header.length;
        } while (left > 0);
        expect(left).toBe(0);
        expect(flag).toBe(frame.flag);
        expect(Buffer.concat(data)).toEqual(Buffer.from(frame.data));
      }
      expect(decoded).toEqual([]);
    }),
  );
});

test("a stream begins with the first part of its frame and ends with the last", () => {
  const bytes = encode(dataFrame(new Uint8Array(30), { flag: SYN | FIN }));
  const flags = decode([bytes.subarray(0, 20), bytes.subarray(20, 30), bytes.subarray(30)]).map(
    ({ header }) => header.flag,
  );
  expect(flags).toEqual([SYN, 0, FIN]);
});

test("streams that keep what they get have copies, the others views", () => {
  const decoder = new PartwiseDecoder((streamId) => streamId === 1);
  const one = encode(dataFrame(Uint8Array.of(1), { streamID: 1 }));
  const two = encode(dataFrame(Uint8Array.of(2), { streamID: 2 }));
  const frames = decode([one, two], decoder);
  one.fill(9);
  two.fill(9);
  expect(frames.map(({ data }) => data?.get(0))).toEqual([1, 9]);
});

test("takes lists of parts, as the connections over Noise deliver them", () => {
  const bytes = encode(dataFrame(Uint8Array.of(1, 2, 3)));
  const list = new Uint8ArrayList(bytes.subarray(0, 5), bytes.subarray(5, 14), bytes.subarray(14));
  const frames = [...new PartwiseDecoder(() => true).emitFrames(list)];
  expect(frames.map(({ header }) => header.length)).toEqual([2, 1]);
});

test("R-PEER-20: refuses a frame longer than was ever allowed, by its header", () => {
  const header = encode({ ...dataFrame(new Uint8Array(0)), length: LIMITS.streamReadBytesMax + 1 });
  expect(() => decode([header])).toThrow("larger than we allow");
  expect(() => decode([header.fill(7, 0, 1)])).toThrow("no frame");
});

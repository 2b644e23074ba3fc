/** The native copy against the plain one. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { copyInto } from "../../src/content/copy-into.ts";

test("copies what the plain version copies, from any part of any memory into shared memory", () => {
  const place = fc.record({ before: fc.nat(9), at: fc.nat(9), after: fc.nat(9) });
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), place, fc.boolean(), (bytes, around, shared) => {
      const { before, at, after } = around;
      const memoryLength = before + bytes.length;
      const memory = shared
        ? new Uint8Array(new SharedArrayBuffer(memoryLength))
        : new Uint8Array(memoryLength);
      memory.set(bytes, before);
      const length = at + bytes.length + after;
      const [native, plain] = [0, 1].map(() =>
        new Uint8Array(new SharedArrayBuffer(length)).fill(7),
      );
      const part = memory.subarray(before);
      copyInto(native!, at, part);
      plain!.set(part, at);
      expect(native).toEqual(plain);
    }),
  );
});

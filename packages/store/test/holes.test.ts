/** Zero runs stay holes, and what is read back is the same. */
import fs from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { KiB, MiB, PieceLayout } from "@shoal/core";
import { expect, test } from "vitest";
import { Holes } from "../src/holes.ts";
import {
  makeContent,
  openTestStore,
  partNames,
  plainSpecOf,
  specOf,
  temporaryDirectory,
} from "./harness.ts";

const BLOCK = 64 * KiB;

test("leaves out whole blocks of zeros and nothing else", () => {
  const write = fc.record({
    position: fc.integer({ min: 0, max: 6 * BLOCK }),
    length: fc.integer({ min: 1, max: 3 * BLOCK }),
    dataAt: fc.option(fc.integer({ min: 0, max: 3 * BLOCK }), { nil: undefined }),
  });
  const property = fc.property(fc.array(write, { maxLength: 8 }), (writes) => {
    const expected = new Uint8Array(10 * BLOCK);
    const file = new Uint8Array(10 * BLOCK);
    const holes = new Holes(file.length);
    for (const { position, length, dataAt } of writes) {
      const bytes = new Uint8Array(length);
      if (dataAt !== undefined) bytes[dataAt % length] = 7;
      expected.set(bytes, position);
      for (const run of holes.dataRuns(bytes, position)) file.set(run, position + run.byteOffset);
    }
    expect(Buffer.compare(file, expected)).toBe(0);
  });
  fc.assert(property, { numRuns: 200 });
  expect(new Holes(4 * BLOCK).dataRuns(new Uint8Array(4 * BLOCK), 0)).toEqual([]);
});

test("does not write zero runs into a new part file, and claims their pieces (R-FS-14)", async () => {
  const directory = temporaryDirectory();
  const store = await openTestStore(join(directory, "state"));
  const layout = PieceLayout.fixed(8 * MiB, MiB);
  const content = makeContent(layout, (bytes) => bytes.fill(0, 2 * MiB, 7 * MiB + 10_000));
  const destination = join(directory, "f");
  await store.open(1, specOf(content, destination));
  await store.fill(1, content, [0, 1, 7, 2]);
  const [name] = partNames(directory);
  const { blocks, size } = fs.statSync(join(directory, name ?? ""));
  expect(size).toBe(8 * MiB);
  expect(blocks * 512).toBeLessThan(3.2 * MiB);
  await store.close();
  const again = await openTestStore(join(directory, "state"));
  const have = await again.open(1, specOf(content, destination));
  expect(have[0]! & 0b1110_0001).toBe(0b1110_0001);
});

test("writes zeros where another program has written", async () => {
  const directory = temporaryDirectory();
  const store = await openTestStore(join(directory, "state"));
  const content = makeContent(PieceLayout.fixed(2 * MiB, MiB), (bytes) => bytes.fill(0, 0, MiB));
  await store.open(1, plainSpecOf(content, join(directory, "f")));
  const path = join(directory, partNames(directory)[0] ?? "");
  const fd = fs.openSync(path, "r+");
  fs.writeSync(fd, new Uint8Array(MiB).fill(1), 0, MiB, 0);
  fs.closeSync(fd);
  await store.fill(1, content, [0]);
  expect(Buffer.compare(fs.readFileSync(path).subarray(0, MiB), new Uint8Array(MiB))).toBe(0);
});

test("writes zeros over what another program left in a file that is begun anew", async () => {
  const directory = temporaryDirectory();
  const store = await openTestStore(join(directory, "state"));
  const content = makeContent(PieceLayout.fixed(2 * MiB, MiB), (bytes) => bytes.fill(0, MiB));
  await store.open(1, plainSpecOf(content, join(directory, "f")));
  await store.fill(1, content);
  const path = join(directory, partNames(directory)[0] ?? "");
  const fd = fs.openSync(path, "r+");
  fs.writeSync(fd, new Uint8Array(MiB).fill(1), 0, MiB, MiB);
  fs.closeSync(fd);
  await store.do({ type: "verifyContent", transferId: 1, readBack: false });
  expect((await store.events.next("contentMismatch")).pieces).toEqual([0, 1]);
  await store.fill(1, content);
  expect(Buffer.compare(fs.readFileSync(path), content.bytes)).toBe(0);
});

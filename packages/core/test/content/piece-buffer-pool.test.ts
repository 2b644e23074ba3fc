import { describe, expect, it } from "vitest";
import { AssertionError } from "../../src/assert.ts";
import { PieceBufferPool } from "../../src/content/piece-buffer-pool.ts";
import { KiB } from "../../src/units.ts";

describe("the piece buffer pool", () => {
  it("gives buffers of exactly the length asked, in shared memory", () => {
    const pool = new PieceBufferPool();
    for (const length of [0, 1, 64 * KiB, 64 * KiB + 1, 300 * KiB]) {
      const { bytes } = pool.take(length);
      expect(bytes).toHaveLength(length);
      expect(bytes.buffer).toBeInstanceOf(SharedArrayBuffer);
    }
  });

  it("uses a released buffer again, for another length too", () => {
    const pool = new PieceBufferPool();
    const first = pool.take(100 * KiB);
    const memory = first.bytes.buffer;
    first.release();
    expect(pool.take(128 * KiB).bytes.buffer).toBe(memory);
  });

  it("never gives the same memory to two owners", () => {
    const pool = new PieceBufferPool();
    const owned = Array.from({ length: 10 }, () => pool.take(64 * KiB));
    expect(new Set(owned.map(({ bytes }) => bytes.buffer)).size).toBe(10);
    for (const buffer of owned) buffer.release();
    const again = Array.from({ length: 12 }, () => pool.take(64 * KiB));
    expect(new Set(again.map(({ bytes }) => bytes.buffer)).size).toBe(12);
  });

  it("counts what is borrowed", () => {
    const pool = new PieceBufferPool();
    const [one, two] = [pool.take(1), pool.take(1)];
    expect(pool.borrowed).toBe(2);
    one.release();
    two.release();
    expect(pool.borrowed).toBe(0);
  });

  it("keeps no more idle memory than it may", () => {
    const pool = new PieceBufferPool({ retainedBytesMax: 128 * KiB });
    const owned = Array.from({ length: 3 }, () => pool.take(64 * KiB));
    const memory = new Set(owned.map(({ bytes }) => bytes.buffer));
    for (const buffer of owned) buffer.release();
    const again = Array.from({ length: 3 }, () => pool.take(64 * KiB));
    expect(again.filter(({ bytes }) => memory.has(bytes.buffer))).toHaveLength(2);
  });

  it("refuses a buffer that is released twice", () => {
    const pool = new PieceBufferPool();
    const buffer = pool.take(1);
    buffer.release();
    expect(() => buffer.release()).toThrow(AssertionError);
    expect(pool.borrowed).toBe(0);
  });
});

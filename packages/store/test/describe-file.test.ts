import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import fs from "node:fs";
import { join } from "node:path";
import { contentIdOf, KiB, MiB, pieceDigest, sha256 } from "@shoal/core";
import { expect, test } from "vitest";
import { scale } from "../../../test/long.ts";
import { describeFile } from "../src/describe-file.ts";
import { writeSidecar } from "../src/sidecar.ts";
import { temporaryDirectory } from "./harness.ts";

function makeFile(length: number, name = "file.bin"): { path: string; bytes: Uint8Array } {
  const path = join(temporaryDirectory(), name);
  const bytes = randomBytes(length);
  fs.writeFileSync(path, bytes);
  return { path, bytes };
}

test.each(scale([0, 3 * MiB + 17], [0, 1, 64 * KiB, 3 * MiB + 17]))(
  "describes a file of %i bytes",
  async (length) => {
    const { path, bytes } = makeFile(length);
    const progress: number[] = [];
    const described = await describeFile(path, {
      pieceLength: 64 * KiB,
      onProgress: (digestedBytes) => progress.push(digestedBytes),
    });
    const { manifest, contentId } = described;
    expect(contentId).toBe(contentIdOf(described.bytes));
    expect(manifest.layout.contentLength).toBe(length);
    expect(manifest.contentDigest).toEqual(sha256(bytes));
    expect(manifest.files).toMatchObject([{ name: "file.bin", length }]);
    for (let piece = 0; piece < manifest.layout.pieceCount; piece++) {
      const chunk = bytes.subarray(manifest.layout.start(piece), manifest.layout.end(piece));
      const digest = manifest.pieceDigests.subarray(piece * 32, piece * 32 + 32);
      expect(Buffer.compare(digest, sha256(chunk))).toBe(0);
    }
    expect(progress.at(-1) ?? 0).toBe(length);
  },
);

test("refuses what is not a readable regular file with an ordinary name", async () => {
  const directory = temporaryDirectory();
  execFileSync("mkfifo", [join(directory, "fifo")]);
  fs.writeFileSync(join(directory, "a:b"), "x");
  for (const name of ["missing", "fifo", ".", "a:b"]) {
    const described = describeFile(join(directory, name));
    await expect(described).rejects.toMatchObject({ code: "ERR_FILE_UNREADABLE" });
  }
  const odd = describeFile(join(directory, "a:b"), { pieceLength: 65_537 });
  await expect(odd).rejects.toMatchObject({ code: "ERR_USAGE" });
});

test("refuses a file that changes while it is read", async () => {
  const { path } = makeFile(64 * MiB);
  const described = describeFile(path, {
    onProgress: () => fs.appendFileSync(path, "more"),
  });
  await expect(described).rejects.toMatchObject({ code: "ERR_FILE_UNREADABLE" });
});

test("stops for its signal, with the signal's reason", async () => {
  const { path } = makeFile(64 * MiB);
  const reason = new Error("enough");
  const before = describeFile(path, { signal: AbortSignal.abort(reason) });
  await expect(before).rejects.toBe(reason);
  const controller = new AbortController();
  const described = describeFile(path, {
    signal: controller.signal,
    onProgress: () => controller.abort(reason),
  });
  await expect(described).rejects.toBe(reason);
});

test("writes a sidecar in the place of an older one and leaves nothing else", async () => {
  const { path } = makeFile(100);
  const { bytes } = await describeFile(path);
  fs.writeFileSync(`${path}.shoal`, "old");
  expect(await writeSidecar(path, bytes)).toBe(`${path}.shoal`);
  expect(Buffer.compare(fs.readFileSync(`${path}.shoal`), bytes)).toBe(0);
  expect(fs.readdirSync(join(path, ".."))).toHaveLength(2);
  fs.rmSync(`${path}.shoal`);
  fs.mkdirSync(`${path}.shoal`);
  const refused = writeSidecar(path, bytes);
  await expect(refused).rejects.toMatchObject({ code: "ERR_DESTINATION_TYPE" });
  expect(fs.readdirSync(join(path, ".."))).toHaveLength(2);
  const nowhere = writeSidecar(join(path, "..", "missing", "f"), bytes);
  await expect(nowhere).rejects.toMatchObject({ code: "ERR_DIRECTORY_MISSING" });
});

test("cuts by content where that is asked, and describes every byte of the file", async () => {
  const { path, bytes } = makeFile(3 * MiB + 5);
  const { manifest } = await describeFile(path, { chunking: "content" });
  const { layout, contentDigest } = manifest;
  expect(layout.boundaries.kind).toBe("explicit");
  expect(layout.contentLength).toBe(bytes.length);
  expect(contentDigest).toEqual(sha256(bytes));
  for (let piece = 0; piece < layout.pieceCount; piece++) {
    const chunk = bytes.subarray(layout.start(piece), layout.end(piece));
    expect(pieceDigest(manifest, piece)).toEqual(sha256(chunk));
  }
  const again = await describeFile(path, { chunking: "content", pieceLength: 64 * KiB });
  expect(again.manifest.layout.boundaries).toEqual(layout.boundaries);
  const coarse = await describeFile(path, { chunking: "content", pieceLength: MiB });
  expect(coarse.manifest.layout.pieceCount).toBeLessThan(layout.pieceCount);
  const refused = describeFile(path, { chunking: "content", pieceLength: 16 * MiB });
  await expect(refused).rejects.toMatchObject({ code: "ERR_USAGE" });
});

test("describes an empty file by content, too", async () => {
  const { path } = makeFile(0);
  const { manifest } = await describeFile(path, { chunking: "content" });
  expect(manifest.layout.pieceCount).toBe(0);
});

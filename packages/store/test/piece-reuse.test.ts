/** Pieces that lie on this machine already are taken from there, and only if they match. */
import { randomBytes } from "node:crypto";
import fs from "node:fs";
import { join } from "node:path";
import {
  contentIdOf,
  DIGEST_LENGTH,
  encodeManifest,
  KiB,
  NO_BUFFER,
  PieceLayout,
  PieceSet,
  sha256,
} from "@shoal/core";
import { expect, test } from "vitest";
import {
  endedRecord,
  openTestStore,
  pieceOf,
  specOf,
  temporaryDirectory,
  type TestContent,
  jobRecord,
  JOB_ID,
  type TestStore,
} from "./harness.ts";

const PIECE = 64 * KiB;
const OTHER_JOB = "0b5c7a10-1111-4222-8333-999955556666";

/** A content of the given pieces, cut where they meet. */
function contentOf(pieces: readonly Uint8Array[]): TestContent {
  const layout = PieceLayout.explicit(Uint32Array.from(pieces, ({ length }) => length));
  const bytes = new Uint8Array(Buffer.concat(pieces));
  const pieceDigests = new Uint8Array(pieces.length * DIGEST_LENGTH);
  pieces.forEach((piece, i) => pieceDigests.set(sha256(piece), i * DIGEST_LENGTH));
  const contentDigest = sha256(bytes);
  const files = [{ name: "f", length: bytes.length, digest: contentDigest }];
  const manifestBytes = encodeManifest({ layout, pieceDigests, contentDigest, files, hints: {} });
  return { bytes, layout, manifestBytes, contentId: contentIdOf(manifestBytes), contentDigest };
}

const randomPiece = (length = PIECE): Uint8Array => new Uint8Array(randomBytes(length));

/** Saves the jobs of both transfers: `url` is that of the first, which belongs to `owner`. */
async function saveJobs(store: TestStore, url: string, owner = "somebody else"): Promise<void> {
  const first = jobRecord("/f", { owner });
  const files = first.files.map((file) => ({ ...file, spec: { ...file.spec, url } }));
  const second = jobRecord("/g", { jobId: OTHER_JOB, sequence: 2 });
  for (const job of [{ ...first, files }, second]) {
    await store.do({ type: "saveJob", revision: 1, job });
    await store.events.next("jobSaved");
  }
}

const PUBLIC = "http://127.0.0.1/f";
const SIGNED = "http://127.0.0.1/f?signature=5f3a";

async function publish(store: TestStore, content: TestContent, path: string): Promise<void> {
  await store.open(1, specOf(content, path));
  await store.fill(1, content);
  await store.do({ type: "publishContent", transferId: 1, overwrite: true });
  await store.events.next("contentPublished");
}

/** Opens as transfer 2, and returns the pieces that the store answers for. */
async function openSecond(
  store: TestStore,
  content: TestContent,
  path: string,
): Promise<readonly number[]> {
  const spec = { ...specOf(content, path), jobId: OTHER_JOB };
  await store.do({ type: "openContent", transferId: 2, spec });
  const { reusable } = await store.events.next("contentOpened");
  const set = reusable && PieceSet.fromBytes(content.layout.pieceCount, reusable);
  return [...(set ?? [])];
}

async function storePiece(store: TestStore, content: TestContent, piece: number): Promise<void> {
  const command = { type: "storePiece", transferId: 2, piece, bufferId: NO_BUFFER } as const;
  await store.do(command, pieceOf(content, piece));
}

/** The pieces that the next events say are stored. */
async function nextStored(store: TestStore, count: number): Promise<readonly number[]> {
  const pieces: number[] = [];
  while (pieces.length < count) pieces.push((await store.events.next("pieceStored")).piece);
  return pieces;
}

async function publishSecond(store: TestStore): Promise<void> {
  await store.do({ type: "commitPieces", transferId: 2 });
  await store.events.next("piecesCommitted");
  await store.do({ type: "verifyContent", transferId: 2, readBack: true });
  await store.events.next("contentVerified");
  await store.do({ type: "publishContent", transferId: 2, overwrite: true });
  await store.events.next("contentPublished");
}

test("takes from the old file at the destination what the new version has in common", async () => {
  const directory = temporaryDirectory();
  const store = await openTestStore(join(directory, "state"));
  await saveJobs(store, PUBLIC);
  const [a, b, c, d] = [randomPiece(), randomPiece(1_000), randomPiece(), randomPiece(70_000)];
  await publish(store, contentOf([a, b, c]), join(directory, "f"));
  const next = contentOf([d, c, a]);
  expect(await openSecond(store, next, join(directory, "f"))).toEqual([1, 2]);
  expect(new Set(await nextStored(store, 2))).toEqual(new Set([1, 2]));
  await storePiece(store, next, 0);
  await nextStored(store, 1);
  await publishSecond(store);
  expect(sha256(fs.readFileSync(join(directory, "f")))).toEqual(next.contentDigest);
});

test("reports pieces that do not match any more, so that they are fetched (R-CACHE-02)", async () => {
  const directory = temporaryDirectory();
  const store = await openTestStore(join(directory, "state"));
  await saveJobs(store, PUBLIC);
  const [a, b] = [randomPiece(), randomPiece()];
  await publish(store, contentOf([a, b]), join(directory, "old"));
  fs.writeFileSync(join(directory, "old"), Buffer.concat([a, randomPiece()]));
  const next = contentOf([b, a]);
  expect(await openSecond(store, next, join(directory, "new"))).toEqual([0, 1]);
  const answers = [await store.events.any(), await store.events.any()];
  expect(answers).toContainEqual({ type: "pieceStored", transferId: 2, piece: 1 });
  expect(answers).toContainEqual({ type: "pieceCorrupt", transferId: 2, piece: 0 });
});

test("does not promise pieces of a file that is gone or of another length", async () => {
  const directory = temporaryDirectory();
  const store = await openTestStore(join(directory, "state"));
  await saveJobs(store, PUBLIC);
  const piece = randomPiece();
  await publish(store, contentOf([piece]), join(directory, "old"));
  fs.appendFileSync(join(directory, "old"), "x");
  expect(await openSecond(store, contentOf([piece, randomPiece()]), join(directory, "n"))).toEqual(
    [],
  );
});

test("answers for pieces whose file becomes a symbolic link or a FIFO", async () => {
  const directory = temporaryDirectory();
  const store = await openTestStore(join(directory, "state"));
  await saveJobs(store, PUBLIC);
  const piece = randomPiece();
  const other = randomPiece();
  await publish(store, contentOf([piece, other]), join(directory, "old"));
  const next = contentOf([other, piece]);
  const spec = { ...specOf(next, join(directory, "n")), jobId: OTHER_JOB };
  const opened = store.do({ type: "openContent", transferId: 2, spec });
  await store.events.next("contentOpened");
  fs.renameSync(join(directory, "old"), join(directory, "moved"));
  fs.symlinkSync(join(directory, "moved"), join(directory, "old"));
  await opened;
  const answers = [await store.events.any(), await store.events.any()];
  for (const { type } of answers) expect(["pieceStored", "pieceCorrupt"]).toContain(type);
});

test("fetches pieces that are equal once, and copies them when the first has come", async () => {
  const directory = temporaryDirectory();
  const store = await openTestStore(join(directory, "state"));
  const [a, b] = [randomPiece(), randomPiece()];
  const content = contentOf([a, b, a, a]);
  expect(await openSecond(store, content, join(directory, "f"))).toEqual([2, 3]);
  const wrong = { type: "storePiece", transferId: 2, piece: 0, bufferId: NO_BUFFER } as const;
  await store.do(wrong, randomPiece());
  await store.events.next("pieceCorrupt");
  await storePiece(store, content, 1);
  await nextStored(store, 1);
  await storePiece(store, content, 0);
  expect(await nextStored(store, 3)).toEqual([0, 2, 3]);
  await publishSecond(store);
  expect(sha256(fs.readFileSync(join(directory, "f")))).toEqual(content.contentDigest);
});

test("takes pieces from the part file of another job, those it has committed", async () => {
  const directory = temporaryDirectory();
  const store = await openTestStore(join(directory, "state"));
  await saveJobs(store, PUBLIC);
  const [a, b, c] = [randomPiece(), randomPiece(), randomPiece()];
  const first = contentOf([a, b]);
  await store.open(1, specOf(first, join(directory, "first")));
  await store.fill(1, first, [1]);
  expect(await openSecond(store, contentOf([c, b, a]), join(directory, "second"))).toEqual([1]);
  expect(await nextStored(store, 1)).toEqual([1]);
});

test("goes on with what is left after a restart, from the content's own pieces too", async () => {
  const directory = temporaryDirectory();
  const [a, b] = [randomPiece(), randomPiece()];
  const content = contentOf([a, b, a]);
  const before = await openTestStore(join(directory, "state"));
  expect(await openSecond(before, content, join(directory, "f"))).toEqual([2]);
  await storePiece(before, content, 0);
  await before.close();
  const after = await openTestStore(join(directory, "state"));
  const spec = { ...specOf(content, join(directory, "f")), jobId: OTHER_JOB };
  await after.do({ type: "openContent", transferId: 2, spec });
  const { have, reusable } = await after.events.next("contentOpened");
  expect(have[0]! & 0b1000_0000).not.toBe(0);
  if ((have[0]! & 0b0010_0000) !== 0) return; // It was copied before the stop.
  expect(reusable).toEqual(Uint8Array.of(0b0010_0000));
  expect(await nextStored(after, 1)).toEqual([2]);
});

test("ends quietly when the content is closed while pieces are being copied", async () => {
  const directory = temporaryDirectory();
  const store = await openTestStore(join(directory, "state"));
  await saveJobs(store, PUBLIC);
  const pieces = Array.from({ length: 40 }, () => randomPiece());
  await publish(store, contentOf(pieces), join(directory, "old"));
  const next = contentOf([...pieces].reverse());
  expect(await openSecond(store, next, join(directory, "new"))).toHaveLength(40);
  await store.do({ type: "closeContent", transferId: 2, outcome: "discard" });
  await store.events.skipTo("contentClosed");
  await store.close();
  expect(fs.readdirSync(directory).sort()).toEqual(["old", "state"]);
});

test("gives no piece of a private content to a job of another owner (R-PRIV-02)", async () => {
  const directory = temporaryDirectory();
  const store = await openTestStore(join(directory, "state"));
  await saveJobs(store, SIGNED);
  const [secret, other] = [randomPiece(), randomPiece()];
  await publish(store, contentOf([secret]), join(directory, "f"));
  const guess = contentOf([secret, other]);
  expect(await openSecond(store, guess, join(directory, "g"))).toEqual([]);
  await store.do({ type: "closeContent", transferId: 2, outcome: "discard" });
  await store.events.next("contentClosed");
  // Nor when its job is over, and nothing but the file is left of it.
  await store.do({ type: "endJob", job: endedRecord(join(directory, "f")) });
  await store.events.next("jobEnded");
  await store.do({ type: "forgetJob", jobId: JOB_ID });
  expect(await openSecond(store, guess, join(directory, "g"))).toEqual([]);
});

test("gives no piece of a private part file to a job of another owner (R-PRIV-02)", async () => {
  const directory = temporaryDirectory();
  const store = await openTestStore(join(directory, "state"));
  await saveJobs(store, SIGNED);
  const [secret, other] = [randomPiece(), randomPiece()];
  const first = contentOf([secret, other]);
  await store.open(1, specOf(first, join(directory, "f")));
  await store.fill(1, first, [0]);
  const guess = contentOf([randomPiece(), secret]);
  expect(await openSecond(store, guess, join(directory, "g"))).toEqual([]);
});

test("takes pieces of a private content for its own owner, and of any other for everybody", async () => {
  for (const [url, owner] of [
    [SIGNED, "somebody"],
    [PUBLIC, "somebody else"],
  ] as const) {
    const directory = temporaryDirectory();
    const store = await openTestStore(join(directory, "state"));
    await saveJobs(store, url, owner);
    const piece = randomPiece();
    await publish(store, contentOf([piece]), join(directory, "f"));
    const next = contentOf([randomPiece(), piece]);
    expect(await openSecond(store, next, join(directory, "g"))).toEqual([1]);
  }
});

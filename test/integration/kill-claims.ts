/**
 * Reads the state that a killed agent has left, as an outsider, and compares what it claims with the
 * bytes on disk (I-2). Works on a copy of the database, so that nothing is recovered early.
 *
 * Knows the tables and the layout of files as docs/storage.md has them, and not the store's code.
 * Used by tests that kill agents or cut their power.
 */
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { copyFile, mkdtemp, open, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { decodeManifest, PieceLayout, PieceSet } from "@shoal/core";

export interface LeftState {
  /** The job's values as stored, by `displayName`. */
  readonly jobs: ReadonlyMap<string, { readonly jobId: string; readonly state: string }>;
  /** Claimed pieces of unfinished contents. */
  readonly claimCount: number;
  /** Claims that do not hold, in sentences. */
  readonly findings: readonly string[];
}

/** What a content without a manifest must be; `undefined` when it is not known here. */
export type ExpectedBytes = (jobId: string, fileIndex: number) => Uint8Array | undefined;

const DIGEST_LENGTH = 32;

type Row = Readonly<Record<string, unknown>>;

export async function readLeftState(
  stateDirectory: string,
  expectedBytes: ExpectedBytes = () => undefined,
): Promise<LeftState> {
  const copies = await mkdtemp(join(tmpdir(), "shoal-claims-"));
  try {
    for (const name of ["state.db", "state.db-wal"]) {
      const path = join(stateDirectory, name);
      if (existsSync(path)) await copyFile(path, join(copies, name));
    }
    using database = new DatabaseSync(join(copies, "state.db"));
    const hasTables = database.prepare("SELECT 1 FROM sqlite_schema WHERE name = 'contents'").get();
    if (hasTables === undefined) return { jobs: new Map(), claimCount: 0, findings: [] };
    return await read(database, expectedBytes);
  } finally {
    await rm(copies, { recursive: true });
  }
}

async function read(database: DatabaseSync, expectedBytes: ExpectedBytes): Promise<LeftState> {
  const records = database.prepare("SELECT record FROM jobs").all();
  const jobs = records.map(
    ({ record }) =>
      JSON.parse(String(record)) as { jobId: string; displayName: string; state: string },
  );
  const sql = `SELECT contents.*, bytes FROM contents LEFT JOIN manifests USING (content_id)
    WHERE state <> 'published'`;
  const findings: string[] = [];
  let claimCount = 0;
  for (const row of database.prepare(sql).all()) {
    const content = contentOf(row);
    claimCount += content.claimed.length;
    const expected = expectedBytes(content.jobId, content.fileIndex);
    findings.push(...(await falseClaimsOf(content, expected)));
  }
  return { jobs: new Map(jobs.map((job) => [job.displayName, job])), claimCount, findings };
}

interface LeftContent {
  readonly jobId: string;
  readonly fileIndex: number;
  readonly partPath: string;
  readonly destination: string;
  readonly layout: PieceLayout;
  readonly digests: Uint8Array | undefined;
  readonly claimed: readonly number[];
}

function contentOf(row: Row): LeftContent {
  const destination = String(row["destination"]);
  const decoded = row["bytes"] instanceof Uint8Array ? decodeManifest(row["bytes"]) : undefined;
  if (decoded?.ok === false) throw new Error(decoded.reason);
  const layout = decoded?.manifest.layout ?? plainLayoutOf(row);
  const have = PieceSet.fromBytes(layout.pieceCount, row["have"] as Uint8Array);
  const pieces = Array.from({ length: layout.pieceCount }, (_, piece) => piece);
  return {
    jobId: String(row["job_id"]),
    fileIndex: Number(row["file_index"]),
    partPath: join(dirname(destination), String(row["part_name"])),
    destination,
    layout,
    digests: decoded?.manifest.pieceDigests,
    claimed: pieces.filter((piece) => have?.has(piece)),
  };
}

function plainLayoutOf(row: Row): PieceLayout {
  const pieceLength = row["piece_length"];
  if (typeof pieceLength === "number") return PieceLayout.fixed(Number(row["length"]), pieceLength);
  const bytes = Buffer.from(row["piece_lengths"] as Uint8Array);
  const lengths = Uint32Array.from({ length: bytes.length / 4 }, (_, i) =>
    bytes.readUInt32BE(i * 4),
  );
  return PieceLayout.explicit(lengths);
}

async function falseClaimsOf(
  { partPath, destination, layout, digests, claimed, jobId }: LeftContent,
  expected: Uint8Array | undefined,
): Promise<string[]> {
  if (claimed.length === 0) return [];
  // A publication that was cut short may have moved it.
  const path = existsSync(partPath) ? partPath : destination;
  if (!existsSync(path)) return [`${jobId} claims pieces of ${path}, which is not there`];
  await using file = await open(path);
  const findings: string[] = [];
  for (const piece of claimed) {
    const [start, length] = [layout.start(piece), layout.length(piece)];
    const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, start);
    const digest = digests?.subarray(piece * DIGEST_LENGTH, (piece + 1) * DIGEST_LENGTH);
    const isRight =
      digest === undefined
        ? expected === undefined || buffer.equals(expected.subarray(start, start + length))
        : createHash("sha256").update(buffer).digest().equals(digest);
    if (bytesRead === length && isRight) continue;
    findings.push(`${path} does not have piece ${piece}, which job ${jobId} claims`);
  }
  return findings;
}

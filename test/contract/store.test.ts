/** The store contract, on the simulated adapter and on the one over files and SQLite. */
import { readdirSync, statSync } from "node:fs";
import { mkdtemp, realpath, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  contentIdOf,
  encodeManifest,
  MiB,
  PieceBufferPool,
  PieceLayout,
  Random,
  sha256,
} from "@shoal/core";
import type { PieceBytes, StoreEvent } from "@shoal/core";
import { makeSimContent, SimDisk, SimPayloads, SimStore, VirtualClock } from "@shoal/sim";
import type { SimPayload } from "@shoal/sim";
import { openStore } from "@shoal/store";
import { EventLog } from "./event-log.ts";
import { describeStoreContract } from "./store-contract.ts";
import type { StoreHarness } from "./store-contract.ts";

const PIECE_LENGTH = MiB / 4;
const LENGTH = 8 * PIECE_LENGTH + 5;

describeStoreContract("over files and SQLite", openReal);
describeStoreContract("simulated", openSimulated);

async function openReal(): Promise<StoreHarness<PieceBytes>> {
  const root = await realpath(await mkdtemp(join(tmpdir(), "shoal-contract-")));
  const pool = new PieceBufferPool();
  const layout = PieceLayout.fixed(LENGTH, PIECE_LENGTH);
  const random = new Random(1);
  const content = Uint8Array.from({ length: LENGTH }, () => random.below(256));
  const bytesOf = (piece: number): Uint8Array =>
    content.subarray(layout.start(piece), layout.end(piece));
  const contentDigest = sha256(content);
  const pieces = Array.from({ length: layout.pieceCount }, (_, piece) => sha256(bytesOf(piece)));
  const manifestBytes = encodeManifest({
    layout,
    pieceDigests: new Uint8Array(Buffer.concat(pieces)),
    contentDigest,
    files: [{ name: "file.bin", length: LENGTH, digest: contentDigest }],
    hints: {},
  });
  return {
    open: async () => {
      const log = new EventLog<StoreEvent, PieceBytes>();
      const stateDirectory = join(root, "state");
      return { port: await openStore({ pool, sink: log.sink }, { stateDirectory }), log };
    },
    layout,
    manifest: { contentId: contentIdOf(manifestBytes), bytes: manifestBytes },
    contentDigest,
    directory: root,
    partNames: () =>
      readdirSync(root, { recursive: true, encoding: "utf8" }).filter((name) =>
        name.endsWith(".part"),
      ),
    modifiedAtOf: (path) => statSync(path).mtimeMs,
    take: (piece, isCorrupt = false) => {
      const payload = pool.take(layout.length(piece));
      payload.bytes.set(bytesOf(piece));
      if (isCorrupt) payload.bytes[0]! ^= 1;
      return payload;
    },
    release: (payload) => payload.release(),
    byteLength: ({ bytes }) => bytes.length,
    borrowed: () => pool.borrowed,
    close: () => rm(root, { recursive: true, force: true }),
  };
}

function openSimulated(): Promise<StoreHarness<SimPayload>> {
  const clock = new VirtualClock();
  const disk = new SimDisk({ clock });
  const payloads = new SimPayloads();
  const content = makeSimContent({ lengthBytes: LENGTH, pieceLengthBytes: PIECE_LENGTH, seed: 1 });
  const { layout, contentId, manifestBytes } = content;
  return Promise.resolve({
    open: () => {
      const log = new EventLog<StoreEvent, SimPayload>(clock);
      const port = new SimStore({ clock, disk, payloads, sink: log.sink });
      return Promise.resolve({ port, log });
    },
    layout,
    manifest: { contentId, bytes: manifestBytes },
    contentDigest: new Uint8Array(32),
    directory: "/srv",
    partNames: () =>
      [...disk.files.values()].filter(({ isPublished }) => !isPublished).map(({ path }) => path),
    modifiedAtOf: (path) => disk.published.get(path)?.modifiedAt,
    take: (piece, isCorrupt = false) => payloads.take(piece, layout.length(piece), isCorrupt),
    release: (payload) => payloads.release(payload),
    byteLength: ({ byteLength }) => byteLength,
    borrowed: () => payloads.borrowed,
    close: () => Promise.resolve(),
  });
}

/**
 * The process that `store-worker.test.ts` kills: stores the pieces that are missing, begins anew when
 * none are, and tells its parent about every commit.
 */
import fs from "node:fs";
import { contentIdOf, decodeManifest, NO_BUFFER, PieceBufferPool, PieceSet } from "@shoal/core";
import type { SchedulerEvent } from "@shoal/core";
import { openStore } from "@shoal/store";

const [stateDirectory = "", destination = "", source = ""] = process.argv.slice(2);
const jobId = "0b5c7a10-1111-4222-8333-444455556666";
const manifestBytes = fs.readFileSync(`${source}.shoal`);
const bytes = fs.readFileSync(source);
const decoded = decodeManifest(manifestBytes);
if (!decoded.ok) throw new Error(decoded.reason);
const { layout } = decoded.manifest;
const pool = new PieceBufferPool();

const sink = (event: SchedulerEvent): void => {
  if (event.type === "contentOpened") {
    const have = PieceSet.fromBytes(layout.pieceCount, event.have);
    if (have?.isFull === true) {
      store.execute({ type: "closeContent", transferId: 1, outcome: "discard" });
      store.execute({ type: "openContent", transferId: 2, spec });
    }
    const { transferId } = event;
    for (let piece = 0; piece < layout.pieceCount; piece++) {
      if (have?.has(piece) === true) continue;
      const payload = pool.take(layout.length(piece));
      payload.bytes.set(bytes.subarray(layout.start(piece), layout.end(piece)));
      store.execute({ type: "storePiece", transferId, piece, bufferId: NO_BUFFER }, payload);
    }
  } else if (event.type === "pieceStored") {
    store.execute({ type: "commitPieces", transferId: event.transferId });
  } else if (event.type === "piecesCommitted") {
    process.send?.(event.pieces.length);
  }
};
const store = await openStore({ pool, sink }, { stateDirectory });
const manifest = { contentId: contentIdOf(manifestBytes), bytes: new Uint8Array(manifestBytes) };
const spec = { jobId, fileIndex: 0, layout, manifest, destination };
store.execute({ type: "openContent", transferId: 1, spec });

/** The store contract, on the simulated adapter and on the one over files and SQLite. */
import { MiB } from "@shoal/core";
import type { StoreEvent } from "@shoal/core";
import { makeSimContent, SimDisk, SimPayloads, SimStore, VirtualClock } from "@shoal/sim";
import type { SimPayload } from "@shoal/sim";
import { EventLog } from "./event-log.ts";
import { describeStoreContract } from "./store-contract.ts";
import type { StoreHarness } from "./store-contract.ts";

const PIECE_LENGTH = MiB / 4;
const LENGTH = 8 * PIECE_LENGTH + 5;

describeStoreContract("simulated", openSimulated);

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
    take: (piece, isCorrupt = false) => payloads.take(piece, layout.length(piece), isCorrupt),
    release: (payload) => payloads.release(payload),
    byteLength: ({ byteLength }) => byteLength,
    borrowed: () => payloads.borrowed,
    close: () => Promise.resolve(),
  });
}

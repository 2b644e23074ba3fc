/** The simulated disk's faults; what every store does is in `test/contract`. */
import { MiB, NO_BUFFER, PieceSet } from "@shoal/core";
import type { SchedulerEvent, StoreCommand } from "@shoal/core";
import { describe, expect, it } from "vitest";
import { makeSimContent, SimDisk, SimPayloads, SimStore, VirtualClock } from "../src/index.ts";
import type { SimDiskOptions } from "../src/index.ts";

const CONTENT = makeSimContent({ lengthBytes: 16 * MiB, pieceLengthBytes: MiB, seed: 1 });
const { layout, contentId, manifestBytes } = CONTENT;

function setUp(options: SimDiskOptions = {}) {
  const clock = new VirtualClock();
  const disk = new SimDisk({ clock }, options);
  const payloads = new SimPayloads();
  const events: SchedulerEvent[] = [];
  const openStore = () => {
    const store = new SimStore({ clock, disk, payloads, sink: (event) => events.push(event) });
    const say = (command: StoreCommand): void => store.execute(command);
    const spec = {
      jobId: "00000000-0000-4000-8000-000000000001",
      fileIndex: 0,
      layout,
      manifest: { contentId, bytes: manifestBytes },
      destination: "/srv/file",
    };
    say({ type: "openContent", transferId: 1, spec });
    const storePiece = (piece: number): void =>
      store.execute(
        { type: "storePiece", transferId: 1, piece, bufferId: NO_BUFFER },
        payloads.take(piece, layout.length(piece), false),
      );
    clock.run(clock.now() + 1_000);
    return { store, say, storePiece };
  };
  const typesSince = (from: number): string[] => events.slice(from).map(({ type }) => type);
  const haveAtLast = (): number[] => {
    const opened = events.findLast((event) => event.type === "contentOpened");
    const have = opened?.type === "contentOpened" ? opened.have : new Uint8Array();
    return [...(PieceSet.fromBytes(layout.pieceCount, have) ?? [])];
  };
  return { clock, disk, events, openStore, typesSince, haveAtLast };
}

describe("SimStore", () => {
  it("loses in a crash what is not committed, also what is being synced", () => {
    const { clock, disk, openStore, haveAtLast } = setUp({ syncLatencyMs: 50 });
    const first = openStore();
    first.storePiece(1);
    first.say({ type: "commitPieces", transferId: 1 });
    clock.run(clock.now() + 1_000);
    first.storePiece(2);
    clock.run(clock.now() + 1_000);
    first.say({ type: "commitPieces", transferId: 1 });
    clock.run(clock.now() + 10);
    first.storePiece(3);
    first.store.crash();
    clock.run(clock.now() + 1_000);
    expect(disk.wasClosed).toBe(false);
    openStore();
    expect(haveAtLast()).toEqual([1]);
    expect(disk.usedBytes).toBe(MiB);
  });

  it("keeps what is stored when it ends in order", async () => {
    const { clock, openStore, haveAtLast } = setUp();
    const first = openStore();
    first.storePiece(4);
    clock.run(clock.now() + 1_000);
    await first.store.close();
    openStore();
    expect(haveAtLast()).toEqual([4]);
  });

  it("fails a content on a full disk until it is closed and opened again (R-FS-09)", () => {
    const { clock, disk, events, openStore, typesSince } = setUp({ capacityBytes: 2.5 * MiB });
    const { say, storePiece } = openStore();
    for (const piece of [0, 1, 2, 3]) storePiece(piece);
    say({ type: "commitPieces", transferId: 1 });
    clock.run(clock.now() + 1_000);
    const failures = typesSince(0).filter((type) => type === "contentFailed");
    expect(failures).toHaveLength(3);
    expect(events.find((event) => event.type === "contentFailed")).toMatchObject({
      error: { code: "ERR_DISK_FULL" },
    });
    expect(disk.usedBytes).toBe(0);
    disk.setCapacity(Infinity);
    say({ type: "closeContent", transferId: 1, outcome: "keep" });
    clock.run(clock.now() + 1_000);
    const again = openStore();
    const from = events.length;
    again.storePiece(0);
    clock.run(clock.now() + 1_000);
    expect(typesSince(from)).toEqual(["pieceStored"]);
  });

  it("finds a damaged piece when it is read, and after a crash (R-FS-10)", () => {
    const { clock, disk, openStore, typesSince, events, haveAtLast } = setUp();
    const first = openStore();
    disk.damageNextWrites(2);
    for (const piece of [5, 6, 7]) first.storePiece(piece);
    first.say({ type: "commitPieces", transferId: 1 });
    clock.run(clock.now() + 1_000);
    const from = events.length;
    first.say({ type: "readPiece", transferId: 1, piece: 5, requestId: 1 });
    clock.run(clock.now() + 1_000);
    expect(typesSince(from)).toEqual(["pieceLost"]);
    first.store.crash();
    openStore();
    expect(haveAtLast()).toEqual([7]);
  });
});

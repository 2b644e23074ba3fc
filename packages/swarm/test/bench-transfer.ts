/**
 * How fast one swarm takes pieces from another, in two processes, with nothing written or hashed:
 * over TLS and over Noise by turns.
 * Run: `node --conditions=shoal-source packages/swarm/test/bench-transfer.ts [MiB] [rounds]`. Prints
 * MiB/s and CPU seconds per GiB of both ends.
 */
import { fork } from "node:child_process";
import { once } from "node:events";
import { contentIdOf, MiB, PieceBufferPool } from "@shoal/core";
import type { PieceBytes, SchedulerEvent } from "@shoal/core";
import { createSwarm } from "../src/index.ts";
import type { Swarm } from "../src/index.ts";

const PIECE_LENGTH = MiB;
const OUTSTANDING = 8;
const contentId = contentIdOf(new Uint8Array(1));
type Transports = "both" | "noise";

async function upload(transports: Transports): Promise<void> {
  const pool = new PieceBufferPool();
  const swarm: Swarm = await createSwarm(
    {
      pool,
      sink: (event) => {
        if (event.type !== "pieceRequested") return;
        const { peerId, requestId } = event;
        const payload = pool.take(PIECE_LENGTH);
        swarm.execute({ type: "sendPiece", peerId, requestId, bufferId: 0 }, payload);
      },
    },
    { listen: ["/ip4/127.0.0.1/tcp/0"], transports },
  );
  process.send?.({ peerId: swarm.peerId, addresses: swarm.addresses });
  const before = process.cpuUsage();
  await once(process, "message");
  process.send?.(cpuSeconds(before));
  await swarm.close();
  process.disconnect();
}

async function download(pieceCount: number, transports: Transports): Promise<void> {
  const uploader = fork(import.meta.filename, ["upload", transports], {
    execArgv: process.execArgv,
  });
  const [{ peerId, addresses }] = (await once(uploader, "message")) as [
    { peerId: string; addresses: string[] },
  ];
  const pool = new PieceBufferPool();
  const connected = Promise.withResolvers<void>();
  const done = Promise.withResolvers<void>();
  let asked = 0;
  let received = 0;
  const ask = (): void => {
    const requestId = ++asked;
    const piece = requestId % 1_000;
    swarm.execute({
      type: "requestPiece",
      peerId,
      requestId,
      contentId,
      piece,
      length: PIECE_LENGTH,
    });
  };
  const sink = (event: SchedulerEvent, payload?: PieceBytes): void => {
    if (event.type === "peerConnected") connected.resolve();
    if (event.type !== "peerPiece") return;
    payload?.release();
    if (++received === pieceCount) done.resolve();
    else if (asked < pieceCount) ask();
  };
  const swarm = await createSwarm({ pool, sink }, { listen: [], allowLoopback: true, transports });
  swarm.execute({ type: "dialPeer", peerId, addresses });
  await connected.promise;
  const before = process.cpuUsage();
  const beganAt = performance.now();
  for (let i = 0; i < OUTSTANDING; i++) ask();
  await done.promise;
  const seconds = (performance.now() - beganAt) / 1_000;
  const downloaderCpu = cpuSeconds(before);
  uploader.send("stop");
  const [uploaderCpu] = (await once(uploader, "message")) as [number];
  await swarm.close();
  const perGiB = (cpu: number): string => (cpu / (pieceCount / 1_024)).toFixed(2);
  console.log(
    `${transports === "noise" ? "Noise" : "TLS"}: ${(pieceCount / seconds).toFixed(0)} MiB/s, CPU s/GiB: downloader ${perGiB(downloaderCpu)},` +
      ` uploader ${perGiB(uploaderCpu)}`,
  );
}

function cpuSeconds(before: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1e6;
}

const [, , first = "1024", second = "1"] = process.argv;
if (first === "upload") {
  await upload(second === "noise" ? "noise" : "both");
} else {
  for (let round = 0; round < Number(second); round++) {
    await download(Number(first), "both");
    await download(Number(first), "noise");
  }
}

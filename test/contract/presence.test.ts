/** The presence contract on the adapter over libp2p, without a group and in one. */
import { randomBytes } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { PieceBufferPool } from "@shoal/core";
import type { PieceBytes, SwarmEvent } from "@shoal/core";
import { createSwarm } from "@shoal/swarm";
import { EventLog } from "./event-log.ts";
import { describePresenceContract } from "./presence-contract.ts";
import type { SwarmAgent } from "./swarm-contract.ts";

describePresenceContract("over libp2p", async () => {
  const [a, b, c] = await Promise.all([realAgent(), realAgent(), realAgent()]);
  return { a, b, c, pause };
});

describePresenceContract("over libp2p, in a group", async () => {
  const key = randomBytes(32);
  const [a, b, c] = await Promise.all([realAgent(key), realAgent(key), realAgent(key)]);
  return { a, b, c, stranger: await realAgent(randomBytes(32)), pause };
});

const pause = (): Promise<void> => delay(50);

async function realAgent(groupKey?: Uint8Array): Promise<SwarmAgent<PieceBytes>> {
  const pool = new PieceBufferPool();
  const log = new EventLog<SwarmEvent, PieceBytes>();
  const groupKeys = groupKey === undefined ? [] : [groupKey];
  const listen = ["/ip4/127.0.0.1/tcp/0"];
  const swarm = await createSwarm({ pool, sink: log.sink }, { listen, groupKeys });
  return {
    peerId: swarm.peerId,
    addresses: [...swarm.addresses],
    port: swarm,
    log,
    take: (byteLength) => pool.take(byteLength),
    release: (payload) => payload.release(),
    byteLength: ({ bytes }) => bytes.length,
    borrowed: () => pool.borrowed,
  };
}

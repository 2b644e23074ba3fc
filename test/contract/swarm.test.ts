/** The swarm contract, on the adapter over libp2p and on the simulated one. */
import { MiB, PieceBufferPool, Random } from "@shoal/core";
import type { PieceBytes, SwarmEvent } from "@shoal/core";
import { Downlink, SimNetwork, SimPayloads, SimSwarm, VirtualClock } from "@shoal/sim";
import type { SimPayload } from "@shoal/sim";
import { createSwarm } from "@shoal/swarm";
import { EventLog } from "./event-log.ts";
import { describeSwarmContract } from "./swarm-contract.ts";
import type { SwarmAgent, SwarmHarness } from "./swarm-contract.ts";

describeSwarmContract("over libp2p", () => openReal("both"));
describeSwarmContract("over libp2p, by Noise alone", () => openReal("noise"));
describeSwarmContract("simulated", openSimulated);

type Transports = "both" | "noise";

async function openReal(transports: Transports): Promise<SwarmHarness<PieceBytes>> {
  const start = (): Promise<RealAgent> => realAgent(transports);
  const [a, b, absent] = await Promise.all([start(), start(), start()]);
  await absent.port.close();
  return { a, b, absent, close: () => Promise.resolve() };
}

type RealAgent = SwarmAgent<PieceBytes>;

async function realAgent(transports: Transports): Promise<RealAgent> {
  const pool = new PieceBufferPool();
  const log = new EventLog<SwarmEvent, PieceBytes>();
  const swarm = await createSwarm(
    { pool, sink: log.sink },
    {
      listen: ["/ip4/127.0.0.1/tcp/0"],
      staticPeers: [],
      mdns: false,
      allowLoopback: true,
      transports,
    },
  );
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

function openSimulated(): Promise<SwarmHarness<SimPayload>> {
  const clock = new VirtualClock();
  const network = new SimNetwork({ clock, random: new Random(1) });
  const absent = { peerId: "nobody", addresses: ["/sim/nobody"] };
  return Promise.resolve({
    a: simulatedAgent("a", network),
    b: simulatedAgent("b", network),
    absent,
    close: () => Promise.resolve(),
  });
}

function simulatedAgent(peerId: string, network: SimNetwork): SwarmAgent<SimPayload> {
  const payloads = new SimPayloads();
  const log = new EventLog<SwarmEvent, SimPayload>(network.clock);
  const downlink = new Downlink(100 * MiB);
  const port = new SimSwarm(
    { network, downlink, payloads, sink: log.sink },
    { peerId, upRateBytesPerSec: 100 * MiB },
  );
  return {
    peerId,
    addresses: [`/sim/${peerId}`],
    port,
    log,
    take: (byteLength) => payloads.take(0, byteLength, false),
    release: (payload) => payloads.release(payload),
    byteLength: ({ byteLength }) => byteLength,
    borrowed: () => payloads.borrowed,
  };
}

/**
 * Real swarms and raw libp2p peers on loopback, for tests. They speak TLS, unless the file that
 * runs the tests says that they are to speak Noise.
 */
import { setTimeout as delay } from "node:timers/promises";
import { noise } from "@chainsafe/libp2p-noise";
import type {
  Connection,
  ConnectionEncrypter,
  Libp2p,
  PrivateKey,
  Stream,
} from "@libp2p/interface";
import { tcp } from "@libp2p/tcp";
import { yamux } from "@libp2p/yamux";
import { multiaddr } from "@multiformats/multiaddr";
import { contentIdOf, PieceBufferPool } from "@shoal/core";
import type { PieceBytes, SchedulerEvent, SwarmCommand, SwarmEvent } from "@shoal/core";
import { createLibp2p } from "libp2p";
import { afterEach } from "vitest";
import { FrameDecoder } from "../src/frame-decoder.ts";
import { encodeFrame } from "../src/frames.ts";
import type { ControlFrame, Frame } from "../src/frames.ts";
import { GOSSIP_PROTOCOL } from "../src/gossip.ts";
import type { Group } from "../src/group.ts";
import { createIdentity, createSwarm, SWARM_PROTOCOL } from "../src/index.ts";
import type { PrivateKey as Identity, Swarm, SwarmOptions } from "../src/index.ts";
import { nativeTls, TLS_PROTOCOL } from "../src/native-tls.ts";
import { createTlsIdentity } from "../src/tls-certificate.ts";

export const contentId = contentIdOf(Uint8Array.of(1));
const WAIT_MS = 5_000;

let hasTls = true;

/** From now on, swarms and raw peers know no TLS. */
export function speakNoise(): void {
  hasTls = false;
}

export function isNoiseOnly(): boolean {
  return !hasTls;
}

export type EventOf<Type extends SwarmEvent["type"]> = Extract<SwarmEvent, { type: Type }>;

/** A swarm whose events are kept, with an optional hand that answers them. */
export class TestSwarm {
  readonly pool = new PieceBufferPool();
  readonly events: SchedulerEvent[] = [];
  /** Bytes of the pieces received, by request. */
  readonly pieces = new Map<number, Uint8Array>();
  onEvent: (event: SwarmEvent) => void = () => {};
  #swarm: Swarm | undefined;

  static async start(options: Partial<SwarmOptions> = {}): Promise<TestSwarm> {
    const test = new TestSwarm();
    test.#swarm = await createSwarm(
      { pool: test.pool, sink: (event, payload) => test.#take(event, payload) },
      {
        listen: ["/ip4/127.0.0.1/tcp/0"],
        inboundPerHostPerSecMax: 1_000,
        connectionsPerHostMax: 1_000,
        ...(isNoiseOnly() ? { transports: "noise" } : {}),
        ...options,
      },
    );
    running.push(() => {
      test.swarm.checkInvariants();
      return test.swarm.close();
    });
    return test;
  }

  get swarm(): Swarm {
    if (this.#swarm === undefined) throw new Error("the swarm has not started");
    return this.#swarm;
  }

  get peerId(): string {
    return this.swarm.peerId;
  }

  execute(command: SwarmCommand, payload?: PieceBytes): void {
    this.swarm.execute(command, payload);
  }

  dial(other: { peerId: string; addresses: readonly string[] }): void {
    this.execute({ type: "dialPeer", peerId: other.peerId, addresses: other.addresses });
  }

  all<Type extends SwarmEvent["type"]>(type: Type): EventOf<Type>[] {
    return this.events.filter((event): event is EventOf<Type> => event.type === type);
  }

  /** The `count`-th event of a type, once it has come. */
  async next<Type extends SwarmEvent["type"]>(type: Type, count = 1): Promise<EventOf<Type>> {
    await until(() => this.all(type).length >= count, `${count} × ${type}`);
    this.swarm.checkInvariants();
    return this.all(type)[count - 1] as EventOf<Type>;
  }

  /** A payload of the pool with bytes that depend on `seed`. */
  payload(length: number, seed: number): PieceBytes {
    const payload = this.pool.take(length);
    payload.bytes.set(someBytes(length, seed));
    return payload;
  }

  requestPiece(peerId: string, requestId: number, piece: number, length: number): void {
    this.execute({ type: "requestPiece", peerId, requestId, contentId, piece, length });
  }

  sendPiece(peerId: string, requestId: number, payload: PieceBytes): void {
    this.execute({ type: "sendPiece", peerId, requestId, bufferId: 0 }, payload);
  }

  #take(event: SchedulerEvent, payload?: PieceBytes): void {
    this.events.push(event);
    if (event.type === "peerPiece" && payload !== undefined) {
      this.pieces.set(event.requestId, Uint8Array.from(payload.bytes));
      payload.release();
    }
    this.onEvent(event as SwarmEvent);
  }
}

/** Waits, at most five seconds, until `check` holds. */
async function until(check: () => boolean, what: string): Promise<void> {
  const deadline = performance.now() + WAIT_MS;
  while (!check()) {
    if (performance.now() > deadline) throw new Error(`waited in vain for ${what}`);
    await delay(2);
  }
}

const running: (() => Promise<void>)[] = [];
afterEach(async () => {
  await Promise.all(running.splice(0).map((close) => close()));
});

/** Two swarms; the first has dialled the second. */
export async function connectedPair(
  options: Partial<SwarmOptions> = {},
): Promise<[TestSwarm, TestSwarm]> {
  const [a, b] = await Promise.all([TestSwarm.start(options), TestSwarm.start(options)]);
  a.dial(b.swarm);
  await Promise.all([a.next("peerConnected"), b.next("peerConnected")]);
  return [a, b];
}

/** Bytes that differ from piece to piece and from place to place. */
export function someBytes(length: number, seed: number): Uint8Array {
  const words = new Uint32Array(Math.ceil(length / 4));
  let state = Math.imul(seed + 1, 0x9e3779b9);
  for (let i = 0; i < words.length; i++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    words[i] = state;
  }
  return new Uint8Array(words.buffer, 0, length);
}

/** A libp2p peer without our code above the connection, for frames that our code would not send. */
export class RawPeer {
  readonly frames: Frame[] = [];
  closed = false;
  readonly connection: Connection;
  readonly stream: Stream;

  constructor(connection: Connection, stream: Stream) {
    this.connection = connection;
    this.stream = stream;
    const decoder = new FrameDecoder();
    stream.addEventListener("message", ({ data }) => {
      for (const frame of decoder.decode(data instanceof Uint8Array ? [data] : data)) {
        // Views are only valid until the next frame.
        this.frames.push(
          "bytes" in frame ? { ...frame, bytes: Uint8Array.from(frame.bytes) } : frame,
        );
      }
    });
    connection.addEventListener("close", () => (this.closed = true));
  }

  /** Dials a swarm and opens the protocol's stream, without greeting. */
  static async dial(target: TestSwarm, privateKey?: PrivateKey, group?: Group): Promise<RawPeer> {
    const node = await rawNode({ privateKey, group });
    const [address] = target.swarm.addresses;
    const connection = await node.dial(multiaddr(address));
    return new RawPeer(connection, await connection.newStream(SWARM_PROTOCOL));
  }

  /** Dials and greets. */
  static async greet(target: TestSwarm): Promise<RawPeer> {
    const peer = await RawPeer.dial(target);
    peer.send({ type: "hello", version: 1, requestsMax: 8 });
    await target.next("peerConnected");
    return peer;
  }

  send(frame: ControlFrame): void {
    this.stream.send(encodeFrame(frame));
  }

  sendBytes(bytes: Uint8Array): void {
    this.stream.send(bytes);
  }

  /** The `count`-th frame of a type, once it has come. */
  async next<Type extends Frame["type"]>(
    type: Type,
    count = 1,
  ): Promise<Extract<Frame, { type: Type }>> {
    const found = () => this.frames.filter((frame) => frame.type === type);
    await until(() => found().length >= count, `${count} × ${type}`);
    return found()[count - 1] as Extract<Frame, { type: Type }>;
  }

  untilReset(): Promise<void> {
    return until(() => this.stream.status !== "open", "the end of the stream");
  }

  untilClosed(): Promise<void> {
    return until(() => this.closed, "the end of the connection");
  }
}

export type RawEncrypter = (
  components: Parameters<ReturnType<typeof noise>>[0],
) => ConnectionEncrypter;

/** The encrypted handshake of these tests, for everybody or for a group. */
async function encrypterOf(privateKey: PrivateKey, group?: Group): Promise<RawEncrypter> {
  if (isNoiseOnly()) {
    if (group === undefined) return noise();
    const { noisePrologue, noiseProtocol: protocol } = group;
    return (components) =>
      Object.assign(noise({ prologueBytes: noisePrologue })(components), { protocol });
  }
  const identity = await createTlsIdentity(privateKey as Identity);
  const protocol = group?.tlsProtocol ?? TLS_PROTOCOL;
  return nativeTls({ identity, protocol, proofKey: group?.tlsProofKey });
}

/** A bare libp2p node; `onStream` makes it answer the swarm protocol. */
export async function rawNode(options: {
  privateKey?: PrivateKey | undefined;
  /** Whose handshake it knows. */
  group?: Group | undefined;
  encrypter?: RawEncrypter | undefined;
  onStream?: (peer: RawPeer) => void;
}): Promise<Libp2p> {
  const privateKey = options.privateKey ?? (await createIdentity());
  const node = await createLibp2p({
    privateKey,
    addresses: { listen: options.onStream === undefined ? [] : ["/ip4/127.0.0.1/tcp/0"] },
    transports: [tcp()],
    connectionEncrypters: [options.encrypter ?? (await encrypterOf(privateKey, options.group))],
    streamMuxers: [yamux()],
    connectionMonitor: { enabled: false },
  });
  // Presence comes to it and is not read.
  await node.handle(GOSSIP_PROTOCOL, () => {});
  const { onStream } = options;
  if (onStream !== undefined) {
    await node.handle(SWARM_PROTOCOL, (stream, connection) => {
      onStream(new RawPeer(connection, stream));
    });
  }
  running.push(async () => {
    for (const connection of node.getConnections()) connection.abort(new Error("the test is over"));
    await node.stop();
  });
  return node;
}

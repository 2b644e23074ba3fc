/**
 * A stranger on the network: a bare libp2p node that speaks the peer protocol by hand, from
 * docs/wire.md alone, so that it can say what our own code never would.
 *
 * Knows connections, streams and how frames lie in bytes; shares no code with the adapter. Used by
 * tests of whole agents; what is said, and when, is theirs.
 */
import { noise } from "@chainsafe/libp2p-noise";
import type { Connection, Libp2p, Stream } from "@libp2p/interface";
import { tcp } from "@libp2p/tcp";
import { tls } from "@libp2p/tls";
import { yamux } from "@libp2p/yamux";
import { multiaddr } from "@multiformats/multiaddr";
import { createLibp2p } from "libp2p";

const PROTOCOL = "/shoal/swarm/1.0.0";
const HEADER_LENGTH = 8;

/** Types of frames, as docs/wire.md numbers them. */
export const FRAME = {
  hello: 1,
  join: 2,
  bitfield: 4,
  have: 5,
  claim: 6,
  request: 7,
  manifestRequest: 8,
  cancel: 9,
  refuse: 10,
  pieceData: 11,
} as const;

/** Numbers as frames have them: 32 bits, big-endian. */
export function words(...numbers: readonly number[]): Buffer {
  const bytes = Buffer.alloc(4 * numbers.length);
  numbers.forEach((number, i) => bytes.writeUInt32BE(number, 4 * i));
  return bytes;
}

/** The first eight bytes of a frame, whatever follows them. */
export function header(type: number, length: number): Buffer {
  return Buffer.concat([words(length), Buffer.of(type, 0, 0, 0)]);
}

export function frame(type: number, ...parts: readonly Uint8Array[]): Buffer {
  const body = Buffer.concat(parts);
  return Buffer.concat([header(type, body.length), body]);
}

/** One stream with an agent. `onFrame` sees every whole frame that the agent sends. */
export class Talk {
  onFrame: (type: number, body: Buffer) => void = () => {};
  onEnd: () => void = () => {};
  readonly connection: Connection;
  readonly #stream: Stream;
  #received = Buffer.alloc(0);
  #isOver = false;

  constructor(connection: Connection, stream: Stream) {
    this.connection = connection;
    this.#stream = stream;
    stream.addEventListener("message", ({ data }) => this.#receive(data.subarray()));
    connection.addEventListener("close", () => {
      if (this.#isOver) return;
      this.#isOver = true;
      this.onEnd();
    });
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  get agentId(): string {
    return this.connection.remotePeer.toString();
  }

  /** False: the stream takes no more for now, or not at all. */
  send(bytes: Uint8Array): boolean {
    try {
      return !this.#isOver && this.#stream.send(bytes);
    } catch {
      return false;
    }
  }

  /** Sends what `next` gives, as fast as it is taken, until the agent ends it; gives the bytes. */
  async pour(next: () => Uint8Array): Promise<number> {
    let sentBytes = 0;
    while (!this.#isOver && this.#stream.status === "open") {
      const bytes = next();
      const isWilling = this.send(bytes);
      sentBytes += bytes.length;
      const signal = AbortSignal.timeout(60_000);
      if (!isWilling) await this.#stream.onDrain({ signal }).catch(() => {});
      // Lets the socket be read meanwhile: that is where the end is seen.
      await new Promise(setImmediate);
    }
    return sentBytes;
  }

  /** From now on nothing is read, and the agent's bytes pile up. */
  stopReading(): void {
    this.#stream.pause();
  }

  leave(): void {
    this.connection.abort(new Error("the stranger leaves"));
  }

  #receive(bytes: Uint8Array): void {
    this.#received = Buffer.concat([this.#received, bytes]);
    while (this.#received.length >= HEADER_LENGTH) {
      const end = HEADER_LENGTH + this.#received.readUInt32BE(0);
      if (this.#received.length < end) return;
      const body = this.#received.subarray(HEADER_LENGTH, end);
      const type = this.#received.readUInt8(4);
      this.#received = this.#received.subarray(end);
      this.onFrame(type, body);
    }
  }
}

/** A node with an identity of its own. Disposing of it ends all its connections. */
export class Stranger implements AsyncDisposable {
  readonly #node: Libp2p;

  private constructor(node: Libp2p) {
    this.#node = node;
  }

  /** Greets nobody by itself: `onTalk` gets the streams that agents open. */
  static async create(onTalk: (talk: Talk) => void): Promise<Stranger> {
    const node = await createLibp2p({
      addresses: { listen: ["/ip4/127.0.0.1/tcp/0"] },
      transports: [tcp()],
      connectionEncrypters: [tls(), noise()],
      streamMuxers: [yamux()],
      connectionMonitor: { enabled: false },
    });
    await node.handle(PROTOCOL, (stream, connection) => onTalk(new Talk(connection, stream)));
    return new Stranger(node);
  }

  get peerId(): string {
    return this.#node.peerId.toString();
  }

  /** With `/p2p/` and the id. */
  get address(): string {
    return String(this.#node.getMultiaddrs()[0]);
  }

  /** A connection on which nothing has been said. Rejects when the agent refuses it. */
  connect(address: string): Promise<Connection> {
    const signal = AbortSignal.timeout(5_000);
    return this.#node.dial(multiaddr(address), { force: true, signal });
  }

  /** Connects and opens the protocol's stream, without a greeting. */
  async dial(address: string): Promise<Talk> {
    const connection = await this.connect(address);
    const signal = AbortSignal.timeout(5_000);
    return new Talk(connection, await connection.newStream(PROTOCOL, { signal }));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const connection of this.#node.getConnections()) connection.abort(new Error("over"));
    await this.#node.stop();
  }
}

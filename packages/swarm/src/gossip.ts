/**
 * GossipSub among those who have greeted each other. libp2p would let every peer take part as soon
 * as identify has run; here a peer takes part from when its link opens until it closes, over one
 * stream each way, opened with a deadline, and with a bound on what it may send.
 *
 *   link open ──▶ our stream opened ──▶ neighbour: its stream, kept until now, is read ──▶ link closed
 *
 * GossipSub itself is given a registrar that knows these peers only, and nothing to dial or to
 * remember anybody with (R-PEER-18). Knows topics and bytes; what they mean is judged by presence.
 */
import { gossipsub, StrictSign, TopicValidatorResult } from "@libp2p/gossipsub";
import type { GossipSub, GossipSubComponents, SignedMessage } from "@libp2p/gossipsub";
import type { Connection, Stream, StreamHandler, Topology } from "@libp2p/interface";
import { assert, LIMITS } from "@shoal/core";
import type { Offence, PeerId } from "@shoal/core";
import { Allowance } from "./request-rates.ts";

/** The newest version of GossipSub's protocol; ours is the only one on our networks. */
export const GOSSIP_PROTOCOL = "/meshsub/1.2.0";

/** Passed on and used; dropped; dropped because only a broken or hostile author sends it. */
export type Verdict = "accept" | "ignore" | "reject";

export interface GossipDeps {
  readonly topics: readonly string[];
  /** Asked once about each message whose signature is right. */
  readonly judge: (message: SignedMessage, neighbourId: PeerId) => Verdict;
  /** Somebody listens to a topic who did not before. */
  readonly listenerFound: () => void;
  /** What a neighbour did itself; its link is to be closed. */
  readonly offended: (peerId: PeerId, offence: Offence, reason: string) => void;
}

interface Neighbour {
  readonly connection: Connection;
  /** What GossipSub takes for the connection, once our stream is open. */
  facade: Connection | undefined;
}

/** Beyond GossipSub's interface; a test watches that it is there. */
export interface GossipInternals {
  readonly status: { readonly heartbeatTimeout?: NodeJS.Timeout };
  stop(): Promise<void>;
  readonly score: { rejectInvalidMessage(peerId: string, topic: string): void };
}

const VERDICTS: Readonly<Record<Verdict, TopicValidatorResult>> = {
  accept: TopicValidatorResult.Accept,
  ignore: TopicValidatorResult.Ignore,
  reject: TopicValidatorResult.Reject,
};

export class Gossip {
  readonly #deps: GossipDeps;
  readonly #neighbours = new Map<PeerId, Neighbour>();
  /** Streams of peers that are not neighbours yet, one per connection. */
  readonly #waiting = new Map<Connection, Stream>();
  #pubsub: GossipSub | undefined;
  #handler: StreamHandler | undefined;
  #topology: Topology | undefined;

  constructor(deps: GossipDeps) {
    this.#deps = deps;
  }

  /** What libp2p calls to make the service; it starts and stops it with itself. */
  readonly createService = (components: GossipSubComponents): GossipSub => {
    const { peerId, privateKey, logger } = components;
    const pubsub = gossipsub(options(this.#deps.topics))({
      peerId,
      privateKey,
      logger,
      registrar: this.#registrar(components.registrar),
      peerStore: NOBODY as GossipSubComponents["peerStore"],
      connectionManager: NOBODY as GossipSubComponents["connectionManager"],
    });
    const internals = pubsub as unknown as GossipInternals;
    const stop = internals.stop.bind(internals);
    internals.stop = async () => {
      // It leaves its timer running, which would keep the process for a second.
      const { heartbeatTimeout } = internals.status;
      await stop();
      clearTimeout(heartbeatTimeout);
    };
    internals.score.rejectInvalidMessage = (neighbourId) =>
      this.#deps.offended(neighbourId, "malformedFrame", "the peer passed on a forged message");
    for (const topic of this.#deps.topics) {
      pubsub.topicValidators.set(topic, (from, message) =>
        message.type === "signed"
          ? VERDICTS[this.#deps.judge(message, from.toString())]
          : TopicValidatorResult.Reject,
      );
    }
    for (const event of ["subscription-change", "gossipsub:graft"] as const) {
      pubsub.addEventListener(event, () => this.#deps.listenerFound());
    }
    this.#pubsub = pubsub;
    return pubsub;
  };

  /** Begins to take part; after libp2p has started. */
  start(): void {
    for (const topic of this.#deps.topics) this.#pubsub?.subscribe(topic);
  }

  /** A link has opened. */
  async join(connection: Connection): Promise<void> {
    const peerId = connection.remotePeer.toString();
    const neighbour: Neighbour = { connection, facade: undefined };
    this.#neighbours.set(peerId, neighbour);
    let stream: Stream;
    try {
      const signal = AbortSignal.timeout(LIMITS.negotiationTimeoutMs);
      stream = await connection.newStream(GOSSIP_PROTOCOL, { signal });
    } catch {
      // It does not speak it, or has gone: there is nothing to tell it or to hear from it.
      return this.#waiting.get(connection)?.abort(new Error("gossip goes both ways"));
    }
    if (this.#neighbours.get(peerId) !== neighbour || this.#topology === undefined) {
      return stream.abort(new Error("the link has closed"));
    }
    neighbour.facade = facadeOf(connection, stream);
    await this.#topology.onConnect?.(connection.remotePeer, neighbour.facade);
    const inbound = this.#waiting.get(connection);
    this.#waiting.delete(connection);
    if (inbound !== undefined) await this.#read(inbound, neighbour.facade);
  }

  /** A link has closed. */
  leave(peerId: PeerId): void {
    const neighbour = this.#neighbours.get(peerId);
    if (neighbour === undefined || !this.#neighbours.delete(peerId)) return;
    void this.#topology?.onDisconnect?.(neighbour.connection.remotePeer);
  }

  /** Whether a message would reach somebody. */
  hasListeners(topic: string): boolean {
    return (this.#pubsub?.getSubscribers(topic).length ?? 0) > 0;
  }

  /** Resolves with whether it went to somebody. Does not reject. */
  async publish(topic: string, bytes: Uint8Array): Promise<boolean> {
    try {
      const result = await this.#pubsub?.publish(topic, bytes);
      return (result?.recipients.length ?? 0) > 0;
    } catch {
      return false;
    }
  }

  #registrar(real: GossipSubComponents["registrar"]): GossipSubComponents["registrar"] {
    const registrar = {
      handle: async (protocol: string, handler: StreamHandler): Promise<void> => {
        if (protocol !== GOSSIP_PROTOCOL) return;
        this.#handler = handler;
        const limits = { maxInboundStreams: 1, maxOutboundStreams: 1 };
        await real.handle(protocol, (stream, connection) => this.#take(stream, connection), limits);
      },
      unhandle: async (protocol: string): Promise<void> => {
        if (protocol === GOSSIP_PROTOCOL) await real.unhandle(protocol);
      },
      register: (_protocol: string, topology: Topology): Promise<string> => {
        this.#topology = topology;
        return Promise.resolve(GOSSIP_PROTOCOL);
      },
      unregister: () => {},
    };
    return registrar as unknown as GossipSubComponents["registrar"];
  }

  /** A peer has opened its stream, perhaps before its link is open. */
  #take(stream: Stream, connection: Connection): void {
    const neighbour = this.#neighbours.get(connection.remotePeer.toString());
    if (neighbour?.connection === connection && neighbour.facade !== undefined) {
      return void this.#read(stream, neighbour.facade);
    }
    this.#waiting.set(connection, stream);
    connection.addEventListener("close", () => this.#waiting.delete(connection));
  }

  async #read(stream: Stream, facade: Connection): Promise<void> {
    assert(this.#handler !== undefined, "streams come after the service has started");
    await this.#handler(this.#bounded(stream, facade), facade);
  }

  /** The part of a stream that GossipSub reads; what comes is counted before it is queued. */
  #bounded(stream: Stream, facade: Connection): Stream {
    const allowance = new Allowance(LIMITS.gossipBurstBytesMax, LIMITS.gossipBytesPerSecMax);
    const peerId = facade.remotePeer.toString();
    const count = ({ data }: { data: { byteLength: number } }): void => {
      if (allowance.take(data.byteLength)) return;
      stream.removeEventListener("message", count);
      this.#deps.offended(peerId, "requestFlood", "the peer passed on too much");
    };
    return {
      async *[Symbol.asyncIterator]() {
        // Read at once: whatever waits is handed out when the first listener is there.
        stream.addEventListener("message", count);
        yield* stream;
      },
      close: () => stream.close(),
      abort: (error: Error) => stream.abort(error),
    } as unknown as Stream;
  }
}

/** A connection on which our one stream is open already. */
function facadeOf(connection: Connection, stream: Stream): Connection {
  const { remotePeer, remoteAddr, direction } = connection;
  return {
    remotePeer,
    remoteAddr,
    direction,
    get status() {
      return connection.status;
    },
    newStream: () =>
      stream.status === "open" ? Promise.resolve(stream) : Promise.reject(new Error("closed")),
  } as unknown as Connection;
}

/** Stands for what GossipSub would dial with or remember peers in, which it does for nobody here. */
const NOBODY: unknown = {};

/** R-PEER-01 */
const CONNECTIONS_USUAL_MAX = 64;
/** What goes round reaches everybody in seconds; half of GossipSub's default keeps memory small. */
const SEEN_MS = 60_000;

function options(topics: readonly string[]): Parameters<typeof gossipsub>[0] {
  return {
    allowedTopics: [...topics],
    globalSignaturePolicy: StrictSign,
    // A message is its author's numbered one. Both are signed, so only a right message is
    // remembered by them, and another copy costs no signature.
    fastMsgIdFn: ({ from, seqno }) =>
      Buffer.concat([from ?? new Uint8Array(0), seqno ?? new Uint8Array(0)]).toString("latin1"),
    // The mesh reaches everybody in a few steps; to more neighbours than these nothing is sent.
    D: 6,
    Dlo: 4,
    // No neighbour is turned away: whoever knows a bootstrap peer only hears at once.
    Dhi: CONNECTIONS_USUAL_MAX,
    floodPublish: false,
    fallbackToFloodsub: false,
    // Peers make themselves known by presence, and are dialled by core alone.
    doPX: false,
    prunePeers: 0,
    tagMeshPeers: false,
    allowPublishToZeroTopicPeers: true,
    emitSelf: false,
    seenTTL: SEEN_MS,
    // One after the other: a neighbour that sends much waits for itself.
    awaitRpcHandler: true,
    awaitRpcMessageHandler: true,
    maxInboundDataLength: LIMITS.gossipFrameBytesMax,
    maxOutboundBufferSize: LIMITS.streamWriteBytesMax,
    maxTopicBytesPerPeer: 4_096,
    decodeRpcLimits: {
      maxSubscriptions: 8,
      maxMessages: 1_024,
      maxIhaveMessageIDs: 5_000,
      maxIwantMessageIDs: 1_024,
      maxIdontwantMessageIDs: 512,
      maxControlMessages: 64,
      maxPeerInfos: 0,
    },
    scoreParams: {
      // Agents of one machine, or behind one router, are not suspect for that.
      IPColocationFactorWeight: 0,
    },
  };
}

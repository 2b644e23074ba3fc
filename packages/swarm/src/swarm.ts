/**
 * The swarm adapter: turns core's commands into frames and connections, and what peers do into
 * events. See core's `ports/swarm-port.ts` for the contract and docs/wire.md for the protocol.
 *
 * Dials only when told to, never decides whom to keep. Of several connections to one peer it uses
 * one: the peer with the lower id chooses (see `links.ts`). Created by the agent; called by the
 * engine's loop.
 */
import { setTimeout as delay } from "node:timers/promises";
import type { Connection, Libp2p, PeerId as Libp2pPeerId, Stream } from "@libp2p/interface";
import { peerIdFromPrivateKey, peerIdFromString } from "@libp2p/peer-id";
import { assert, LIMITS, ShoalError } from "@shoal/core";
import type { EventSink, PeerId, PieceBufferPool, PieceBytes, Port } from "@shoal/core";
import type { SwarmCommand, SwarmEvent } from "@shoal/core";
import { abortConnection } from "./abort-connection.ts";
import { AddressRules, hostOf, parsePeerAddress } from "./address-rules.ts";
import type { PeerAddress } from "./address-rules.ts";
import { explainDialFailure } from "./dial-failure.ts";
import { createDiscoveries } from "./discovery.ts";
import { createGater, Refusals } from "./gater.ts";
import { GroupProof } from "./group-proof.ts";
import { groupsOf, hasHandshake } from "./group.ts";
import type { Group } from "./group.ts";
import { createIdentity } from "./identity.ts";
import type { PrivateKey } from "./identity.ts";
import { executeOn } from "./link-commands.ts";
import { Link } from "./link.ts";
import { LinkTable } from "./links.ts";
import { createLibp2pNode } from "./libp2p-node.ts";
import { Neighbourhood } from "./neighbourhood.ts";
import { PeerBuffers } from "./peer-buffers.ts";
import type { BufferHolder } from "./peer-buffers.ts";
import { resolveSwarmOptions } from "./swarm-options.ts";
import type { ResolvedSwarmOptions, SwarmOptions } from "./swarm-options.ts";

/** The protocol's name in libp2p. The version in HELLO counts compatible changes. */
export const SWARM_PROTOCOL = "/shoal/swarm/1.0.0";

export interface SwarmDeps {
  readonly pool: PieceBufferPool;
  readonly sink: EventSink<PieceBytes>;
}

/** A running swarm. `close` ends within 3 s. */
export interface Swarm extends Port<SwarmCommand, PieceBytes> {
  /** Our own id. */
  readonly peerId: PeerId;
  /** Where peers can reach us, each with `/p2p/` and our id. */
  readonly addresses: readonly string[];
  /**
   * Makes a peer known that the user named; emits `peerDiscovered`. Throws
   * `ERR_PEER_ADDRESS_INVALID` unless it is an IP address with a TCP port and an Ed25519 peer id.
   */
  addPeer(multiaddr: string): void;
  /** Throws when the books on links do not add up; for tests, between events. */
  checkInvariants(): void;
}

/**
 * Starts to listen and to look for peers. Static peers are reported before it resolves. Rejects
 * with `ERR_LISTEN_FAILED`, `ERR_NETWORK_INVALID`, `ERR_PEER_ADDRESS_INVALID` or `ERR_KEY_INVALID`.
 */
export async function createSwarm(deps: SwarmDeps, options: SwarmOptions): Promise<Swarm> {
  const privateKey = options.privateKey ?? (await createIdentity());
  const swarm = new Libp2pSwarm(deps, privateKey, resolveSwarmOptions(options));
  await swarm.start();
  return swarm;
}

/** A peer the user named is dialled where they said, wherever that is. */
function parseStaticPeer(text: string): PeerAddress & { peerId: PeerId } {
  const parsed = parsePeerAddress(text);
  if (parsed?.peerId === undefined || parsed.port < LIMITS.peerPortMin) {
    throw new ShoalError("ERR_PEER_ADDRESS_INVALID", text.slice(0, 256));
  }
  return { ...parsed, peerId: parsed.peerId };
}

/** What `close` may take; libp2p gives each connection 500 ms. */
const CLOSE_TIMEOUT_MS = 2_500;

class Libp2pSwarm implements Swarm {
  readonly peerId: PeerId;
  readonly #pool: PieceBufferPool;
  readonly #sink: EventSink<PieceBytes>;
  readonly #privateKey: PrivateKey;
  readonly #options: ResolvedSwarmOptions;
  readonly #rules: AddressRules;
  readonly #refusals = new Refusals();
  readonly #buffers: PeerBuffers;
  readonly #links: LinkTable;
  /** None: everybody may connect. */
  readonly #groups: readonly Group[];
  readonly #neighbourhood: Neighbourhood;
  readonly #closing = new AbortController();
  #node: Libp2p | undefined;
  #closed: Promise<void> | undefined;

  constructor(deps: SwarmDeps, privateKey: PrivateKey, options: ResolvedSwarmOptions) {
    this.#pool = deps.pool;
    this.#sink = deps.sink;
    this.#privateKey = privateKey;
    this.#options = options;
    this.peerId = peerIdFromPrivateKey(privateKey).toString();
    this.#rules = new AddressRules(options);
    this.#buffers = new PeerBuffers(options.peerBufferBytesMax);
    this.#links = new LinkTable(
      { selfId: this.peerId, emit: (event, payload) => this.#emitOfLinks(event, payload) },
      options,
    );
    this.#groups = groupsOf(options.groupKeys);
    this.#neighbourhood = new Neighbourhood({
      selfId: this.peerId,
      groups: this.#groups,
      rules: this.#rules,
      ownAddresses: () => this.addresses,
      emit: (event) => this.#emit(event),
      disconnect: (peerId, reason) => this.#links.disconnect(peerId, reason),
    });
  }

  get addresses(): readonly string[] {
    return this.#running().getMultiaddrs().map(String);
  }

  async start(): Promise<void> {
    const staticPeers = this.#options.staticPeers.map(parseStaticPeer);
    try {
      const node = await this.#createNode();
      this.#node = node;
      node.addEventListener("connection:open", ({ detail }) => this.#links.watch(detail));
      node.addEventListener("peer:disconnect", ({ detail }) => this.#forget(detail));
      await node.handle(
        SWARM_PROTOCOL,
        (stream, connection) => this.#createLink(stream, connection, false),
        { maxInboundStreams: 1, maxOutboundStreams: 1 },
      );
      await node.start();
      this.#neighbourhood.gossip.start();
    } catch (cause) {
      throw new ShoalError("ERR_LISTEN_FAILED", this.#options.listen.join(", "), { cause });
    }
    for (const peer of staticPeers) this.#announceStatic(peer);
  }

  addPeer(multiaddr: string): void {
    this.#announceStatic(parseStaticPeer(multiaddr));
  }

  execute(command: SwarmCommand, payload?: PieceBytes): void {
    if (this.#closing.signal.aborted) return payload?.release();
    if ("peerIds" in command) {
      for (const peerId of command.peerIds) this.#announce(peerId, command);
      return;
    }
    if (command.type === "setRefusal") return this.#refusals.set(command);
    if (command.type === "publishPresence") {
      return this.#neighbourhood.publish(command.contentId, command.role);
    }
    const { peerId } = command;
    if (command.type === "dialPeer") return void this.#dial(peerId, command.addresses);
    if (command.type === "disconnectPeer") return this.#links.disconnect(peerId, command.reason);
    if (command.type === "sendPiece") assert(payload !== undefined, "sendPiece has a payload");
    const link = this.#links.get(peerId);
    if (link !== undefined) return executeOn(link, command, payload);
    // The peer has gone, which core knows or is about to hear; an answer still ends in one event.
    if (command.type !== "sendPiece" && command.type !== "sendManifest") return;
    payload?.release();
    const { requestId } = command;
    this.#emit({ type: "uploadFinished", peerId, requestId, sentBytes: 0 });
  }

  checkInvariants(): void {
    this.#links.checkInvariants();
  }

  close(): Promise<void> {
    this.#closed ??= this.#stop();
    return this.#closed;
  }

  async #stop(): Promise<void> {
    this.#closing.abort(new Error("the agent is closing"));
    this.#neighbourhood.close();
    this.#links.close();
    const stopped = Promise.resolve(this.#node?.stop()).catch(() => {});
    await Promise.race([stopped, delay(CLOSE_TIMEOUT_MS, undefined, { ref: false })]);
  }

  /** libp2p keeps a record of every peer for hours; core has its own, which is bounded. */
  #forget(peerId: Libp2pPeerId): void {
    this.#running()
      .peerStore.delete(peerId)
      .catch(() => {});
  }

  #createNode(): Promise<Libp2p> {
    const { listen, connectionsMax, dialsMax, mdns, transports } = this.#options;
    const { inboundPerHostPerSecMax, connectionsPerHostMax } = this.#options;
    const gater = createGater(
      {
        refusals: this.#refusals,
        rules: this.#rules,
        isSelf: (peerId) => peerId.toString() === this.peerId,
        connectionCount: (peerId) => this.#node?.getConnections(peerId).length ?? 0,
      },
      { connectionsPerHostMax },
    );
    const onSeen = (peerId: PeerId, addresses: readonly string[]): void => {
      this.#emit({ type: "peerDiscovered", peerId, addresses, isStatic: false, isLocal: true });
    };
    const serviceTags = this.#groups.map(({ serviceTag }) => serviceTag);
    return createLibp2pNode(
      {
        privateKey: this.#privateKey,
        gater,
        rules: this.#rules,
        buffers: this.#buffers,
        discoveries: createDiscoveries({ rules: this.#rules, onSeen }, { mdns, serviceTags }),
        gossip: this.#neighbourhood.gossip,
      },
      {
        listen,
        groups: this.#groups,
        transports,
        connectionsMax,
        dialsMax,
        inboundPerHostPerSecMax,
      },
    );
  }

  #emitOfLinks(event: SwarmEvent, payload?: PieceBytes): void {
    if (event.type === "peerDisconnected") this.#neighbourhood.linkClosed(event.peerId);
    this.#emit(event, payload);
    if (event.type !== "peerConnected") return;
    const link = this.#links.get(event.peerId);
    if (link !== undefined) this.#neighbourhood.linkOpened(link.connection);
  }

  #running(): Libp2p {
    assert(this.#node !== undefined, "the swarm has started");
    return this.#node;
  }

  #emit(event: SwarmEvent, payload?: PieceBytes): void {
    if (this.#closing.signal.aborted) payload?.release();
    else this.#sink(event, payload);
  }

  #announceStatic({ peerId, host, address }: PeerAddress & { peerId: PeerId }): void {
    if (peerId === this.peerId) return;
    this.#rules.allowHost(host);
    const addresses = [address.toString()];
    this.#emit({ type: "peerDiscovered", peerId, addresses, isStatic: true });
  }

  #announce(peerId: PeerId, command: SwarmCommand & { type: "sendHave" | "sendClaim" }): void {
    const link = this.#links.get(peerId);
    if (command.type === "sendHave") link?.sendHave(command.contentId, command.pieces);
    else link?.sendClaim(command.contentId, command.firstPiece, command.pieceCount);
  }

  /** Dials every address in order and greets on the first that answers. */
  async #dial(peerId: PeerId, addresses: readonly string[]): Promise<void> {
    const aborter = this.#links.beginDial(peerId);
    if (aborter === undefined) return;
    const timeout = AbortSignal.timeout(LIMITS.dialTimeoutMs);
    const signal = AbortSignal.any([this.#closing.signal, aborter.signal, timeout]);
    let connection: Connection | undefined;
    let failure: string | undefined;
    try {
      const targets = this.#dialTargets(peerId, addresses);
      // Forced: a connection the peer opened is the peer's to greet on.
      connection = await this.#running().dial(targets, { signal, force: true });
      const stream = await connection.newStream(SWARM_PROTOCOL, { signal });
      this.#createLink(stream, connection, true);
    } catch (error) {
      if (connection === undefined) this.#forget(peerIdFromString(peerId));
      else abortConnection(connection, "the dial failed");
      const isGroup = this.#groups.length > 0;
      const context = { timedOut: timeout.aborted, protocol: SWARM_PROTOCOL, isGroup };
      failure = explainDialFailure(error, context);
    }
    this.#links.endDial(peerId, failure);
  }

  #dialTargets(peerId: PeerId, addresses: readonly string[]): PeerAddress["address"][] {
    const node = this.#running();
    if (peerId === this.peerId) throw new ShoalError("ERR_PEER_ADDRESS_INVALID", "our own id");
    if (node.getConnections().length >= this.#options.connectionsMax) {
      throw new Error("there are too many connections");
    }
    const own = new Set(node.getMultiaddrs().map((ma) => ma.decapsulate("/p2p").toString()));
    const targets: PeerAddress["address"][] = [];
    for (const text of addresses.slice(0, LIMITS.addressesPerPeerMax)) {
      const parsed = parsePeerAddress(text);
      if (parsed === undefined || !this.#rules.isAllowedAddress(parsed)) continue;
      if (parsed.peerId !== undefined && parsed.peerId !== peerId) continue;
      if (own.has(parsed.address.toString())) continue;
      targets.push(parsed.address.encapsulate(`/p2p/${peerId}`));
    }
    if (targets.length === 0) throw new Error("none of its addresses may be dialled");
    return targets;
  }

  #createLink(stream: Stream, connection: Connection, isDialler: boolean): void {
    const { requestsPerPeerMax: requestsMax, stallTimeoutMs } = this.#options;
    const host = this.#links;
    const peerId = connection.remotePeer.toString();
    const group = this.#groups.find((each) => hasHandshake(each, connection.encryption));
    assert(
      group !== undefined || this.#groups.length === 0,
      "members speak in a group's handshake",
    );
    const ends = { isDialler, selfId: this.peerId, peerId };
    const proof = group === undefined ? undefined : new GroupProof(group.proofKey, ends);
    const link = new Link(
      { connection, stream, pool: this.#pool, host, proof },
      { isDialler, requestsMax, stallTimeoutMs },
    );
    const holder: BufferHolder = {
      measure: () => link.heldBytes,
      shed: (reason) => link.close(reason),
    };
    this.#buffers.add(holder);
    stream.addEventListener("message", () => this.#buffers.changed(holder));
    connection.addEventListener("close", () => this.#buffers.remove(holder));
    this.#links.add(link, hostOf(connection.remoteAddr) ?? "");
  }
}

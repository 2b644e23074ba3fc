/**
 * Puts libp2p together: TCP, Noise, Yamux, identify, gossip among our own links, and nothing else
 * (R-PEER-09), with every limit
 * of threat-model section 12 written down, because libp2p's defaults are wider than ours and its
 * documentation differs from its code.
 *
 * Knows libp2p's options. Knows nothing of frames. Called by the swarm.
 */
import { noise } from "@chainsafe/libp2p-noise";
import { identify } from "@libp2p/identify";
import type { ConnectionEncrypter, ConnectionGater, Libp2p } from "@libp2p/interface";
import { LIMITS } from "@shoal/core";
import { createLibp2p } from "libp2p";
import { hostOf } from "./address-rules.ts";
import type { AddressRules } from "./address-rules.ts";
import { corkedTcp } from "./corked-tcp.ts";
import type { DiscoveryFactory } from "./discovery.ts";
import type { Gossip } from "./gossip.ts";
import type { Group } from "./group.ts";
import { guardedYamux } from "./guarded-yamux.ts";
import type { PrivateKey } from "./identity.ts";
import type { PeerBuffers } from "./peer-buffers.ts";

export interface Libp2pNodeDeps {
  readonly privateKey: PrivateKey;
  readonly gater: ConnectionGater;
  readonly rules: AddressRules;
  readonly buffers: PeerBuffers;
  readonly discoveries: readonly DiscoveryFactory[];
  readonly gossip: Gossip;
}

export interface Libp2pNodeOptions {
  readonly listen: readonly string[];
  /** With any, only those who have a key of one get past the encrypted handshake (R-GRP-01). */
  readonly groups: readonly Group[];
  readonly connectionsMax: number;
  readonly dialsMax: number;
  readonly inboundPerHostPerSecMax: number;
}

/** What identify tells strangers: that it is Shoal, and no version (R-PRIV-04). */
const AGENT_NAME = "shoal";
/** A vanished host is noticed after this silence and ten probes a second apart. */
const KEEP_ALIVE_DELAY_MS = 15_000;
const IDENTIFY_BYTES_MAX = 8_192;

/** Creates the node without starting it. */
export function createLibp2pNode(
  deps: Libp2pNodeDeps,
  options: Libp2pNodeOptions,
): Promise<Libp2p> {
  return createLibp2p({
    start: false,
    privateKey: deps.privateKey,
    nodeInfo: { name: AGENT_NAME, version: "", userAgent: AGENT_NAME },
    addresses: {
      listen: [...options.listen],
      announceFilter: (addresses) =>
        addresses.filter((address) => deps.rules.isAllowedHost(hostOf(address) ?? "")),
    },
    transports: [transport(options)],
    connectionEncrypters: options.groups.length === 0 ? [noise()] : options.groups.map(groupNoise),
    streamMuxers: [muxer(deps.buffers)],
    peerDiscovery: [...deps.discoveries],
    connectionGater: deps.gater,
    connectionManager: {
      maxConnections: options.connectionsMax,
      maxParallelDials: options.dialsMax,
      maxDialQueueLength: LIMITS.peersKnownMax,
      maxPeerAddrsToDial: LIMITS.addressesPerPeerMax,
      dialTimeout: LIMITS.dialTimeoutMs,
      addressDialTimeout: LIMITS.addressDialTimeoutMs,
      inboundUpgradeTimeout: LIMITS.negotiationTimeoutMs,
      inboundStreamProtocolNegotiationTimeout: LIMITS.negotiationTimeoutMs,
      outboundStreamProtocolNegotiationTimeout: LIMITS.negotiationTimeoutMs,
      inboundConnectionThreshold: options.inboundPerHostPerSecMax,
      maxIncomingPendingConnections: LIMITS.pendingConnectionsMax,
      reconnectRetries: 0,
      resolvers: {},
      // Core gives the order; libp2p would dial public addresses first.
      addressSorter: () => 0,
    },
    // It takes a busy connection for a dead one.
    connectionMonitor: { enabled: false, abortConnectionOnPingFailure: false },
    services: {
      identify: identify({
        // We answer; we never ask, so nothing a peer claims about itself is stored.
        runOnConnectionOpen: false,
        maxInboundStreams: 1,
        maxOutboundStreams: 1,
        maxMessageSize: IDENTIFY_BYTES_MAX,
        timeout: LIMITS.negotiationTimeoutMs,
      }),
      gossip: deps.gossip.createService,
    },
  });
}

/**
 * The encrypted handshake of a group, under a name of its own, so that one with the current key and
 * one with the previous key can be offered side by side (R-GRP-04).
 */
function groupNoise(group: Group): (components: NoiseComponents) => ConnectionEncrypter {
  const { noiseProtocol: protocol, noisePrologue: prologueBytes } = group;
  return (components) => Object.assign(noise({ prologueBytes })(components), { protocol });
}

type NoiseComponents = Parameters<ReturnType<typeof noise>>[0];

function transport(options: Libp2pNodeOptions): ReturnType<typeof corkedTcp> {
  const socketOptions = {
    noDelay: true,
    keepAlive: true,
    keepAliveInitialDelay: KEEP_ALIVE_DELAY_MS,
  };
  return corkedTcp({
    inboundSocketInactivityTimeout: LIMITS.connectionIdleTimeoutMs,
    outboundSocketInactivityTimeout: LIMITS.connectionIdleTimeoutMs,
    maxConnections: options.connectionsMax + LIMITS.pendingConnectionsMax,
    dialOpts: socketOptions,
    listenOpts: socketOptions,
  });
}

function muxer(buffers: PeerBuffers): ReturnType<typeof guardedYamux> {
  const init = {
    // Without it, a connection on which nothing useful moves is idle and ends (R-PEER-19).
    enableKeepAlive: false,
    maxInboundStreams: LIMITS.streamsInboundMax,
    maxOutboundStreams: LIMITS.streamsOutboundMax,
    maxEarlyStreams: 2,
    streamOptions: {
      maxStreamWindowSize: LIMITS.streamReadBytesMax,
      maxReadBufferLength: LIMITS.streamReadBytesMax,
      maxWriteBufferLength: LIMITS.streamWriteBytesMax,
    },
  };
  return guardedYamux(init, buffers);
}

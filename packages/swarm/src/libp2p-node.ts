/**
 * Puts libp2p together: TCP, TLS and Noise, Yamux, identify, gossip among our own links, and nothing else
 * (R-PEER-09), with every limit
 * of threat-model section 12 written down, because libp2p's defaults are wider than ours and its
 * documentation differs from its code.
 *
 * Knows libp2p's options. Knows nothing of frames. Called by the swarm.
 */
import type { noise } from "@chainsafe/libp2p-noise";
import { identify } from "@libp2p/identify";
import type { ConnectionEncrypter, ConnectionGater, Libp2p } from "@libp2p/interface";
import { tcp } from "@libp2p/tcp";
import { LIMITS } from "@shoal/core";
import { createLibp2p } from "libp2p";
import { hostOf } from "./address-rules.ts";
import type { AddressRules } from "./address-rules.ts";
import type { DiscoveryFactory } from "./discovery.ts";
import type { Gossip } from "./gossip.ts";
import type { Group } from "./group.ts";
import { guardedYamux } from "./guarded-yamux.ts";
import type { PrivateKey } from "./identity.ts";
import { nativeNoise, NOISE_PROTOCOL } from "./native-noise.ts";
import { nativeTls, TLS_PROTOCOL } from "./native-tls.ts";
import type { PeerBuffers } from "./peer-buffers.ts";
import { createTlsIdentity } from "./tls-certificate.ts";
import type { TlsIdentity } from "./tls-certificate.ts";

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
  readonly transports: "both" | "noise";
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
export async function createLibp2pNode(
  deps: Libp2pNodeDeps,
  options: Libp2pNodeOptions,
): Promise<Libp2p> {
  const connectionEncrypters = await encrypters(deps.privateKey, options);
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
    connectionEncrypters,
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

type Encrypter = (components: EncrypterComponents) => ConnectionEncrypter;
type EncrypterComponents = Parameters<ReturnType<typeof noise>>[0];

/**
 * The encrypted handshakes, the best first: the dialler's order counts. Those of groups have names
 * of their own, so that those with the current key and those with the previous key can be offered
 * side by side (R-GRP-04).
 */
async function encrypters(
  privateKey: PrivateKey,
  { groups, transports }: Libp2pNodeOptions,
): Promise<Encrypter[]> {
  const identity = transports === "noise" ? undefined : await createTlsIdentity(privateKey);
  if (groups.length === 0)
    return [...tlsOf(identity, TLS_PROTOCOL), nativeNoise({ protocol: NOISE_PROTOCOL })];
  return groups.flatMap(({ tlsProtocol, tlsProofKey, noiseProtocol, noisePrologue }) => [
    ...tlsOf(identity, tlsProtocol, tlsProofKey),
    nativeNoise({ protocol: noiseProtocol, prologue: noisePrologue }),
  ]);
}

function tlsOf(
  identity: TlsIdentity | undefined,
  protocol: string,
  proofKey?: Uint8Array,
): Encrypter[] {
  return identity === undefined ? [] : [nativeTls({ identity, protocol, proofKey })];
}

function transport(options: Libp2pNodeOptions): ReturnType<typeof tcp> {
  const socketOptions = {
    noDelay: true,
    keepAlive: true,
    keepAliveInitialDelay: KEEP_ALIVE_DELAY_MS,
  };
  return tcp({
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

/**
 * What a swarm can be told when it is made, and what holds where it is told nothing. Bounds of the
 * threat model can be lowered here, and not raised.
 *
 * Knows defaults and bounds. Does not know what they are for. Used by the swarm.
 */
import { LIMITS } from "@shoal/core";
import { isLoopbackHost, parsePeerAddress } from "./address-rules.ts";
import type { MdnsOptions } from "./discovery.ts";
import type { PrivateKey } from "./identity.ts";

export interface SwarmOptions {
  /** From `loadIdentity`; without it the agent is a new one each time. */
  readonly privateKey?: PrivateKey;
  /** Multiaddrs such as `/ip4/0.0.0.0/tcp/0`. Empty: peers are dialled, none can dial. */
  readonly listen: readonly string[];
  /** Peers the user named, as for `addPeer`. Default none. */
  readonly staticPeers?: readonly string[];
  /**
   * Keys of the group, 32 bytes each: the current one and, while it is being changed, the previous
   * one (R-GRP-04). Only those who have one of them are talked to. Default: no group, everybody.
   */
  readonly groupKeys?: readonly Uint8Array[];
  /**
   * How connections are encrypted: `"both"`: by TLS 1.3 with peers that can, by Noise with all
   * others; `"noise"`: always by Noise, which is slower and costs more. Default both.
   */
  readonly transports?: "both" | "noise";
  /** Discovery on the local network; a group has its own service tag. Default off. */
  readonly mdns?: boolean | MdnsOptions;
  /** Default 64 (R-PEER-01). */
  readonly connectionsMax?: number;
  /** Dials under way at a time. Default 8 (R-PEER-29). */
  readonly dialsMax?: number;
  /** Open requests accepted of one peer. Default and most: 8 (R-PEER-16). */
  readonly requestsPerPeerMax?: number;
  /**
   * Networks such as `192.0.2.0/24` that peers may be in, beside private ones and those this
   * machine is in (R-PEER-10). Default none.
   */
  readonly networks?: readonly string[];
  /** Only peers in a subnet of this machine, named ones too. Default: no. */
  readonly subnetOnly?: boolean;
  /** Whether agents on this machine may connect. Default: when it listens on loopback. */
  readonly allowLoopback?: boolean;
  /** Connections with one host. Default 8 (R-PEER-05); many agents on one machine need more. */
  readonly connectionsPerHostMax?: number;
  /** New connections from one host per second. Default 5 (R-PEER-03). */
  readonly inboundPerHostPerSecMax?: number;
  /** Time for our greeting, in milliseconds. Default and most: 5,000 (R-PEER-25). */
  readonly handshakeTimeoutMs?: number;
  /** Time a peer may be of no use, in milliseconds. Default and most: 300,000 (R-PEER-19). */
  readonly idleTimeoutMs?: number;
  /** Memory that all peers together may hold, in bytes. Default and most: 256 MiB (R-PEER-20). */
  readonly peerBufferBytesMax?: number;
  /** Time a peer may take for 512 KiB. Default: by the least rate of R-PEER-27, 32 s. */
  readonly stallTimeoutMs?: number;
}

/** Every option but the identity, which has no default that could be written down. */
export type ResolvedSwarmOptions = Required<Omit<SwarmOptions, "privateKey">>;

/** Fills in defaults and holds what is given to its bound. */
export function resolveSwarmOptions(options: SwarmOptions): ResolvedSwarmOptions {
  const { listen } = options;
  const listensOnLoopback = listen.some((text) =>
    isLoopbackHost(parsePeerAddress(text)?.host ?? ""),
  );
  const turnMs = (LIMITS.sliceBytesMax / LIMITS.uploadRateBytesPerSecMin) * 1_000;
  return {
    listen,
    groupKeys: options.groupKeys ?? [],
    transports: options.transports ?? "both",
    staticPeers: options.staticPeers ?? [],
    mdns: options.mdns ?? false,
    networks: options.networks ?? [],
    subnetOnly: options.subnetOnly ?? false,
    connectionsMax: options.connectionsMax ?? 64,
    dialsMax: options.dialsMax ?? 8,
    requestsPerPeerMax: Math.min(
      options.requestsPerPeerMax ?? LIMITS.requestsPerPeerMax,
      LIMITS.requestsPerPeerMax,
    ),
    allowLoopback: options.allowLoopback ?? listensOnLoopback,
    connectionsPerHostMax: options.connectionsPerHostMax ?? LIMITS.connectionsPerHostMax,
    inboundPerHostPerSecMax: options.inboundPerHostPerSecMax ?? LIMITS.inboundPerHostPerSecMax,
    handshakeTimeoutMs: Math.min(
      options.handshakeTimeoutMs ?? LIMITS.handshakeTimeoutMs,
      LIMITS.handshakeTimeoutMs,
    ),
    idleTimeoutMs: Math.min(
      options.idleTimeoutMs ?? LIMITS.connectionIdleTimeoutMs,
      LIMITS.connectionIdleTimeoutMs,
    ),
    peerBufferBytesMax: Math.min(
      options.peerBufferBytesMax ?? LIMITS.peerBufferBytesMax,
      LIMITS.peerBufferBytesMax,
    ),
    stallTimeoutMs: options.stallTimeoutMs ?? turnMs,
  };
}

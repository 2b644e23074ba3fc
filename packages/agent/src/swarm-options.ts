/**
 * What the swarm is told: what the agent was started with, as far as policies allow it. A mode
 * without peers has no listener and looks for nobody.
 *
 * Knows options and policies. Called by `startAgent`.
 */
import { decidePeering, DOWNLOAD_MODES, PEER_RESTRICTIONS } from "@shoal/core";
import type { ResolvedPolicies } from "@shoal/core";
import type { PrivateKey, SwarmOptions } from "@shoal/swarm";
import type { AgentOptions } from "./start-agent.ts";

const DEFAULT_LISTEN = ["/ip4/0.0.0.0/tcp/0"];

/** All unicast addresses but loopback, 127.0.0.0/8 and ::1, which has a switch of its own. */
const EVERYWHERE = [
  "1.0.0.0/8",
  "2.0.0.0/7",
  "4.0.0.0/6",
  "8.0.0.0/5",
  "16.0.0.0/4",
  "32.0.0.0/3",
  "64.0.0.0/3",
  "96.0.0.0/4",
  "112.0.0.0/5",
  "120.0.0.0/6",
  "124.0.0.0/7",
  "126.0.0.0/8",
  "128.0.0.0/2",
  "192.0.0.0/3",
  "2000::/3",
];

export interface SwarmOptionsParts {
  readonly policies: Pick<ResolvedPolicies, "settings">;
  /** The current key first; empty: no group. */
  readonly groupKeys: readonly Uint8Array[];
  readonly privateKey?: PrivateKey;
}

export function swarmOptionsOf(
  options: Pick<
    AgentOptions,
    "listen" | "peers" | "peerNetworks" | "mdns" | "allowLoopbackPeers" | "isSafeMode"
  >,
  { policies: { settings }, groupKeys, privateKey }: SwarmOptionsParts,
): SwarmOptions {
  const { listen = DEFAULT_LISTEN, peerNetworks = [], allowLoopbackPeers } = options;
  const hasGroupKey = groupKeys.length > 0;
  const facts = { isSafeMode: options.isSafeMode === true };
  const isOff = decidePeering(settings, facts, { hasGroupKey }).partners === "none";
  const isAnywhere = settings.downloadMode === DOWNLOAD_MODES.internet;
  return {
    listen: isOff ? [] : listen,
    staticPeers: options.peers ?? [],
    networks: isAnywhere ? [...peerNetworks, ...EVERYWHERE] : peerNetworks,
    subnetOnly: settings.peerRestriction === PEER_RESTRICTIONS.subnet,
    groupKeys,
    transports: settings.peerTls === 0 ? "noise" : "both",
    mdns: !isOff && (options.mdns ?? true),
    connectionsMax: settings.connectionsMax,
    dialsMax: settings.dialsMax,
    ...(privateKey === undefined ? {} : { privateKey }),
    ...(allowLoopbackPeers === undefined ? {} : { allowLoopback: allowLoopbackPeers }),
  };
}

/**
 * What an agent's service is made of, from the parts of a running agent. Called by `RunningAgent`.
 */
import type { PieceBytes, Settings } from "@shoal/core";
import type { Engine } from "@shoal/engine";
import { groupNameOf } from "@shoal/swarm";
import type { Store } from "@shoal/store";
import type { Agent } from "../running-agent.ts";
import { readVersion } from "../version.ts";
import type { AgentEvents } from "./agent-events.ts";
import type { AgentMonitor } from "./agent-monitor.ts";
import type { AgentFacts } from "./agent-service.ts";
import type { AgentServiceHooks, AgentServiceHost } from "./local-agent-service.ts";
import type { LogTail } from "./log-tail.ts";
import { diskProbe } from "./performance.ts";

/** What `startAgent` has made for the service. */
export interface ServiceParts {
  readonly settings: Settings;
  /** Absolute. */
  readonly stateDirectory: string;
  /** The current key first; empty: no group. */
  readonly groupKeys: readonly Uint8Array[];
  /** Started after crashes (R-PROC-04). */
  readonly isSafeMode: boolean;
  readonly hooks: AgentServiceHooks;
  readonly monitor: AgentMonitor;
  readonly events: AgentEvents;
  readonly log: LogTail;
}

export function serviceHost(
  agent: Agent,
  parts: ServiceParts & { readonly engine: Engine<PieceBytes>; readonly store: Store },
): AgentServiceHost {
  const { engine, store, settings, hooks, monitor, events, log, stateDirectory } = parts;
  const version = readVersion();
  const [groupKey] = parts.groupKeys;
  const facts = (): AgentFacts => ({
    version,
    nodeVersion: process.versions.node,
    platform: `${process.platform}-${process.arch}`,
    processId: process.pid,
    instanceId: monitor.instanceId,
    startedAt: monitor.startedAt,
    peerId: agent.peerId,
    addresses: agent.addresses,
    stateDirectory,
    isSafeMode: parts.isSafeMode,
    ...(groupKey && { groupName: groupNameOf(groupKey) }),
  });
  return {
    act: (verb) => engine.act(verb),
    settings,
    hooks,
    monitor,
    events,
    log,
    disk: diskProbe(stateDirectory),
    facts,
    configuration: () => agent.configuration(),
    cache: (request) => store.cache(request),
    addPeer: (multiaddr) => agent.addPeer(multiaddr),
    share: (path) => agent.share(path),
    announce: (signed) => agent.announce(signed),
  };
}

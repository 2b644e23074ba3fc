/** What a scheduler is given, and the machines that all its parts share; made once, by it. */
import type { Publisher } from "../content/publisher.ts";
import { Pacer } from "../pace/pacer.ts";
import type { Random } from "../random.ts";
import type { Counters } from "../registry/counters.ts";
import type { Settings } from "../registry/settings.ts";
import type { PeerId } from "../units.ts";
import { CacheHosts } from "./cache-hosts.ts";
import { Demand } from "./demand.ts";
import { FlowGate } from "./flow-gate.ts";
import type { MachineDeps } from "./machine-deps.ts";
import { OriginHosts } from "./origin-hosts.ts";
import type { Outbox } from "./outbox.ts";
import { PeerGate } from "./peer-gate.ts";
import { PeerTable } from "./peer-table.ts";
import { Publishers } from "./publishers.ts";
import type { WallClock } from "./wall-clock.ts";

export interface SchedulerDeps {
  readonly random: Random;
  readonly settings: Settings;
  /** This agent's own peer id. */
  readonly selfId: PeerId;
  /** Cache servers to ask before the origin, each one that `isCacheHost` accepts. Default: none. */
  readonly cacheHosts?: readonly string[];
  /** Whose signed manifests are believed, no key in two of them. Default: nobody's. */
  readonly publishers?: readonly Publisher[];
  /** Whether the swarm admits only who proves to be in this agent's group. Default: there is none. */
  readonly hasGroupKey?: boolean;
  /** Jobs of earlier runs stay queued until somebody resumes them (R-PROC-04). Default: they run. */
  readonly holdsJobs?: boolean;
}

/** Makes what the machines inside a scheduler share. */
export function createMachineDeps(
  { random, settings, selfId, cacheHosts = [], publishers = [], ...rest }: SchedulerDeps,
  own: { readonly outbox: Outbox; readonly wallClock: WallClock; readonly counters: Counters },
): MachineDeps {
  const { outbox, wallClock } = own;
  const gate = new PeerGate(settings, { hasGroupKey: rest.hasGroupKey === true });
  const flowGate = new FlowGate(outbox, { closeAtBytes: settings.inFlightBytesMax });
  return {
    ...own,
    random,
    settings,
    selfId,
    holdsJobs: rest.holdsJobs === true,
    flowGate,
    gate,
    peers: new PeerTable({ ...own, random, settings, gate }),
    demand: new Demand(),
    cacheHosts: new CacheHosts(cacheHosts, () => gate.peering.mayUseCacheServers),
    originHosts: new OriginHosts(),
    pacer: new Pacer({ ...own, flowGate }, settings),
    publishers: new Publishers({ outbox, wallClock }, publishers),
  };
}

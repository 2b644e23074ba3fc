/** What every machine inside the scheduler is given; made once by the scheduler. */
import type { Random } from "../random.ts";
import type { Counters } from "../registry/counters.ts";
import type { Settings } from "../registry/settings.ts";
import type { PeerId } from "../units.ts";
import type { CacheHosts } from "./cache-hosts.ts";
import type { Demand } from "./demand.ts";
import type { FlowGate } from "./flow-gate.ts";
import type { OriginHosts } from "./origin-hosts.ts";
import type { Outbox } from "./outbox.ts";
import type { Pacer } from "../pace/pacer.ts";
import type { PeerGate } from "./peer-gate.ts";
import type { PeerTable } from "./peer-table.ts";
import type { Publishers } from "./publishers.ts";
import type { WallClock } from "./wall-clock.ts";

export interface MachineDeps {
  readonly outbox: Outbox;
  readonly random: Random;
  readonly settings: Settings;
  readonly counters: Counters;
  readonly flowGate: FlowGate;
  readonly gate: PeerGate;
  readonly peers: PeerTable;
  readonly demand: Demand;
  readonly cacheHosts: CacheHosts;
  readonly originHosts: OriginHosts;
  readonly pacer: Pacer;
  readonly wallClock: WallClock;
  readonly publishers: Publishers;
  /** Jobs of earlier runs wait for `resume`. */
  readonly holdsJobs: boolean;
  /** This agent's own peer id; its rank among owners depends on it. */
  readonly selfId: PeerId;
}

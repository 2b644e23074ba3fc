/**
 * The figures that the report and the support bundle show beside the checks, asked of the agent at
 * one moment. What it does not give is left out.
 */
import type { JobSummary } from "@shoal/core";
import type {
  AgentFacts,
  AgentService,
  PeerStatus,
  PerformanceSnapshot,
  TrafficPoint,
} from "../service/agent-service.ts";

export interface Figures {
  readonly facts?: AgentFacts;
  readonly performance?: PerformanceSnapshot;
  readonly traffic: readonly TrafficPoint[];
  /** The latest first. */
  readonly jobs: readonly JobSummary[];
  readonly peers: readonly PeerStatus[];
}

export async function collectFigures(service: AgentService | undefined): Promise<Figures> {
  if (service === undefined) return { traffic: [], jobs: [], peers: [] };
  const [facts, performance, traffic, jobs, peers] = await Promise.all([
    service.facts(),
    service.performance(),
    service.traffic(),
    service.jobs.list(),
    service.peers(),
  ]);
  const latest = jobs.toSorted((a, b) => b.createdAt - a.createdAt);
  return { facts, performance, traffic, jobs: latest, peers };
}

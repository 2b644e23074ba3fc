/** An agent's service behind which there is nothing but jobs: what job services are tested over. */
import type { AgentService } from "@shoal/agent";
import { ShoalError } from "@shoal/core";
import { LocalJobService } from "@shoal/jobs";
import type { JobCaller, JobHost } from "@shoal/jobs";

export function jobsOnlyAgent(host: JobHost, caller: JobCaller): AgentService {
  const jobs = new LocalJobService(host, caller);
  const refuse = (): Promise<never> =>
    Promise.reject(new ShoalError("ERR_FEATURE_UNSUPPORTED", "there are only jobs"));
  return {
    jobs,
    facts: refuse,
    contents: refuse,
    peers: refuse,
    addPeer: refuse,
    bans: () => jobs.bans(),
    removeBan: (subject) => jobs.removeBan(subject),
    performance: refuse,
    month: refuse,
    traffic: refuse,
    counters: refuse,
    cache: refuse,
    changeCache: refuse,
    share: refuse,
    announce: refuse,
    configuration: refuse,
    changeSettings: refuse,
    reload: refuse,
    log: refuse,
    diagnose: refuse,
    watch: () => () => {},
    close: () => jobs.close(),
  };
}

/** Agents for tests of the doctor, and what it finds, by the names of its checks. */
import { join } from "node:path";
import { startAgent } from "@shoal/agent";
import type { Agent, AgentOptions, CheckReport } from "@shoal/agent";
import { LOOPBACK } from "./harness.ts";
import type { TestSite } from "./harness.ts";

/** An agent in this process; its state directory has its name. */
export async function startAt(
  site: TestSite,
  name: string,
  options: Partial<AgentOptions> = {},
): Promise<Agent> {
  const agent = await startAgent({
    stateDirectory: join(site.directory, name),
    listen: [LOOPBACK],
    mdns: false,
    watchNetwork: false,
    ...options,
  });
  return site.use(agent);
}

export async function checksOf(agent: Agent): Promise<ReadonlyMap<string, CheckReport>> {
  const checks = await agent.service().diagnose();
  return new Map(checks.map((check) => [check.id, check]));
}

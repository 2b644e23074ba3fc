/** Finds an agent that runs elsewhere on this machine, for those who manage it. */
import { connectRest } from "@shoal/jobs";
import type { AgentAddress, ConnectJobsOptions } from "@shoal/jobs";
import type { AgentService } from "../service/agent-service.ts";
import { RemoteAgentService } from "./remote-agent-service.ts";

/**
 * The agent's service. Rejects with `ERR_AGENT_UNREACHABLE`, and over TCP with `ERR_TOKEN_REFUSED`.
 * When the connection is lost, everything that waits rejects with `ERR_AGENT_CLOSED`, and whatever
 * is asked later with `ERR_AGENT_UNREACHABLE`.
 */
export async function connectAgent(
  address: AgentAddress,
  options?: ConnectJobsOptions,
): Promise<AgentService> {
  return new RemoteAgentService(await connectRest(address, options));
}

/** The agent service contract: in process, over the socket, and over TCP with the token. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { connectAgent, startRest } from "@shoal/agent";
import type { Agent, RestListener } from "@shoal/agent";
import type { JobCaller } from "@shoal/jobs";
import { describeAgentServiceContract } from "./agent-service-contract.ts";
import type { AgentCallerName } from "./agent-service-contract.ts";

const CALLERS: Readonly<Record<AgentCallerName, JobCaller>> = {
  local: { name: "local", isAdministrator: true },
  guest: { name: "guest", isAdministrator: false },
};

describeAgentServiceContract("in process", async (agent) => ({
  open: (caller) => Promise.resolve(agent.service(CALLERS[caller])),
  end: () => Promise.resolve(),
}));

async function serve(agent: Agent, directory: string): Promise<Record<string, RestListener>> {
  const listeners: Record<string, RestListener> = {};
  for (const [name, caller] of Object.entries(CALLERS)) {
    const place = join(directory, `run-${name}`);
    const options = { socketPath: join(place, "agent.sock"), tcp: { port: 0 } };
    listeners[name] = await startRest({ service: agent.service(caller) }, options);
  }
  return listeners;
}

async function closeAll(listeners: Record<string, RestListener>): Promise<void> {
  for (const listener of Object.values(listeners)) await listener.close();
}

describeAgentServiceContract("over a socket", async (agent, directory) => {
  const listeners = await serve(agent, directory);
  return {
    open: (caller) => connectAgent({ socketPath: listeners[caller]?.socketPath ?? "" }),
    end: () => closeAll(listeners),
  };
});

describeAgentServiceContract("over TCP", async (agent, directory) => {
  const listeners = await serve(agent, directory);
  return {
    open: async (caller) => {
      const token = await readFile(join(directory, `run-${caller}`, "agent.token"), "utf8");
      return connectAgent({ url: listeners[caller]?.url ?? "", token: token.trim() });
    },
    end: () => closeAll(listeners),
  };
});

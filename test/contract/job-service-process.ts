/**
 * An engine in a process of its own that listens for jobs of each caller, until the channel to its
 * parent closes. Arguments: its state directory, and the directory of its sockets.
 */
import { join } from "node:path";
import { startRest } from "@shoal/agent";
import { CALLERS, startJobEngine } from "./job-service-engine.ts";
import { jobsOnlyAgent } from "./jobs-only-agent.ts";

const [stateDirectory = "", socketDirectory = ""] = process.argv.slice(2);
const engine = await startJobEngine(stateDirectory);
const listeners = await Promise.all(
  Object.entries(CALLERS).map(([name, caller]) =>
    startRest(
      { service: jobsOnlyAgent(engine.host, caller) },
      { socketPath: join(socketDirectory, name) },
    ),
  ),
);
process.on("disconnect", () => {
  void Promise.all(listeners.map((listener) => listener.close()))
    .then(() => engine[Symbol.asyncDispose]())
    .finally(() => process.exit(0));
});
process.send?.("ready");

/**
 * An engine in a process of its own that listens for jobs of each caller, until the channel to its
 * parent closes. Arguments: its state directory, and the directory of its sockets.
 */
import { join } from "node:path";
import { listenForJobs } from "@shoal/jobs";
import { CALLERS, startJobEngine } from "./job-service-engine.ts";

const [stateDirectory = "", socketDirectory = ""] = process.argv.slice(2);
const engine = await startJobEngine(stateDirectory);
const listeners = await Promise.all(
  Object.entries(CALLERS).map(([name, caller]) =>
    listenForJobs({ host: engine.host }, { path: join(socketDirectory, name), caller }),
  ),
);
process.on("disconnect", () => {
  void Promise.all(listeners.map((listener) => listener.close()))
    .then(() => engine[Symbol.asyncDispose]())
    .finally(() => process.exit(0));
});
process.send?.("ready");

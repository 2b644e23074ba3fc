/** A process that serves the REST API on its descriptor 3, until the channel to its parent closes. */
import { startRest } from "@shoal/agent";
import { ShoalError } from "@shoal/core";
import { jobsOnlyAgent } from "../contract/jobs-only-agent.ts";

const host = {
  act: () => {
    throw new ShoalError("ERR_FEATURE_UNSUPPORTED", "there is no scheduler");
  },
  onNotice: () => () => {},
  attachSink: () => () => {},
};
const service = jobsOnlyAgent(host, { name: "a", isAdministrator: true });
const listener = await startRest({ service }, { fd: 3 });
process.on("disconnect", () => void listener.close().then(() => process.exit(0)));
process.send?.("ready");

/**
 * The doctor's checks of how others on this machine reach the agent: its API's socket and token
 * (R-FS-01), and the listener for programs of the DO SDK.
 */
import { lstat, readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fail, notApplicable, pass, warn } from "./check.ts";
import type { Check, DoctorContext, Outcome } from "./check.ts";
import { connectCode } from "./network-checks.ts";

export const SERVICE_CHECKS: readonly Check[] = [
  { id: "agent.running", title: "Agent", run: checkRunning },
  { id: "agent.api", title: "API", run: checkApi },
  { id: "agent.doRest", title: "DO SDK listener", run: checkDoRest },
];

async function checkRunning({ service }: DoctorContext): Promise<Outcome> {
  if (service === undefined) {
    const words = "No agent runs, so only what lies on disk was looked at.";
    return warn(words, "Start one: shoal agent, or systemctl start shoal.");
  }
  const { version, processId, peerId } = await service.facts();
  return pass(`Version ${version} runs as process ${processId}.`, { version, processId, peerId });
}

/** Where others of the system can get at the socket, it is for the directory to keep them out. */
async function checkApi(context: DoctorContext): Promise<Outcome> {
  const { socketPath, tokenFile, isSocketGroups = false } = context;
  if (socketPath === undefined && tokenFile === undefined) {
    return notApplicable("The agent has no API.", "Start it with one: without --no-api.");
  }
  const forbidden = isSocketGroups ? 0o027 : 0o077;
  const private_ = [
    ...(socketPath === undefined ? [] : [{ path: dirname(socketPath), forbidden }]),
    ...(tokenFile === undefined ? [] : [{ path: tokenFile, forbidden: 0o077 }]),
  ];
  for (const { path, forbidden: bits } of private_) {
    const found = await lstat(path).catch(() => undefined);
    if (found === undefined && context.service === undefined) continue;
    if (found === undefined) return fail(`${path} is gone.`, "Start the agent again.");
    if ((found.mode & bits) === 0) continue;
    const mode = (found.mode & 0o777).toString(8).padStart(4, "0");
    const wanted = (found.mode & 0o777 & ~bits).toString(8);
    return fail(`Others may use ${path} (mode ${mode}).`, `chmod ${wanted} ${path}`);
  }
  const places = [socketPath, tokenFile].filter((path) => path !== undefined);
  return pass(`${places.join(" and ")}: private, as they must be.`);
}

async function checkDoRest({ doRest }: DoctorContext): Promise<Outcome> {
  if (doRest === undefined) {
    const words = "Programs of Microsoft's DO SDK are not served.";
    return notApplicable(words, "Start the agent with --do-rest to serve them.");
  }
  const { port, runDirectory } = doRest;
  const path = join(runDirectory, `restport.${process.pid}`);
  const text = await readFile(path, "utf8").catch(() => undefined);
  const again = "Start the agent again.";
  if (text?.trim() !== String(port)) return fail(`${path} does not name port ${port}.`, again);
  const code = await connectCode({ host: "127.0.0.1", port });
  if (code === undefined) return pass(`It answers at port ${port}, which ${path} names.`);
  return fail(`Port ${port} does not answer (${code}).`, again);
}

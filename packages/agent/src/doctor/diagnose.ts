/**
 * The table of the doctor's checks, and how an agent runs them on itself. Each is one row: its name,
 * and what it looks at. They run side by side, within 10 s in all.
 *
 * Called by a running agent, and by `shoal doctor` where none runs.
 */
import { dirname, join, resolve as resolvePath } from "node:path";
import { readCaFile } from "@shoal/origin";
import type { OriginOptions } from "@shoal/origin";
import { DO_REST_RUN_DIRECTORY } from "../do-rest/start-do-rest.ts";
import type { Agent } from "../running-agent.ts";
import type { AgentService, CheckReport } from "../service/agent-service.ts";
import type { AgentOptions } from "../start-agent.ts";
import type { Check, DoctorContext } from "./check.ts";
import { MACHINE_CHECKS } from "./machine-checks.ts";
import { NETWORK_CHECKS } from "./network-checks.ts";
import { lookAtOrigins, once, recentOrigins } from "./origin-looks.ts";
import { PEER_CHECKS } from "./peer-checks.ts";
import { runChecks } from "./run-checks.ts";
import { SERVICE_CHECKS } from "./service-checks.ts";
import { STATE_CHECKS } from "./state-checks.ts";

export const CHECKS: readonly Check[] = [
  ...SERVICE_CHECKS,
  ...STATE_CHECKS,
  ...MACHINE_CHECKS,
  ...NETWORK_CHECKS,
  ...PEER_CHECKS,
];

/** An agent's look at itself, within 10 s. Never rejects. */
export async function diagnose(
  service: AgentService,
  options: AgentOptions,
  { socketPath, doRest }: Pick<Agent, "socketPath" | "doRest">,
): Promise<readonly CheckReport[]> {
  const tokenFile = tokenFileOf(options, socketPath);
  const { runDirectory = DO_REST_RUN_DIRECTORY } = options.doRest ?? {};
  const context = await doctorContext(options, () => recentOrigins(service));
  return await runChecks(CHECKS, {
    ...context,
    service,
    isAgent: true,
    isSocketGroups: ((options.api?.socketMode ?? 0) & 0o070) !== 0,
    ...(socketPath !== undefined && { socketPath }),
    ...(tokenFile !== undefined && { tokenFile }),
    ...(doRest !== undefined && { doRest: { port: doRest.port, runDirectory } }),
  });
}

/** What the options of an agent say of it; `urls` names origins worth a look. */
export async function doctorContext(
  options: Pick<
    AgentOptions,
    "stateDirectory" | "listen" | "mdns" | "groupKeyFiles" | "caFile" | "proxy" | "isSafeMode"
  >,
  urls: () => Promise<readonly string[]>,
): Promise<DoctorContext> {
  const { listen = [], mdns = true, groupKeyFiles = [], isSafeMode = false } = options;
  const originOptions = await originOptionsOf(options);
  return {
    isAgent: false,
    stateDirectory: resolvePath(options.stateDirectory),
    listen,
    mdns: mdns && !isSafeMode,
    groupKeyFiles,
    originOptions,
    origins: once(async () => lookAtOrigins(await urls(), originOptions)),
    now: () => Date.now(),
  };
}

/** A file of authorities that cannot be read is the agent's start to refuse, and no reason here. */
async function originOptionsOf({
  caFile,
  proxy,
}: Pick<AgentOptions, "caFile" | "proxy">): Promise<OriginOptions> {
  const ca =
    caFile === undefined ? undefined : await readCaFile(resolvePath(caFile)).catch(() => undefined);
  return { ...(ca !== undefined && { ca }), ...(proxy !== undefined && { proxy }) };
}

/** As the API places it, where nobody says otherwise. */
function tokenFileOf({ api }: AgentOptions, socketPath: string | undefined): string | undefined {
  if (api?.tcp === undefined) return undefined;
  const beside = socketPath === undefined ? undefined : join(dirname(socketPath), "agent.token");
  return api.tcp.tokenFile ?? beside;
}

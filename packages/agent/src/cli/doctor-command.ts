/**
 * `shoal doctor`: has the running agent look at itself, adds what only the command can see, and
 * says what is wrong and what to do. Where no agent runs it looks at what lies on disk.
 *
 * Knows which checks are run where; what they look at is in `doctor/`.
 */
import { writeFile } from "node:fs/promises";
import { ShoalError } from "@shoal/core";
import { agentOptionsOf } from "../config/config-options.ts";
import type { ConfiguredOptions } from "../config/config-options.ts";
import { loadConfig } from "../config/load-config.ts";
import { CHECKS, doctorContext } from "../doctor/diagnose.ts";
import { collectFigures } from "../doctor/figures.ts";
import { htmlReport } from "../doctor/html-report.ts";
import { configurationCheck, namedOriginsCheck, namedPeerCheck } from "../doctor/named-checks.ts";
import { runChecks } from "../doctor/run-checks.ts";
import type { AgentService, CheckReport } from "../service/agent-service.ts";
import type { CommandContext } from "./command-context.ts";
import type { AskOptions } from "./define-command.ts";
import { doctorLines, summaryText } from "./doctor-screen.ts";
import { escapeText } from "./escape-text.ts";
import { agentPlaces, findAgent } from "./find-agent.ts";
import { formatCount } from "./format-values.ts";

export interface DoctorOptions extends AskOptions {
  readonly html?: string;
  readonly origin?: readonly string[];
  readonly peer?: readonly string[];
}

/** Rejects with `ERR_CHECK_FAILED` when something has failed, having shown everything. */
export async function runDoctor(options: DoctorOptions, context: CommandContext): Promise<void> {
  const { terminal } = context;
  const found = await findAgent(options, context);
  try {
    const checks = await examine(options, context, found?.service);
    if (options.html !== undefined) {
      const figures = await collectFigures(found?.service);
      await writeReport(options.html, htmlReport({ checks, ...figures, madeAt: Date.now() }));
    }
    if (options.json === true) {
      for (const check of checks) terminal.json({ type: "check", ...check });
      terminal.json({ type: "summary", words: summaryText(checks), ...countResults(checks) });
    } else {
      for (const line of doctorLines(checks, terminal)) terminal.data(line);
    }
    if (options.html !== undefined) {
      terminal.say(`The report is in ${escapeText(options.html)}.\n`);
    }
    const failed = checks.filter(({ result }) => result === "fail").length;
    if (failed > 0) throw new ShoalError("ERR_CHECK_FAILED", formatCount(failed, "fault"));
  } finally {
    found?.service.close();
  }
}

/** All that is found with the agent, or without one, in the order of the groups. */
export async function examine(
  options: Pick<DoctorOptions, "origin" | "peer" | "socket">,
  { env }: Pick<CommandContext, "env">,
  service: AgentService | undefined,
): Promise<readonly CheckReport[]> {
  const { origin = [], peer = [] } = options;
  const request = { env };
  const own = [
    configurationCheck(request),
    ...(origin.length > 0 ? [namedOriginsCheck(origin)] : []),
    ...peer.map(namedPeerCheck),
  ];
  const [socketPath] = agentPlaces(options, env);
  const basis = await doctorContext(await configuredOptions(env), async () => origin);
  const context = { ...basis, socketPath };
  const [general, named] = await Promise.all([
    service === undefined ? runChecks(CHECKS, context) : service.diagnose(),
    runChecks(own, service === undefined ? context : { ...context, service }),
  ]);
  return [...general, ...named];
}

/** A configuration that is wrong is told of by its check; the rest is looked at without it. */
async function configuredOptions(env: CommandContext["env"]): Promise<ConfiguredOptions> {
  try {
    return agentOptionsOf(await loadConfig({ env }), env);
  } catch {
    return agentOptionsOf({ entries: new Map(), files: [] }, env);
  }
}

function countResults(checks: readonly CheckReport[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { result } of checks) counts[result] = (counts[result] ?? 0) + 1;
  return counts;
}

/** It names peers and jobs, so it is its owner's to pass on. */
async function writeReport(path: string, text: string): Promise<void> {
  try {
    await writeFile(path, text, { mode: 0o600 });
  } catch (cause) {
    throw new ShoalError("ERR_DESTINATION_INVALID", path, { cause });
  }
}

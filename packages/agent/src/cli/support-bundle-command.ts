/**
 * `shoal support-bundle`: asks the agent that runs, looks at what lies on disk, and writes it all
 * into one archive without secrets. What is in it is `doctor/support-bundle.ts`'.
 */
import { dirname, join } from "node:path";
import { agentOptionsOf } from "../config/config-options.ts";
import { reportConfig } from "../config/config-report.ts";
import type { ConfigReport } from "../config/config-report.ts";
import { loadConfig } from "../config/load-config.ts";
import { collectFigures } from "../doctor/figures.ts";
import { SecretFilter, secretsIn, secretsInUrl } from "../doctor/hide-secrets.ts";
import { bundleFiles, writeBundle } from "../doctor/support-bundle.ts";
import type { CommandContext } from "./command-context.ts";
import type { AskOptions } from "./define-command.ts";
import { examine } from "./doctor-command.ts";
import { escapeText } from "./escape-text.ts";
import { agentPlaces, findAgent } from "./find-agent.ts";
import { formatBytes, formatCount } from "./format-values.ts";

export async function runSupportBundle(
  file: string,
  options: AskOptions,
  context: CommandContext,
): Promise<void> {
  const { terminal, env } = context;
  const found = await findAgent(options, context);
  try {
    const checks = await examine(options, context, found?.service);
    const figures = await collectFigures(found?.service);
    const madeAt = Date.now();
    const configuration = await configurationOf(env);
    const stateDirectory = figures.facts?.stateDirectory;
    const filter = new SecretFilter(await knownSecrets(options, env, stateDirectory));
    const content = { checks, figures, configuration, madeAt, ...found };
    const files = await bundleFiles(content, filter);
    const length = await writeBundle(file, files, madeAt);
    if (options.json === true) {
      terminal.json({ type: "bundle", path: file, length, files: [...files.keys()] });
      return;
    }
    terminal.data(escapeText(file));
    const amount = `${formatCount(files.size, "file")}, ${formatBytes(length)}`;
    terminal.say(`${amount}. Look through it before you pass it on: it names files and peers.\n`);
  } finally {
    found?.service.close();
  }
}

async function configurationOf(
  env: CommandContext["env"],
): Promise<readonly ConfigReport[] | string> {
  try {
    return reportConfig(await loadConfig({ env }));
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** Keys and tokens of the agent, as far as this user can read them. */
async function knownSecrets(
  options: AskOptions,
  env: CommandContext["env"],
  runningState: string | undefined,
): Promise<readonly string[]> {
  const config = await loadConfig({ env }).catch(() => ({ entries: new Map(), files: [] }));
  const { stateDirectory, groupKeyFiles = [], proxy, policies } = agentOptionsOf(config, env);
  const states = [stateDirectory, ...(runningState === undefined ? [] : [runningState])];
  const tokens = agentPlaces(options, env).map((path) => join(dirname(path), "agent.token"));
  const files = [...states.map((path) => join(path, "identity")), ...tokens, ...groupKeyFiles];
  const groupId = policies?.DOGroupId;
  return [
    ...(await secretsIn(files)),
    ...[proxy?.http, proxy?.https].flatMap((url) => secretsInUrl(url ?? "")),
    ...(groupId === undefined ? [] : [String(groupId)]),
  ];
}

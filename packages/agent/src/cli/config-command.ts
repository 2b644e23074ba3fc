/**
 * `shoal config`: what is configured, who gave each value, what is possible, and a careful pen for
 * the files. Works on files and environment, with or without an agent.
 */
import { join } from "node:path";
import { ShoalError } from "@shoal/core";
import type { EffectiveSetting } from "@shoal/core";
import { editConfigFile } from "../config/edit-config.ts";
import { readConfigFile } from "../config/config-file.ts";
import {
  CONFIG_KEYS,
  isList,
  isLiveSetting,
  parseConfigText,
  splitList,
} from "../config/config-keys.ts";
import type { ConfigKey } from "../config/config-keys.ts";
import { reportConfig, valueText } from "../config/config-report.ts";
import type { ConfigReport } from "../config/config-report.ts";
import { configPlaces, keyNamed, loadConfig, readConfigFiles } from "../config/load-config.ts";
import type { AgentService } from "../service/agent-service.ts";
import type { CommandContext } from "./command-context.ts";
import { escapeText } from "./escape-text.ts";
import { withAgent } from "./find-agent.ts";
import { formatCount } from "./format-values.ts";

export interface ConfigOptions {
  /** In place of the user's file. */
  readonly config?: string;
  readonly origin?: true;
  /** Also keys that nobody has given. */
  readonly all?: true;
  readonly system?: true;
  /** What the agent that runs works with, in place of what one would start with. */
  readonly running?: true;
  readonly socket?: string;
  readonly json?: true;
}

const LAYER_WORDS: Readonly<Record<ConfigReport["layer"], string>> = {
  flag: "flag",
  setting: "setting",
  environment: "environment",
  userFile: "user file",
  systemFile: "system file",
  policy: "policy",
  preset: "preset",
  default: "default",
};

export async function runConfigShow(
  options: ConfigOptions,
  context: CommandContext,
): Promise<void> {
  const { terminal, env } = context;
  const isRunning = options.running === true;
  const reports = isRunning
    ? await withAgent(options, context, reportsOf)
    : await currentReports(options, env);
  if (options.json === true) {
    for (const report of reports) terminal.json({ type: "key", ...report });
    return;
  }
  const shown = reports.filter(({ layer }) => options.all === true || layer !== "default");
  for (const report of shown) {
    const line = `${report.name}: ${escapeText(valueText(report.name, report.value))}`;
    terminal.data(options.origin === true ? `${line}  # ${escapeText(originText(report))}` : line);
  }
  const rest = reports.length - shown.length;
  if (rest > 0) {
    terminal.say(`${formatCount(rest, "key")} at the default; --all shows them too.\n`);
  }
}

const LAYERS_OF_PROVIDERS = {
  setting: "setting",
  policy: "policy",
  preset: "preset",
  default: "default",
} as const satisfies Record<EffectiveSetting["provider"], ConfigReport["layer"]>;

/** The settings that the agent works with now, changes while it runs among them. */
async function reportsOf(service: AgentService): Promise<readonly ConfigReport[]> {
  const { settings } = await service.configuration();
  return settings.map(({ name, value, provider, policy }) => ({
    name,
    value,
    layer: LAYERS_OF_PROVIDERS[provider],
    ...(provider === "policy" && policy !== undefined && { where: policy }),
    isLive: isLiveSetting(name),
  }));
}

function originText({ layer, where }: ConfigReport): string {
  return where === undefined ? LAYER_WORDS[layer] : `${LAYER_WORDS[layer]}: ${where}`;
}

export async function runConfigGet(
  name: string,
  options: ConfigOptions,
  { terminal, env }: CommandContext,
): Promise<void> {
  keyNamed(name);
  const report = (await currentReports(options, env)).find((found) => found.name === name);
  if (report === undefined) return;
  if (options.json === true) return terminal.json({ type: "key", ...report });
  terminal.data(escapeText(valueText(name, report.value)));
  if (options.origin === true) terminal.say(`${escapeText(originText(report))}\n`);
}

async function currentReports(
  { config: file }: ConfigOptions,
  env: CommandContext["env"],
): Promise<readonly ConfigReport[]> {
  return reportConfig(await loadConfig({ env, ...(file !== undefined && { file }) }));
}

/** Sets the key in the user's file, or the system's; without values, removes it there. */
export async function runConfigSet(
  { name, values }: { readonly name: string; readonly values: readonly string[] },
  options: ConfigOptions,
  { terminal, env }: CommandContext,
): Promise<void> {
  const key = keyNamed(name);
  const texts = isList(key) ? values.flatMap((text) => splitList(key, text)) : values;
  if (!isList(key) && texts.length > 1) {
    throw new ShoalError("ERR_CONFIG_INVALID", `${name} takes one value`);
  }
  checkTexts(key, texts);
  const places = configPlaces(env);
  const own = options.config ?? places.userFile;
  const path = options.system === true ? join(places.systemDirectory, "config.yaml") : own;
  await editConfigFile(path, { key, texts, isList: isList(key) });
  if (options.json === true) return terminal.json({ type: "set", name, path });
  const words = values.length === 0 ? "is not in" : "is set in";
  const effect = key.isLive ? "reloads it" : "starts again";
  terminal.say(
    `${name} ${words} ${escapeText(path)}; a running agent takes it when it ${effect}.\n`,
  );
}

function checkTexts(key: ConfigKey, texts: readonly string[]): void {
  for (const text of texts) {
    const result = parseConfigText(key, text);
    if ("value" in result) continue;
    const problem = `${key.name}: "${text.slice(0, 100)}" is not possible: ${result.problem}`;
    throw new ShoalError("ERR_CONFIG_INVALID", problem);
  }
}

/** Names every problem of one file, or of all. Rejects with `ERR_CONFIG_INVALID` if there are any. */
export async function runConfigCheck(
  path: string | undefined,
  options: ConfigOptions,
  { terminal, env }: CommandContext,
): Promise<void> {
  const found = path === undefined ? await readConfigFiles({ env }) : [await readConfigFile(path)];
  const files = found.filter((file) => file !== undefined);
  if (path !== undefined && files.length === 0) {
    throw new ShoalError("ERR_CONFIG_INVALID", `${path}: there is no such file`);
  }
  const problems = files.flatMap((file) => file.problems);
  if (options.json === true) {
    for (const problem of problems) terminal.json({ type: "problem", problem });
  } else {
    for (const problem of problems) terminal.data(escapeText(problem));
  }
  if (problems.length > 0) {
    throw new ShoalError("ERR_CONFIG_INVALID", formatCount(problems.length, "problem"));
  }
  // What policies come to is known of all files together.
  if (path === undefined) reportConfig(await loadConfig({ env }));
  if (options.json === true)
    return terminal.json({ type: "checked", files: files.map((f) => f.path) });
  terminal.say(`${formatCount(files.length, "file")} checked, nothing is wrong.\n`);
}

/** Lists every key with its default and what it is for. */
export function runConfigKeys(options: ConfigOptions, { terminal }: CommandContext): void {
  for (const key of CONFIG_KEYS.values()) {
    const { name, kind, variable, isLive, help } = key;
    const usual = valueText(name, key.default);
    if (options.json === true) {
      terminal.json({ type: "key", name, kind, default: usual, variable, isLive, help });
    } else {
      terminal.data(`${name} (${usual})${isLive ? " live" : ""}\n    ${help.replaceAll("`", "")}`);
    }
  }
}

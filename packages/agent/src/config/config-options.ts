/**
 * What the configuration asks of an agent: its options. A setting comes before a policy of the same
 * layer; a policy of a stronger layer comes before a setting, as a flag before a file.
 *
 * Knows keys and options. Called by `shoal agent`, at its start and at a reload.
 */
import { join } from "node:path";
import { isPolicyName, POLICIES } from "@shoal/core";
import type { Policies, PolicyPreset, PolicyRow, Settings } from "@shoal/core";
import type { AgentOptions } from "../start-agent.ts";
import { inheritedSocket } from "../daemon/supervisor.ts";
import type { DoRestOptions } from "../do-rest/start-do-rest.ts";
import { stateHome } from "../cli/state-place.ts";
import type { ApiOptions } from "../rest/rest-options.ts";
import { userSocketPath } from "../socket-path.ts";
import type { AgentKeyName } from "./agent-keys.ts";
import type { ConfigValue } from "./config-keys.ts";
import { CONFIG_LAYERS, configPlaces } from "./load-config.ts";
import type { Config, ConfigEntry, Environment } from "./load-config.ts";

/** What `startAgent` is given of it; the rest is the process's. */
export type ConfiguredOptions = Omit<AgentOptions, "logger" | "machineProbe">;

/** One value by its key, or what is taken where nobody gives one. */
export function valueIn<Value extends ConfigValue>(
  { entries }: Config,
  name: AgentKeyName,
  otherwise: Value,
): Value {
  // Values were read by their key's kind.
  return (entries.get(name)?.value ?? otherwise) as Value;
}

/** Where the state lies: as configured, where systemd says, or in the user's home. */
export function stateDirectoryOf(config: Config, env: Environment): string {
  const usual = firstOf(env["STATE_DIRECTORY"]) ?? join(stateHome(env), "agent");
  return valueIn<string>(config, "stateDirectory", usual);
}

export function agentOptionsOf(config: Config, env: Environment): ConfiguredOptions {
  const given: Given = (name) => config.entries.get(name)?.value;
  const options: Record<string, unknown> = {
    ...settingsAndPolicies(config),
    stateDirectory: stateDirectoryOf(config, env),
  };
  for (const name of PASSED_ON) {
    const value = given(name);
    if (value !== undefined) options[name] = value;
  }
  const api = apiOf(given, env);
  if (api !== undefined) options["api"] = api;
  if (given("doRest") === true) options["doRest"] = doRestOf(given, env);
  const [http, https, noProxy] = [given("httpProxy"), given("httpsProxy"), given("noProxy")];
  const proxy = {
    ...(http !== undefined && { http: String(http) }),
    ...(https !== undefined && { https: String(https) }),
    ...(noProxy !== undefined && { noProxy: String(noProxy) }),
  };
  // Each name above is an option, and its value of the key's kind.
  return { ...(options as unknown as ConfiguredOptions), proxy };
}

/** systemd names all directories of a unit; ours is the first, others were added to it. */
function firstOf(directories: string | undefined): string | undefined {
  return directories?.split(":")[0];
}

/** A usual place that cannot be had is no reason not to run; one that was asked for is. */
function apiOf(given: Given, env: Environment): ApiOptions | undefined {
  if (given("api") === false) return undefined;
  const fd = inheritedSocket(env);
  const runtime = firstOf(env["RUNTIME_DIRECTORY"]);
  const usualPath = runtime === undefined ? userSocketPath(env) : join(runtime, "agent.sock");
  const usualMode = runtime === undefined ? undefined : 0o660;
  const [path, mode, port] = [given("apiSocket"), given("apiSocketMode"), given("apiPort")];
  const socketMode = mode ?? usualMode;
  const tokenFile = given("apiTokenFile");
  const tcp = { ...(tokenFile !== undefined && { tokenFile: String(tokenFile) }) };
  return {
    ...(fd === undefined ? { socketPath: String(path ?? usualPath) } : { fd }),
    ...(fd === undefined && socketMode !== undefined && { socketMode: Number(socketMode) }),
    ...(port !== undefined && { tcp: { ...tcp, port: Number(port) } }),
    isOptional: path === undefined && port === undefined && fd === undefined,
  };
}

type Given = (name: AgentKeyName) => ConfigValue | undefined;

function doRestOf(given: Given, env: Environment): DoRestOptions {
  const { systemDirectory, userFile } = configPlaces(env);
  const [run, config] = [given("doRunDirectory"), given("doConfigDirectory")];
  return {
    ...(run !== undefined && { runDirectory: String(run) }),
    ...(config !== undefined && { configDirectory: String(config) }),
    reservedPaths: [systemDirectory, userFile],
  };
}

/** Keys that are options of `startAgent` under the same name. */
const PASSED_ON = [
  "listen",
  "peers",
  "peerNetworks",
  "groupKeyFiles",
  "mdns",
  "allowLoopbackPeers",
  "cacheHosts",
  "trustedKeys",
  "caFile",
] as const satisfies readonly (AgentKeyName & keyof AgentOptions)[];

export interface SettingsAndPolicies {
  readonly settings: Partial<Settings>;
  readonly policies: Policies;
  readonly policyPreset?: PolicyPreset;
}

export function settingsAndPolicies(config: Config): SettingsAndPolicies {
  const entries = [...config.entries.values()];
  const policies = entries.filter(({ key }) => key.kind === "policy");
  const settings = entries.filter(
    (entry) => entry.key.kind === "setting" && !policies.some((policy) => rules(policy, entry)),
  );
  const preset = config.entries.get("policyPreset")?.value;
  return {
    settings: Object.fromEntries(settings.map(({ key, value }) => [key.name, value])),
    policies: Object.fromEntries(policies.map(({ key, value }) => [key.name, value])),
    ...(preset !== undefined && { policyPreset: preset as PolicyPreset }),
  };
}

/** Whether the policy speaks about the setting, in a stronger layer. */
function rules(policy: ConfigEntry, setting: ConfigEntry): boolean {
  const { name } = policy.key;
  if (!isPolicyName(name)) return false;
  const { sets }: PolicyRow = POLICIES[name];
  const strength = ({ layer }: ConfigEntry): number => CONFIG_LAYERS.indexOf(layer);
  return sets.includes(setting.key.name) && strength(policy) > strength(setting);
}

/** The options of `shoal agent` as values of configuration keys. */
import { isPolicyName, resolvePolicies, ShoalError } from "@shoal/core";
import { keyNamed, valueOfText } from "../config/load-config.ts";
import type { FlagValue } from "../config/load-config.ts";
import type { ConfigValue } from "../config/config-keys.ts";
import type { AgentCommandOptions } from "./agent-command.ts";
import { policiesOf } from "./policy-file.ts";

/** Rejects with `ERR_POLICY_INVALID`, or `ERR_CONFIG_INVALID` for `--set`. */
export async function flagsOf(options: AgentCommandOptions): Promise<readonly FlagValue[]> {
  const policies = await policiesOf(options);
  // Values of a policy file are checked as a file's: unknown names and all.
  resolvePolicies({ policies });
  const named: Readonly<Record<string, ConfigValue | undefined>> = {
    stateDirectory: options.state,
    peers: options.peer,
    listen: options.listen,
    cacheHosts: options.cacheHost,
    trustedKeys: options.trust,
    groupKeyFiles: options.groupKey,
    share: options.share,
    // Left alone, `--no-mdns` says true.
    mdns: options.mdns ? undefined : false,
    caFile: options.ca,
    policyPreset: options.policyPreset,
    ...apiFlags(options),
    ...doRestFlags(options),
    logLevel: options.logLevel,
    logFormat: options.logFormat,
    ...options.setting,
    ...Object.fromEntries(Object.entries(policies).filter(([name]) => isPolicyName(name))),
  };
  const flags: FlagValue[] = [];
  for (const [name, value] of Object.entries(named)) {
    if (value !== undefined) flags.push({ name, value });
  }
  return [...flags, ...(options.set ?? []).map(parseSet)];
}

function apiFlags(options: AgentCommandOptions): Readonly<Record<string, ConfigValue | undefined>> {
  return {
    // Left alone, `--no-api` says true.
    api: options.api === false ? false : undefined,
    apiSocket: options.apiSocket,
    apiPort: options.apiPort,
  };
}

/** Naming a directory of the listener asks for it, too. */
function doRestFlags({
  doRest,
  doRestRun,
  doRestConfig,
}: AgentCommandOptions): Readonly<Record<string, ConfigValue | undefined>> {
  const isAsked = doRest === true || doRestRun !== undefined || doRestConfig !== undefined;
  return {
    doRest: isAsked ? true : undefined,
    doRunDirectory: doRestRun,
    doConfigDirectory: doRestConfig,
  };
}

function parseSet(text: string): FlagValue {
  const at = text.indexOf("=");
  if (at < 1) throw new ShoalError("ERR_CONFIG_INVALID", "--set takes KEY=VALUE");
  const key = keyNamed(text.slice(0, at));
  return { name: key.name, value: valueOfText(key, text.slice(at + 1), `--set ${key.name}`) };
}

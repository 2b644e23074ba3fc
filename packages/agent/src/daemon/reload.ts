/**
 * Takes a changed configuration while the agent runs: what may change is applied, what may not is
 * named, and a configuration that is wrong changes nothing at all.
 *
 * Knows keys, and the agent by its verbs. Called by `runDaemon` on SIGHUP and by the API.
 */
import { isDeepStrictEqual } from "node:util";
import type { AgentKeyName } from "../config/agent-keys.ts";
import { settingsAndPolicies, valueIn } from "../config/config-options.ts";
import { CONFIG_KEYS } from "../config/config-keys.ts";
import type { Config } from "../config/load-config.ts";
import type { Agent } from "../running-agent.ts";

export interface ConfigChange {
  /** Keys whose new value is in force. */
  readonly applied: readonly string[];
  /** Keys that differ and need another start. */
  readonly restartNeeded: readonly string[];
}

/** The part of an agent that is used. */
export type Reconfigurable = Pick<Agent, "reconfigure" | "addPeer" | "share">;

/**
 * Rejects with `ERR_SETTING_INVALID`, `ERR_POLICY_INVALID` and others, having changed nothing.
 * Peers and shared files that were added are taken at once, those that were removed at the next
 * start.
 */
export async function applyConfig(
  agent: Reconfigurable,
  { before, after }: { readonly before: Config; readonly after: Config },
): Promise<ConfigChange> {
  const changed = [...CONFIG_KEYS.values()].filter(
    ({ name }) => !isDeepStrictEqual(valueOf(before, name), valueOf(after, name)),
  );
  const { policyPreset: preset, ...given } = settingsAndPolicies(after);
  const settings = await agent.reconfigure({ ...given, ...(preset && { preset }) });
  for (const peer of added("peers", before, after)) agent.addPeer(peer);
  for (const path of added("share", before, after)) await agent.share(path);
  const needsStart = new Set<string>(settings);
  const restartNeeded = changed.filter(({ name, kind, isLive }) => {
    if (kind === "setting") return needsStart.has(name);
    if (name === "peers" || name === "share") return removed(name, before, after).length > 0;
    return !isLive;
  });
  return {
    applied: changed.filter((key) => !restartNeeded.includes(key)).map(({ name }) => name),
    restartNeeded: restartNeeded.map(({ name }) => name),
  };
}

function valueOf({ entries }: Config, name: string): unknown {
  return entries.get(name)?.value ?? CONFIG_KEYS.get(name)?.default;
}

function added(name: AgentKeyName, before: Config, after: Config): readonly string[] {
  const old = valueIn<readonly string[]>(before, name, []);
  return valueIn<readonly string[]>(after, name, []).filter((item) => !old.includes(item));
}

function removed(name: AgentKeyName, before: Config, after: Config): readonly string[] {
  return added(name, after, before);
}

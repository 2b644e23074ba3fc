/**
 * What other settings and policies come to for an agent that runs: what it takes at once, what
 * needs another start, and what is in force afterwards.
 *
 * Knows tables. Called by `RunningAgent`.
 */
import { CONTENT_CACHE_SETTINGS, PACE_SETTINGS, POLICIES, resolvePolicies } from "@shoal/core";
import type {
  EffectivePolicy,
  PaceSettings,
  PolicyRequest,
  PolicyRow,
  SettingName,
  Settings,
} from "@shoal/core";
import type { InForce } from "./agent-machine.ts";
import type { AgentConfiguration } from "./agent-policies.ts";

export interface SettingsChange {
  readonly pace: Partial<PaceSettings>;
  /** All of the cache's settings, where one of them changes. */
  readonly cache: Settings | undefined;
  readonly restartNeeded: readonly SettingName[];
  readonly inForce: InForce;
}

/** Throws `ERR_SETTING_INVALID` or `ERR_POLICY_INVALID`. */
export function changeOf(before: AgentConfiguration, request: PolicyRequest): SettingsChange {
  const { settings, effective, policies } = resolvePolicies(request);
  const pace: Record<string, number> = {};
  const restartNeeded: SettingName[] = [];
  let isCacheChanged = false;
  const inForce = effective.map((row) => {
    const old = before.settings.find(({ name }) => name === row.name) ?? row;
    if (isPace(row.name)) {
      if (row.value !== old.value) pace[row.name] = row.value;
      return row;
    }
    const isChanged = old.value !== row.value;
    if (isCache(row.name)) {
      isCacheChanged ||= isChanged;
      return row;
    }
    if (isChanged) restartNeeded.push(row.name);
    return isChanged ? old : row;
  });
  const kept = before.policies.filter(({ name }) => !isLivePolicy(name));
  const taken = policies.filter(({ name }) => isLivePolicy(name));
  return {
    pace,
    cache: isCacheChanged ? settings : undefined,
    restartNeeded,
    inForce: { effective: inForce, policies: [...kept, ...taken] },
  };
}

function isPace(name: string): boolean {
  return Object.hasOwn(PACE_SETTINGS, name);
}

function isCache(name: string): boolean {
  return Object.hasOwn(CONTENT_CACHE_SETTINGS, name);
}

function isLivePolicy(name: EffectivePolicy["name"]): boolean {
  const { sets }: PolicyRow = POLICIES[name];
  return sets.length > 0 && sets.every((setting) => isPace(setting) || isCache(setting));
}

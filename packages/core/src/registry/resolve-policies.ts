/**
 * What is in force: explicit settings before policies, policies before a preset, that before our
 * defaults; each value with who provided it, as Delivery Optimization reports its configuration.
 *
 * Knows the tables. Called once, at the edge, by whoever starts an agent.
 */
import { ShoalError } from "./errors.ts";
import { checkPolicyValue, isPolicyName, POLICIES } from "./policies.ts";
import type { Policies, PolicyName, PolicyOptions, PolicyRow, PolicyValue } from "./policies.ts";
import { resolveSettings, SETTINGS } from "./settings.ts";
import type { SettingName, SettingRow, Settings } from "./settings.ts";

/** `do`: what Delivery Optimization's own pages give as its defaults. */
export const POLICY_PRESETS = ["do"] as const;
export type PolicyPreset = (typeof POLICY_PRESETS)[number];

/** Who gave a value, the strongest first. */
export const PROVIDERS = ["setting", "policy", "preset", "default"] as const;
export type Provider = (typeof PROVIDERS)[number];

export interface EffectiveSetting {
  readonly name: SettingName;
  readonly value: number;
  readonly provider: Provider;
  /** The policy of the same meaning, where there is one. */
  readonly policy?: string;
}

/** What stands in place of a secret. */
const HIDDEN = "(hidden)";

export interface EffectivePolicy {
  readonly name: PolicyName;
  /** `(hidden)` where it is a secret. */
  readonly value: PolicyValue;
  readonly provider: Extract<Provider, "policy" | "preset">;
  /** `overridden`: an explicit setting says otherwise. `none`: it can change nothing here. */
  readonly effect: "applied" | "overridden" | "none";
  /** Why it has no effect. */
  readonly reason?: string;
}

export interface ResolvedPolicies {
  readonly settings: Settings;
  readonly options: PolicyOptions;
  /** Every setting of the table. */
  readonly effective: readonly EffectiveSetting[];
  /** Every policy that was set, or that the preset sets. */
  readonly policies: readonly EffectivePolicy[];
}

export interface PolicyRequest {
  readonly settings?: Partial<Settings>;
  readonly policies?: Policies;
  readonly preset?: PolicyPreset;
}

/** Throws `ERR_POLICY_INVALID` or `ERR_SETTING_INVALID`. */
export function resolvePolicies(request: PolicyRequest): ResolvedPolicies {
  const explicit = request.settings ?? {};
  const chosen = checkPolicies(request);
  const given: Partial<Record<SettingName, number>> = {};
  const providers = new Map<string, Provider>();
  const policies: EffectivePolicy[] = [];
  let options: PolicyOptions = {};
  // What the administrator says comes last, so that it holds where two policies meet.
  for (const provider of ["preset", "policy"] as const) {
    for (const [name, row] of Object.entries<PolicyRow>(POLICIES)) {
      const choice = chosen.get(name as PolicyName);
      if (choice?.provider !== provider) continue;
      const { settings = {}, options: asked, noEffect } = row.effect(choice.value);
      const names = Object.keys(settings) as SettingName[];
      for (const key of names) providers.set(key, provider);
      Object.assign(given, settings);
      options = { ...options, ...asked };
      const isOverridden = names.some((key) => explicit[key] !== undefined);
      const effect = noEffect !== undefined ? "none" : isOverridden ? "overridden" : "applied";
      policies.push({
        name: name as PolicyName,
        ...choice,
        ...(row.isSecret === true && { value: HIDDEN }),
        effect,
        ...(noEffect !== undefined && { reason: noEffect }),
      });
    }
  }
  const settings = resolveSettings({ ...given, ...defined(explicit) });
  for (const name of Object.keys(defined(explicit))) providers.set(name, "setting");
  const effective = Object.entries<SettingRow>(SETTINGS).map(([name, { doPolicy }]) => ({
    name: name as SettingName,
    value: settings[name as SettingName],
    provider: providers.get(name) ?? ("default" as const),
    ...(doPolicy !== undefined && { policy: doPolicy }),
  }));
  return { settings, options, effective, policies };
}

type Choice = { readonly value: PolicyValue; readonly provider: "policy" | "preset" };

/** The value of every policy that is set, checked as input of a stranger. */
function checkPolicies({ policies = {}, preset }: PolicyRequest): Map<PolicyName, Choice> {
  const chosen = new Map<PolicyName, Choice>();
  if (preset !== undefined && !POLICY_PRESETS.includes(preset)) {
    throw new ShoalError("ERR_POLICY_INVALID", `no preset ${String(preset).slice(0, 100)}`);
  }
  if (preset === "do") {
    for (const [name, { doDefault: value }] of Object.entries<PolicyRow>(POLICIES)) {
      if (value !== undefined) chosen.set(name as PolicyName, { value, provider: "preset" });
    }
  }
  for (const [name, value] of Object.entries(policies)) {
    if (!isPolicyName(name)) {
      throw new ShoalError("ERR_POLICY_INVALID", `unknown ${name.slice(0, 100)}`);
    }
    if (value === undefined) continue;
    const problem = checkPolicyValue(name, value);
    if (problem !== undefined) throw new ShoalError("ERR_POLICY_INVALID", problem);
    chosen.set(name, { value, provider: "policy" });
  }
  return chosen;
}

function defined(settings: Partial<Settings>): Partial<Settings> {
  return Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== undefined));
}

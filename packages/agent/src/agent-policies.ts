/**
 * What policies come to when an agent starts: settings, the group's key and cache servers.
 * Where a policy names a source outside the program, it is read here.
 *
 * Knows policies and files of the system. Called by `startAgent`.
 */
import {
  DOWNLOAD_MODES,
  groupKeyOf,
  isCacheHost,
  LIMITS,
  resolvePolicies,
  ShoalError,
} from "@shoal/core";
import type {
  EffectivePolicy,
  EffectiveSetting,
  Peering,
  Policies,
  PolicyPreset,
  ResolvedPolicies,
  Settings,
} from "@shoal/core";
import type { Logger } from "./logger.ts";
import { readDhcpOption, readDnsSuffix } from "./probes/group-sources.ts";
import type { MachineProbe } from "./probes/machine-probe.ts";

export interface AgentPolicyOptions {
  /** Delivery Optimization's policies, by their names (docs/policies.md). Settings come before them. */
  readonly policies?: Policies;
  /** `do`: Delivery Optimization's own defaults for what neither settings nor policies say. */
  readonly policyPreset?: PolicyPreset;
  /** What is known of the machine, asked every 30 s. Default: a probe of this system. */
  readonly machineProbe?: MachineProbe;
}

/** What is in force, and who provided it. */
export interface AgentConfiguration {
  /** Every setting of docs/settings.md. */
  readonly settings: readonly EffectiveSetting[];
  /** Every policy that was set, also those that have no effect here, with the reason. */
  readonly policies: readonly EffectivePolicy[];
  /** How far the agent takes part in peering now, and why not further. */
  readonly peering: Peering;
}

export interface AgentPolicies extends ResolvedPolicies {
  /** Keys of the group in mode 2; none where no source gives one. */
  readonly groupKeys: readonly Uint8Array[];
  readonly cacheHosts: readonly string[];
  readonly vpnKeywords: readonly string[];
}

/** Where sources outside the program lie; tests have their own. */
export interface PolicyPlaces {
  readonly leaseDirectories?: readonly string[];
  readonly resolvConf?: string;
}

/**
 * Reports policies without effect. Rejects with `ERR_POLICY_INVALID`, `ERR_SETTING_INVALID` or, for
 * cache servers, `ERR_USAGE`.
 */
export async function resolveAgentPolicies(
  options: AgentPolicyOptions & {
    readonly settings?: Partial<Settings>;
    readonly cacheHosts?: readonly string[];
    readonly logger: Logger;
  },
  places: PolicyPlaces = {},
): Promise<AgentPolicies> {
  const { policyPreset: preset, policies, settings } = options;
  const resolved = resolvePolicies({
    ...(settings && { settings }),
    ...(policies && { policies }),
    ...(preset && { preset }),
  });
  for (const { name: policy, provider, reason } of resolved.policies) {
    if (reason === undefined || provider === "preset") continue;
    options.logger.warn({ policy, reason }, "a policy has no effect here");
  }
  const groupId = await groupIdOf(resolved, places);
  const cacheHosts = options.cacheHosts ?? (await cacheHostsOf(resolved, places));
  checkCacheHosts(cacheHosts);
  return {
    ...resolved,
    groupKeys: groupId === undefined ? [] : [groupKeyOf(groupId)],
    cacheHosts,
    vpnKeywords: resolved.options.vpnKeywords ?? [],
  };
}

function checkCacheHosts(cacheHosts: readonly string[]): void {
  if (cacheHosts.length > LIMITS.cacheHostsMax) {
    throw new ShoalError("ERR_USAGE", `${cacheHosts.length} cache servers`);
  }
  const wrong = cacheHosts.find((host) => !isCacheHost(host));
  if (wrong !== undefined) {
    throw new ShoalError("ERR_USAGE", `${wrong.slice(0, 100)} is not the name of a cache server`);
  }
}

/** In the order of Delivery Optimization: the id itself, then its source. */
async function groupIdOf(
  { settings, options }: ResolvedPolicies,
  { leaseDirectories, resolvConf }: PolicyPlaces,
): Promise<string | undefined> {
  if (settings.downloadMode !== DOWNLOAD_MODES.group) return undefined;
  if (options.groupId !== undefined) return options.groupId;
  if (options.groupIdSource === 3) return readDhcpOption(234, leaseDirectories);
  if (options.groupIdSource !== 4) return undefined;
  const suffix = await readDnsSuffix(resolvConf);
  return suffix === undefined ? undefined : `dns:${suffix}`;
}

/** What DHCP says counts only where all of it are names of hosts. */
async function cacheHostsOf(
  { options }: ResolvedPolicies,
  { leaseDirectories }: PolicyPlaces,
): Promise<readonly string[]> {
  const named = options.cacheHosts ?? [];
  const source = options.cacheHostSource ?? 0;
  if (source === 0 || (source === 1 && named.length > 0)) return named;
  const text = (await readDhcpOption(235, leaseDirectories)) ?? "";
  const hosts = text.split(/[\s,]+/).filter((host) => host !== "");
  return hosts.length > 0 && hosts.every(isCacheHost) ? hosts : named;
}

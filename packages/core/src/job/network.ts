/**
 * What is known of the machine's network, and whether a job may use it (job-API reference, sections
 * 4.6 and 8). A network has one cost; a job allows a set of them.
 */
import type { ErrorCode } from "../registry/errors.ts";

/** Costs as bits, so that a job's set is one number (BITS network cost states). */
export const NETWORK_COSTS = {
  unrestricted: 0x01,
  cappedUsageUnknown: 0x02,
  belowCap: 0x04,
  nearCap: 0x08,
  overCapCharged: 0x10,
  overCapThrottled: 0x20,
  usageBased: 0x40,
  roaming: 0x80,
} as const;
export type NetworkCost = keyof typeof NETWORK_COSTS;

/** Every cost. */
export const ANY_NETWORK_COST = 0xff;
/** No surcharge, and not near the data cap: what background jobs may use by default. */
export const STANDARD_NETWORK_COSTS = 0x67;

export interface NetworkState {
  /** Whether anything beyond this machine can be reached. */
  readonly isOnline: boolean;
  readonly cost: NetworkCost;
  readonly isCellular: boolean;
}

/** What is assumed until somebody knows better. */
export const USUAL_NETWORK: NetworkState = {
  isOnline: true,
  cost: "unrestricted",
  isCellular: false,
};

export interface NetworkNeeds {
  /** A set of `NETWORK_COSTS`. */
  readonly networkCosts: number;
  readonly allowsCellular: boolean;
  /** Everything it fetches is on this machine. */
  readonly isLocal: boolean;
}

/** Why the job may not use the network; `undefined` when it may. */
export function networkBlock(network: NetworkState, needs: NetworkNeeds): ErrorCode | undefined {
  const block = blockOf(network, needs);
  return block === undefined || needs.isLocal ? undefined : block;
}

function blockOf(network: NetworkState, needs: NetworkNeeds): ErrorCode | undefined {
  if (!network.isOnline) return "ERR_NETWORK_DOWN";
  if (network.isCellular && !needs.allowsCellular) return "ERR_NETWORK_CELLULAR";
  return (NETWORK_COSTS[network.cost] & needs.networkCosts) === 0 ? "ERR_NETWORK_COST" : undefined;
}

/** Whether the URL names this machine. */
export function isLocalUrl(url: string): boolean {
  const host = URL.parse(url)?.hostname ?? "";
  return host === "localhost" || host === "[::1]" || /^127\.\d+\.\d+\.\d+$/.test(host);
}

/**
 * Whether this machine takes part in peering now, and how far: the rules of Delivery Optimization
 * about mode, memory, disk, battery, VPN and metered networks (reference, sections 2 and 4), and of
 * R-GRP-01. What is not known of a machine is no reason against it.
 *
 * Knows facts and settings; knows no peers, contents or clocks. Called by `PeerGate`.
 */
import type { PolicyReason } from "../registry/policy-reasons.ts";
import {
  DOWNLOAD_MODES,
  NEVER_ON_BATTERY,
  PEER_RESTRICTIONS,
} from "../registry/policy-settings.ts";
import type { Settings } from "../registry/settings.ts";

/** What is known of the machine; absent: unknown. */
export interface MachineFacts {
  readonly ramBytes?: number;
  /** Capacity of the file system that holds the state directory. */
  readonly diskBytes?: number;
  readonly isOnBattery?: boolean;
  /** Charge of the battery, 0 to 100. */
  readonly batteryPercent?: number;
  readonly hasVpn?: boolean;
  readonly isMetered?: boolean;
  /** The agent takes more memory than it may (threat model, section 19). */
  readonly isShortOfMemory?: boolean;
  /** The agent was started in safe mode after crashes (R-PROC-04). */
  readonly isSafeMode?: boolean;
}

/** How far the agent takes part in peering. */
export interface Peering {
  /** Whom it may be connected with; `local`: only peers found by local discovery. */
  readonly partners: "all" | "local" | "none";
  /** Whether anything is offered and uploaded. */
  readonly mayServe: boolean;
  readonly mayUseCacheServers: boolean;
  /** Whether manifests are looked for that a job does not name itself. */
  readonly mayUseManifests: boolean;
  /** Why not more, the most weighty first; empty when nothing is held back. */
  readonly reasons: readonly PolicyReason[];
}

/** Whether the mode has peers at all. */
export function isPeeringMode(mode: number): boolean {
  const { lan, group, internet } = DOWNLOAD_MODES;
  return mode === lan || mode === group || mode === internet;
}

export function decidePeering(
  settings: Settings,
  facts: MachineFacts,
  { hasGroupKey }: { readonly hasGroupKey: boolean },
): Peering {
  const { downloadMode: mode } = settings;
  const refusals = reasonsAgainstPeers(settings, facts, hasGroupKey);
  const restrictions = reasonsForLocalPeers(settings, facts);
  const muted = reasonsAgainstUploads(settings, facts);
  const cacheless = facts.hasVpn === true && settings.vpnCacheServers === 0;
  const isLocal = restrictions.length > 0;
  const hasPeers = refusals.length === 0;
  return {
    partners: !hasPeers ? "none" : isLocal ? "local" : "all",
    mayServe: hasPeers && muted.length === 0,
    mayUseCacheServers: mode !== DOWNLOAD_MODES.bypass && !cacheless,
    mayUseManifests: mode !== DOWNLOAD_MODES.simple && mode !== DOWNLOAD_MODES.bypass,
    reasons: [
      ...refusals,
      ...(hasPeers ? [...restrictions, ...muted] : []),
      ...(cacheless ? ["cacheServersOnVpn" as const] : []),
    ],
  };
}

function reasonsAgainstPeers(
  settings: Settings,
  { ramBytes = Infinity, diskBytes = Infinity, isSafeMode }: MachineFacts,
  hasGroupKey: boolean,
): PolicyReason[] {
  const { downloadMode: mode } = settings;
  const reasons: PolicyReason[] = [];
  if (isSafeMode === true) reasons.push("safeMode");
  if (mode === DOWNLOAD_MODES.httpOnly) reasons.push("modeHttpOnly");
  if (mode === DOWNLOAD_MODES.simple) reasons.push("modeSimple");
  if (mode === DOWNLOAD_MODES.bypass) reasons.push("modeBypass");
  if (mode === DOWNLOAD_MODES.group && !hasGroupKey) reasons.push("groupKeyMissing");
  if (ramBytes < settings.peerRamBytesMin) reasons.push("ramTooSmall");
  if (diskBytes < settings.peerDiskBytesMin) reasons.push("diskTooSmall");
  return reasons;
}

function reasonsForLocalPeers(settings: Settings, { hasVpn }: MachineFacts): PolicyReason[] {
  const reasons: PolicyReason[] = [];
  if (hasVpn === true && settings.vpnPeers === 0) reasons.push("vpnUp");
  if (settings.peerRestriction === PEER_RESTRICTIONS.localDiscovery) {
    reasons.push("localDiscoveryOnly");
  }
  return reasons;
}

function reasonsAgainstUploads(
  { batteryUploadPercentMin: chargeMin, meteredUploads }: Settings,
  { isOnBattery, batteryPercent = 100, isMetered, isShortOfMemory }: MachineFacts,
): PolicyReason[] {
  const reasons: PolicyReason[] = [];
  const isLow = chargeMin === NEVER_ON_BATTERY || batteryPercent < chargeMin;
  if (isOnBattery === true && chargeMin > 0 && isLow) reasons.push("onBattery");
  if (isMetered === true && meteredUploads === 0) reasons.push("metered");
  if (isShortOfMemory === true) reasons.push("memoryShort");
  return reasons;
}

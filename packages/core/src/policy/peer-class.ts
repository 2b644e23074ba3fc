/**
 * The classes of Delivery Optimization in which bytes from and to peers are counted (reference,
 * sections 1 and 11).
 *
 * Knows how a peer was found and where it is; knows no connections. Called by `PeerTable`.
 */
import { isCount, isRecordOf } from "../job/shape.ts";
import { DOWNLOAD_MODES } from "../registry/policy-settings.ts";
import type { CounterName } from "../registry/counters.ts";
import type { PeerReach } from "../ports/swarm-port.ts";

export const PEER_CLASSES = ["linkLocal", "lan", "group", "internet"] as const;
export type PeerClass = (typeof PEER_CLASSES)[number];

/** Bytes or connections by class of peer. */
export type ByPeerClass = Readonly<Record<PeerClass, number>>;

/** Nothing of any class, to be counted up. */
export function noneByClass(): Record<PeerClass, number> {
  return { linkLocal: 0, lan: 0, group: 0, internet: 0 };
}

/** Adds `more` to `sums`, class by class. */
export function addByClass(sums: Record<PeerClass, number>, more: Partial<ByPeerClass>): void {
  for (const peerClass of PEER_CLASSES) sums[peerClass] += more[peerClass] ?? 0;
}

/** Counted beside the sums of all peers. */
export const RECEIVED_COUNTERS = {
  linkLocal: "shoal_link_local_received_bytes_total",
  lan: "shoal_lan_received_bytes_total",
  group: "shoal_group_received_bytes_total",
  internet: "shoal_internet_received_bytes_total",
} as const satisfies Record<PeerClass, CounterName>;

export const SENT_COUNTERS = {
  linkLocal: "shoal_link_local_sent_bytes_total",
  lan: "shoal_lan_sent_bytes_total",
  group: "shoal_group_sent_bytes_total",
  internet: "shoal_internet_sent_bytes_total",
} as const satisfies Record<PeerClass, CounterName>;

/** A peer of the subnet counts as LAN also in a group; who is found by local discovery counts apart. */
export function peerClassOf(
  { isLocal, reach }: { readonly isLocal: boolean; readonly reach: PeerReach },
  mode: number,
): PeerClass {
  if (isLocal) return "linkLocal";
  if (reach === "host" || reach === "subnet") return "lan";
  if (mode === DOWNLOAD_MODES.group) return "group";
  return reach === "private" ? "lan" : "internet";
}

export function isNone(bytes: ByPeerClass): boolean {
  return PEER_CLASSES.every((peerClass) => bytes[peerClass] === 0);
}

/** A new sum, class by class. */
export function sumByClass(a: ByPeerClass, b: ByPeerClass | undefined): ByPeerClass {
  const sums = { ...a };
  addByClass(sums, b ?? {});
  return sums;
}

export const isByPeerClass = isRecordOf({
  linkLocal: isCount(),
  lan: isCount(),
  group: isCount(),
  internet: isCount(),
});

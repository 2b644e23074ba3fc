/** Contents and the agent as people read them: what `Get-DeliveryOptimizationStatus` shows. */
import { basename } from "node:path";
import type { PeerClass } from "@shoal/core";
import type {
  AgentFacts,
  ByPeerClass,
  ContentStatus,
  PeerStatus,
  PerformanceSnapshot,
} from "../service/agent-service.ts";
import stringWidth from "string-width";
import { cutText } from "./cut-text.ts";
import { escapeText } from "./escape-text.ts";
import {
  formatAge,
  formatBytes,
  formatCount,
  formatDistance,
  formatDuration,
  formatPercent,
  formatRate,
} from "./format-values.ts";
import { peerLines } from "./peer-screen.ts";
import { fieldLines, tableLines } from "./table.ts";
import type { Column } from "./table.ts";
import { tableStyle } from "./terminal.ts";
import type { Terminal } from "./terminal.ts";

/** Peer classes in the order in which they are shown. */
export const CLASS_WORDS = {
  linkLocal: "link-local",
  lan: "LAN",
  group: "group",
  internet: "Internet",
} as const satisfies Record<PeerClass, string>;

/** A line about the agent, two where the terminal is narrow; more in safe mode. */
export function agentLines(
  { version, peerId, startedAt, groupName, isSafeMode }: AgentFacts,
  { peerConnections, downloadBytesPerSec, uploadBytesPerSec }: PerformanceSnapshot,
  { width }: Pick<Terminal, "width">,
): string[] {
  const group = groupName === undefined ? "" : `, group ${escapeText(groupName)}`;
  const peers = formatCount(sumOf(peerConnections), "peer");
  const about = `Agent ${escapeText(version)} …${escapeText(peerId.slice(-8))}${group}`;
  const head = `${about}, up for ${formatAge(Date.now() - startedAt)}:`;
  const rates = `down ${formatRate(downloadBytesPerSec)}, up ${formatRate(uploadBytesPerSec)}`;
  const now = `${peers}, ${rates}`;
  const isNarrow = stringWidth(head) + 1 + now.length > width;
  const lines = (isNarrow ? [head, `  ${now}`] : [`${head} ${now}`]).map((one) =>
    cutText(one, width),
  );
  const safe = "Safe mode after crashes: no peers, and jobs wait for shoal jobs resume.";
  return isSafeMode ? [...lines, cutText(safe, width)] : lines;
}

/** A table of contents; with `peers`, those of each content behind it. */
export function contentLines(all: readonly ContentStatus[], terminal: Terminal): string[] {
  if (all.length === 0) return ["Nothing is being fetched or on offer."];
  return tableLines(columnsAt(Date.now()), all, tableStyle(terminal));
}

/** The peers of one content, at most `countMax`. */
export function contentPeerLines(
  content: ContentStatus,
  peers: readonly PeerStatus[],
  { countMax, terminal }: { readonly countMax: number; readonly terminal: Terminal },
): string[] {
  const shown = peers.slice(0, countMax);
  const rest = peers.length - shown.length;
  return [
    "",
    terminal.style("bold", `Peers of ${escapeText(contentName(content))}`),
    ...(shown.length === 0 ? ["  none is known"] : peerLines(shown, terminal)),
    ...(rest === 0 ? [] : [`… and ${rest} more`]),
  ];
}

/** What people call the content. */
export function contentName({ path, displayName, url, contentId, jobId }: ContentStatus): string {
  return path === undefined ? (displayName ?? url ?? contentId ?? jobId ?? "?") : basename(path);
}

function columnsAt(now: number): ReadonlyArray<Column<ContentStatus>> {
  return [
    { title: "NAME", of: contentName, rank: 1, widthMin: 12 },
    { title: "STATUS", of: ({ status }) => status, rank: 1 },
    {
      title: "LENGTH",
      of: ({ length }) => (length === undefined ? "?" : formatBytes(length)),
      align: "right",
      rank: 4,
    },
    {
      title: "HELD",
      of: ({ length, heldBytes }) =>
        length === undefined ? formatBytes(heldBytes) : formatPercent(heldBytes, length),
      align: "right",
      rank: 2,
    },
    { title: "PEER%", of: peerShareOf, align: "right", rank: 2 },
    { title: "HTTP", of: ({ httpBytes }) => formatBytes(httpBytes), align: "right", rank: 5 },
    { title: "PEERS", of: ({ peerBytes }) => formatBytes(peerBytes), align: "right", rank: 5 },
    {
      title: "SENT",
      of: ({ sentBytes }) => formatBytes(sumOf(sentBytes)),
      align: "right",
      rank: 3,
    },
    {
      title: "CONN",
      of: ({ originConnections, peerConnections }) =>
        `${originConnections}+${sumOf(peerConnections)}`,
      align: "right",
      rank: 6,
    },
    { title: "EXPIRES", of: (content) => expiryOf(content, now), rank: 7 },
  ];
}

function peerShareOf({ peerPercent, downloadedBytes }: ContentStatus): string {
  return downloadedBytes === 0 ? "" : `${Math.round(peerPercent)} %`;
}

function expiryOf({ isPinned, expiresAt }: ContentStatus, now: number): string {
  const when = expiresAt === undefined ? "" : formatDistance(expiresAt, now);
  return isPinned ? `pinned ${when}`.trim() : when;
}

/** Every field of one content. */
export function contentDetailLines(content: ContentStatus, terminal: Terminal): string[] {
  const { length, heldBytes, originConnections, peerConnections, expiresAt } = content;
  const style = tableStyle(terminal);
  const bytes = `${formatBytes(content.downloadedBytes)}, of which peers ${Math.round(content.peerPercent)} %`;
  return [
    style.title(escapeText(contentName(content))),
    ...fieldLines(
      [
        ["status", content.status],
        ["content", content.contentId],
        ["job", content.jobId],
        ["file", content.path],
        ["URL", content.url],
        ["cache server", content.cacheHost],
        ["length", length === undefined ? undefined : formatBytes(length)],
        ["held", formatBytes(heldBytes)],
        ["priority", content.priority],
        ["download mode", content.downloadMode?.toString()],
        ["downloaded", bytes],
        ["from HTTP", formatBytes(content.httpBytes)],
        ["from cache servers", formatBytes(content.cacheServerBytes)],
        ["from peers", byClass(content.receivedBytes, formatBytes)],
        ["to peers", byClass(content.sentBytes, formatBytes)],
        ["took", formatDuration(content.downloadMs)],
        ["HTTP connections", String(originConnections)],
        ["peer connections", byClass(peerConnections, String)],
        ["peers known", String(content.peerCount)],
        ["expires", expiresAt === undefined ? undefined : formatDistance(expiresAt, Date.now())],
        ["pinned", content.isPinned ? "yes" : "no"],
        ["on offer to peers", content.isOffered ? "yes" : "no"],
      ],
      style,
    ),
  ];
}

export function sumOf(by: ByPeerClass): number {
  return Object.values(by).reduce((sum, value) => sum + value, 0);
}

/** `12.0 MiB (LAN 10.0 MiB, group 2.0 MiB)`; classes without any are left out. */
export function byClass(by: ByPeerClass, format: (value: number) => string): string {
  const classes = Object.entries(CLASS_WORDS) as Array<[PeerClass, string]>;
  const parts = classes.filter(([name]) => by[name] > 0);
  const whole = format(sumOf(by));
  if (parts.length === 0) return whole;
  return `${whole} (${parts.map(([name, word]) => `${word} ${format(by[name])}`).join(", ")})`;
}

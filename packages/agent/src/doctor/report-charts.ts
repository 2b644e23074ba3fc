/**
 * The report's charts of bars, as SVG without any script: where the bytes of recent jobs came from,
 * and which peers there are. Colours are the page's, by class.
 */
import type { JobSummary } from "@shoal/core";
import { formatBytes, formatCount, formatPercent } from "../cli/format-values.ts";
import type { ByPeerClass, PeerStatus, PerformanceSnapshot } from "../service/agent-service.ts";
import { escapeHtml } from "./report-text.ts";

const JOBS_MAX = 10;
const NAME_LENGTH_MAX = 60;
/** Of the drawing's own units; the page scales it to its width. */
const BAR_WIDTH = 1_000;
const BAR_HEIGHT = 14;

interface Part {
  /** A class of the page's style. */
  readonly kind: string;
  readonly words: string;
  readonly amount: number;
}

const SOURCES = { origin: "origin", cacheServer: "cache servers", peers: "peers" } as const;

const CLASSES: Readonly<Record<keyof ByPeerClass, string>> = {
  linkLocal: "same link",
  lan: "LAN",
  group: "group",
  internet: "Internet",
};

/** A bar for each of the latest jobs that have received something. */
export function jobsChart(jobs: readonly JobSummary[]): string {
  const rows = jobs
    .map(({ displayName, jobId, originBytes, cacheServerBytes, peerBytes }) => ({
      name: displayName === "" ? jobId : displayName,
      parts: [
        { kind: "peers", words: SOURCES.peers, amount: peerBytes },
        { kind: "cacheServer", words: SOURCES.cacheServer, amount: cacheServerBytes },
        { kind: "origin", words: SOURCES.origin, amount: originBytes },
      ],
    }))
    .filter(({ parts }) => sum(parts) > 0)
    .slice(0, JOBS_MAX);
  const body =
    rows.length === 0
      ? `<p class="none">No job has received anything.</p>`
      : legend(rows[0]?.parts ?? []) + rows.map(jobRow).join("\n");
  return `<section><h2>Where the bytes of recent jobs came from</h2>\n${body}\n</section>`;
}

function jobRow({ name, parts }: { readonly name: string; readonly parts: readonly Part[] }) {
  const all = sum(parts);
  const peerBytes = parts[0]?.amount ?? 0;
  const words = `${formatBytes(all)}, ${formatPercent(peerBytes, all)} from peers`;
  const shown = name.length > NAME_LENGTH_MAX ? `${name.slice(0, NAME_LENGTH_MAX)}…` : name;
  return `<figure><figcaption><span>${escapeHtml(shown)}</span><span>${escapeHtml(words)}</span>
</figcaption>${bar(parts, all)}</figure>`;
}

/** Connected peers, and what was received and sent, each by class. */
export function peersChart(
  peers: readonly PeerStatus[],
  performance: PerformanceSnapshot | undefined,
): string {
  const connected = performance?.peerConnections;
  const known = peers.filter(({ state }) => state !== "connected").length;
  const rows = [
    connected && {
      name: "Connected",
      amounts: connected,
      show: (n: number) => formatCount(n, "peer"),
    },
    performance && { name: "Received", amounts: performance.receivedBytes, show: formatBytes },
    performance && { name: "Sent", amounts: performance.sentBytes, show: formatBytes },
  ].filter((row) => row !== undefined);
  const drawn = rows.map(({ name, amounts, show }) => {
    const parts = partsOf(amounts);
    const detail = parts.filter(({ amount }) => amount > 0);
    const each = detail.map(({ words, amount }) => `${words} ${show(amount)}`).join(", ");
    const words = detail.length > 1 ? `${show(sum(parts))}: ${each}` : each;
    return `<figure><figcaption><span>${name}</span><span>${escapeHtml(words || "none")}</span>
</figcaption>${bar(parts, sum(parts))}</figure>`;
  });
  const others = `<p class="none">${formatCount(known, "peer")} known and not connected.</p>`;
  const body = rows.length === 0 ? "" : `${legend(partsOf(NO_AMOUNTS))}${drawn.join("\n")}`;
  return `<section><h2>Peers by class</h2>\n${body}\n${others}\n</section>`;
}

const NO_AMOUNTS: ByPeerClass = { linkLocal: 0, lan: 0, group: 0, internet: 0 };

function partsOf(amounts: ByPeerClass): readonly Part[] {
  return Object.entries(CLASSES).map(([kind, words]) => {
    return { kind, words, amount: amounts[kind as keyof ByPeerClass] };
  });
}

function sum(parts: readonly Part[]): number {
  return parts.reduce((all, { amount }) => all + amount, 0);
}

function bar(parts: readonly Part[], all: number): string {
  let x = 0;
  const pieces = parts
    .filter(({ amount }) => amount > 0)
    .map(({ kind, amount }) => {
      const width = (amount / all) * BAR_WIDTH;
      const piece = `<rect class="${kind}" x="${x.toFixed(1)}" width="${width.toFixed(1)}" height="${BAR_HEIGHT}"/>`;
      x += width;
      return piece;
    });
  const box = `0 0 ${BAR_WIDTH} ${BAR_HEIGHT}`;
  return `<svg class="bar" viewBox="${box}" preserveAspectRatio="none" aria-hidden="true">
<rect class="empty" width="${BAR_WIDTH}" height="${BAR_HEIGHT}"/>${pieces.join("")}</svg>`;
}

function legend(parts: readonly Part[]): string {
  const items = parts.map(
    ({ kind, words }) =>
      `<span><svg viewBox="0 0 10 10" aria-hidden="true"><rect class="${kind}" width="10" height="10"/></svg>${words}</span>`,
  );
  return `<p class="legend">${items.join("")}</p>\n`;
}

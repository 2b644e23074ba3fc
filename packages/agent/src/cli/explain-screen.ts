/**
 * An explanation as a person reads it: what holds now, then for each file where its bytes came from
 * and why, which peers are not used and why, and what can be done. Codes stand in brackets, so that
 * docs/reasons.md can be searched for them.
 *
 * Knows words and lines. What they are printed on is its callers' business.
 */
import { basename } from "node:path";
import type {
  ExplainedFile,
  ExplainedPeer,
  ExplainedShare,
  ExplainedSource,
  JobExplanation,
  Reason,
} from "@shoal/core";
import { escapeText } from "./escape-text.ts";
import {
  formatBytes,
  formatCount,
  formatDuration,
  formatPercent,
  formatRate,
} from "./format-values.ts";

/** Lines of one section; the rest is counted. */
const ROWS_MAX = 8;
/** Files that are shown in full. */
const FILES_MAX = 20;
/** Peers of one reason that are named. */
const NAMED_PEERS_MAX = 3;
const PEER_TAIL_LENGTH = 8;
const DETAIL_LENGTH_MAX = 80;

/** The screen, every line of which ends in a line break. */
export function explanationText(explanation: JobExplanation): string {
  const { jobId, displayName, state, verdicts, policies, files } = explanation;
  const lines = [`Job ${escapeText(jobId)} (${escapeText(displayName)}) is ${state}.`];
  for (const verdict of verdicts) lines.push(`  ${reasonText(verdict)}`);
  for (const { code, words } of policies) lines.push(`  ${escapeText(words)} [${code}]`);
  for (const file of files.slice(0, FILES_MAX)) lines.push("", ...fileLines(file));
  if (files.length > FILES_MAX) {
    lines.push("", `… and ${formatCount(files.length - FILES_MAX, "file")} more (--json has all).`);
  }
  lines.push(...remedyLines(explanation));
  return `${lines.join("\n")}\n`;
}

function fileLines(file: ExplainedFile): string[] {
  const { shares, verdicts, peers, peerCount, transferredBytes, length } = file;
  const whole = length === undefined ? "" : ` of ${formatBytes(length)}`;
  const lines = [`${nameOf(file)}: ${formatBytes(transferredBytes)}${whole}. ${headline(file)}`];
  if (verdicts.length > 0) lines.push("  now", ...verdicts.map((one) => `    ${reasonText(one)}`));
  if (shares.length > 0) lines.push("  came from", ...limited(shares.map(shareText)));
  const unused = peers.filter(({ isUsed, code }) => !isUsed && code !== "nothingMissing");
  if (unused.length > 0) {
    lines.push(`  peers not used (${unused.length} of ${peerCount} known)`);
    lines.push(...limited(groupedByCode(unused).map(peersText)));
  }
  return lines;
}

/** The shortest answer to "why from there?". */
function headline({ shares, verdicts }: ExplainedFile): string {
  const [largest] = shares;
  if (largest === undefined) {
    const [verdict] = verdicts;
    return verdict === undefined ? "Nothing is here yet." : `${sentence(verdict.words)}.`;
  }
  const whole = shares.reduce((sum, { bytes }) => sum + bytes, 0);
  const byKind = new Map<string, number>();
  for (const { source, bytes } of shares) {
    const kind = KIND_WORDS[source.kind];
    byKind.set(kind, (byKind.get(kind) ?? 0) + bytes);
  }
  const parts = [...byKind].map(([kind, bytes]) => `${formatPercent(bytes, whole)} ${kind}`);
  const reasonsOf = shares.filter(({ source }) => source.kind !== "peer");
  const because = reasonsOf[0] === undefined ? "" : `: ${reasonsOf[0].words}`;
  return `${sentence(parts.join(", "))}${because}.`;
}

const KIND_WORDS: Readonly<Record<ExplainedSource["kind"], string>> = {
  origin: "from the origin",
  mirror: "from mirrors",
  cacheServer: "from cache servers",
  peer: "from peers",
  otherPeers: "from peers",
  thisMachine: "was on this machine",
};

function shareText({ source, bytes, words, code }: ExplainedShare): string {
  return `${formatBytes(bytes).padStart(10)}  ${sourceText(source)}: ${words} [${code}]`;
}

function sourceText(source: ExplainedSource): string {
  switch (source.kind) {
    case "origin":
      return `the origin ${escapeText(source.host)}`;
    case "mirror":
      return `the mirror ${escapeText(source.host)}`;
    case "cacheServer":
      return `the cache server ${escapeText(source.host)}`;
    case "peer":
      return `the peer ${tail(source.peerId)} at ${escapeText(source.address)}`;
    case "otherPeers":
      return "other peers";
    case "thisMachine":
      return "this machine";
  }
}

function groupedByCode(peers: readonly ExplainedPeer[]): ReadonlyArray<readonly ExplainedPeer[]> {
  return [...Map.groupBy(peers, ({ code }) => code).values()];
}

function peersText(group: readonly ExplainedPeer[]): string {
  const named = group.slice(0, NAMED_PEERS_MAX).map(peerText).join(", ");
  const more = group.length > NAMED_PEERS_MAX ? ` and ${group.length - NAMED_PEERS_MAX} more` : "";
  const [{ words, code } = { words: "", code: "" }] = group;
  return `${named}${more}: ${words} [${code}]`;
}

function peerText({ peerId, code, detail, waitMs, bytes }: ExplainedPeer): string {
  const notes = [
    ...(detail === undefined ? [] : [escapeText(detail).slice(0, DETAIL_LENGTH_MAX)]),
    ...(waitMs === undefined ? [] : [`for ${formatDuration(waitMs)}`]),
    ...(bytes === 0 ? [] : [`gave ${formatBytes(bytes)}`]),
  ];
  // Whoever lifts a ban has to name the peer.
  const name = code === "banned" ? escapeText(peerId) : tail(peerId);
  return notes.length === 0 ? name : `${name} (${notes.join("; ")})`;
}

function reasonText(reason: Reason): string {
  const { code, words, waitMs, error, limitBytesPerSec, silentMs } = reason;
  const { peersBytesPerSec, originBytesPerSec } = reason;
  const notes = [
    ...(error === undefined ? [] : [`${error.code}: ${escapeText(error.message)}`]),
    ...(limitBytesPerSec === undefined ? [] : [`limit ${formatRate(limitBytesPerSec)}`]),
    ...(peersBytesPerSec === undefined ? [] : [`peers ${formatRate(peersBytesPerSec)}`]),
    ...(originBytesPerSec === undefined ? [] : [`origin ${formatRate(originBytesPerSec)}`]),
    ...(silentMs === undefined ? [] : [`peers silent for ${formatDuration(silentMs)}`]),
    ...(waitMs === undefined ? [] : [`for ${formatDuration(waitMs)} more`]),
  ];
  const shown = notes.length === 0 ? "" : ` (${notes.join("; ")})`;
  return `${words}${shown} [${code}]`;
}

/** Each remedy once, in the order of what it is for. */
function remedyLines({ verdicts, policies, files }: JobExplanation): string[] {
  const reasons = [...verdicts, ...policies];
  for (const { verdicts: ofFile, shares, peers } of files.slice(0, FILES_MAX)) {
    reasons.push(...ofFile, ...shares, ...peers.filter(({ isUsed }) => !isUsed));
  }
  const remedies = new Set(reasons.flatMap(({ remedy }) => remedy ?? []));
  if (remedies.size === 0) return [];
  return ["", "What you can do", ...limited([...remedies].map(escapeText))];
}

function limited(rows: readonly string[]): string[] {
  const shown = rows.slice(0, ROWS_MAX).map((row) => `    ${row}`);
  const left = rows.length - shown.length;
  return left === 0 ? shown : [...shown, `    … and ${left} more (--json has all)`];
}

function nameOf({ destination, fileId, contentId }: ExplainedFile): string {
  const name = destination === undefined ? undefined : basename(destination);
  return escapeText(name ?? fileId ?? contentId ?? "A file");
}

function tail(peerId: string): string {
  return `…${escapeText(peerId.slice(-PEER_TAIL_LENGTH))}`;
}

function sentence(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

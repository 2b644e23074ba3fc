/**
 * The progress line as a pure function of what is known, and the rate it shows. What matters most
 * stays when the terminal is narrow:
 *
 *   linux.iso  42 %  107.5 MiB of 256.0 MiB  81.3 MiB/s  2 s left  origin 40.1 MiB, 3 peers 67.4 MiB
 *      4        1           3                   2           2               5
 */
import type { JobSnapshot, Millis } from "@shoal/core";
import stringWidth from "string-width";
import { cutText } from "./cut-text.ts";
import { escapeText } from "./escape-text.ts";
import {
  formatBytes,
  formatCount,
  formatDuration,
  formatPercent,
  formatRate,
} from "./format-values.ts";

export interface ProgressView {
  readonly name: string;
  readonly snapshot: JobSnapshot;
  /** Received bytes a second, over the last seconds. */
  readonly rateBytesPerSec: number;
}

const NAME_WIDTH_MAX = 32;

/** At most `width` columns, without line breaks and without styles. */
export function renderProgress(view: ProgressView, width: number): string {
  const segments = segmentsOf(view);
  let kept = segments;
  const join = (): string => kept.map(({ text }) => text).join("  ");
  while (kept.length > 1 && stringWidth(join()) > width) {
    const least = Math.max(...kept.map(({ rank }) => rank));
    kept = kept.filter(({ rank }) => rank !== least);
  }
  return cutText(join(), width);
}

/** A line for logs and pipes: everything, however wide. */
export function renderProgressLine(view: ProgressView): string {
  return renderProgress(view, Infinity);
}

interface Segment {
  readonly text: string;
  /** 1 stays longest. */
  readonly rank: number;
}

function segmentsOf(view: ProgressView): readonly Segment[] {
  const { snapshot, rateBytesPerSec } = view;
  const [file] = snapshot.files;
  const name = { text: cutText(escapeText(view.name), NAME_WIDTH_MAX), rank: 4 };
  const activity = activityOf(view);
  const { length, transferredBytes } = snapshot;
  if (length === undefined || file === undefined) return [name, { text: activity, rank: 1 }];
  const segments: Segment[] = [
    name,
    { text: formatPercent(transferredBytes, length), rank: 1 },
    { text: `${formatBytes(transferredBytes)} of ${formatBytes(length)}`, rank: 3 },
  ];
  if (file.phase === "fetching" && rateBytesPerSec > 0) {
    const leftMs = ((length - transferredBytes) / rateBytesPerSec) * 1_000;
    segments.push({ text: formatRate(rateBytesPerSec), rank: 2 });
    segments.push({ text: `${formatDuration(leftMs)} left`, rank: 2 });
  } else segments.push({ text: activity, rank: 2 });
  segments.push({ text: sourcesOf(view), rank: 5 });
  return segments;
}

function activityOf({ snapshot }: ProgressView): string {
  switch (snapshot.files[0]?.phase) {
    case "waiting":
      return "waiting";
    case "resolving":
      return snapshot.files[0].url === undefined
        ? "looking for a peer that has it"
        : "finding out what the file is";
    case "opening":
      return "preparing";
    case "fetching":
      return "waiting for data";
    case "verifying":
      return "checking the file";
    default:
      return "done";
  }
}

/** Connected peers that take part; in the file that has most. */
export function peerCountOf({ files }: JobSnapshot): number {
  return Math.max(0, ...files.map(({ peers }) => peers));
}

/** Bytes by source, in this run. */
function sourcesOf({ snapshot }: ProgressView): string {
  const { originBytes, peerBytes } = snapshot;
  const peers = formatCount(peerCountOf(snapshot), "peer");
  const fromPeers = peerBytes === 0 ? peers : `${peers} ${formatBytes(peerBytes)}`;
  return `origin ${formatBytes(originBytes)}, ${fromPeers}`;
}

/** Bytes a second over a sliding window, so that the figure neither jumps nor lags. */
export class SlidingRate {
  readonly #samples: Array<{ readonly bytes: number; readonly at: Millis }> = [];

  /** `bytes` is the running total, which never falls. */
  add(bytes: number, now: Millis): void {
    this.#samples.push({ bytes, at: now });
    while (this.#samples.length > SAMPLES_MAX) this.#samples.shift();
  }

  bytesPerSec(now: Millis): number {
    while (this.#samples.length > 2 && (this.#samples[1]?.at ?? now) < now - RATE_WINDOW_MS) {
      this.#samples.shift();
    }
    const [first] = this.#samples;
    const last = this.#samples.at(-1);
    if (first === undefined || last === undefined || now <= first.at) return 0;
    return ((last.bytes - first.bytes) * 1_000) / (now - first.at);
  }
}

const RATE_WINDOW_MS = 5_000;
/** Snapshots come at most ten times a second. */
const SAMPLES_MAX = 100;

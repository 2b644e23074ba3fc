/** Jobs as people read them: a table of many, everything about one. */
import { basename } from "node:path";
import { isFinalState } from "@shoal/core";
import type { FileSnapshot, JobSnapshot, JobState, JobSummary, UnixMillis } from "@shoal/core";
import { formatBytes, formatPercent, formatRate, formatTime } from "./format-values.ts";
import { fieldLines, tableLines } from "./table.ts";
import type { Column, Field } from "./table.ts";
import { tableStyle } from "./terminal.ts";
import type { Terminal } from "./terminal.ts";

/** As many digits of an id as are shown where there is a person; any beginning names the job. */
const ID_SHOWN = 8;

/** A table of jobs, without those that are over unless `isAll`. */
export function jobLines(
  all: readonly JobSummary[],
  terminal: Terminal,
  { isAll = false }: { readonly isAll?: boolean } = {},
): string[] {
  const shown = isAll ? all : all.filter(({ state }) => !isFinalState(state));
  if (shown.length > 0) return tableLines(jobColumns(terminal), shown, tableStyle(terminal));
  return [
    all.length === 0 || isAll ? "There are no jobs." : "No job is under way; --all has more.",
  ];
}

function jobColumns({ isScreen }: Terminal): ReadonlyArray<Column<JobSummary>> {
  return [
    { title: "JOB", of: ({ jobId }) => (isScreen ? jobId.slice(0, ID_SHOWN) : jobId), rank: 1 },
    { title: "STATE", of: ({ state }) => STATE_WORDS[state], rank: 1 },
    { title: "DONE", of: doneOf, align: "right", rank: 2 },
    {
      title: "LENGTH",
      of: ({ length }) => (length === undefined ? "?" : formatBytes(length)),
      align: "right",
      rank: 3,
    },
    { title: "PEERS", of: peerShareOf, align: "right", rank: 4 },
    { title: "PRIORITY", of: ({ priority }) => priority, rank: 5 },
    { title: "NAME", of: ({ displayName }) => displayName, rank: 1, widthMin: 12 },
    { title: "ERROR", of: ({ error }) => error?.code ?? "", rank: 3 },
  ];
}

/** States as words; all others of the program use the same. */
const STATE_WORDS: Readonly<Record<JobState, string>> = {
  queued: "queued",
  connecting: "connecting",
  transferring: "transferring",
  suspended: "suspended",
  transientError: "retrying",
  error: "error",
  transferred: "transferred",
  acknowledged: "completed",
  cancelled: "cancelled",
};

function doneOf({ length, transferredBytes }: JobSummary): string {
  return length === undefined
    ? formatBytes(transferredBytes)
    : formatPercent(transferredBytes, length);
}

/** The share of what was received. */
function peerShareOf({ originBytes, cacheServerBytes, peerBytes }: JobSummary): string {
  const receivedBytes = originBytes + cacheServerBytes + peerBytes;
  return receivedBytes === 0 ? "" : formatPercent(peerBytes, receivedBytes);
}

/** All that is known of a job and its files. */
export function jobDetailLines(job: JobSnapshot, terminal: Terminal): string[] {
  const { files, error } = job;
  const fields: Field[] = [
    ["state", STATE_WORDS[job.state]],
    ["error", error === undefined ? undefined : `${error.message} (${error.code})`],
    ["priority", job.priority],
    ["owner", job.owner],
    ["done", progressOf(job)],
    ["from", sourcesOf(job)],
    ["limit", job.rateBytesPerSec === 0 ? undefined : formatRate(job.rateBytesPerSec)],
    ["created", formatTime(job.createdAt)],
    ["transferred", timeOf(job.transferredAt)],
    ["ended", timeOf(job.endedAt)],
  ];
  const style = tableStyle(terminal);
  const [title = ""] = fieldLines([["", `${job.jobId}  ${job.displayName}`]], style);
  return [
    style.title(title.trim()),
    ...fieldLines(fields, style),
    "",
    ...tableLines(FILE_COLUMNS, files, style),
  ];
}

const FILE_COLUMNS: ReadonlyArray<Column<FileSnapshot>> = [
  { title: "FILE", of: fileNameOf, rank: 1, widthMin: 12 },
  { title: "PHASE", of: ({ phase }) => phase, rank: 1 },
  { title: "DONE", of: progressOf, align: "right", rank: 2 },
  { title: "FROM", of: sourcesOf, rank: 3 },
  { title: "CHECKED BY", of: ({ integrity }) => integrity, rank: 4 },
  { title: "CONTENT", of: ({ contentId }) => contentId ?? "", rank: 5, widthMin: 16 },
  { title: "DESTINATION", of: ({ destination }) => destination ?? "(a stream)", rank: 5 },
];

function fileNameOf({ destination, fileId, url }: FileSnapshot): string {
  return destination === undefined ? (fileId ?? url ?? "?") : basename(destination);
}

function timeOf(at: UnixMillis | undefined): string | undefined {
  return at === undefined ? undefined : formatTime(at);
}

function progressOf({
  transferredBytes,
  length,
}: Pick<JobSummary, "transferredBytes" | "length">): string {
  if (length === undefined) return formatBytes(transferredBytes);
  const percent = formatPercent(transferredBytes, length);
  return `${percent} of ${formatBytes(length)}`;
}

function sourcesOf({
  originBytes,
  cacheServerBytes,
  peerBytes,
}: Pick<JobSummary, "originBytes" | "cacheServerBytes" | "peerBytes">): string {
  const caches =
    cacheServerBytes === 0 ? [] : [`${formatBytes(cacheServerBytes)} from cache servers`];
  return [
    `${formatBytes(originBytes)} from the origin`,
    ...caches,
    `${formatBytes(peerBytes)} from peers`,
  ].join(", ");
}

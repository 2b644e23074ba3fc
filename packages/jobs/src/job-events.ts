/** Turns successive snapshots of a job into events. What is in no snapshot is in no event. */
import type { JobSnapshot, JobState } from "@shoal/core";
import { watchProgress } from "./progress.ts";
import type { ProgressSource, WatchOptions } from "./progress.ts";

/** Each carries the snapshot it was made of. */
export type JobEvent =
  /** `from` is absent in the first event, which tells the state the job is in. */
  | {
      readonly type: "stateChanged";
      readonly from?: JobState;
      readonly to: JobState;
      readonly snapshot: JobSnapshot;
    }
  | { readonly type: "fileTransferred"; readonly fileIndex: number; readonly snapshot: JobSnapshot }
  | {
      readonly type: "progress";
      readonly transferredBytes: number;
      readonly snapshot: JobSnapshot;
    };

export async function* watchEvents(
  source: ProgressSource,
  options: WatchOptions,
): AsyncGenerator<JobEvent, undefined, undefined> {
  let before: JobSnapshot | undefined;
  for await (const snapshot of watchProgress(source, options)) {
    yield* eventsBetween(before, snapshot);
    before = snapshot;
  }
}

function* eventsBetween(
  before: JobSnapshot | undefined,
  snapshot: JobSnapshot,
): Generator<JobEvent, undefined, undefined> {
  for (const [fileIndex, file] of snapshot.files.entries()) {
    const earlier = before?.files[fileIndex];
    if (before === undefined || !isComplete(file) || (earlier && isComplete(earlier))) continue;
    yield { type: "fileTransferred", fileIndex, snapshot };
  }
  const { transferredBytes } = snapshot;
  if (before !== undefined && before.transferredBytes !== transferredBytes) {
    yield { type: "progress", transferredBytes, snapshot };
  }
  if (before?.state === snapshot.state) return;
  const from = before === undefined ? {} : { from: before.state };
  yield { type: "stateChanged", ...from, to: snapshot.state, snapshot };
}

function isComplete({ phase }: JobSnapshot["files"][number]): boolean {
  return phase === "transferred" || phase === "published";
}

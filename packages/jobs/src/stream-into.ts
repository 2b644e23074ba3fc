/**
 * Feeds a Web stream with a file's bytes: every piece is written and awaited, so that a slow reader
 * slows the job down, and the stream ends as the file does: closed when all of it was taken,
 * aborted when the job fails, is suspended for good, or is over.
 *
 * Knows one file and one stream. Called by `Job` and the faces.
 */
import { isFinalState, ShoalError } from "@shoal/core";
import type { JobSnapshot } from "@shoal/core";
import type { FileKey, JobService } from "./job-service.ts";
import type { JobWatch } from "./job-watch.ts";

export interface StreamParts {
  readonly service: JobService;
  readonly watch: JobWatch;
}

/** Resolves when the stream is attached. Rejects as `JobService.attachStream` does, or `ERR_USAGE`. */
export async function streamInto(
  { service, watch }: StreamParts,
  file: FileKey,
  stream: WritableStream<Uint8Array>,
): Promise<void> {
  if (stream.locked) throw new ShoalError("ERR_USAGE", "the stream is locked");
  const writer = stream.getWriter();
  let before: JobSnapshot | undefined;
  let detach: () => void;
  try {
    before = await service.snapshot(file.jobId);
    detach = await service.attachStream(file, {
      // The stream keeps the bytes for as long as it likes: it gets a copy.
      write: (bytes) => writer.write(bytes.slice()),
    });
  } catch (error) {
    writer.releaseLock();
    throw error;
  }
  let unsubscribe = (): void => {};
  const end = (reason: unknown): void => {
    unsubscribe();
    detach();
    const closing = reason === undefined ? writer.close() : writer.abort(reason);
    closing.catch(() => {});
  };
  let looking = false;
  let lookAgain = false;
  const look = async (): Promise<void> => {
    lookAgain = true;
    if (looking) return;
    looking = true;
    while (lookAgain) {
      lookAgain = false;
      const verdict = verdictOn(await service.snapshot(file.jobId), file, before);
      if (verdict === "goesOn") continue;
      end(verdict === "complete" ? undefined : verdict);
      return;
    }
    looking = false;
  };
  unsubscribe = watch.add(file.jobId, {
    changed: () => void look().catch(end),
    closed: end,
  });
  // The job may have ended since the stream was attached.
  look().catch(end);
}

/** A job that was in `error` `before` may be resumed with the stream; one that fails later ends it. */
function verdictOn(
  snapshot: JobSnapshot | undefined,
  { jobId, fileIndex }: FileKey,
  before: JobSnapshot | undefined,
): "goesOn" | "complete" | ShoalError {
  if (snapshot === undefined) return new ShoalError("ERR_JOB_NOT_FOUND", jobId);
  const { phase, toStream } = snapshot.files[fileIndex] ?? {};
  if (toStream !== true) return new ShoalError("ERR_SINK_FAILED", "its file goes elsewhere now");
  if (phase === "transferred" || phase === "published") return "complete";
  const isNew = snapshot.stateChanges !== before?.stateChanges;
  if (snapshot.state === "error" && snapshot.error !== undefined && isNew) {
    return ShoalError.from(snapshot.error);
  }
  if (isFinalState(snapshot.state)) return new ShoalError("ERR_JOB_CANCELLED");
  return "goesOn";
}

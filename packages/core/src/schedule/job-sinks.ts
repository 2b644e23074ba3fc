/**
 * The streams that clients have attached to files of jobs. A stream belongs to one run: after a
 * restart a new one is attached, and gets the file from its start.
 *
 * Knows which file has a stream; how pieces get there is `SinkDelivery`'s. Called by `JobTable`.
 */
import { errorInfo } from "../registry/errors.ts";
import type { BufferId, Millis, RequestId } from "../units.ts";
import type { JobFile } from "./job-file.ts";
import type { JobRunner } from "./job-runner.ts";
import { runsByItself } from "./job.ts";
import type { Job } from "./job.ts";
import type { Outbox } from "./outbox.ts";
import { SinkDelivery } from "./sink-delivery.ts";

interface SinkFile {
  readonly job: Job;
  readonly file: JobFile;
  readonly sink: SinkDelivery;
}

export class JobSinks {
  readonly #outbox: Outbox;
  readonly #runner: JobRunner;
  /** Files with a stream; bounded by the files there are. */
  readonly #attached = new Map<JobFile, SinkFile>();

  constructor(outbox: Outbox, runner: JobRunner) {
    this.#outbox = outbox;
    this.#runner = runner;
  }

  attach(job: Job, fileIndex: number, now: Millis): void {
    const file = job.files[fileIndex];
    if (file === undefined) return;
    file.sink = new SinkDelivery(this.#outbox, { jobId: job.jobId, fileIndex });
    file.sink.attach();
    this.#attached.set(file, { job, file, sink: file.sink });
    this.pump(file, now);
  }

  /** The job is over, or the stream is gone. */
  detach(file: JobFile): void {
    file.sink?.detach();
    this.#attached.delete(file);
  }

  /** Something of the file was stored, or it was opened anew: hand on what is due. */
  pump(file: JobFile, now: Millis): void {
    const entry = this.#attached.get(file);
    const { transfer } = file;
    if (entry === undefined || transfer === undefined || file.isTransferred) return;
    if (entry.sink.isMissing(transfer)) this.#lost(entry, now);
    else if (entry.sink.isComplete(transfer) && transfer.phase === "transferred") {
      this.#runner.fileTransferred(entry.job, file, now);
      this.#runner.schedule(now);
    } else if (!entry.sink.pump(transfer)) {
      const details = "the stream has already taken bytes of the earlier one";
      const error = errorInfo("ERR_REMOTE_CHANGING", details);
      this.#runner.fileFailed(entry.job, file, { error, transient: false }, now);
      this.#runner.schedule(now);
    }
  }

  /** The store has read a piece for a stream; false when it was not for one. */
  pieceRead(requestId: RequestId, bufferId: BufferId): boolean {
    const entry = this.#reader(requestId);
    entry?.sink.read(bufferId);
    return entry !== undefined;
  }

  pieceLost(requestId: RequestId, now: Millis): void {
    const entry = this.#reader(requestId);
    if (entry === undefined) return;
    entry.sink.lost();
    const { file } = entry;
    // A transfer that still fetches gets the piece again, one that was closed is opened anew.
    const phase = file.transfer?.phase;
    if (phase !== "transferred" && phase !== "verifying") return;
    this.#lost(entry, now);
  }

  /** The stream has taken the piece it was given. */
  taken(job: Job, fileIndex: number, now: Millis): void {
    const file = job.files[fileIndex];
    if (file?.sink?.taken() !== true) return;
    this.#runner.moved(job, now);
    this.pump(file, now);
  }

  /** The stream takes no more. */
  failed(job: Job, fileIndex: number, reason: string, now: Millis): void {
    const file = job.files[fileIndex];
    if (file === undefined || !this.#attached.has(file)) return;
    this.detach(file);
    // A job that has stopped finds out when it is resumed; one that comes to the file must not.
    if (file.isTransferred || !runsByItself(job)) return;
    const error = errorInfo("ERR_SINK_FAILED", reason);
    this.#runner.fileFailed(job, file, { error, transient: false }, now);
    this.#runner.schedule(now);
  }

  /** Opened anew, the transfer fetches the piece again. */
  #lost({ job, file }: SinkFile, now: Millis): void {
    const error = errorInfo("ERR_DISK_IO", "a piece that a stream waits for cannot be read");
    this.#runner.fileFailed(job, file, { error, transient: true }, now);
    this.#runner.schedule(now);
  }

  #reader(requestId: RequestId): SinkFile | undefined {
    for (const entry of this.#attached.values()) {
      if (entry.sink.owns(requestId)) return entry;
    }
    return undefined;
  }
}

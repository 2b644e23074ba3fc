/** What the job API needs from whoever runs the scheduler. The engine's loop is one. */
import type {
  ContentId,
  ErrorInfo,
  JobId,
  Millis,
  Notice,
  PieceBytes,
  Scheduler,
} from "@shoal/core";

export interface JobHost {
  /** Runs a verb on the scheduler, at once and in order with events; returns its result. */
  act<Result>(verb: (scheduler: Scheduler, now: Millis) => Result): Result;
  /** Calls `listener` with every notice, in order, until the returned function is called. */
  onNotice(listener: (notice: Notice) => void): () => void;
  /**
   * Gives the pieces of a file to `deliver`, in order, each after `sinkTaken` was said about the one
   * before; `deliver` owns them. The returned function ends it; an error refuses it.
   */
  attachSink(
    jobId: JobId,
    fileIndex: number,
    deliver: (piece: PieceBytes) => void,
  ): (() => void) | ErrorInfo;
  /** Offers a file of this machine to peers. Absent: nothing can be offered. */
  share?(path: string): Promise<ContentId>;
}

/**
 * The stream that takes a download's bytes instead of a file. It belongs to the download until that
 * ends: ranges that are asked for later follow those it has, so it is closed by `Finalize` and not
 * before, and aborted when the download is aborted or the agent is gone.
 *
 * Knows one stream and one job. Made by `DODownload` at the first start.
 */
import { ShoalError } from "@shoal/core";
import type { JobId } from "@shoal/core";
import type { StreamParts } from "../../stream-into.ts";

export class DownloadStream {
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  #isOpen = true;

  private constructor(writer: WritableStreamDefaultWriter<Uint8Array>) {
    this.#writer = writer;
  }

  /** Resolves when the bytes go to the stream. Rejects as `JobService.attachStream` does. */
  static async attach(
    { service, watch }: StreamParts,
    jobId: JobId,
    stream: WritableStream<Uint8Array>,
  ): Promise<DownloadStream> {
    const attached = new DownloadStream(stream.getWriter());
    let detach: (() => void) | undefined;
    let unsubscribe: (() => void) | undefined;
    const end = (reason: unknown): void => {
      unsubscribe?.();
      detach?.();
      attached.#end(reason);
    };
    // Before the first byte, so that no end is missed.
    unsubscribe = watch.add(jobId, {
      changed: (state) => {
        if (state === "acknowledged") end(undefined);
        else if (state === "cancelled") end(new ShoalError("ERR_JOB_CANCELLED"));
      },
      closed: end,
    });
    try {
      const file = { jobId, fileIndex: 0 };
      detach = await service.attachStream(file, { write: (bytes) => attached.#write(bytes) });
    } catch (error) {
      unsubscribe();
      attached.#writer.releaseLock();
      throw error;
    }
    if (!attached.isOpen) detach();
    return attached;
  }

  /** Whether it still takes bytes; one that failed never does again. */
  get isOpen(): boolean {
    return this.#isOpen;
  }

  async #write(bytes: Uint8Array): Promise<void> {
    try {
      // The stream keeps the bytes for as long as it likes: it gets a copy.
      await this.#writer.write(bytes.slice());
    } catch (error) {
      this.#isOpen = false;
      throw error;
    }
  }

  #end(reason: unknown): void {
    this.#isOpen = false;
    const closing = reason === undefined ? this.#writer.close() : this.#writer.abort(reason);
    // A stream that failed before has told its reader why.
    closing.catch(() => {});
  }
}

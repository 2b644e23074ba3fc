/**
 * The streams that callers of one manager have given to files, until their jobs are over. A stream
 * belongs to this process: after a restart a new one is given to the file.
 *
 * Bounded by the files that go to a stream.
 */
import type { JobId } from "@shoal/core";
import type { FileKey } from "../../job-service.ts";
import { streamInto } from "../../stream-into.ts";
import type { StreamParts } from "../../stream-into.ts";
import { translated } from "./job-access.ts";

export class FileStreams {
  readonly #parts: StreamParts;
  readonly #streams = new Map<JobId, Map<number, WritableStream<Uint8Array>>>();

  constructor(parts: StreamParts) {
    this.#parts = parts;
  }

  get({ jobId, fileIndex }: FileKey): WritableStream<Uint8Array> | undefined {
    return this.#streams.get(jobId)?.get(fileIndex);
  }

  /** `DO_E_FILE_DOWNLOADSINK_ALREADY_SET` while the file has another. */
  async attach(file: FileKey, stream: WritableStream<Uint8Array>): Promise<void> {
    await translated(streamInto(this.#parts, file, stream));
    const streams = this.#streams.get(file.jobId) ?? new Map();
    this.#streams.set(file.jobId, streams.set(file.fileIndex, stream));
  }

  forget(jobId: JobId): void {
    this.#streams.delete(jobId);
  }
}

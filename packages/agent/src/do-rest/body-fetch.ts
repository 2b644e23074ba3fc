/**
 * A download's bytes by reading its URL from the start to the end: for origins that do not say how
 * long the file is, which a job cannot cut into pieces. What is here at a pause is thrown away, as
 * there is no way to ask for the rest.
 *
 *   reading ─end─▶ complete
 *      │  ▲
 *      ▼  └─due─ waiting after a failure
 *   failed
 *
 * Knows one URL. Made by `RestDownload` where a job has found that there is no length.
 */
import { ShoalError } from "@shoal/core";
import type { ErrorInfo, Millis } from "@shoal/core";
import type { BodyReader } from "@shoal/origin";
import type { DestinationFile } from "./destination-file.ts";
import { retryDelayMs } from "./fetch.ts";
import type { Fetch, FetchView, RetryDelays } from "./fetch.ts";
import { hresultOfError, isFatal } from "./hresults.ts";

export interface BodyFetchDeps {
  readonly reader: BodyReader;
  readonly file: DestinationFile;
  readonly retryDelays: RetryDelays;
  /** Monotonic. */
  readonly now: () => Millis;
}

interface Reading {
  readonly aborter: AbortController;
  readonly over: Promise<void>;
}

export class BodyFetch implements Fetch {
  readonly #deps: BodyFetchDeps;
  #url: string;
  #reading: Reading | undefined;
  #appending: Promise<void> = Promise.resolve();
  #isComplete = false;
  #error: ErrorInfo | undefined;
  #retryAt: Millis = Infinity;
  #failures = 0;
  /** Appended, of all tries. */
  #movedBytes = 0;

  constructor(deps: BodyFetchDeps, url: string) {
    this.#deps = deps;
    this.#url = url;
  }

  async start(): Promise<void> {
    this.#failures = 0;
    this.#error = undefined;
    await this.#read();
  }

  async stop(): Promise<void> {
    this.#retryAt = Infinity;
    this.#reading?.aborter.abort();
    await this.#reading?.over;
    await this.#appending;
  }

  cancel(): { readonly completely: Promise<void> } {
    return { completely: this.stop() };
  }

  finish(): Promise<void> {
    return Promise.resolve();
  }

  setUrl(url: string): Promise<void> {
    this.#url = url;
    return Promise.resolve();
  }

  async look(): Promise<FetchView> {
    const { file, now } = this.#deps;
    if (this.#isComplete) return { kind: "complete", length: 0 };
    if (file.failure !== undefined) return { kind: "failed", hresult: file.failure.hresult };
    const error = this.#error;
    if (error !== undefined && isFatal(error)) {
      return { kind: "failed", hresult: hresultOfError(error) };
    }
    if (now() >= this.#retryAt) await this.#read();
    const movedBytes = this.#movedBytes;
    return { kind: "running", movedBytes, ...(error !== undefined && { failure: error }) };
  }

  async #read(): Promise<void> {
    this.#retryAt = Infinity;
    const { reader, file } = this.#deps;
    await file.clear();
    const aborter = new AbortController();
    const write = async (bytes: Uint8Array): Promise<void> => {
      aborter.signal.throwIfAborted();
      const appending = file.append(bytes);
      this.#appending = appending.catch(() => {});
      await appending;
      this.#movedBytes += bytes.length;
      this.#error = undefined;
    };
    const reading = reader.read(this.#url, { signal: aborter.signal, write });
    const over = reading.then(
      () => void (this.#isComplete = true),
      (error: unknown) => this.#failed(aborter, error),
    );
    this.#reading = { aborter, over };
  }

  #failed({ signal }: AbortController, error: unknown): void {
    if (signal.aborted) return;
    const { code, message, originStatus } =
      error instanceof ShoalError ? error : new ShoalError("ERR_ORIGIN_PROTOCOL");
    this.#error = { code, message, ...(originStatus !== undefined && { originStatus }) };
    this.#failures++;
    this.#retryAt = this.#deps.now() + retryDelayMs(this.#failures, this.#deps.retryDelays);
  }
}

/**
 * One download of the DO-compatible API: its states, what each verb does in each of them, its
 * properties and its status (agent REST reference, sections 7, 8 and 13).
 *
 *   Created ──start──▶ Transferring ──all bytes are in the file──▶ Transferred ──finalize──▶ gone
 *                        │       ▲
 *          pause, failure▼       │start                       abort, from every state ──▶ gone
 *                       Paused ──┘
 *
 * Knows states and the client's file; bytes come by a `Fetch`. Everything that is done to it is done
 * in turn, so that what is said of it is so when it is said. Made by `RestDownloads`.
 */
import { HRESULTS, ShoalError } from "@shoal/core";
import type { Millis } from "@shoal/core";
import { HResultError } from "@shoal/jobs/compat";
import { BodyFetch } from "./body-fetch.ts";
import type { BodyFetchDeps } from "./body-fetch.ts";
import { DestinationFile } from "./destination-file.ts";
import type { Fetch, FetchView } from "./fetch.ts";
import { hresultOfError } from "./hresults.ts";
import { JobFetch } from "./job-fetch.ts";
import type { JobFetchDeps } from "./job-fetch.ts";
import { NoProgress } from "./no-progress.ts";

export type DownloadState = "Created" | "Transferring" | "Transferred" | "Paused";

export interface DownloadStatus {
  readonly state: DownloadState;
  /** 0 while it is not known, and where nobody says it. */
  readonly bytesTotal: number;
  /** What the client's file holds. */
  readonly bytesTransferred: number;
  /** HRESULTs. */
  readonly error: number;
  readonly extendedError: number;
}

export interface RestDownloadDeps
  extends Omit<JobFetchDeps, "file">, Pick<BodyFetchDeps, "reader"> {
  /** Where no client may have files: directories and files of the agent's own, without links. */
  readonly reservedPaths: readonly string[];
  /** Called before bytes are asked for: cache servers are told of. */
  readonly beforeFetching: () => Promise<void>;
  readonly noProgressTickMs: Millis;
}

export class RestDownload {
  readonly id: string = crypto.randomUUID();
  readonly #deps: RestDownloadDeps;
  readonly #noProgress: NoProgress;
  #uri: string;
  #path: string;
  #state: DownloadState = "Created";
  #isOver = false;
  #file: DestinationFile | undefined;
  #fetch: Fetch | undefined;
  #bytesTotal = 0;
  /** In Paused what stopped it; in Transferring what it is being tried again after. */
  #error: number = HRESULTS.S_OK;
  #extendedError: number = HRESULTS.S_OK;
  #isBlocked = false;
  #turn: Promise<unknown> = Promise.resolve();
  #isLookDue = false;

  /** Throws INET_E_INVALID_URL. */
  constructor(deps: RestDownloadDeps, { uri, path }: { uri: string; path: string }) {
    if (uri !== "") checkUri(uri);
    this.#deps = deps;
    this.#uri = uri;
    this.#path = path;
    this.#noProgress = new NoProgress(deps.noProgressTickMs);
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  start(): Promise<void> {
    return this.#inTurn(async () => {
      await this.#look();
      if (this.#state === "Created") await this.#startFirst();
      else if (this.#state === "Paused") await this.#resume();
      else if (this.#isBlocked) await this.#fetch?.start();
    });
  }

  pause(): Promise<void> {
    return this.#inTurn(async () => {
      await this.#look();
      if (this.#state === "Transferring") await this.#stop(HRESULTS.S_OK);
    });
  }

  finalize(): Promise<void> {
    return this.#inTurn(async () => {
      await this.#look();
      if (this.#state !== "Transferred") throw HResultError.of("DO_E_INVALID_STATE");
      await this.#file?.sync();
      this.#isOver = true;
      await this.#fetch?.finish();
    });
  }

  /** Resolves to what is still to be written down, which nobody need wait for. */
  abort(): Promise<{ readonly completely: Promise<void> } | undefined> {
    return this.#inTurn(async () => {
      this.#isOver = true;
      const ending = this.#fetch?.cancel();
      await this.#file?.remove();
      return ending;
    });
  }

  /** The agent ends. The client's file stays as it is. */
  release(): Promise<void> {
    this.#isOver = true;
    const ending = this.#fetch?.cancel();
    const close = async (): Promise<void> => {
      await ending?.completely;
      await this.#file?.close();
    };
    return close().catch(() => {});
  }

  status(): Promise<DownloadStatus> {
    return this.#inTurn(async () => {
      await this.#look();
      return {
        state: this.#isBlocked ? "Paused" : this.#state,
        bytesTotal: this.#bytesTotal,
        bytesTransferred: this.#file?.length ?? 0,
        error: this.#error,
        extendedError: this.#extendedError,
      };
    });
  }

  get uri(): string {
    return this.#uri;
  }

  get path(): string {
    return this.#path;
  }

  /** 0 where the default applies. */
  get noProgressTimeoutSec(): number {
    return this.#noProgress.timeoutSec;
  }

  /** Throws E_INVALIDARG, INET_E_INVALID_URL or DO_E_INVALID_STATE. */
  setUri(uri: string): Promise<void> {
    return this.#inTurn(async () => {
      await this.#look();
      if (uri === "") throw HResultError.of("E_INVALIDARG", "no URL");
      if (this.#state !== "Created" && this.#state !== "Paused") {
        throw HResultError.of("DO_E_INVALID_STATE");
      }
      checkUri(uri);
      if (uri === this.#uri) return;
      this.#uri = uri;
      this.#noProgress.begin();
      await this.#fetch?.setUrl(uri);
    });
  }

  /** Throws E_INVALIDARG or DO_E_INVALID_STATE. */
  setPath(path: string): Promise<void> {
    return this.#inTurn(() => {
      if (path === "") throw HResultError.of("E_INVALIDARG", "no path");
      if (this.#state !== "Created") throw HResultError.of("DO_E_INVALID_STATE");
      this.#path = path;
      return Promise.resolve();
    });
  }

  /** Throws E_INVALIDARG. */
  setNoProgressTimeout(text: string): Promise<void> {
    return this.#inTurn(() => {
      this.#noProgress.setTimeoutSec(text);
      return Promise.resolve();
    });
  }

  /** Something may have happened: looks at it when its turn comes. */
  noteChange(): void {
    if (this.#isLookDue || this.#isOver || this.#state !== "Transferring") return;
    this.#isLookDue = true;
    const look = async (): Promise<void> => {
      this.#isLookDue = false;
      await this.#look();
    };
    // What is wrong with the agent itself is told to whoever asks next.
    this.#inTurn(look).catch(() => {});
  }

  /** Created -> Transferring; stays Created where the file cannot be made. */
  async #startFirst(): Promise<void> {
    if (this.#uri === "") throw HResultError.of("DO_E_DOWNLOAD_NO_URI");
    if (this.#path === "") throw HResultError.of("DO_E_FILE_DOWNLOADSINK_UNSPECIFIED");
    this.#file = await DestinationFile.create(this.#path, this.#deps.reservedPaths);
    try {
      await this.#begin();
    } catch (error) {
      await this.#file.remove();
      this.#file = undefined;
      this.#fetch = undefined;
      throw error;
    }
  }

  /** Paused -> Transferring; stays Paused where the file is gone. */
  async #resume(): Promise<void> {
    await this.#file?.reopen();
    try {
      await this.#begin();
    } catch (error) {
      await this.#file?.close();
      throw error;
    }
  }

  async #begin(): Promise<void> {
    const file = this.#file;
    if (file === undefined) return;
    await this.#deps.beforeFetching();
    this.#fetch ??= new JobFetch({ ...this.#deps, file }, this.#uri);
    this.#error = HRESULTS.S_OK;
    this.#extendedError = HRESULTS.S_OK;
    this.#noProgress.begin();
    try {
      await this.#fetch.start();
    } catch (error) {
      // What this agent does not take for a URL is one by the rules of this API.
      if (!(error instanceof ShoalError) || error.code !== "ERR_URL_INVALID") throw error;
      this.#state = "Transferring";
      return await this.#stop(HRESULTS.INET_E_INVALID_URL);
    }
    this.#state = "Transferring";
  }

  /** Transferring -> Paused, or Transferred where that has happened meanwhile. */
  async #stop(error: number, extendedError: number = HRESULTS.S_OK): Promise<void> {
    await this.#fetch?.stop();
    const view = await this.#fetch?.look();
    if (view?.kind === "complete") return await this.#complete(view.length);
    this.#state = "Paused";
    this.#isBlocked = false;
    this.#error = error;
    this.#extendedError = extendedError;
    await this.#file?.close();
  }

  /** Transferring -> Transferred. Its client may take long to say that it is done. */
  async #complete(length: number): Promise<void> {
    await this.#file?.close();
    this.#state = "Transferred";
    this.#isBlocked = false;
    this.#error = HRESULTS.S_OK;
    this.#extendedError = HRESULTS.S_OK;
    this.#bytesTotal = length;
  }

  /** Takes over what has become of the fetch. */
  async #look(): Promise<void> {
    if (this.#state !== "Transferring" || this.#fetch === undefined) return;
    const view = await this.#fetch.look();
    switch (view.kind) {
      case "complete":
        return await this.#complete(view.length);
      case "failed":
        return await this.#stop(view.hresult);
      case "stopped":
        return await this.#stop(HRESULTS.S_OK);
      case "gone":
        return await this.#stop(HRESULTS.E_ABORT);
      case "unsized":
        return await this.#readWhole();
      case "running":
        return await this.#run(view);
    }
  }

  async #run(view: Extract<FetchView, { kind: "running" }>): Promise<void> {
    const { length, movedBytes, failure, isBlocked = false } = view;
    this.#bytesTotal = length ?? this.#bytesTotal;
    this.#isBlocked = isBlocked;
    this.#error = failure === undefined ? HRESULTS.S_OK : hresultOfError(failure);
    this.#extendedError = isBlocked ? HRESULTS.DO_E_BLOCKED_BY_NO_NETWORK : HRESULTS.S_OK;
    if (isBlocked) return this.#noProgress.begin();
    if (!this.#noProgress.isStuck(movedBytes, this.#deps.now())) return;
    await this.#stop(HRESULTS.DO_E_DOWNLOAD_NO_PROGRESS, this.#error);
  }

  /** No job can do it; its file begins anew. */
  async #readWhole(): Promise<void> {
    const file = this.#file;
    if (file === undefined) return;
    this.#fetch?.cancel().completely.catch(() => {});
    this.#bytesTotal = 0;
    this.#fetch = new BodyFetch({ ...this.#deps, file }, this.#uri);
    await this.#fetch.start();
  }

  /** One thing after the other; nothing once it is over. */
  #inTurn<Result>(action: () => Promise<Result>): Promise<Result> {
    const result = this.#turn.then(() => {
      if (this.#isOver) throw HResultError.of("E_NOT_SET");
      return action();
    });
    this.#turn = result.catch(() => {});
    return result;
  }
}

/** As lax as the reference agent: `http://host:abc/x` passes, and fails when it is asked for. */
function checkUri(uri: string): void {
  if (!/^https?:\/\/[^/?#:]+/i.test(uri)) throw HResultError.of("INET_E_INVALID_URL", "the URL");
}

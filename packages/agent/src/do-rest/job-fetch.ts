/**
 * A download's bytes by an ordinary job, with peers, policies and cache servers as any other has:
 * its file goes to a stream, which appends it to the client's file, verified and in order. The job
 * is volatile: it ends with this run of the agent, as the client's download does.
 *
 *   job ─verified pieces, in order─▶ gate ─open while the download runs─▶ append ─▶ file
 *
 * Knows one job. Made by `RestDownload`.
 */
import { basename } from "node:path";
import { ShoalError } from "@shoal/core";
import type { ErrorInfo, JobExplanation, JobId, JobSnapshot, Millis, PlainVerb } from "@shoal/core";
import type { JobService } from "@shoal/jobs";
import type { DestinationFile } from "./destination-file.ts";
import { retryDelayMs } from "./fetch.ts";
import type { Fetch, FetchView, RetryDelays } from "./fetch.ts";
import { hresultOfError, isFatal } from "./hresults.ts";
import type { KeptJobs } from "./kept-jobs.ts";

export interface JobFetchDeps {
  readonly service: JobService;
  readonly file: DestinationFile;
  readonly kept: KeptJobs;
  readonly retryDelays: RetryDelays;
  /** Monotonic. */
  readonly now: () => Millis;
}

/** A stream of the job, from its first byte. */
interface Attachment {
  isCurrent: boolean;
  detach: () => void;
}

/** The download watches its progress itself, and says so in its own words. */
const NO_PROGRESS_TIMEOUT_MS = 10 * 365 * 24 * 3_600_000;
/** What is stored may turn out to be of another file than what was appended so often. */
const RESTARTS_MAX = 3;
const DISPLAY_NAME_LENGTH = 64;

export class JobFetch implements Fetch {
  readonly #deps: JobFetchDeps;
  #jobId: JobId = crypto.randomUUID();
  #url: string;
  /** The URL the job has; `undefined` when there is no job yet. */
  #jobUrl: string | undefined;
  #attachment: Attachment | undefined;
  /** Appending waits for it while the download is paused. */
  #gate: PromiseWithResolvers<void> | undefined;
  #appending: Promise<void> = Promise.resolve();
  #failures = 0;
  #retryAt: Millis | undefined;
  #restarts = 0;
  #movedBytes = 0;

  constructor(deps: JobFetchDeps, url: string) {
    this.#deps = deps;
    this.#url = url;
  }

  async start(): Promise<void> {
    this.#failures = 0;
    this.#retryAt = undefined;
    this.#restarts = 0;
    if (this.#jobUrl === undefined) await this.#create();
    else if (this.#jobUrl !== this.#url) {
      const values = { url: this.#url };
      await this.#deps.service.changeJob(this.#jobId, { type: "setFile", fileIndex: 0, values });
      this.#jobUrl = this.#url;
    }
    if (this.#attachment === undefined) await this.#attach();
    await this.#apply("resume");
    this.#openGate();
  }

  async stop(): Promise<void> {
    this.#gate ??= Promise.withResolvers();
    await this.#appending;
    if (this.#jobUrl !== undefined) await this.#apply("suspend");
  }

  cancel(): { readonly completely: Promise<void> } {
    const hasJob = this.#jobUrl !== undefined;
    this.#detach();
    return { completely: hasJob ? this.#apply("cancel") : Promise.resolve() };
  }

  async finish(): Promise<void> {
    await this.#deps.kept.finish(this.#jobId);
    this.#detach();
  }

  setUrl(url: string): Promise<void> {
    this.#url = url;
    return Promise.resolve();
  }

  async look(): Promise<FetchView> {
    const snapshot = await this.#deps.service.snapshot(this.#jobId);
    if (snapshot === undefined) return this.#forget();
    switch (snapshot.state) {
      case "acknowledged":
      case "cancelled":
        return this.#forget();
      case "transferred":
        return { kind: "complete", length: snapshot.length ?? this.#deps.file.length };
      case "suspended":
        return { kind: "stopped" };
      case "error":
      case "transientError":
        return await this.#afterFailure(snapshot, snapshot.error);
      default:
        return await this.#atWork(snapshot);
    }
  }

  /** The next start makes another job. */
  #forget(): FetchView {
    this.#detach();
    this.#jobUrl = undefined;
    this.#jobId = crypto.randomUUID();
    return { kind: "gone" };
  }

  async #atWork(snapshot: JobSnapshot): Promise<FetchView> {
    const moved = movedBytesOf(snapshot) + this.#deps.file.length;
    const hasMoved = moved !== this.#movedBytes;
    this.#movedBytes = moved;
    if (hasMoved) return this.#running(snapshot);
    const explanation = await this.#deps.service.explain(this.#jobId);
    const failure = explanation && failureIn(explanation);
    if (failure?.isLast && isUnsized(failure.error)) return { kind: "unsized" };
    // Such a job goes on by itself, where the reference agent takes the answer for the last word.
    if (failure?.isLast && isFatal(failure.error)) return failed(failure.error);
    return this.#running(snapshot, failure?.error);
  }

  async #afterFailure(snapshot: JobSnapshot, error: ErrorInfo): Promise<FetchView> {
    const { file } = this.#deps;
    if (file.failure !== undefined) {
      this.#detach();
      return { kind: "failed", hresult: file.failure.hresult };
    }
    if (isUnsized(error)) return { kind: "unsized" };
    if (error.code === "ERR_DISK_FULL") await this.#deps.kept.clear();
    if (error.code === "ERR_REMOTE_CHANGING" && this.#restarts++ < RESTARTS_MAX) {
      await this.#beginAnew();
      return this.#running(snapshot);
    }
    if (isFatal(error)) return failed(error);
    if (error.code === "ERR_NETWORK_DOWN") return { ...this.#running(snapshot), isBlocked: true };
    await this.#retryWhenDue();
    return this.#running(snapshot, error);
  }

  async #retryWhenDue(): Promise<void> {
    const { now, retryDelays } = this.#deps;
    this.#retryAt ??= now() + retryDelayMs(++this.#failures, retryDelays);
    if (now() < this.#retryAt) return;
    this.#retryAt = undefined;
    await this.#apply("resume");
  }

  /** What the file has is of another one than what comes now. */
  async #beginAnew(): Promise<void> {
    this.#detach();
    await this.#attach();
    await this.#apply("resume");
  }

  #running({ length }: JobSnapshot, failure?: ErrorInfo): Extract<FetchView, { kind: "running" }> {
    return {
      kind: "running",
      movedBytes: this.#movedBytes,
      ...(length !== undefined && { length }),
      ...(failure !== undefined && { failure }),
    };
  }

  async #create(): Promise<void> {
    const { service, file } = this.#deps;
    await service.createJob({
      jobId: this.#jobId,
      displayName: basename(file.path).slice(0, DISPLAY_NAME_LENGTH).toWellFormed(),
      // Its client waits, and the reference agent makes nobody wait for a place.
      priority: "foreground",
      overwrite: false,
      allowsCellular: true,
      isVolatile: true,
      noProgressTimeoutMs: NO_PROGRESS_TIMEOUT_MS,
      attributes: {},
      startSuspended: true,
      files: [{ url: this.#url, toStream: true }],
    });
    this.#jobUrl = this.#url;
  }

  /** A new stream has everything from the first byte on, and so has the file then. */
  async #attach(): Promise<void> {
    const { service, file } = this.#deps;
    await file.clear();
    const attachment: Attachment = { isCurrent: true, detach: () => {} };
    this.#attachment = attachment;
    const write = (bytes: Uint8Array): Promise<void> => this.#append(attachment, bytes);
    try {
      attachment.detach = await service.attachStream(
        { jobId: this.#jobId, fileIndex: 0 },
        { write },
      );
    } catch (error) {
      this.#attachment = undefined;
      throw error;
    }
  }

  async #append(attachment: Attachment, bytes: Uint8Array): Promise<void> {
    while (this.#gate !== undefined && attachment.isCurrent) await this.#gate.promise;
    if (!attachment.isCurrent) throw new ShoalError("ERR_SINK_FAILED", "it was taken away");
    const appending = this.#deps.file.append(bytes);
    this.#appending = appending.catch(() => {});
    await appending;
  }

  #detach(): void {
    const attachment = this.#attachment;
    this.#attachment = undefined;
    if (attachment === undefined) return;
    attachment.isCurrent = false;
    this.#openGate();
    attachment.detach();
  }

  #openGate(): void {
    const gate = this.#gate;
    this.#gate = undefined;
    gate?.resolve();
  }

  async #apply(verb: PlainVerb): Promise<void> {
    await this.#deps.service.applyVerb(this.#jobId, verb);
  }
}

function failed(error: ErrorInfo): FetchView {
  return { kind: "failed", hresult: hresultOfError(error) };
}

/** The answer has a body, and nothing that says how long it is or how to get a part of it. */
function isUnsized({ code, originStatus = 0 }: ErrorInfo): boolean {
  return code === "ERR_ORIGIN_LENGTH_UNKNOWN" || (originStatus > 200 && originStatus < 205);
}

function movedBytesOf(snapshot: JobSnapshot): number {
  const { originBytes, cacheServerBytes, peerBytes, wastedBytes } = snapshot;
  return originBytes + cacheServerBytes + peerBytes + wastedBytes;
}

/** The origin's failure comes before those of servers that stand in for it, where it has a part. */
function failureIn({ files: [file] }: JobExplanation) {
  const places = file?.places ?? [];
  const place =
    places.find(({ kind, error }) => kind === "origin" && error !== undefined) ??
    places.find(({ error }) => error !== undefined);
  const isLast = place === places.at(-1);
  return place?.error && { isLast, error: place.error };
}

/**
 * A job as the legacy interface shows it: a handle that holds nothing of the job, so any number of
 * them may exist. `IDeliveryOptimizationJob2` is a view of its own, see there.
 *
 * Knows one job and the callbacks of its manager. Made by `BackgroundCopyManager`, and for callbacks.
 */
import { HRESULTS, JOB_PRIORITIES } from "@shoal/core";
import type { JobFileSpec, JobSnapshot, JobValueChange, VerbOutcome } from "@shoal/core";
import { BG_JOB_TYPE, BG_NOTIFY, LEGACY_IIDS } from "../constants/bits.ts";
import type { BG_JOB_PRIORITY, BG_JOB_STATE, BITS_JOB_PROPERTY_ID } from "../constants/bits.ts";
import { COM_IIDS } from "../constants/guid.ts";
import { HResultError } from "../hresult-error.ts";
import { BackgroundCopyError } from "./background-copy-error.ts";
import { BackgroundCopyFile } from "./background-copy-file.ts";
import type { CallbackDelivery } from "./callback-delivery.ts";
import { DeliveryOptimizationJob2 } from "./delivery-optimization-job2.ts";
import { EnumBackgroundCopyFiles } from "./enum-background-copy-files.ts";
import type { FileStreams } from "./file-streams.ts";
import type {
  BG_JOB_PROGRESS,
  BG_JOB_TIMES,
  BITS_JOB_PROPERTY_VALUE,
  FileRangeInput,
  IBackgroundCopyCallback,
  IBackgroundCopyError,
  IBackgroundCopyJob5,
  IDeliveryOptimizationJob,
  IEnumBackgroundCopyFiles,
  InterfacesById,
  U64,
} from "./interfaces.ts";
import type { JobAccess } from "./job-access.ts";
import { readJobProperty, showJobProperty } from "./job-properties.ts";
import { viewOf } from "./query-interface.ts";
import type { Views } from "./query-interface.ts";
import {
  invalid,
  readFile,
  readFileSize,
  readLocalName,
  readRemoteName,
  readUlong,
} from "./read-arguments.ts";
import {
  BITS_ATTRIBUTES,
  jobProgress,
  jobTimes,
  notifyFlagsOf,
  SHOWN_PRIORITIES,
  SHOWN_STATES,
  shownError,
} from "./shown-values.ts";

export interface BackgroundCopyJobParts {
  readonly access: JobAccess;
  readonly delivery: CallbackDelivery;
  readonly streams: FileStreams;
}

const MS_PER_SECOND = 1_000;

/** `FILE_TRANSFERRED` is taken although no callback carries it; `DISABLE` silences all others. */
const NOTIFY_FLAGS_TAKEN =
  BG_NOTIFY.BG_NOTIFY_JOB_TRANSFERRED |
  BG_NOTIFY.BG_NOTIFY_JOB_ERROR |
  BG_NOTIFY.BG_NOTIFY_DISABLE |
  BG_NOTIFY.BG_NOTIFY_JOB_MODIFICATION |
  BG_NOTIFY.BG_NOTIFY_FILE_TRANSFERRED;

export class BackgroundCopyJob implements IBackgroundCopyJob5, IDeliveryOptimizationJob {
  readonly #parts: BackgroundCopyJobParts;
  readonly #views: Views;

  constructor(parts: BackgroundCopyJobParts) {
    this.#parts = parts;
    const job2 = new DeliveryOptimizationJob2({
      access: parts.access,
      addFile: (file) => this.#addFile(file),
      ask: (iid) => this.queryInterface(iid),
    });
    this.#views = {
      [COM_IIDS.IUnknown]: this,
      [LEGACY_IIDS.IBackgroundCopyJob]: this,
      [LEGACY_IIDS.IBackgroundCopyJob5]: this,
      [LEGACY_IIDS.IDeliveryOptimizationJob]: this,
      [LEGACY_IIDS.IDeliveryOptimizationJob2]: job2,
    };
  }

  async AddFileWithRanges(
    fileId: string,
    remoteUrl: string,
    localName: string,
    ranges: readonly FileRangeInput[] | null = null,
    fileSize?: U64,
  ): Promise<void> {
    const declaredLength = fileSize === undefined ? undefined : readFileSize(fileSize);
    const destination = readLocalName(localName);
    const file = readFile({ fileId, remoteUrl: readRemoteName(remoteUrl), ranges });
    const length = declaredLength === undefined ? {} : { declaredLength };
    await this.#parts.access.change({
      type: "addFiles",
      files: [{ ...file, ...length, destination }],
    });
  }

  async Cancel(): Promise<number> {
    return successOf(await this.#parts.access.verb("cancel"));
  }

  async Complete(): Promise<number> {
    return successOf(await this.#parts.access.verb("acknowledge"));
  }

  async EnumFiles(): Promise<IEnumBackgroundCopyFiles> {
    const { files } = await this.#snapshot();
    return new EnumBackgroundCopyFiles(files.map((_, fileIndex) => this.#file(fileIndex)));
  }

  async GetDisplayName(): Promise<string> {
    return (await this.#snapshot()).displayName;
  }

  async GetError(): Promise<IBackgroundCopyError> {
    const error = this.errorOf(await this.#snapshot());
    if (error === undefined) throw HResultError.of("DO_E_ERROR_INFORMATION_UNAVAILABLE");
    return error;
  }

  async GetId(): Promise<string> {
    return this.#parts.access.jobId.toUpperCase();
  }

  async GetNoProgressTimeout(): Promise<number> {
    return Math.ceil((await this.#snapshot()).noProgressTimeoutMs / MS_PER_SECOND);
  }

  async GetNotifyFlags(): Promise<number> {
    return notifyFlagsOf(await this.#snapshot());
  }

  async GetNotifyInterface(): Promise<IBackgroundCopyCallback | null> {
    return this.#parts.delivery.callbackOf(this.#parts.access.jobId) ?? null;
  }

  async GetPriority(): Promise<BG_JOB_PRIORITY> {
    return SHOWN_PRIORITIES[(await this.#snapshot()).priority];
  }

  async GetProgress(): Promise<BG_JOB_PROGRESS> {
    return jobProgress(await this.#snapshot());
  }

  async GetState(): Promise<BG_JOB_STATE> {
    return SHOWN_STATES[(await this.#snapshot()).state];
  }

  async GetTimes(): Promise<BG_JOB_TIMES> {
    return jobTimes(await this.#snapshot());
  }

  async GetType(): Promise<BG_JOB_TYPE> {
    return BG_JOB_TYPE.BG_JOB_TYPE_DOWNLOAD;
  }

  async GetProperty(id: BITS_JOB_PROPERTY_ID): Promise<BITS_JOB_PROPERTY_VALUE> {
    return showJobProperty(id, await this.#snapshot());
  }

  async Resume(): Promise<void> {
    await this.#parts.access.verb("resume");
  }

  async SetNoProgressTimeout(seconds: number): Promise<void> {
    const noProgressTimeoutMs = readUlong(seconds, "the timeout") * MS_PER_SECOND;
    await this.#setValues({ noProgressTimeoutMs });
  }

  async SetNotifyFlags(flags: number): Promise<void> {
    const notifyFlags = readUlong(flags, "the flags");
    if ((notifyFlags & ~NOTIFY_FLAGS_TAKEN) !== 0) throw HResultError.of("E_NOTIMPL", "a flag");
    await this.#setValues({ attributes: { [BITS_ATTRIBUTES.notifyFlags]: notifyFlags } });
  }

  async SetNotifyInterface(callback: IBackgroundCopyCallback | null): Promise<void> {
    if (callback !== null && !isCallback(callback)) throw invalid("not a callback");
    // Asked first: only those who may see a job may hear of it.
    this.#parts.delivery.register(await this.#snapshot(), callback ?? undefined);
  }

  async SetPriority(priority: BG_JOB_PRIORITY): Promise<void> {
    const wanted = readUlong(priority, "the priority");
    const name = JOB_PRIORITIES.find((each) => SHOWN_PRIORITIES[each] === wanted);
    if (name === undefined) throw HResultError.of("E_NOTIMPL", `priority ${wanted}`);
    await this.#setValues({ priority: name });
  }

  async SetProperty(id: BITS_JOB_PROPERTY_ID, value: BITS_JOB_PROPERTY_VALUE): Promise<void> {
    await this.#setValues(readJobProperty(id, value));
    this.#parts.delivery.track(await this.#snapshot());
  }

  async Suspend(): Promise<void> {
    await this.#parts.access.verb("suspend");
  }

  queryInterface<Iid extends keyof InterfacesById>(iid: Iid): InterfacesById[Iid] {
    return viewOf(this.#views, iid);
  }

  /** The error that a snapshot of the job tells of; `undefined` when there is none. */
  errorOf(job: JobSnapshot): IBackgroundCopyError | undefined {
    const error = shownError(job);
    if (error === undefined) return undefined;
    const { fileIndex } = error;
    return new BackgroundCopyError(
      error,
      fileIndex === undefined ? undefined : this.#file(fileIndex),
    );
  }

  /** Ids are unique within a job, so the last file of that name is the one that was added. */
  async #addFile(spec: JobFileSpec): Promise<BackgroundCopyFile> {
    await this.#parts.access.change({ type: "addFiles", files: [spec] });
    const { files } = await this.#snapshot();
    return this.#file(
      files.findLastIndex(({ fileId, url }) => fileId === spec.fileId && url === spec.url),
    );
  }

  #file(fileIndex: number): BackgroundCopyFile {
    const { access, streams } = this.#parts;
    return new BackgroundCopyFile(access, streams, fileIndex);
  }

  #snapshot(): Promise<JobSnapshot> {
    return this.#parts.access.snapshot();
  }

  #setValues(values: JobValueChange): Promise<void> {
    return this.#parts.access.change({ type: "setJob", values });
  }
}

function successOf({ isPartial, undeletedCount }: VerbOutcome): number {
  if (isPartial) return HRESULTS.BG_S_PARTIAL_COMPLETE;
  return undeletedCount > 0 ? HRESULTS.BG_S_UNABLE_TO_DELETE_FILES : HRESULTS.S_OK;
}

const CALLBACK_METHODS = ["JobTransferred", "JobError", "JobModification"] as const;

function isCallback(value: unknown): value is IBackgroundCopyCallback {
  const methods = Object(value) as Readonly<Record<string, unknown>>;
  return CALLBACK_METHODS.every((name) => typeof methods[name] === "function");
}

/**
 * The legacy interfaces and structures under Microsoft's names (job-API reference, sections 2, 5, 6
 * and 11). How calls answer is said in `background-copy-manager.ts`.
 *
 * Knows shapes. Implemented by the classes beside it; `IBackgroundCopyCallback` by whoever calls.
 */
import type {
  BG_ERROR_CONTEXT,
  BG_JOB_PRIORITY,
  BG_JOB_STATE,
  BG_JOB_TYPE,
  BITS_FILE_PROPERTY_ID,
  BITS_JOB_PROPERTY_ID,
  DOFilePropertyId,
  DOJobPropertyId,
  DownloadMode,
  LEGACY_IIDS,
  SwarmStatus,
} from "../constants/bits.ts";
import type { COM_IIDS } from "../constants/guid.ts";

/** A 64-bit number that is handed in: a `number` will do where it is exact. */
export type U64 = bigint | number;

/** Progress of a file. Lengths are in bytes. */
export interface BG_FILE_PROGRESS {
  /** Of the ranges together, where there are some; `BG_SIZE_UNKNOWN` until it is known. */
  readonly BytesTotal: bigint;
  readonly BytesTransferred: bigint;
  /** The file lies at its local name. */
  readonly Completed: boolean;
}

/** Progress of a job. Lengths are in bytes. */
export interface BG_JOB_PROGRESS {
  /** `BG_SIZE_UNKNOWN` while any file's length is. */
  readonly BytesTotal: bigint;
  readonly BytesTransferred: bigint;
  readonly FilesTotal: number;
  readonly FilesTransferred: number;
}

/** FILETIMEs: ticks of 100 ns since the beginning of 1601, UTC. */
export interface BG_JOB_TIMES {
  readonly CreationTime: bigint;
  readonly ModificationTime: bigint;
  /** 0 until the job is transferred. */
  readonly TransferCompletionTime: bigint;
}

/** Bytes of a remote file. */
export interface BG_FILE_RANGE {
  readonly InitialOffset: bigint;
  /** `BG_LENGTH_TO_EOF`: to the end of the file. */
  readonly Length: bigint;
}

/** A range that is handed in. */
export interface FileRangeInput {
  readonly InitialOffset: U64;
  readonly Length: U64;
}

/** The member that belongs to the property. */
export type BITS_JOB_PROPERTY_VALUE = { readonly Dword: number } | { readonly ClsID: string };

export interface BITS_FILE_PROPERTY_VALUE {
  readonly String: string;
}

/** What a property of `IDeliveryOptimizationFile2` holds: a VARIANT. */
export type DOFilePropertyValue = string | boolean | bigint | WritableStream<Uint8Array>;

/** Where a file's bytes came from. Lengths are in bytes, those from peers all counted as LAN. */
export interface DOSwarmStats {
  readonly fileId: string;
  readonly sourceURL: string;
  readonly fileSize: bigint;
  /** The sum of the five below. */
  readonly totalBytesDownloaded: bigint;
  readonly bytesFromLanPeers: bigint;
  readonly bytesFromGroupPeers: bigint;
  readonly bytesFromInternetPeers: bigint;
  readonly bytesFromHttp: bigint;
  readonly bytesFromDoinc: bigint;
  readonly bytesToLanPeers: bigint;
  readonly bytesToGroupPeers: bigint;
  readonly bytesToInternetPeers: bigint;
  readonly httpConnectionCount: number;
  readonly doincConnectionCount: number;
  readonly lanConnectionCount: number;
  readonly groupConnectionCount: number;
  readonly internetConnectionCount: number;
  /** Milliseconds. */
  readonly downloadDuration: number;
  readonly downloadMode: DownloadMode;
  readonly status: SwarmStatus;
  readonly isBackground: boolean;
}

/** What every object answers. */
export interface IUnknown {
  /** The object seen as another interface. Throws `E_NOINTERFACE` where it has none with that id. */
  queryInterface<Iid extends keyof InterfacesById>(iid: Iid): InterfacesById[Iid];
}

export interface IBackgroundCopyManager extends IUnknown {
  /** A new, empty job, in `SUSPENDED`. `displayName` has at most 256 characters. */
  CreateJob(
    displayName: string,
    type: BG_JOB_TYPE,
  ): Promise<{ readonly jobId: string; readonly job: IBackgroundCopyJob }>;
  /** `DO_E_JOB_NOT_FOUND` also for jobs that are over; `E_ACCESSDENIED` for somebody else's. */
  GetJob(jobId: string): Promise<IBackgroundCopyJob>;
}

/** Verbs and setters refuse jobs that are over with `DO_E_INVALID_STATE`; getters never do. */
export interface IBackgroundCopyJob extends IUnknown {
  /** `S_OK` or `BG_S_UNABLE_TO_DELETE_FILES`. */
  Cancel(): Promise<number>;
  /** `S_OK`, `BG_S_PARTIAL_COMPLETE` or `BG_S_UNABLE_TO_DELETE_FILES`. */
  Complete(): Promise<number>;
  EnumFiles(): Promise<IEnumBackgroundCopyFiles>;
  GetDisplayName(): Promise<string>;
  /** `DO_E_ERROR_INFORMATION_UNAVAILABLE` when there is no error. */
  GetError(): Promise<IBackgroundCopyError>;
  GetId(): Promise<string>;
  /** Seconds. */
  GetNoProgressTimeout(): Promise<number>;
  /** Bits of `BG_NOTIFY`. */
  GetNotifyFlags(): Promise<number>;
  GetNotifyInterface(): Promise<IBackgroundCopyCallback | null>;
  GetPriority(): Promise<BG_JOB_PRIORITY>;
  GetProgress(): Promise<BG_JOB_PROGRESS>;
  GetState(): Promise<BG_JOB_STATE>;
  GetTimes(): Promise<BG_JOB_TIMES>;
  GetType(): Promise<BG_JOB_TYPE>;
  /** `DO_E_JOB_EMPTY`, `DO_E_FILE_DOWNLOADSINK_UNSPECIFIED`. */
  Resume(): Promise<void>;
  /** Seconds; 0 makes every failure final. */
  SetNoProgressTimeout(seconds: number): Promise<void>;
  /** `E_NOTIMPL` for bits that are not supported. */
  SetNotifyFlags(flags: number): Promise<void>;
  /** Not kept when this process ends; `null` removes it, and the last caller wins. */
  SetNotifyInterface(callback: IBackgroundCopyCallback | null): Promise<void>;
  /** `E_NOTIMPL` for what is not a priority. */
  SetPriority(priority: BG_JOB_PRIORITY): Promise<void>;
  Suspend(): Promise<void>;
}

/** `E_NOTIMPL` for properties that are not supported, `E_INVALIDARG` for unknown ones. */
export interface IBackgroundCopyJob5 extends IBackgroundCopyJob {
  GetProperty(id: BITS_JOB_PROPERTY_ID): Promise<BITS_JOB_PROPERTY_VALUE>;
  SetProperty(id: BITS_JOB_PROPERTY_ID, value: BITS_JOB_PROPERTY_VALUE): Promise<void>;
}

export interface IDeliveryOptimizationJob extends IUnknown {
  /**
   * `fileId` that is a content id pins the content. `E_INVALIDARG`, `DO_E_INVALID_RANGE`,
   * `DO_E_OVERLAPPING_RANGES`, `BG_E_TOO_MANY_FILES_IN_JOB`, `BG_E_TOO_MANY_RANGES_IN_FILE`.
   */
  AddFileWithRanges(
    fileId: string,
    remoteUrl: string,
    localName: string,
    ranges?: readonly FileRangeInput[] | null,
    fileSize?: U64,
  ): Promise<void>;
}

export interface IDeliveryOptimizationJob2 extends IUnknown {
  /** A file without destination; `riid` is that of `IDeliveryOptimizationFile`. */
  AddFile(
    fileId: string,
    remoteUrl: string | null,
    ranges: readonly FileRangeInput[] | null,
    riid: (typeof LEGACY_IIDS)["IDeliveryOptimizationFile"],
  ): Promise<IDeliveryOptimizationFile>;
  /** The error as JSON, empty when there is none. `DO_E_UNKNOWN_PROPERTY_ID`. */
  GetProperty(id: DOJobPropertyId): Promise<string>;
  /** Always fails: `DO_E_READ_ONLY_PROPERTY`, `DO_E_UNKNOWN_PROPERTY_ID`. */
  SetProperty(id: DOJobPropertyId, value: unknown): Promise<void>;
}

export interface IBackgroundCopyFile extends IUnknown {
  /** Empty where the file goes to a stream, or nobody has said where to. */
  GetLocalName(): Promise<string>;
  /** Empty where it was left out. */
  GetRemoteName(): Promise<string>;
  GetProgress(): Promise<BG_FILE_PROGRESS>;
}

export interface IBackgroundCopyFile2 extends IBackgroundCopyFile {
  /** `hr` is `S_FALSE` for a file without ranges. */
  GetFileRanges(): Promise<{ readonly hr: number; readonly ranges: readonly BG_FILE_RANGE[] }>;
  /** `E_INVALIDARG` for a URL that is not legal, or has more than 2,200 characters. */
  SetRemoteName(remoteUrl: string): Promise<void>;
}

export interface IBackgroundCopyFile5 extends IUnknown {
  /** The last response's header fields; `E_NOT_SET` before there is one. */
  GetProperty(id: BITS_FILE_PROPERTY_ID): Promise<BITS_FILE_PROPERTY_VALUE>;
  /** Always fails: `E_NOTIMPL`, or `E_INVALIDARG` for an unknown id. */
  SetProperty(id: BITS_FILE_PROPERTY_ID, value: BITS_FILE_PROPERTY_VALUE): Promise<void>;
}

export interface IDeliveryOptimizationFile extends IUnknown {
  GetStats(): Promise<DOSwarmStats>;
}

export interface IDeliveryOptimizationFile2 extends IUnknown {
  /** `DO_E_UNKNOWN_PROPERTY_ID`, `DO_E_WRITE_ONLY_PROPERTY`, `E_NOT_SET`. */
  GetProperty(id: DOFilePropertyId): Promise<DOFilePropertyValue>;
  /**
   * In `SUSPENDED` alone. `DO_E_UNKNOWN_PROPERTY_ID`, `DO_E_INVALID_STATE`, `DISP_E_TYPEMISMATCH`,
   * `E_INVALIDARG`, `E_NOTIMPL`, `DO_E_FILE_DOWNLOADSINK_ALREADY_SET`.
   */
  SetProperty(id: DOFilePropertyId, value: DOFilePropertyValue | number): Promise<void>;
}

/** Why a job failed, as it was when it was asked. */
export interface IBackgroundCopyError extends IUnknown {
  /** `code` is an HRESULT, unsigned. `context` 0 does not mean that there was no error. */
  GetError(): Promise<{ readonly context: BG_ERROR_CONTEXT; readonly code: number }>;
  /** `DO_E_FILE_NOT_AVAILABLE` when no file is to blame. */
  GetFile(): Promise<IBackgroundCopyFile>;
}

/** Files as they were when `EnumFiles` was called, in the order of adding. */
export interface IEnumBackgroundCopyFiles extends IUnknown {
  GetCount(): Promise<number>;
  /** The next `count`; `hr` is `S_FALSE` when there were fewer. */
  Next(
    count: number,
  ): Promise<{ readonly hr: number; readonly items: readonly IBackgroundCopyFile[] }>;
  /** `S_FALSE` when there were fewer; then the enumeration is at its end. */
  Skip(count: number): Promise<number>;
  Reset(): Promise<void>;
}

/** What a callback answers: `S_OK`, or nothing, which is the same. All else is a failure. */
export type CallbackResult = number | undefined | void | Promise<number | undefined | void>;

/**
 * What an application implements to hear of a job. A callback that fails, by its result, by
 * throwing, or by taking longer than five minutes, is called again until it does not;
 * `JobModification` alone is not.
 */
export interface IBackgroundCopyCallback {
  /** The job has become `TRANSFERRED`; `Complete` may be called from here. */
  JobTransferred(job: IBackgroundCopyJob): CallbackResult;
  /** The job has become `ERROR`. */
  JobError(job: IBackgroundCopyJob, error: IBackgroundCopyError): CallbackResult;
  /** Something has changed since the last call, at most every 500 ms. */
  JobModification(job: IBackgroundCopyJob, reserved: number): CallbackResult;
}

/** Which interface belongs to which id. */
export interface InterfacesById {
  readonly [COM_IIDS.IUnknown]: IUnknown;
  readonly [LEGACY_IIDS.IBackgroundCopyManager]: IBackgroundCopyManager;
  readonly [LEGACY_IIDS.IBackgroundCopyJob]: IBackgroundCopyJob;
  readonly [LEGACY_IIDS.IBackgroundCopyJob5]: IBackgroundCopyJob5;
  readonly [LEGACY_IIDS.IDeliveryOptimizationJob]: IDeliveryOptimizationJob;
  readonly [LEGACY_IIDS.IDeliveryOptimizationJob2]: IDeliveryOptimizationJob2;
  readonly [LEGACY_IIDS.IBackgroundCopyFile]: IBackgroundCopyFile;
  readonly [LEGACY_IIDS.IBackgroundCopyFile2]: IBackgroundCopyFile2;
  readonly [LEGACY_IIDS.IBackgroundCopyFile5]: IBackgroundCopyFile5;
  readonly [LEGACY_IIDS.IDeliveryOptimizationFile]: IDeliveryOptimizationFile;
  readonly [LEGACY_IIDS.IDeliveryOptimizationFile2]: IDeliveryOptimizationFile2;
  readonly [LEGACY_IIDS.IBackgroundCopyError]: IBackgroundCopyError;
  readonly [LEGACY_IIDS.IEnumBackgroundCopyFiles]: IEnumBackgroundCopyFiles;
}

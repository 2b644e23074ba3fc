/**
 * The interfaces and structures of the download API under Microsoft's names (download-API reference,
 * sections 4, 6, 9 and 11). Everything is async; failures are `HResultError`s. HRESULTs are unsigned
 * numbers as in `HRESULTS`, 64-bit numbers are `bigint`.
 *
 * Knows shapes. Implemented beside it, used by whoever calls.
 */
import type {
  DODownloadProperty,
  DODownloadPropertyEx,
  DODownloadState,
} from "../constants/download.ts";

/** Bytes of the file. A length of zero is not valid; `DO_LENGTH_TO_EOF` is "to the end". */
export interface DO_DOWNLOAD_RANGE {
  readonly Offset: bigint;
  readonly Length: bigint;
}

/** The first `RangeCount` of `Ranges`; 0 means the whole file. */
export interface DO_DOWNLOAD_RANGES_INFO {
  readonly RangeCount: number;
  readonly Ranges: readonly DO_DOWNLOAD_RANGE[];
}

/** A download at one instant. */
export interface DO_DOWNLOAD_STATUS {
  /** 0 until it is known. */
  readonly BytesTotal: bigint;
  readonly BytesTransferred: bigint;
  readonly State: DODownloadState;
  /** Why it will not go on by itself; `S_OK` otherwise. */
  readonly Error: number;
  /** Why it waits although nobody paused it: with `Error` at `S_OK`, a transient failure. */
  readonly ExtendedError: number;
}

/** Those downloads whose property, one of five, has the value. */
export interface DO_DOWNLOAD_ENUM_CATEGORY {
  readonly Property: DODownloadProperty;
  readonly Value: string;
}

/**
 * What a property holds, as its type says: VT_BSTR string, VT_UI4 number, VT_UI8 bigint, VT_BOOL
 * boolean, VT_ARRAY|VT_UI1 `Uint8Array`, VT_UNKNOWN an object or null.
 */
export type DownloadValue = string | number | bigint | boolean | Uint8Array | object | null;

export interface IDODownloadStatusCallback {
  /**
   * The status has changed. The next call waits until the promise returned, if any, settles, for five
   * minutes at most; what it comes to is not looked at. May call the download back.
   */
  OnStatusChange(download: IDODownload, status: DO_DOWNLOAD_STATUS): unknown;
}

export interface IDODownload {
  /** Starts or resumes. At the first start null or no ranges mean the whole file. */
  Start(ranges: DO_DOWNLOAD_RANGES_INFO | null): Promise<void>;
  Pause(): Promise<void>;
  /** Drops the download and what it has fetched. */
  Abort(): Promise<void>;
  /** Puts the file at its destination, and ends the download. */
  Finalize(): Promise<void>;
  GetStatus(): Promise<DO_DOWNLOAD_STATUS>;
  GetProperty(id: DODownloadProperty): Promise<DownloadValue>;
  SetProperty(id: DODownloadProperty, value: DownloadValue): Promise<void>;
  /** Deprecated by Microsoft: a few of the properties under other numbers. */
  GetPropertyEx(id: DODownloadPropertyEx): Promise<DownloadValue>;
  SetPropertyEx(id: DODownloadPropertyEx, value: DownloadValue): Promise<void>;
  /** The download itself for its own id and IUnknown's; throws `E_NOINTERFACE` for others. */
  queryInterface(iid: string): IDODownload;
}

export interface IDOManager {
  CreateDownload(): Promise<IDODownload>;
  /** Rejects with `DO_E_NO_DOWNLOADS` where there are none. */
  EnumDownloads(category: DO_DOWNLOAD_ENUM_CATEGORY | null): Promise<IEnumDownloads>;
  /** The manager itself for its own id and IUnknown's; throws `E_NOINTERFACE` for others. */
  queryInterface(iid: string): IDOManager;
}

/** What is there at the time of the call: IEnumUnknown, or a plain iteration. */
export interface IEnumDownloads extends Iterable<IDODownload> {
  /** `S_FALSE` with what is left where that is fewer than `count`. */
  Next(count: number): Promise<{ readonly hresult: number; readonly downloads: IDODownload[] }>;
  /** `S_FALSE` where fewer were left to skip. */
  Skip(count: number): Promise<number>;
  Reset(): Promise<void>;
  /** Another enumerator that stands at the same place. */
  Clone(): Promise<IEnumDownloads>;
}

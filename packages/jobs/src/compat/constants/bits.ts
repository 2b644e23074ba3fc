/**
 * The numbers and ids of the legacy interface under Microsoft's names: interface ids, constants
 * and enumerations. Each enumeration is a table of its members and a type of the same name for
 * their values.
 *
 * Knows values, not what they do (job-API reference, sections 2 to 4). Used by the legacy face and
 * by whoever talks to it; the values of the newer interface are in `download.ts`.
 */

/** Ids of the interfaces, by name. The class that serves them is `CLSID_DeliveryOptimization`. */
export const LEGACY_IIDS = {
  IBackgroundCopyManager: "5CE34C0D-0DC9-4C1F-897C-DAA1B78CEE7C",
  IBackgroundCopyJob: "37668D37-507E-4160-9316-26306D150B12",
  IBackgroundCopyJob5: "E847030C-BBBA-4657-AF6D-484AA42BF1FE",
  IDeliveryOptimizationJob: "EE2584CF-A69C-4848-B633-2649962B3EF7",
  IDeliveryOptimizationJob2: "18995A26-BF59-4ABE-9F8B-D5092D5A2405",
  IBackgroundCopyFile: "01B7BD23-FB88-4A77-8490-5891D3E4653A",
  IBackgroundCopyFile2: "83E81B93-0873-474D-8A8C-F2018B1A939C",
  IBackgroundCopyFile5: "85C1657F-DAFC-40E8-8834-DF18EA25717E",
  IDeliveryOptimizationFile: "B76B9699-E99E-4101-803F-A20E325D93E2",
  IDeliveryOptimizationFile2: "3A87296F-6EC2-4126-AB29-E3F8DC4CC390",
  IBackgroundCopyError: "19C613A0-FCB8-4F28-81AE-897C3D078F81",
  IBackgroundCopyCallback: "97EA99C7-0186-4AD4-8DF9-C5B4E0ED6B22",
  IEnumBackgroundCopyFiles: "CA51E165-C365-424C-8D41-24AAA4FF3C40",
} as const;

/** A length that means "to the end of the file": the greatest unsigned 64-bit number. */
export const BG_LENGTH_TO_EOF = 0xffff_ffff_ffff_ffffn;
/** A length in bytes that is not known yet. */
export const BG_SIZE_UNKNOWN = BG_LENGTH_TO_EOF;
/** The same for a file. No page prints its number; it is taken to be that of `BG_SIZE_UNKNOWN`. */
export const DO_UNKNOWN_FILE_SIZE = BG_SIZE_UNKNOWN;
/** The longest local name, and the longest segment of a URL, in characters. */
export const MAX_PATH = 260;

/** Bits of the notification flags. Delivery Optimization never delivers the last two. */
export const BG_NOTIFY = {
  BG_NOTIFY_JOB_TRANSFERRED: 0x0001,
  BG_NOTIFY_JOB_ERROR: 0x0002,
  BG_NOTIFY_DISABLE: 0x0004,
  BG_NOTIFY_JOB_MODIFICATION: 0x0008,
  BG_NOTIFY_FILE_TRANSFERRED: 0x0010,
  BG_NOTIFY_FILE_RANGES_TRANSFERRED: 0x0020,
} as const;

/** The flags of a new job; no page names them, these are the customary ones of BITS. */
export const BG_NOTIFY_DEFAULT =
  BG_NOTIFY.BG_NOTIFY_JOB_TRANSFERRED | BG_NOTIFY.BG_NOTIFY_JOB_ERROR;

/** States of a job. `CONNECTING` exists and is never reported. */
export const BG_JOB_STATE = {
  BG_JOB_STATE_QUEUED: 0,
  BG_JOB_STATE_CONNECTING: 1,
  BG_JOB_STATE_TRANSFERRING: 2,
  BG_JOB_STATE_SUSPENDED: 3,
  BG_JOB_STATE_ERROR: 4,
  BG_JOB_STATE_TRANSIENT_ERROR: 5,
  BG_JOB_STATE_TRANSFERRED: 6,
  BG_JOB_STATE_ACKNOWLEDGED: 7,
  BG_JOB_STATE_CANCELLED: 8,
} as const;
export type BG_JOB_STATE = (typeof BG_JOB_STATE)[keyof typeof BG_JOB_STATE];

/** Priorities; `NORMAL` is the default. The three below `FOREGROUND` behave alike. */
export const BG_JOB_PRIORITY = {
  BG_JOB_PRIORITY_FOREGROUND: 0,
  BG_JOB_PRIORITY_HIGH: 1,
  BG_JOB_PRIORITY_NORMAL: 2,
  BG_JOB_PRIORITY_LOW: 3,
} as const;
export type BG_JOB_PRIORITY = (typeof BG_JOB_PRIORITY)[keyof typeof BG_JOB_PRIORITY];

/** Kinds of job. Only downloads exist; the others are named so that they can be refused. */
export const BG_JOB_TYPE = {
  BG_JOB_TYPE_DOWNLOAD: 0,
  BG_JOB_TYPE_UPLOAD: 1,
  BG_JOB_TYPE_UPLOAD_REPLY: 2,
} as const;
export type BG_JOB_TYPE = (typeof BG_JOB_TYPE)[keyof typeof BG_JOB_TYPE];

/** Where an error arose. Reported are `REMOTE_FILE` for HTTP 403 and `NONE` for all else. */
export const BG_ERROR_CONTEXT = {
  BG_ERROR_CONTEXT_NONE: 0,
  BG_ERROR_CONTEXT_UNKNOWN: 1,
  BG_ERROR_CONTEXT_GENERAL_QUEUE_MANAGER: 2,
  BG_ERROR_CONTEXT_QUEUE_MANAGER_NOTIFICATION: 3,
  BG_ERROR_CONTEXT_LOCAL_FILE: 4,
  BG_ERROR_CONTEXT_REMOTE_FILE: 5,
  BG_ERROR_CONTEXT_GENERAL_TRANSPORT: 6,
  BG_ERROR_CONTEXT_REMOTE_APPLICATION: 7,
} as const;
export type BG_ERROR_CONTEXT = (typeof BG_ERROR_CONTEXT)[keyof typeof BG_ERROR_CONTEXT];

/** Properties of `IBackgroundCopyJob5`. Supported are the first two; 6 and 8 are not defined. */
export const BITS_JOB_PROPERTY_ID = {
  BITS_JOB_PROPERTY_ID_COST_FLAGS: 1,
  BITS_JOB_PROPERTY_NOTIFICATION_CLSID: 2,
  BITS_JOB_PROPERTY_DYNAMIC_CONTENT: 3,
  BITS_JOB_PROPERTY_HIGH_PERFORMANCE: 4,
  BITS_JOB_PROPERTY_MAX_DOWNLOAD_SIZE: 5,
  BITS_JOB_PROPERTY_USE_STORED_CREDENTIALS: 7,
  BITS_JOB_PROPERTY_MINIMUM_NOTIFICATION_INTERVAL_MS: 9,
  BITS_JOB_PROPERTY_ON_DEMAND_MODE: 10,
} as const;
export type BITS_JOB_PROPERTY_ID = (typeof BITS_JOB_PROPERTY_ID)[keyof typeof BITS_JOB_PROPERTY_ID];

/** What using the network costs, as bits; a transfer policy is a mask of those it allows. */
export const BITS_COST_STATE = {
  BITS_COST_STATE_UNRESTRICTED: 0x01,
  BITS_COST_STATE_CAPPED_USAGE_UNKNOWN: 0x02,
  BITS_COST_STATE_BELOW_CAP: 0x04,
  BITS_COST_STATE_NEAR_CAP: 0x08,
  BITS_COST_STATE_OVERCAP_CHARGED: 0x10,
  BITS_COST_STATE_OVERCAP_THROTTLED: 0x20,
  BITS_COST_STATE_USAGE_BASED: 0x40,
  BITS_COST_STATE_ROAMING: 0x80,
  BITS_COST_STATE_RESERVED: 0x40000000,
  BITS_COST_OPTION_IGNORE_CONGESTION: 0x80000000,
} as const;
export type BITS_COST_STATE = (typeof BITS_COST_STATE)[keyof typeof BITS_COST_STATE];

/** The named values of `COST_FLAGS`; any mask of cost states may be set. */
export const BITS_JOB_TRANSFER_POLICY = {
  BITS_JOB_TRANSFER_POLICY_ALWAYS: 0x800000ff,
  BITS_JOB_TRANSFER_POLICY_NOT_ROAMING: 0x8000007f,
  BITS_JOB_TRANSFER_POLICY_NO_SURCHARGE: 0x8000006f,
  BITS_JOB_TRANSFER_POLICY_STANDARD: 0x80000067,
  BITS_JOB_TRANSFER_POLICY_UNRESTRICTED: 0x80000021,
} as const;
export type BITS_JOB_TRANSFER_POLICY =
  (typeof BITS_JOB_TRANSFER_POLICY)[keyof typeof BITS_JOB_TRANSFER_POLICY];

/** Properties of `IBackgroundCopyFile5`. */
export const BITS_FILE_PROPERTY_ID = { BITS_FILE_PROPERTY_ID_HTTP_RESPONSE_HEADERS: 1 } as const;
export type BITS_FILE_PROPERTY_ID =
  (typeof BITS_FILE_PROPERTY_ID)[keyof typeof BITS_FILE_PROPERTY_ID];

/** Properties of `IDeliveryOptimizationFile2`. `DownloadSinkMemoryStream` must not be used. */
export const DOFilePropertyId = {
  DOFilePropertyId_DecryptionInfo: 0,
  DOFilePropertyId_IntegrityCheckInfo: 1,
  DOFilePropertyId_IntegrityCheckMandatory: 2,
  DOFilePropertyId_DownloadSinkInterface: 3,
  DOFilePropertyId_DownloadSinkFilePath: 4,
  DOFilePropertyId_DownloadSinkMemoryStream: 5,
  DOFilePropertyId_TotalSizeBytes: 6,
} as const;
export type DOFilePropertyId = (typeof DOFilePropertyId)[keyof typeof DOFilePropertyId];

/** Properties of `IDeliveryOptimizationJob2`. The number is not published and taken to be 0. */
export const DOJobPropertyId = { DOJobPropertyId_ExtendedErrorInfo: 0 } as const;
export type DOJobPropertyId = (typeof DOJobPropertyId)[keyof typeof DOJobPropertyId];

/** How far peers are used, as the swarm statistics report it. */
export const DownloadMode = {
  DownloadMode_CdnOnly: 0,
  DownloadMode_Lan: 1,
  DownloadMode_Group: 2,
  DownloadMode_Internet: 3,
  DownloadMode_Simple: 99,
  DownloadMode_Bypass: 100,
} as const;
export type DownloadMode = (typeof DownloadMode)[keyof typeof DownloadMode];

/** What becomes of a file's content, as the swarm statistics report it. */
export const SwarmStatus = {
  SwarmStatus_Downloading: 0,
  SwarmStatus_Complete: 1,
  SwarmStatus_Caching: 2,
  SwarmStatus_Paused: 3,
} as const;
export type SwarmStatus = (typeof SwarmStatus)[keyof typeof SwarmStatus];

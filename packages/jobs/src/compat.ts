/** `@shoal/jobs/compat`: the job API under Microsoft's names, ids, numbers and HRESULTs. */
export {
  BackgroundCopyManager,
  createBackgroundCopyManager,
} from "./compat/bits/background-copy-manager.ts";
export type { BackgroundCopyManagerOptions } from "./compat/bits/background-copy-manager.ts";
export type {
  BG_FILE_PROGRESS,
  BG_FILE_RANGE,
  BG_JOB_PROGRESS,
  BG_JOB_TIMES,
  BITS_FILE_PROPERTY_VALUE,
  BITS_JOB_PROPERTY_VALUE,
  CallbackResult,
  DOFilePropertyValue,
  DOSwarmStats,
  FileRangeInput,
  IBackgroundCopyCallback,
  IBackgroundCopyError,
  IBackgroundCopyFile,
  IBackgroundCopyFile2,
  IBackgroundCopyFile5,
  IBackgroundCopyJob,
  IBackgroundCopyJob5,
  IBackgroundCopyManager,
  IDeliveryOptimizationFile,
  IDeliveryOptimizationFile2,
  IDeliveryOptimizationJob,
  IDeliveryOptimizationJob2,
  IEnumBackgroundCopyFiles,
  InterfacesById,
  IUnknown,
  U64,
} from "./compat/bits/interfaces.ts";
export {
  BG_ERROR_CONTEXT,
  BG_JOB_PRIORITY,
  BG_JOB_STATE,
  BG_JOB_TYPE,
  BG_LENGTH_TO_EOF,
  BG_NOTIFY,
  BG_NOTIFY_DEFAULT,
  BG_SIZE_UNKNOWN,
  BITS_COST_STATE,
  BITS_FILE_PROPERTY_ID,
  BITS_JOB_PROPERTY_ID,
  BITS_JOB_TRANSFER_POLICY,
  DO_UNKNOWN_FILE_SIZE,
  DOFilePropertyId,
  DOJobPropertyId,
  DownloadMode,
  LEGACY_IIDS,
  MAX_PATH,
  SwarmStatus,
} from "./compat/constants/bits.ts";
export { DOWNLOAD_PROPERTIES } from "./compat/constants/download-properties.ts";
export type {
  DownloadPropertyRow,
  PropertyAccess,
  VariantType,
} from "./compat/constants/download-properties.ts";
export {
  CLSID_DeliveryOptimization,
  DECRYPTION_INFO_KEYS,
  DO_LENGTH_TO_EOF,
  DODownloadCostPolicy,
  DODownloadProperty,
  DODownloadPropertyEx,
  DODownloadState,
  DOWNLOAD_IIDS,
  INTEGRITY_CHECK_INFO_KEYS,
  SECURITY_FLAGS,
} from "./compat/constants/download.ts";
export type { DecryptionInfoKey, IntegrityCheckInfoKey } from "./compat/constants/download.ts";
export { COM_IIDS, GUID_NULL, isSameGuid, parseGuid } from "./compat/constants/guid.ts";
export { HRESULT_MEANINGS } from "./compat/constants/hresult-meanings.ts";
export { createDOManager } from "./compat/download/do-manager.ts";
export type { DOManager, DOManagerOptions } from "./compat/download/do-manager.ts";
export type {
  DO_DOWNLOAD_ENUM_CATEGORY,
  DO_DOWNLOAD_RANGE,
  DO_DOWNLOAD_RANGES_INFO,
  DO_DOWNLOAD_STATUS,
  DownloadValue,
  IDODownload,
  IDODownloadStatusCallback,
  IDOManager,
  IEnumDownloads,
} from "./compat/download/download-types.ts";
export type { CallbackClock } from "./compat/download/status-reporter.ts";
export { HResultError } from "./compat/hresult-error.ts";
export type { HResultErrorOptions } from "./compat/hresult-error.ts";

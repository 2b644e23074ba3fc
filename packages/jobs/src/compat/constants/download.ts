/**
 * The numbers, ids and names of the download interface under Microsoft's names: interface ids,
 * enumerations, and the keys of its JSON properties.
 *
 * Knows values, not what they do (download-API reference, sections 2, 3, 5 and 12). What a property
 * is and may is in `download-properties.ts`. Used by the download face and whoever talks to it.
 */
import { BG_LENGTH_TO_EOF } from "./bits.ts";

/** Ids of the interfaces, by name. */
export const DOWNLOAD_IIDS = {
  IDOManager: "400E2D4A-1431-4C1A-A748-39CA472CFDB1",
  IDODownload: "FBBD7FC0-C147-4727-A38D-827EF071EE77",
  IDODownloadStatusCallback: "D166E8E3-A90E-4392-8E87-05E996D3747D",
} as const;

/** The class that serves the managers of both interfaces. */
export const CLSID_DeliveryOptimization = "5B99FA76-721C-423C-ADAC-56D03C8A8007";

/** A range's length that means "to the end of the file". */
export const DO_LENGTH_TO_EOF = BG_LENGTH_TO_EOF;

/** States of a download: a view of the job's states. */
export const DODownloadState = {
  DODownloadState_Created: 0,
  DODownloadState_Transferring: 1,
  DODownloadState_Transferred: 2,
  DODownloadState_Finalized: 3,
  DODownloadState_Aborted: 4,
  DODownloadState_Paused: 5,
} as const;
export type DODownloadState = (typeof DODownloadState)[keyof typeof DODownloadState];

/** On which networks a download runs. Default: `Always` in foreground, else `Standard`. */
export const DODownloadCostPolicy = {
  DODownloadCostPolicy_Always: 0,
  DODownloadCostPolicy_Unrestricted: 1,
  DODownloadCostPolicy_Standard: 2,
  DODownloadCostPolicy_NoRoaming: 3,
  DODownloadCostPolicy_NoSurcharge: 4,
  DODownloadCostPolicy_NoCellular: 5,
} as const;
export type DODownloadCostPolicy = (typeof DODownloadCostPolicy)[keyof typeof DODownloadCostPolicy];

/** Properties of a download. */
export const DODownloadProperty = {
  DODownloadProperty_Id: 0,
  DODownloadProperty_Uri: 1,
  DODownloadProperty_ContentId: 2,
  DODownloadProperty_DisplayName: 3,
  DODownloadProperty_LocalPath: 4,
  DODownloadProperty_HttpCustomHeaders: 5,
  DODownloadProperty_CostPolicy: 6,
  DODownloadProperty_SecurityFlags: 7,
  DODownloadProperty_CallbackFreqPercent: 8,
  DODownloadProperty_CallbackFreqSeconds: 9,
  DODownloadProperty_NoProgressTimeoutSeconds: 10,
  DODownloadProperty_ForegroundPriority: 11,
  DODownloadProperty_BlockingMode: 12,
  DODownloadProperty_CallbackInterface: 13,
  DODownloadProperty_StreamInterface: 14,
  DODownloadProperty_SecurityContext: 15,
  DODownloadProperty_NetworkToken: 16,
  DODownloadProperty_CorrelationVector: 17,
  DODownloadProperty_DecryptionInfo: 18,
  DODownloadProperty_IntegrityCheckInfo: 19,
  DODownloadProperty_IntegrityCheckMandatory: 20,
  DODownloadProperty_TotalSizeBytes: 21,
  DODownloadProperty_DisallowOnCellular: 22,
  DODownloadProperty_HttpCustomAuthHeaders: 23,
  DODownloadProperty_HttpAllowSecureToNonSecureRedirect: 24,
  DODownloadProperty_NonVolatile: 25,
  DODownloadProperty_HttpRedirectionTarget: 26,
  DODownloadProperty_HttpResponseHeaders: 27,
  DODownloadProperty_HttpServerIPAddress: 28,
  DODownloadProperty_HttpStatusCode: 29,
} as const;
export type DODownloadProperty = (typeof DODownloadProperty)[keyof typeof DODownloadProperty];

/** Properties of the deprecated property-ex interface. 0, 2, 5 and 6 are reserved. */
export const DODownloadPropertyEx = {
  DODownloadPropertyEx_UpdateId: 0,
  DODownloadPropertyEx_CorrelationVector: 1,
  DODownloadPropertyEx_DecryptionInfo: 2,
  DODownloadPropertyEx_IntegrityCheckInfo: 3,
  DODownloadPropertyEx_IntegrityCheckMandatory: 4,
  DODownloadPropertyEx_TotalSizeBytes: 5,
  DODownloadPropertyEx_TempLocalFileUsage: 6,
} as const;
export type DODownloadPropertyEx = (typeof DODownloadPropertyEx)[keyof typeof DODownloadPropertyEx];

/** Bits that `SecurityFlags` takes. With the revocation bit set the other four have no effect. */
export const SECURITY_FLAGS = {
  WINHTTP_ENABLE_SSL_REVOCATION: 0x00000001,
  SECURITY_FLAG_IGNORE_UNKNOWN_CA: 0x00000100,
  SECURITY_FLAG_IGNORE_CERT_WRONG_USAGE: 0x00000200,
  SECURITY_FLAG_IGNORE_CERT_CN_INVALID: 0x00001000,
  SECURITY_FLAG_IGNORE_CERT_DATE_INVALID: 0x00002000,
} as const;

/** Keys of the JSON text in `DecryptionInfo`, of downloads and of files alike. */
export const DECRYPTION_INFO_KEYS = [
  "KeyData",
  "EncryptionBufferSize",
  "AlgorithmName",
  "ChainingMode",
] as const;
export type DecryptionInfoKey = (typeof DECRYPTION_INFO_KEYS)[number];

/** Keys of the JSON text in `IntegrityCheckInfo`, of downloads and of files alike. */
export const INTEGRITY_CHECK_INFO_KEYS = [
  "PiecesHashFileUrl",
  "PiecesHashFileDigest",
  "PiecesHashFileDigestAlgorithm",
  "HashOfHashes",
] as const;
export type IntegrityCheckInfoKey = (typeof INTEGRITY_CHECK_INFO_KEYS)[number];

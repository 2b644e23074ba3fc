/**
 * What each property of a download is: its type, who may read and set it and when, and its default
 * (download-API reference, section 5). One table, from which the download face answers unknown ids,
 * write-only, read-only and ill-timed requests.
 *
 * Knows rules about values, not the values; checks nothing itself. Used by the download face.
 */
import { SETTINGS } from "@shoal/core";
import { DODownloadCostPolicy, DODownloadProperty, DODownloadState } from "./download.ts";

/** The kinds of VARIANT a property may hold. */
export type VariantType =
  | "VT_BSTR"
  | "VT_UI4"
  | "VT_UI8"
  | "VT_BOOL"
  | "VT_UNKNOWN"
  | "VT_ARRAY|VT_UI1";

/** Getting a `writeOnly` property and setting a `readOnly` one fail, each with its own code. */
export type PropertyAccess = "readWrite" | "readOnly" | "writeOnly";

export interface DownloadPropertyRow {
  /** Microsoft's name. */
  readonly name: keyof typeof DODownloadProperty;
  readonly type: VariantType;
  readonly access: PropertyAccess;
  /** What a fresh background download has; absent: not set, reading it says so. */
  readonly default?: boolean | number;
  /** What a foreground download has instead. */
  readonly foregroundDefault?: number;
  /** The smallest number accepted. */
  readonly min?: number;
  /** The states in which it may be set. */
  readonly settableIn: readonly DODownloadState[];
}

const { DODownloadState_Created: created, DODownloadState_Transferring: transferring } =
  DODownloadState;
const { DODownloadState_Transferred: transferred, DODownloadState_Paused: paused } =
  DODownloadState;

const NEVER: readonly DODownloadState[] = [];
const BEFORE_START: readonly DODownloadState[] = [created];
const WHILE_STILL: readonly DODownloadState[] = [created, paused];
const UNTIL_FINAL: readonly DODownloadState[] = [created, transferring, transferred, paused];

type Facts = Omit<DownloadPropertyRow, "name">;

const text: Facts = { type: "VT_BSTR", access: "readWrite", settableIn: WHILE_STILL };
const flag: Facts = {
  type: "VT_BOOL",
  access: "readWrite",
  default: false,
  settableIn: WHILE_STILL,
};
const live: Facts = { type: "VT_UI4", access: "readWrite", settableIn: UNTIL_FINAL };
const shown: Facts = { type: "VT_BSTR", access: "readOnly", settableIn: NEVER };
const secret: Facts = { type: "VT_BSTR", access: "writeOnly", settableIn: WHILE_STILL };

/** Rows by name, in the order of the ids. */
const ROWS: Readonly<Record<keyof typeof DODownloadProperty, Facts>> = {
  DODownloadProperty_Id: shown,
  DODownloadProperty_Uri: text,
  DODownloadProperty_ContentId: { ...text, settableIn: BEFORE_START },
  DODownloadProperty_DisplayName: text,
  DODownloadProperty_LocalPath: { ...text, settableIn: BEFORE_START },
  DODownloadProperty_HttpCustomHeaders: text,
  DODownloadProperty_CostPolicy: {
    ...live,
    default: DODownloadCostPolicy.DODownloadCostPolicy_Standard,
    foregroundDefault: DODownloadCostPolicy.DODownloadCostPolicy_Always,
  },
  DODownloadProperty_SecurityFlags: { ...secret, type: "VT_UI4", default: 0 },
  DODownloadProperty_CallbackFreqPercent: live,
  DODownloadProperty_CallbackFreqSeconds: { ...live, default: 1 },
  // Not documented for downloads; the legacy interface's defaults, which an agent may set anew.
  DODownloadProperty_NoProgressTimeoutSeconds: {
    ...live,
    default: SETTINGS.noProgressBackgroundMs.default / 1000,
    foregroundDefault: SETTINGS.noProgressForegroundMs.default / 1000,
    min: 60,
  },
  DODownloadProperty_ForegroundPriority: { ...flag, settableIn: UNTIL_FINAL },
  DODownloadProperty_BlockingMode: flag,
  DODownloadProperty_CallbackInterface: { ...live, type: "VT_UNKNOWN" },
  DODownloadProperty_StreamInterface: { ...text, type: "VT_UNKNOWN", settableIn: BEFORE_START },
  DODownloadProperty_SecurityContext: { ...secret, type: "VT_ARRAY|VT_UI1" },
  // Unset stands for the token of the logged-on user.
  DODownloadProperty_NetworkToken: { ...secret, type: "VT_BOOL" },
  DODownloadProperty_CorrelationVector: text,
  DODownloadProperty_DecryptionInfo: secret,
  DODownloadProperty_IntegrityCheckInfo: secret,
  DODownloadProperty_IntegrityCheckMandatory: flag,
  DODownloadProperty_TotalSizeBytes: { ...text, type: "VT_UI8" },
  DODownloadProperty_DisallowOnCellular: { ...flag, settableIn: UNTIL_FINAL },
  DODownloadProperty_HttpCustomAuthHeaders: text,
  DODownloadProperty_HttpAllowSecureToNonSecureRedirect: flag,
  DODownloadProperty_NonVolatile: flag,
  DODownloadProperty_HttpRedirectionTarget: shown,
  DODownloadProperty_HttpResponseHeaders: shown,
  DODownloadProperty_HttpServerIPAddress: shown,
  DODownloadProperty_HttpStatusCode: { ...shown, type: "VT_UI4" },
};

/** Every property by its id; an id without a row is unknown. */
export const DOWNLOAD_PROPERTIES: ReadonlyMap<number, DownloadPropertyRow> = new Map(
  (Object.keys(ROWS) as (keyof typeof DODownloadProperty)[]).map((name) => [
    DODownloadProperty[name],
    Object.freeze({ name, ...ROWS[name] }),
  ]),
);

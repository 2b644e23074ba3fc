/**
 * The status of a download, made of its job's snapshot (download-API reference, section 8). A
 * transient failure is paused with `Error` at `S_OK` and `ExtendedError` at what failed; a fatal one
 * has `Error`. Used by `DODownload` and its callbacks.
 */
import { HRESULTS, ShoalError } from "@shoal/core";
import type { JobError, JobSnapshot } from "@shoal/core";
import { HResultError } from "../hresult-error.ts";
import { downloadStateOf } from "./download-states.ts";
import type { DO_DOWNLOAD_STATUS } from "./download-types.ts";

export function statusOf(snapshot: JobSnapshot): DO_DOWNLOAD_STATUS {
  const { state, error, length, transferredBytes } = snapshot;
  // A suspended job remembers why it failed before; it is paused because somebody said so.
  const isFatal = state === "error" || state === "cancelled";
  return {
    BytesTotal: BigInt(length ?? 0),
    BytesTransferred: BigInt(transferredBytes),
    State: downloadStateOf(snapshot),
    Error: isFatal ? hresultOf(error) : HRESULTS.S_OK,
    ExtendedError: state === "transientError" ? hresultOf(error) : HRESULTS.S_OK,
  };
}

function hresultOf(error: JobError | undefined): number {
  return error === undefined ? HRESULTS.S_OK : HResultError.from(ShoalError.from(error)).hresult;
}

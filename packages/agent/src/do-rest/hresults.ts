/**
 * What goes wrong with a download, in the numbers of the reference agent: HTTP statuses by its own
 * table, which puts several statuses under one number, system errors by theirs, and the rest by the
 * table of errors (agent REST reference, section 12).
 *
 * Knows numbers, and which failures end a download. Called by `RestDownload` and what it is made of.
 */
import { ERRORS, hresultOfErrno, hresultOfHttpStatus, HRESULTS } from "@shoal/core";
import type { ErrorCode, ErrorInfo, HResultSymbol } from "@shoal/core";
import { HResultError } from "@shoal/jobs/compat";

/** Statuses that count as another; those that are not named, as no known one. */
const STATUS_ROWS: ReadonlyArray<readonly [statuses: readonly number[], hresult: number]> = [
  [[300, 500, 503], HRESULTS.HTTP_E_STATUS_SERVER_ERROR],
  [[301, 302, 303], HRESULTS.HTTP_E_STATUS_UNEXPECTED_REDIRECTION],
  [[404, 410], HRESULTS.HTTP_E_STATUS_NOT_FOUND],
  [[305, 502, 504], HRESULTS.HTTP_E_STATUS_BAD_GATEWAY],
  [[400, 405, 409, 411, 412, 414, 415], HRESULTS.HTTP_E_STATUS_BAD_REQUEST],
  [[401], HRESULTS.HTTP_E_STATUS_DENIED],
  [[403], HRESULTS.HTTP_E_STATUS_FORBIDDEN],
  [[406], HRESULTS.HTTP_E_STATUS_NONE_ACCEPTABLE],
  [[407], HRESULTS.HTTP_E_STATUS_PROXY_AUTH_REQ],
  [[408], HRESULTS.HTTP_E_STATUS_REQUEST_TIMEOUT],
  [[413], hresultOfHttpStatus(413)],
  [[501, 505], HRESULTS.HTTP_E_STATUS_NOT_SUPPORTED],
];

const BY_STATUS: ReadonlyMap<number, number> = new Map(
  STATUS_ROWS.flatMap(([statuses, hresult]) => statuses.map((status) => [status, hresult])),
);

/** Errors that are another number here than in Delivery Optimization on Windows. */
const BY_CODE: Readonly<Partial<Record<ErrorCode, HResultSymbol>>> = {
  ERR_URL_INVALID: "INET_E_INVALID_URL",
  ERR_DISK_FULL: "ENOSPC",
  ERR_REMOTE_CHANGING: "DO_E_INSUFFICIENT_RANGE_SUPPORT",
};

/** The failure that a status of the origin is. */
export function hresultOfStatus(status: number): number {
  return BY_STATUS.get(status) ?? HRESULTS.HTTP_E_STATUS_UNEXPECTED;
}

export function hresultOfError({ code, originStatus }: ErrorInfo): number {
  const symbol = BY_CODE[code];
  if (symbol !== undefined) return HRESULTS[symbol];
  return originStatus === undefined
    ? HRESULTS[ERRORS[code].hresult]
    : hresultOfStatus(originStatus);
}

/** What the system said to a request for a file; `undefined` when it was not the system. */
export function systemError(error: unknown): HResultError | undefined {
  if (!(error instanceof Error) || !("errno" in error)) return undefined;
  if (typeof error.errno !== "number") return undefined;
  return new HResultError(hresultOfErrno(error.errno), error.message, { cause: error });
}

/**
 * Whether the download stops with it until it is started again: any 4xx, and what would be no
 * different another time. Everything else is tried again.
 */
export function isFatal({ code, originStatus }: ErrorInfo): boolean {
  if (originStatus !== undefined && originStatus >= 300) {
    return originStatus >= 400 && originStatus < 500;
  }
  return code === "ERR_DISK_FULL" || !ERRORS[code].transient;
}

/** One row of the table of errors; see `errors.ts`. */
import type { HResultSymbol } from "./hresults.ts";

export interface ErrorRow {
  /** What failed, in words; details are appended by whoever raises it. */
  readonly message: string;
  /** What the user can do about it. */
  readonly remedy: string;
  readonly transient: boolean;
  readonly httpStatus: number;
  readonly exitCode: number;
  /** What the compatible faces report; a status of the origin replaces it where there is one. */
  readonly hresult: HResultSymbol;
}

/** Makes a row; the order is that in which rows are read. */
export const row = (
  message: string,
  remedy: string,
  exitCode: number,
  httpStatus: number,
  hresult: HResultSymbol,
  transient = false,
): ErrorRow => ({ message, remedy, transient, httpStatus, exitCode, hresult });

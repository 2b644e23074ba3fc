/**
 * The one error that the compatible faces throw: an HRESULT with its symbol, its number and a
 * sentence. Knows how errors of ours become HRESULTs (by the table of errors in `core`). Thrown by
 * both faces; success codes that carry meaning are returned instead, never thrown.
 */
import {
  assert,
  ERRORS,
  hresultName,
  hresultOfHttpStatus,
  HRESULTS,
  isFailure,
  ShoalError,
} from "@shoal/core";
import type { ErrorCode, HResultSymbol } from "@shoal/core";
import { HRESULT_MEANINGS } from "./constants/hresult-meanings.ts";

export interface HResultErrorOptions {
  /** The error of ours that it stands for. */
  readonly code?: ErrorCode;
  readonly cause?: unknown;
}

export class HResultError extends Error {
  override readonly name = "HResultError";
  /** The failure as an unsigned 32-bit number, as `HRESULTS` has it. */
  readonly hresult: number;
  /** `DO_E_JOB_EMPTY` and the like; the number as `0x801901A2` where it has no name. */
  readonly symbol: string;
  /** The error of ours that it stands for, where there is one. */
  readonly code: ErrorCode | undefined;

  /** For failures known by number alone, signed or not. Otherwise see `of` and `from`. */
  constructor(hresult: number, sentence: string, options: HResultErrorOptions = {}) {
    assert(isFailure(hresult), "a success code is returned, not thrown");
    const symbol = hresultName(hresult);
    const digits = hexOf(hresult);
    const title = symbol === undefined ? digits : `${symbol} (${digits})`;
    super(`${title}: ${sentence}`, "cause" in options ? { cause: options.cause } : {});
    this.hresult = hresult >>> 0;
    this.symbol = symbol ?? digits;
    this.code = options.code;
  }

  /** The failure of that name, in the table's words; `details` say what it happened to. */
  static of(symbol: HResultSymbol, details?: string): HResultError {
    const meaning = HRESULT_MEANINGS[symbol];
    return new HResultError(
      HRESULTS[symbol],
      details === undefined ? meaning : `${meaning}: ${details}`,
    );
  }

  /**
   * What an error of any kind is to the caller of a compatible face: itself when it is one already,
   * the row's HRESULT for an error of ours (the origin's status where that is what failed),
   * `E_ABORT` for an abort, and `E_UNEXPECTED` for anything else.
   */
  static from(error: unknown): HResultError {
    if (error instanceof HResultError) return error;
    if (error instanceof ShoalError) {
      const options = { code: error.code, cause: error };
      return new HResultError(hresultOf(error), error.message, options);
    }
    const isAbort = error instanceof Error && error.name === "AbortError";
    const symbol = isAbort ? "E_ABORT" : "E_UNEXPECTED";
    const sentence = HRESULT_MEANINGS[symbol];
    return new HResultError(HRESULTS[symbol], sentence, { cause: error });
  }
}

/** The refusal of a property's id that is none, of whatever type: objects may not even have a text. */
export function unknownProperty(id: unknown): HResultError {
  return HResultError.of("DO_E_UNKNOWN_PROPERTY_ID", typeof id === "number" ? `${id}` : typeof id);
}

/** Rows that leave the choice to the origin's status name `HTTP_E_STATUS_UNEXPECTED`. */
function hresultOf({ code, originStatus }: ShoalError): number {
  const symbol: HResultSymbol = ERRORS[code].hresult;
  return symbol === "HTTP_E_STATUS_UNEXPECTED" && originStatus !== undefined
    ? hresultOfHttpStatus(originStatus)
    : HRESULTS[symbol];
}

function hexOf(hresult: number): string {
  return `0x${(hresult >>> 0).toString(16).toUpperCase().padStart(8, "0")}`;
}

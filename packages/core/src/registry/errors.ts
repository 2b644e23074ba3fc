/**
 * The one table of errors. Callers test `error.code`, never text or class. `docs/errors.md` is
 * generated from it, and `test/tidy` checks that every code is raised somewhere.
 *
 * `exitCode` follows the CLI's table: 1 failed, 2 usage, 3 not found, 4 integrity, 5 network or
 * origin, 6 timeout, 7 cancelled or unfinished, 8 disk or quota, 9 daemon unreachable, 10 refused
 * by policy, 11 already running. `transient` errors may succeed if tried again without the user.
 */
import { API_ERRORS } from "./api-errors.ts";
import type { ErrorRow } from "./error-row.ts";
import { LOCAL_ERRORS } from "./local-errors.ts";
import { SOURCE_ERRORS } from "./source-errors.ts";

export type { ErrorRow };

export const ERRORS = {
  ...LOCAL_ERRORS,
  ...SOURCE_ERRORS,
  ...API_ERRORS,
} as const satisfies Record<string, ErrorRow>;

export type ErrorCode = keyof typeof ERRORS;

/** An error as plain JSON: what is stored, sent to clients, and shown. */
export interface ErrorInfo {
  readonly code: ErrorCode;
  /** One sentence: what failed while doing what. */
  readonly message: string;
  /** The status of the origin's answer, where that is what failed. */
  readonly originStatus?: number;
}

/** Builds an `ErrorInfo`: the table's sentence, then what it happened to. */
export function errorInfo(code: ErrorCode, details?: string): ErrorInfo {
  const { message } = ERRORS[code];
  return { code, message: details === undefined ? message : `${message}: ${details}` };
}

/** The error that Shoal's packages throw and reject with. */
export class ShoalError extends Error {
  override readonly name = "ShoalError";
  readonly code: ErrorCode;
  /** The status of the origin's answer, where that is what failed. */
  readonly originStatus: number | undefined;

  constructor(
    code: ErrorCode,
    details?: string,
    options: { readonly cause?: unknown; readonly originStatus?: number } = {},
  ) {
    super(errorInfo(code, details).message, "cause" in options ? { cause: options.cause } : {});
    this.code = code;
    this.originStatus = options.originStatus;
  }

  /** May succeed if tried again without the user. */
  get transient(): boolean {
    return ERRORS[this.code].transient;
  }

  /** What the user can do about it. */
  get remedy(): string {
    return ERRORS[this.code].remedy;
  }

  static from(info: ErrorInfo): ShoalError {
    const { code, message, originStatus } = info;
    const error = new ShoalError(
      code,
      undefined,
      originStatus === undefined ? {} : { originStatus },
    );
    error.message = message;
    return error;
  }
}

/**
 * What a download asks of whatever fetches its bytes: an ordinary job, or a plain reading of a URL
 * whose length nobody knows. Both append to the same file.
 */
import type { ErrorInfo, Millis } from "@shoal/core";

/** How a fetch stands. */
export type FetchView =
  | {
      readonly kind: "running";
      /** Of the whole file, once it is known. */
      readonly length?: number;
      /** Grows while bytes come, also those that are not in the file yet. */
      readonly movedBytes: number;
      /** What happened last, with nothing come since: it is being tried again. */
      readonly failure?: ErrorInfo;
      /** It waits for a network. */
      readonly isBlocked?: true;
    }
  | { readonly kind: "complete"; readonly length: number }
  /** It has ended by itself, and may be started again. */
  | { readonly kind: "failed"; readonly hresult: number }
  /** Somebody else has stopped it. */
  | { readonly kind: "stopped" }
  /** Somebody else has removed it: another one begins from the first byte. */
  | { readonly kind: "gone" }
  /** The origin does not say how long the file is: it can only be read as a whole. */
  | { readonly kind: "unsized" };

export interface Fetch {
  /** Begins, or goes on. */
  start(): Promise<void>;
  /** Resolves when nothing is appended any more. */
  stop(): Promise<void>;
  /** Nothing is left of it, at once; `completely` resolves when that is written down, too. */
  cancel(): { readonly completely: Promise<void> };
  /** All bytes are the client's: what was needed for them may go. */
  finish(): Promise<void>;
  /** How it stands; takes the steps that are due. */
  look(): Promise<FetchView>;
  /** From now on the bytes come from there. Refused with `ERR_URL_INVALID`. */
  setUrl(url: string): Promise<void>;
}

/** Waits between tries: twice the one before, from twice `firstMs` to `maxMs`. */
export interface RetryDelays {
  readonly firstMs: Millis;
  readonly maxMs: Millis;
}

/** The wait after the `failures`-th failure in a row (1, 2, …): 2, 4, 8, 16, 30, 30 s by default. */
export function retryDelayMs(failures: number, { firstMs, maxMs }: RetryDelays): Millis {
  return Math.min(firstMs * 2 ** Math.min(failures, 30), maxMs);
}

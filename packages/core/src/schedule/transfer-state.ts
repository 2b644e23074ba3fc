/**
 * The states of a transfer and what it reports, apart from the machine that moves between them
 * (`transfer.ts`).
 */
import { unreachable } from "../assert.ts";
import type { PieceSet } from "../content/piece-set.ts";
import type { JobFileSpec } from "../job/file-spec.ts";
import type { StoredContent } from "../ports/store-port.ts";
import type { ErrorInfo } from "../registry/errors.ts";
import type { JobId, TransferId } from "../units.ts";
import type { Urgency } from "./demand.ts";
import type { Fetcher } from "./fetcher.ts";
import type { AnnouncedResolver } from "./announced-resolver.ts";
import type { MachineDeps } from "./machine-deps.ts";
import type { Resolution } from "./resolution.ts";
import type { FilePhase } from "./snapshot.ts";
import type { Stage } from "./stage.ts";
import type { Transfer } from "./transfer.ts";

export interface TransferDeps extends MachineDeps {
  /** To be told whenever the state or the content of a transfer is another. */
  readonly transferMoved: (transfer: Transfer) => void;
}

/** The file of a job that a transfer is for. */
export interface TransferJob {
  readonly jobId: JobId;
  readonly fileIndex: number;
  readonly file: JobFileSpec;
  readonly urgency: Urgency;
}

export interface TransferOptions {
  readonly transferId: TransferId;
  readonly job?: TransferJob;
  /** What an earlier run found out; saves resolving. */
  readonly resolution?: Resolution;
  /** A complete content on this machine, to be served. */
  readonly stored?: StoredContent;
}

/** What the scheduler has to know; at most one is pending. */
export type TransferReport =
  /** What the content is has become known, its length above all. */
  | { readonly type: "resolved" }
  | { readonly type: "transferred" }
  | { readonly type: "failed"; readonly error: ErrorInfo; readonly transient: boolean }
  | { readonly type: "published" }
  | { readonly type: "publishFailed"; readonly error: ErrorInfo }
  | { readonly type: "closed" };

export type TransferState =
  | { readonly name: "resolving"; readonly resolver: AnnouncedResolver }
  | { readonly name: "opening" }
  | { readonly name: "fetching"; readonly fetcher: Fetcher }
  | { readonly name: "resetting" }
  | { readonly name: "verifying"; readonly have: PieceSet }
  | { readonly name: "complete" | "publishing" | "published"; readonly have: PieceSet }
  | { readonly name: "failed" }
  | { readonly name: "closing" }
  | { readonly name: "closed" };

/** R-MAN-15: one automatic refetch of pieces that the final check found wrong. */
export const MISMATCHES_MAX = 1;

/** What a state that has all pieces may be followed by. */
export type EndState = "complete" | "published";

/** The state as users see it. */
export function phaseOf(state: TransferState): FilePhase {
  switch (state.name) {
    case "resolving":
    case "opening":
    case "fetching":
    case "verifying":
    case "published":
      return state.name;
    case "resetting":
      return "opening";
    case "complete":
    case "publishing":
      return "transferred";
    case "failed":
    case "closing":
    case "closed":
      return "waiting";
    default:
      return unreachable(state);
  }
}

/** Whether pieces may yet be fetched in the state, or in one that follows it. */
export function isIncomplete({ name }: TransferState): boolean {
  return name === "resolving" || name === "opening" || name === "fetching";
}

/** What works in the state, if anything does. */
export function stageOf(state: TransferState): Stage | undefined {
  if (state.name === "resolving") return state.resolver;
  return state.name === "fetching" ? state.fetcher : undefined;
}

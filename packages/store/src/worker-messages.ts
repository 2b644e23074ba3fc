/**
 * What the store's two threads say to each other. Messages are copied; the bytes of pieces are not:
 * they lie in shared memory, and whoever sends a message about them keeps out until the answer.
 */
import { PieceLayout } from "@shoal/core";
import type {
  ErrorInfo,
  OpenContent,
  PieceBoundaries,
  StoreCommand,
  StoreEvent,
} from "@shoal/core";
import type { CacheEntry } from "./cache-rows.ts";
import type { CacheRequest, CacheSettings } from "./content-cache.ts";
import type { ShareRequest } from "./disk-store.ts";
import type { StartReport } from "./open-disk-store.ts";

/** A `PieceLayout` is an object with private fields and cannot be copied between threads. */
export interface WireLayout {
  readonly contentLength: number;
  readonly boundaries: PieceBoundaries;
}

export type WireCommand =
  | Exclude<StoreCommand, { type: "openContent" }>
  | (Omit<Extract<StoreCommand, { type: "openContent" }>, "spec"> & {
      readonly spec: Omit<OpenContent, "layout"> & { readonly layout: WireLayout };
    });

export type ToWorker =
  | {
      readonly kind: "command";
      readonly id: number;
      readonly command: WireCommand;
      readonly bytes?: Uint8Array;
    }
  | { readonly kind: "share"; readonly id: number; readonly request: ShareRequest }
  /** Answered by `done` with the entries. */
  | { readonly kind: "cache"; readonly id: number; readonly request: CacheRequest }
  /** The worker commits, closes and ends. */
  | { readonly kind: "close" };

/** Said in lists, in order: every message costs both threads a wake-up. */
export type FromWorker =
  | { readonly kind: "started"; readonly report: StartReport }
  | { readonly kind: "refused"; readonly error: ErrorInfo }
  | { readonly kind: "event"; readonly event: StoreEvent; readonly layout?: WireLayout }
  /** The request of this id has been worked off; its bytes are not needed any more. */
  | {
      readonly kind: "done";
      readonly id: number;
      readonly error?: ErrorInfo;
      /** What is in the cache, where that was asked. */
      readonly entries?: readonly CacheEntry[];
    };

export interface StoreWorkerData {
  readonly stateDirectory: string;
  readonly cache?: CacheSettings;
}

export function toWireLayout({ contentLength, boundaries }: PieceLayout): WireLayout {
  return { contentLength, boundaries };
}

export function fromWireLayout({ contentLength, boundaries }: WireLayout): PieceLayout {
  return boundaries.kind === "fixed"
    ? PieceLayout.fixed(contentLength, boundaries.pieceLength)
    : PieceLayout.explicit(boundaries.lengths);
}

export function toWireCommand(command: StoreCommand): WireCommand {
  if (command.type !== "openContent") return command;
  return { ...command, spec: { ...command.spec, layout: toWireLayout(command.spec.layout) } };
}

export function fromWireCommand(command: WireCommand): StoreCommand {
  if (command.type !== "openContent") return command;
  return { ...command, spec: { ...command.spec, layout: fromWireLayout(command.spec.layout) } };
}

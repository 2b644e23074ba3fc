/**
 * What the simulated origin answers to a command: a failure by the table of threat-model section
 * 7.2, or the parts of a body. Pure; knows neither time nor links. Called by `SimOrigin`.
 */
import { errorInfo, LIMITS } from "@shoal/core";
import type {
  ErrorCode,
  Millis,
  OriginCommand,
  OriginFailure,
  OriginFailureKind,
  PieceIndex,
  PieceLayout,
} from "@shoal/core";
import type { OriginFile, OriginTrouble } from "./sim-origin-server.ts";

/** Commands that become a request. */
export type Asking = Exclude<OriginCommand, { type: "cancelOrigin" | "setFlow" }>;
export type FetchRange = Extract<OriginCommand, { type: "fetchRange" }>;

/** What a body consists of, part by part. */
export interface Parts {
  /** Bytes of the part. */
  readonly length: number;
  /** The piece the part is, if the agent wants it. */
  readonly piece: PieceIndex | undefined;
  /** The bytes, where they matter. */
  readonly bytes: Uint8Array | undefined;
  /** Returns false when there is no next part. */
  next(): boolean;
}

/** A manifest, whole. */
export class ManifestPart implements Parts {
  readonly piece = undefined;
  readonly bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  get length(): number {
    return this.bytes.length;
  }

  next(): boolean {
    return false;
  }
}

/** The pieces of a range, or of the file from its start. */
export class PieceParts implements Parts {
  readonly bytes = undefined;
  readonly #layout: PieceLayout;
  readonly #firstWanted: PieceIndex;
  readonly #end: PieceIndex;
  #piece: PieceIndex;

  constructor({ layout, firstPiece, pieceCount, mode }: FetchRange) {
    this.#layout = layout;
    this.#firstWanted = firstPiece;
    this.#end = firstPiece + pieceCount;
    this.#piece = mode === "stream" ? 0 : firstPiece;
  }

  get length(): number {
    return this.#piece < this.#end ? this.#layout.length(this.#piece) : 0;
  }

  get piece(): PieceIndex | undefined {
    return this.#piece >= this.#firstWanted ? this.#piece : undefined;
  }

  next(): boolean {
    this.#piece++;
    return this.#piece < this.#end;
  }
}

/** A failure of `kind`; `retryAfterMs` is bounded (R-HTTP-09). */
export function fail(
  kind: OriginFailureKind,
  code: ErrorCode,
  details: string,
  retryAfterMs?: Millis,
): OriginFailure {
  const error = errorInfo(code, details);
  if (retryAfterMs === undefined) return { kind, error };
  return { kind, error, retryAfterMs: Math.min(retryAfterMs, LIMITS.retryAfterMsMax) };
}

/** What the trouble the server is in does to every request; `undefined` when it answers. */
export function troubleFailure(trouble: OriginTrouble | undefined): OriginFailure | undefined {
  if (trouble === undefined || trouble.kind === "silent") return undefined;
  if (trouble.kind === "down") {
    return fail("transient", "ERR_ORIGIN_UNREACHABLE", "connection refused");
  }
  return statusFailure(trouble.status, trouble.retryAfterMs);
}

/** The table of threat-model section 7.2 for answers without a body of ours. */
function statusFailure(status: number, retryAfterMs?: Millis): OriginFailure {
  const details = `status ${status}`;
  if (status >= 500 || status === 408 || status === 425 || status === 429) {
    return fail("transient", "ERR_ORIGIN_UNAVAILABLE", details, retryAfterMs);
  }
  if (status === 404 || status === 410) return fail("fatal", "ERR_ORIGIN_NOT_FOUND", details);
  return fail("fatal", "ERR_ORIGIN_REFUSED", details);
}

/** Why a server in order does not give what the command asks for; `undefined` when it does. */
export function answerFailure(
  command: Asking,
  file: OriginFile | undefined,
  hasRanges: boolean,
): OriginFailure | undefined {
  if (command.type === "fetchManifest") {
    if (file?.manifest === undefined)
      return fail("fatal", "ERR_MANIFEST_UNAVAILABLE", "status 404");
    if (file.manifest.length <= LIMITS.manifestBytesMax) return undefined;
    return fail("fatal", "ERR_MANIFEST_MALFORMED", "it is too long");
  }
  if (file === undefined) return statusFailure(404);
  if (command.type === "probeOrigin") return undefined;
  const { validator } = command;
  const isChanged =
    file.length !== command.layout.contentLength ||
    (validator?.etag !== undefined && validator.etag !== file.validator.etag) ||
    (validator?.lastModified !== undefined &&
      validator.lastModified !== file.validator.lastModified);
  if (isChanged) return fail("changed", "ERR_REMOTE_CHANGING", command.url);
  if (command.mode === "stream" || hasRanges) return undefined;
  return fail("rangeUnsupported", "ERR_ORIGIN_PROTOCOL", "the server ignores Range");
}

/**
 * What the simulated origin answers to a command: a failure by the table of threat-model section
 * 7.2, or the parts of a body. It has no notion of a job's own header fields, of redirects and of
 * TLS, and ignores what commands say about them. Pure; knows neither time nor links. Called by
 * `SimOrigin`.
 */
import { assert, errorInfo, LIMITS } from "@shoal/core";
import type {
  ErrorCode,
  Millis,
  OriginCommand,
  OriginEvent,
  OriginFailure,
  OriginFailureKind,
  PieceIndex,
  PieceLayout,
} from "@shoal/core";
import type { OriginFile, OriginTrouble } from "./sim-origin-server.ts";

/** Commands that become a request. */
export type Asking = Exclude<OriginCommand, { type: "cancelOrigin" | "setFlow" | "setPace" }>;
export type SimResponse = Extract<OriginEvent, { type: "originAnswered" }>["response"];
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

/** How the server answers: a failure, or with what was asked for; `status` where it answers at all. */
export interface SimAnswer {
  readonly status?: number;
  readonly failure?: OriginFailure;
}

/** What the server says to a command, in the trouble it is in; silence aside. */
export function answerTo(
  command: Asking,
  file: OriginFile | undefined,
  state: { readonly trouble: OriginTrouble | undefined; readonly hasRanges: boolean },
): SimAnswer {
  const { trouble, hasRanges } = state;
  if (trouble?.kind === "down") {
    return { failure: fail("transient", "ERR_ORIGIN_UNREACHABLE", "connection refused") };
  }
  if (trouble?.kind === "status") return refusal(trouble.status, trouble.retryAfterMs);
  if (command.type === "fetchManifest") return manifestAnswer(documentOf(command, file));
  if (file === undefined) return refusal(404);
  if (command.type === "fetchRange") return rangeAnswer(command, file, hasRanges);
  return { status: hasRanges ? 206 : 200 };
}

/** The bytes a `fetchManifest` asks for; those of a file that has none of its own are zeros. */
export function documentOf(
  { place }: Extract<OriginCommand, { type: "fetchManifest" }>,
  file: OriginFile | undefined,
): Uint8Array | undefined {
  if (place !== "exact" || file === undefined) return file?.manifest;
  return file.bytes ?? new Uint8Array(Math.min(file.length, LIMITS.manifestBytesMax + 1));
}

function manifestAnswer(bytes: Uint8Array | undefined): SimAnswer {
  if (bytes === undefined) return refusal(404, undefined, "ERR_MANIFEST_UNAVAILABLE");
  if (bytes.length <= LIMITS.manifestBytesMax) return { status: 200 };
  return { status: 200, failure: fail("fatal", "ERR_MANIFEST_MALFORMED", "it is too long") };
}

function rangeAnswer(command: FetchRange, file: OriginFile, hasRanges: boolean): SimAnswer {
  const { layout, remote, mode, url } = command;
  const isPart = mode === "range" && hasRanges;
  if (isChanged(command, file)) {
    // With an `If-Range` the server sends the whole of the new file.
    const status = isPart && command.validator?.etag === undefined ? 206 : 200;
    return { status, failure: fail("changed", "ERR_REMOTE_CHANGING", url) };
  }
  assert(remote === undefined || mode === "range", "parts of a remote file come by range");
  const end = (remote?.start ?? 0) + runLength(command);
  assert(end <= (remote?.length ?? layout.contentLength), "a run lies inside the file");
  if (isPart) return { status: 206 };
  if (mode === "stream") return { status: 200 };
  const failure = fail("rangeUnsupported", "ERR_ORIGIN_PROTOCOL", "the server ignores Range");
  return { status: 200, failure };
}

/** As the real adapter compares: by a strong ETag alone, else by `Last-Modified` (R-HTTP-11). */
function isChanged({ layout, remote, validator }: FetchRange, file: OriginFile): boolean {
  if (file.length !== (remote?.length ?? layout.contentLength)) return true;
  const { etag, lastModified } = file.validator;
  if (validator?.etag !== undefined) return validator.etag !== etag;
  return validator?.lastModified !== undefined && validator.lastModified !== lastModified;
}

function runLength({ layout, firstPiece, pieceCount }: FetchRange): number {
  return layout.end(firstPiece + pieceCount - 1) - layout.start(firstPiece);
}

/** The table of threat-model section 7.2 for answers without a body of ours. */
function refusal(
  status: number,
  retryAfterMs?: Millis,
  missing: ErrorCode = "ERR_ORIGIN_NOT_FOUND",
): SimAnswer {
  const { kind, error, ...rest } = statusFailure(status, retryAfterMs, missing);
  return { status, failure: { kind, error: { ...error, originStatus: status }, ...rest } };
}

function statusFailure(
  status: number,
  retryAfterMs: Millis | undefined,
  missing: ErrorCode,
): OriginFailure {
  const details = `status ${status}`;
  if (status < 300 || status >= 500 || status === 408 || status === 425 || status === 429) {
    return fail("transient", "ERR_ORIGIN_UNAVAILABLE", details, retryAfterMs);
  }
  if (status === 404 || status === 410) return fail("fatal", missing, details);
  return fail("fatal", "ERR_ORIGIN_REFUSED", details);
}

/** What a simulated origin's head looks like. Its address is one for documentation (RFC 5737). */
export function responseOf(url: string, status: number, file: OriginFile | undefined): SimResponse {
  const { etag, lastModified } = file?.validator ?? {};
  const lines = [`HTTP/1.1 ${status} simulated`];
  if (etag !== undefined) lines.push(`ETag: ${etag}`);
  if (lastModified !== undefined) lines.push(`Last-Modified: ${lastModified}`);
  const headers = lines.map((line) => `${line}\r\n`).join("");
  return { status, headers, url, address: "192.0.2.1" };
}

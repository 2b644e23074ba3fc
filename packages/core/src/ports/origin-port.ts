/**
 * The origin port: HTTP(S). The adapter interprets responses by the table of threat-model section
 * 7.2 into facts; what to do about them is decided in core.
 */
import type { PieceLayout } from "../content/layout.ts";
import type { ErrorInfo } from "../registry/errors.ts";
import type { BufferId, ByteOffset, Millis, PieceIndex, RequestId, TransferId } from "../units.ts";

/** What an origin says identifies the bytes behind a URL (R-HTTP-11). */
export interface Validator {
  /** Strong `ETag`, with its quotes. A weak one is not kept. */
  readonly etag?: string;
  /** `Last-Modified` as sent. */
  readonly lastModified?: string;
}

/** One line that differs whenever the remote file differs; `undefined` when the origin gives no hint. */
export function validatorKey(length: number, validator: Validator): string | undefined {
  const mark = validator.etag ?? validator.lastModified;
  return mark === undefined ? undefined : `${length} ${mark}`;
}

/** One header field to send: name and value. */
export type HeaderField = readonly [name: string, value: string];

/** What a TLS certificate may lack, where a job says so. */
export const TLS_TOLERANCES = ["unknownAuthority", "wrongUsage", "wrongName", "wrongDate"] as const;
export type TlsTolerance = (typeof TLS_TOLERANCES)[number];

/** How a job wants its origins to be asked; `checkOriginRequest` has passed it. */
export interface OriginRequestOptions {
  /** Sent to the origin of the file's URL only, never after a redirect to another. */
  readonly headers?: readonly HeaderField[];
  /** Sent in one further try after 401 or 407, under the same rule. */
  readonly challengeHeaders?: readonly HeaderField[];
  /** Follow redirects from https: to http:. Default false (R-HTTP-03). */
  readonly allowInsecureRedirect?: boolean;
  readonly tlsTolerance?: readonly TlsTolerance[];
  /** PEM text with a certificate and its key, or base64 of a PKCS #12 without a pass phrase. */
  readonly clientCertificate?: string;
}

/** What an origin answered last, as users may ask for it. */
export interface OriginResponse {
  readonly status: number;
  /** Status line and fields as received, lines ended by CR LF, at most `responseHeaderBytesMax`. */
  readonly headers: string;
  /** The URL that answered, after redirects. */
  readonly url: string;
  /** Address without port. */
  readonly address: string;
}

/** Why a request to an origin ended without all its bytes. */
export type OriginFailureKind =
  /** Connection refused, reset, name not found, TLS failed, body ended early, 408/425/429/5xx. */
  | "transient"
  /** Nothing came for too long. */
  | "timeout"
  /** 4xx other than the transient ones: this URL will not work. */
  | "fatal"
  /** The answer breaks HTTP or the range contract; the origin's ranges cannot be trusted. */
  | "rangeBroken"
  /** The server ignores `Range` and offers the file from its start. */
  | "rangeUnsupported"
  /** Validator or total length differ from the first answer. */
  | "changed";

export interface OriginFailure {
  readonly kind: OriginFailureKind;
  readonly error: ErrorInfo;
  /** The server's `Retry-After`, bounded (R-HTTP-09). */
  readonly retryAfterMs?: Millis;
}

export type OriginCommand =
  /** Learns total length and validator; `originProbed` or `originFailed`. */
  | {
      readonly type: "probeOrigin";
      readonly requestId: RequestId;
      readonly transferId: TransferId;
      readonly url: string;
      readonly request?: OriginRequestOptions;
    }
  /**
   * Fetches a manifest or piece-hash file (at most R-MAN-09 bytes): the sidecar of the file at
   * `url`, or with `place: "exact"` what lies at `url` itself. `manifestFetched` or `originFailed`.
   * Bytes are not parsed here.
   */
  | {
      readonly type: "fetchManifest";
      readonly requestId: RequestId;
      readonly transferId: TransferId;
      readonly url: string;
      readonly place: "sidecar" | "exact";
      readonly request?: OriginRequestOptions;
    }
  /**
   * Fetches pieces [firstPiece, firstPiece + pieceCount) as one range. Every whole piece is one
   * `rangePiece`; then `rangeFinished`, or `originFailed` after the pieces that did arrive.
   *
   * `mode: "stream"` asks for the whole file from byte 0 without a `Range` header, for servers that
   * have no ranges; pieces before `firstPiece` are read and dropped.
   */
  | {
      readonly type: "fetchRange";
      readonly requestId: RequestId;
      readonly transferId: TransferId;
      readonly url: string;
      readonly layout: PieceLayout;
      readonly firstPiece: PieceIndex;
      readonly pieceCount: number;
      readonly mode: "range" | "stream";
      /**
       * Where the pieces lie in a remote file that is not laid out like the content, because only
       * ranges of it are wanted: the first piece begins at `start`, the others follow it without a
       * gap, and the whole remote file has `length` bytes. Only with mode "range".
       */
      readonly remote?: { readonly start: ByteOffset; readonly length: number };
      readonly request?: OriginRequestOptions;
      /** What earlier answers said; sent as `If-Range`, and compared (R-HTTP-11). */
      readonly validator?: Validator;
      /** Use a new connection and `Cache-Control: no-cache`, after corrupt bytes (R-HTTP-14). */
      readonly fresh: boolean;
    }
  /**
   * Stops (`open: false`) or resumes reading bodies of all requests of this agent, because received
   * pieces wait for the disk. While stopped, at most one more piece per request is emitted, and
   * body timeouts do not run.
   */
  | { readonly type: "setFlow"; readonly open: boolean }
  /**
   * From now on the bodies of all requests of the transfer together are read no faster than this;
   * 0 is no limit, which every transfer begins with. Holds for later requests too, until 0 is said.
   * The requests take turns, and a body that waits for its turn is not slow: body timeouts do not run.
   */
  | {
      readonly type: "setPace";
      readonly transferId: TransferId;
      readonly rateBytesPerSec: number;
    }
  /** Ends a request early. No event about it follows. */
  | { readonly type: "cancelOrigin"; readonly requestId: RequestId };

export type OriginEvent =
  /** The head of a response, redirects left out. Comes before what it leads to. */
  | {
      readonly type: "originAnswered";
      readonly requestId: RequestId;
      readonly transferId: TransferId;
      readonly response: OriginResponse;
    }
  | {
      readonly type: "originProbed";
      readonly requestId: RequestId;
      readonly transferId: TransferId;
      /** Total length in bytes. */
      readonly length: number;
      readonly validator: Validator;
      readonly acceptsRanges: boolean;
      /** Of the whole file in lower-case hex, where the origin states it (`Repr-Digest`). */
      readonly sha256?: string;
    }
  | {
      readonly type: "manifestFetched";
      readonly requestId: RequestId;
      readonly transferId: TransferId;
      readonly bytes: Uint8Array;
      /** HTTPS from the first URL to the last redirect (trust level T4). */
      readonly overTls: boolean;
    }
  | {
      readonly type: "rangePiece";
      readonly requestId: RequestId;
      readonly transferId: TransferId;
      readonly piece: PieceIndex;
      readonly bufferId: BufferId;
    }
  /**
   * Bytes are arriving: at most twice a second and request, and only when some came since the last
   * such event. A run whose origin is silent is thereby told from one that is slow.
   */
  | {
      readonly type: "rangeProgress";
      readonly requestId: RequestId;
      readonly transferId: TransferId;
      /** Body bytes received so far for this request. */
      readonly receivedBytes: number;
    }
  | {
      readonly type: "rangeFinished";
      readonly requestId: RequestId;
      readonly transferId: TransferId;
      readonly validator: Validator;
    }
  | {
      readonly type: "originFailed";
      readonly requestId: RequestId;
      readonly transferId: TransferId;
      readonly failure: OriginFailure;
    };

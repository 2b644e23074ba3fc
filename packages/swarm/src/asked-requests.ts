/**
 * What we have asked of one peer and not yet got in full. Every request ends in one way only: its
 * last byte, a REFUSE, or the end of the link.
 *
 *   asked ──first slice──▶ receiving ──last byte──▶ done
 *     └──────────── cancel ──┴──▶ cancelled ──last byte or REFUSE──▶ done
 *
 * Bytes are copied once, from the network's buffer into one of the pool taken at the first slice.
 * The length is ours, from the manifest, never the peer's (R-PEER-15). Knows one peer's answers;
 * knows neither streams nor scheduling. Used by the link.
 */
import { assert, copyInto, LIMITS } from "@shoal/core";
import type { PieceBufferPool, PieceBytes, RefusalReason, RequestId } from "@shoal/core";
import { FrameError } from "./frames.ts";
import type { Refusal } from "./frames.ts";

/** A request that has all its bytes. Whoever gets it owns the payload. */
export type Completed =
  | { readonly kind: "piece"; readonly requestId: RequestId; readonly payload: PieceBytes }
  | { readonly kind: "manifest"; readonly requestId: RequestId; readonly bytes: Uint8Array };

export type AskedKind = "piece" | "manifest" | "announcement";

interface Asked {
  readonly requestId: RequestId;
  readonly kind: AskedKind;
  /** Bytes to come; a manifest's is unknown until its MANIFEST frame. */
  length: number | undefined;
  receivedBytes: number;
  /** Where a piece's bytes go. */
  buffer: PieceBytes | undefined;
  /** Where a manifest's bytes go: ordinary memory, because it is decoded as text too. */
  manifest: Uint8Array | undefined;
  isCancelled: boolean;
}

export class AskedRequests {
  readonly #pool: PieceBufferPool;
  /** By the number on the wire. */
  readonly #asked = new Map<number, Asked>();
  readonly #idByRequest = new Map<RequestId, number>();
  #lastId = 0;

  constructor(pool: PieceBufferPool) {
    this.#pool = pool;
  }

  /** A number for a new request; numbers only grow on one link. */
  add(requestId: RequestId, kind: AskedKind, length?: number): number {
    assert(!this.#idByRequest.has(requestId), `request ${requestId} is made once`);
    const id = ++this.#lastId;
    this.#idByRequest.set(requestId, id);
    this.#asked.set(id, {
      requestId,
      kind,
      length,
      receivedBytes: 0,
      buffer: undefined,
      manifest: undefined,
      isCancelled: false,
    });
    return id;
  }

  /** Bytes of manifests that have begun. */
  get manifestBytes(): number {
    let bytes = 0;
    for (const { manifest } of this.#asked.values()) bytes += manifest?.length ?? 0;
    return bytes;
  }

  /** Gives up a request; returns its number on the wire if it has not ended. */
  cancel(requestId: RequestId): number | undefined {
    const id = this.#idByRequest.get(requestId);
    const asked = id === undefined ? undefined : this.#asked.get(id);
    if (asked === undefined) return undefined;
    this.#idByRequest.delete(requestId);
    asked.isCancelled = true;
    dropBuffers(asked);
    return id;
  }

  /** The length of a manifest we asked for; all that have begun are bounded together (R-PEER-14). */
  manifestBegins(id: number, length: number): void {
    const asked = this.#find(id);
    if (asked.kind !== "manifest" || asked.length !== undefined) {
      throw new FrameError(`MANIFEST for request ${id}, which has a length`);
    }
    if (this.manifestBytes + length > LIMITS.manifestBytesMax) {
      throw new FrameError(`MANIFEST of ${length} bytes beside others`, "surplusBytes");
    }
    asked.length = length;
    if (!asked.isCancelled) asked.manifest = new Uint8Array(length);
  }

  /** The answer to a request for an announcement; returns the request if anybody still waits. */
  announced(id: number): RequestId | undefined {
    const asked = this.#find(id);
    if (asked.kind !== "announcement") throw new FrameError(`ANNOUNCEMENT for request ${id}`);
    this.#end(id, asked);
    return asked.isCancelled ? undefined : asked.requestId;
  }

  /** Some bytes of an answer, in order. Returns the request when they were its last. */
  receive(id: number, bytes: Uint8Array): Completed | undefined {
    const asked = this.#find(id);
    if (asked.length === undefined) throw new FrameError(`data before the MANIFEST of ${id}`);
    const end = asked.receivedBytes + bytes.length;
    if (end > asked.length) {
      throw new FrameError(`${end} bytes of ${asked.length} for ${id}`, "surplusBytes");
    }
    if (!asked.isCancelled) this.#keep(asked, asked.length, bytes);
    asked.receivedBytes = end;
    if (end < asked.length) return undefined;
    this.#end(id, asked);
    const { requestId, buffer, manifest } = asked;
    if (buffer !== undefined) return { kind: "piece", requestId, payload: buffer };
    if (manifest !== undefined) return { kind: "manifest", requestId, bytes: manifest };
    return undefined;
  }

  /** The peer will send no more. Returns what the refusal means, if anybody still waits. */
  refused(
    id: number,
    reason: Refusal,
  ): { requestId: RequestId; reason: RefusalReason } | undefined {
    const asked = this.#find(id);
    this.#end(id, asked);
    dropBuffers(asked);
    if (asked.isCancelled) return undefined;
    if (reason === "cancelled") throw new FrameError(`request ${id} was not cancelled`);
    return { requestId: asked.requestId, reason };
  }

  /** The link ends: every buffer goes back to its pool. */
  close(): void {
    for (const asked of this.#asked.values()) dropBuffers(asked);
    this.#asked.clear();
    this.#idByRequest.clear();
  }

  /** Whatever a peer sends under a number that is not open was not asked for. */
  #find(id: number): Asked {
    const asked = this.#asked.get(id);
    if (asked === undefined) throw new FrameError(`request ${id} is not open`, "surplusBytes");
    return asked;
  }

  #keep(asked: Asked, length: number, bytes: Uint8Array): void {
    if (asked.kind === "manifest") {
      asked.manifest?.set(bytes, asked.receivedBytes);
      return;
    }
    asked.buffer ??= this.#pool.take(length);
    copyInto(asked.buffer.bytes, asked.receivedBytes, bytes);
  }

  #end(id: number, asked: Asked): void {
    this.#asked.delete(id);
    if (!asked.isCancelled) this.#idByRequest.delete(asked.requestId);
  }
}

function dropBuffers(asked: Asked): void {
  asked.buffer?.release();
  asked.buffer = undefined;
  asked.manifest = undefined;
}

assert(LIMITS.manifestBytesMax < 2 ** 32, "a manifest's length fits into its frame");

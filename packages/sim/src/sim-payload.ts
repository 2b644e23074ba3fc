/**
 * Payloads without bytes: what a simulated piece is worth knowing. A simulated terabyte moves none.
 *
 * Knows which payloads are out and that each is released once. Called by the simulated adapters of
 * one agent, and by its engine as `PayloadOps`.
 */
import { assert } from "@shoal/core";
import type { PayloadOps, PieceIndex } from "@shoal/core";

export interface SimPayload {
  readonly byteLength: number;
  /** The piece whose bytes these claim to be. */
  readonly piece: PieceIndex;
  /** The bytes do not match the piece's digest. */
  readonly corrupt: boolean;
  /** Given back; must not be used any more. */
  released: boolean;
}

/** The payloads of one agent. */
export class SimPayloads implements PayloadOps<SimPayload> {
  #borrowed = 0;

  /** Payloads taken and not yet released; 0 when nothing leaks. */
  get borrowed(): number {
    return this.#borrowed;
  }

  /** A new payload. Whoever owns it calls `release` once. */
  take(piece: PieceIndex, byteLength: number, corrupt: boolean): SimPayload {
    this.#borrowed++;
    return { byteLength, piece, corrupt, released: false };
  }

  byteLength(payload: SimPayload): number {
    return payload.byteLength;
  }

  release(payload: SimPayload): void {
    assert(!payload.released, "a payload is released once");
    payload.released = true;
    this.#borrowed--;
  }
}

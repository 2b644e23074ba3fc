/**
 * The proof that both ends of a connection are of one group (R-GRP-03).
 *
 *   dialler   HELLO with nonce ──▶            listener
 *             ◀── HELLO with nonce, PROOF "listener"
 *             PROOF "dialler" ──▶             nothing else is accepted before it
 *
 * A proof is the HMAC-SHA-256, under a key derived from the group's, of who makes it, both peer ids
 * and both nonces. So it is worth nothing on another connection, for another peer, or when it is
 * sent back. Over TLS, which knows no group, the handshake ends with proofs of its own, each bound to
 * the handshake by what TLS exports of it. Knows bytes; the link and the handshake send them.
 */
import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import type { PeerId } from "@shoal/core";

/** Lengths of a nonce and of a proof in bytes. */
export const NONCE_LENGTH = 32;
export const PROOF_LENGTH = 32;

const CONTEXT = "shoal group proof 1";
const CHANNEL_CONTEXT = "shoal group channel 1";

export interface ProofEnds {
  readonly isDialler: boolean;
  readonly selfId: PeerId;
  readonly peerId: PeerId;
}

/** One connection's. */
export class GroupProof {
  /** Ours, for our HELLO. */
  readonly nonce: Uint8Array = new Uint8Array(randomBytes(NONCE_LENGTH));
  readonly #key: Uint8Array;
  readonly #ends: ProofEnds;
  #peerNonce: Uint8Array | undefined;

  constructor(proofKey: Uint8Array, ends: ProofEnds) {
    this.#key = proofKey;
    this.#ends = ends;
  }

  /** Takes the nonce of the peer's HELLO; false when there is none, or it is only ours again. */
  meet(peerNonce: Uint8Array | undefined): boolean {
    if (peerNonce === undefined || timingSafeEqual(peerNonce, this.nonce)) return false;
    this.#peerNonce = peerNonce;
    return true;
  }

  /** Our own proof; only after `meet`. */
  prove(): Uint8Array {
    return new Uint8Array(this.#digest(this.#ends.isDialler));
  }

  /** Whether `proof` is the peer's. */
  accepts(proof: Uint8Array): boolean {
    return (
      proof.length === PROOF_LENGTH && timingSafeEqual(proof, this.#digest(!this.#ends.isDialler))
    );
  }

  #digest(isDiallers: boolean): Buffer {
    const { isDialler, selfId, peerId } = this.#ends;
    const hmac = createHmac("sha256", this.#key);
    // Peer ids are base58 text, so a line's end separates them.
    hmac.update(`${CONTEXT}\n${isDiallers ? "dialler" : "listener"}\n`);
    hmac.update(isDialler ? `${selfId}\n${peerId}\n` : `${peerId}\n${selfId}\n`);
    const peerNonce = this.#peerNonce ?? new Uint8Array(0);
    hmac.update(isDialler ? this.nonce : peerNonce);
    hmac.update(isDialler ? peerNonce : this.nonce);
    return hmac.digest();
  }
}

/** What a member says at the end of a TLS handshake; `keying` is what TLS exports of it. */
export function channelProof(
  proofKey: Uint8Array,
  isDiallers: boolean,
  keying: Uint8Array,
): Uint8Array {
  const hmac = createHmac("sha256", proofKey);
  hmac.update(`${CHANNEL_CONTEXT}\n${isDiallers ? "dialler" : "listener"}\n`);
  return hmac.update(keying).digest();
}

/** Whether `proof` is the one that was expected. */
export function isChannelProof(proof: Uint8Array, expected: Uint8Array): boolean {
  return proof.length === PROOF_LENGTH && timingSafeEqual(proof, expected);
}

/**
 * What Noise sends after its handshake, sealed and opened by OpenSSL:
 *
 *   ┌────────────┬────────────────────────┬───────────────┐
 *   │ u16 length │ ciphertext             │ tag, 16 bytes │   length: of the ciphertext and the tag
 *   └────────────┴────────────────────────┴───────────────┘
 *
 * Each direction has a key of its own, and a frame's nonce is the number of frames before it. It is
 * counted here and nowhere else: no cipher is made without taking a number, and no number is taken
 * twice.
 *
 * Cost: a frame is one cipher and one memory block per part. libp2p's own code makes OpenSSL's key
 * anew for every frame, a tenth of its processor time as measured, and leaves the blocks to the
 * garbage collector, a third. Here there is one key per direction, and `giveBack` frees blocks.
 * Knows bytes. Used by Noise connections.
 */
import { createCipheriv, createDecipheriv, createSecretKey } from "node:crypto";
import type { CipherChaCha20Poly1305, DecipherChaCha20Poly1305, KeyObject } from "node:crypto";
import type { Uint8ArrayList } from "uint8arraylist";

const CIPHER = "chacha20-poly1305";
const TAG_LENGTH = 16;
const CIPHER_OPTIONS = { authTagLength: TAG_LENGTH };
const PREFIX_LENGTH = 2;
const PLAINTEXT_LENGTH_MAX = 65_535 - TAG_LENGTH;
const NONCE_LENGTH = 12;
/** libp2p's implementation takes no more under one key, though Noise would: 256 TiB in all. */
const FRAMES_MAX = 2 ** 32;

/** Counts one direction's frames. `framesBefore` is for tests. */
class FrameNonce {
  readonly #bytes = new Uint8Array(NONCE_LENGTH);
  readonly #view = new DataView(this.#bytes.buffer);
  #frames: number;

  constructor(framesBefore: number) {
    this.#frames = framesBefore;
  }

  /** Good until the next one. Throws when there is none. */
  next(): Uint8Array {
    if (this.#frames >= FRAMES_MAX)
      throw new Error("no numbers are left for frames under this key");
    this.#view.setUint32(4, this.#frames, true);
    this.#frames++;
    return this.#bytes;
  }
}

/** Of what we send. */
export class FrameSealer {
  readonly #key: KeyObject;
  readonly #nonce: FrameNonce;

  constructor(key: Uint8Array, framesBefore = 0) {
    this.#key = createSecretKey(key);
    this.#nonce = new FrameNonce(framesBefore);
  }

  /**
   * Whole frames, in parts to be written one after the other; `plaintext` may then be used again.
   * After it threw it must not be used.
   */
  seal(plaintext: Uint8ArrayList): Uint8Array[] {
    const parts: Uint8Array[] = [];
    let bytesLeft = plaintext.byteLength;
    let frameLeft = 0;
    let cipher: CipherChaCha20Poly1305 | undefined;
    for (const part of plaintext) {
      for (let at = 0; at < part.length;) {
        if (cipher === undefined) {
          frameLeft = Math.min(bytesLeft, PLAINTEXT_LENGTH_MAX);
          bytesLeft -= frameLeft;
          parts.push(prefixOf(frameLeft + TAG_LENGTH));
          cipher = createCipheriv(CIPHER, this.#key, this.#nonce.next(), CIPHER_OPTIONS);
        }
        const end = Math.min(part.length, at + frameLeft);
        parts.push(cipher.update(part.subarray(at, end)));
        frameLeft -= end - at;
        at = end;
        if (frameLeft > 0) continue;
        cipher.final();
        parts.push(cipher.getAuthTag());
        cipher = undefined;
      }
    }
    return parts;
  }
}

function prefixOf(length: number): Uint8Array {
  const prefix = Buffer.allocUnsafe(PREFIX_LENGTH);
  prefix.writeUInt16BE(length);
  return prefix;
}

/** Of what we receive. */
export class FrameOpener {
  readonly #key: KeyObject;
  readonly #nonce: FrameNonce;
  /** Of the frame that is coming: its length, byte by byte, and its tag. */
  #length = 0;
  #prefixLength = 0;
  readonly #tag = new Uint8Array(TAG_LENGTH);
  #tagLength = 0;
  #decipher: DecipherChaCha20Poly1305 | undefined;
  #bytesLeft = 0;
  /** Plaintext that nobody may see before the tag has been checked; at most a frame's. */
  #parts: Uint8Array[] = [];

  constructor(key: Uint8Array, framesBefore = 0) {
    this.#key = createSecretKey(key);
    this.#nonce = new FrameNonce(framesBefore);
  }

  /**
   * Yields the plaintext of every frame that has its end in `bytes`, in parts that belong to whoever
   * takes them; keeps nothing of `bytes`. After it threw, for a frame that the peer has not sealed
   * or not now, it must not be used.
   */
  *open(bytes: Uint8Array): Generator<readonly Uint8Array[]> {
    for (let at = 0; at < bytes.length;) {
      if (this.#decipher === undefined) {
        this.#takePrefix(bytes[at++]!);
      } else if (this.#bytesLeft > 0) {
        const end = Math.min(bytes.length, at + this.#bytesLeft);
        this.#parts.push(this.#decipher.update(bytes.subarray(at, end)));
        this.#bytesLeft -= end - at;
        at = end;
      } else {
        const end = Math.min(bytes.length, at + TAG_LENGTH - this.#tagLength);
        this.#tag.set(bytes.subarray(at, end), this.#tagLength);
        this.#tagLength += end - at;
        at = end;
        if (this.#tagLength === TAG_LENGTH) yield this.#finish(this.#decipher);
      }
    }
  }

  #takePrefix(byte: number): void {
    this.#length = (this.#length << 8) | byte;
    if (++this.#prefixLength < PREFIX_LENGTH) return;
    if (this.#length < TAG_LENGTH) throw new Error("the peer sent a frame that has no tag");
    this.#bytesLeft = this.#length - TAG_LENGTH;
    this.#length = 0;
    this.#prefixLength = 0;
    this.#decipher = createDecipheriv(CIPHER, this.#key, this.#nonce.next(), CIPHER_OPTIONS);
  }

  #finish(decipher: DecipherChaCha20Poly1305): readonly Uint8Array[] {
    decipher.setAuthTag(this.#tag);
    // Throws unless the tag is right.
    decipher.final();
    this.#decipher = undefined;
    this.#tagLength = 0;
    const parts = this.#parts;
    this.#parts = [];
    return parts;
  }
}

/**
 * Frees the memory of parts at once, so that the next cipher gets it again while it is in the
 * processor's cache. They and all views of them are empty from then on.
 */
export function giveBack(parts: readonly Uint8Array[]): void {
  for (const { buffer, byteLength } of parts) {
    // Not what shares its memory with others.
    if (buffer instanceof ArrayBuffer && buffer.byteLength === byteLength) buffer.transfer(0);
  }
}

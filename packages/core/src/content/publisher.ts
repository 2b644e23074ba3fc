/**
 * Publishers as a user names them: public keys in text, and how many of them must have signed.
 *
 *   ed25519:KEY                        one key, 32 bytes in 43 characters of base64url
 *   ed25519:OLD,ed25519:NEW            either of them
 *   2/ed25519:A,ed25519:B,ed25519:C    two of the three
 *
 * Knows no signatures and no manifests. Called at the edge, for options, and by whoever makes keys.
 */
import { PUBLIC_KEY_LENGTH, toBase64Url } from "../hash/ed25519.ts";
import { hex, sha256 } from "../hash/digest.ts";
import { LIMITS } from "../registry/limits.ts";

const PREFIX = "ed25519:";
const KEY = /^ed25519:([A-Za-z0-9_-]{43})$/;

export interface PublisherKey {
  /** SHA-256 of the public key in hex, so that two ids are always two keys (R-MAN-05). */
  readonly keyId: string;
  readonly publicKey: Uint8Array;
}

/** Whose word about a content is taken: keys of one owner, no two of them equal. */
export interface Publisher {
  readonly keys: readonly PublisherKey[];
  /** How many of the keys must have signed; from 1 to all of them. */
  readonly signaturesMin: number;
}

/** The name by which signatures refer to a public key: its SHA-256. */
export function keyIdOf(publicKey: Uint8Array): Uint8Array {
  return sha256(publicKey);
}

export function formatPublicKey(publicKey: Uint8Array): string {
  return PREFIX + toBase64Url(publicKey);
}

/** Reads a publisher's text; `undefined` when it is not one. */
export function parsePublisher(text: string): Publisher | undefined {
  const [, count = "1", list = ""] = /^(?:(\d{1,2})\/)?([^/]+)$/.exec(text) ?? [];
  const keys = list.split(",", LIMITS.keysPerPublisherMax + 1).map(parseKey);
  const found = keys.filter((key) => key !== undefined);
  const distinct = new Set(found.map(({ keyId }) => keyId));
  if (found.length !== keys.length || distinct.size !== keys.length) return undefined;
  const signaturesMin = Number(count);
  if (keys.length > LIMITS.keysPerPublisherMax) return undefined;
  if (signaturesMin < 1 || signaturesMin > keys.length) return undefined;
  return { keys: found, signaturesMin };
}

function parseKey(text: string): PublisherKey | undefined {
  const digits = KEY.exec(text)?.[1];
  if (digits === undefined) return undefined;
  const binary = atob(digits.replaceAll("-", "+").replaceAll("_", "/"));
  const publicKey = Uint8Array.from(binary, (character) => character.charCodeAt(0));
  const isCanonical = toBase64Url(publicKey) === digits;
  if (publicKey.length !== PUBLIC_KEY_LENGTH || !isCanonical) return undefined;
  return { keyId: hex(keyIdOf(publicKey)), publicKey };
}

/**
 * Files of signing keys: Ed25519 private keys as PEM (PKCS #8), for their owner's eyes alone.
 */
import { createPrivateKey, createPublicKey, generateKeyPairSync } from "node:crypto";
import type { KeyObject } from "node:crypto";
import { resolve } from "node:path";
import { ShoalError } from "@shoal/core";
import { createSecretFile, readSecretFile } from "../secret-file.ts";

/** A private key, and the 32 bytes of its public key. */
export interface SigningKey {
  readonly privateKey: KeyObject;
  readonly publicKey: Uint8Array;
}

/**
 * Makes a key and stores it durably in `file`, which must not exist. Rejects with
 * `ERR_DESTINATION_EXISTS` or `ERR_KEY_INVALID`.
 */
export async function generateKeyFile(file: string): Promise<SigningKey> {
  const path = resolve(file);
  const { privateKey } = generateKeyPairSync("ed25519");
  const pem = privateKey.export({ type: "pkcs8", format: "pem" }).toString();
  await createSecretFile(path, pem);
  return signingKey(privateKey);
}

/** Reads a key. Rejects with `ERR_KEY_INVALID`, also when others may read the file. */
export async function readKeyFile(file: string): Promise<SigningKey> {
  const path = resolve(file);
  const pem = await readSecretFile(path);
  return signingKey(parsePem(pem, path));
}

function parsePem(pem: string, path: string): KeyObject {
  try {
    const key = createPrivateKey(pem);
    if (key.asymmetricKeyType === "ed25519") return key;
  } catch {
    // Said below, without the parser's words: they may quote the file.
  }
  throw new ShoalError("ERR_KEY_INVALID", `${path} holds no Ed25519 key`);
}

function signingKey(privateKey: KeyObject): SigningKey {
  const { x = "" } = createPublicKey(privateKey).export({ format: "jwk" });
  return { privateKey, publicKey: new Uint8Array(Buffer.from(x, "base64url")) };
}

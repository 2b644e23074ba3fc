/**
 * Files of signing keys: Ed25519 private keys as PEM (PKCS #8), for their owner's eyes alone
 * (R-DB-07). Such a file is made once, whole or not at all, and never replaced.
 */
import { createPrivateKey, createPublicKey, generateKeyPairSync, randomUUID } from "node:crypto";
import type { KeyObject } from "node:crypto";
import { constants } from "node:fs";
import { link, open, unlink } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { ShoalError } from "@shoal/core";

/** A key's PEM is 119 bytes; anything much longer is none. */
const KEY_FILE_BYTES_MAX = 1_024;
const OTHERS = 0o077;

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
  const pem = privateKey.export({ type: "pkcs8", format: "pem" });
  const temporary = `${path}.${randomUUID()}.tmp`;
  try {
    await using made = await open(temporary, "wx", 0o600);
    try {
      await made.writeFile(pem);
      await made.sync();
      // Unlike a rename, a link takes nobody's place.
      await link(temporary, path);
    } finally {
      await unlink(temporary);
    }
    await using directory = await open(dirname(path), constants.O_RDONLY);
    await directory.sync();
  } catch (cause) {
    const isThere = cause instanceof Error && "code" in cause && cause.code === "EEXIST";
    if (isThere) throw new ShoalError("ERR_DESTINATION_EXISTS", path, { cause });
    throw new ShoalError("ERR_KEY_INVALID", `${path} cannot be written`, { cause });
  }
  return signingKey(privateKey);
}

/** Reads a key. Rejects with `ERR_KEY_INVALID`, also when others may read the file. */
export async function readKeyFile(file: string): Promise<SigningKey> {
  const path = resolve(file);
  let pem: string;
  try {
    // A FIFO in the key's place must not make anybody wait.
    await using handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const { mode, size } = await handle.stat();
    if ((mode & constants.S_IFMT) !== constants.S_IFREG || size > KEY_FILE_BYTES_MAX) {
      throw new ShoalError("ERR_KEY_INVALID", `${path} is no key file`);
    }
    if ((mode & OTHERS) !== 0) {
      throw new ShoalError("ERR_KEY_INVALID", `others may read ${path}: chmod 600 it`);
    }
    pem = await handle.readFile("utf8");
  } catch (cause) {
    if (cause instanceof ShoalError) throw cause;
    throw new ShoalError("ERR_KEY_INVALID", `${path} cannot be read`, { cause });
  }
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

/**
 * Files of group keys: one line of text with 32 random bytes, the same file on every member. What
 * is in them is never logged and never in an error (R-GRP-02). Used by `startAgent` and by
 * `shoal group create`.
 */
import { randomBytes } from "node:crypto";
import { LIMITS, ShoalError } from "@shoal/core";
import { createSecretFile, readSecretFile } from "./secret-file.ts";

const LINE = /^shoal-group-1:([\w-]{43})\n?$/;
const KEY_LENGTH = 32;

/**
 * Makes a group's key and stores it in `file`, which must not exist. Rejects with
 * `ERR_DESTINATION_EXISTS` or `ERR_KEY_INVALID`.
 */
export async function createGroupKeyFile(file: string): Promise<void> {
  await createSecretFile(file, `shoal-group-1:${randomBytes(KEY_LENGTH).toString("base64url")}\n`);
}

/**
 * The keys in `files`, in their order: the current one, then the previous one. Rejects with
 * `ERR_KEY_INVALID`, also when others may read a file or there are more than two.
 */
export async function readGroupKeys(files: readonly string[]): Promise<Uint8Array[]> {
  if (files.length > LIMITS.groupKeysMax) {
    throw new ShoalError("ERR_KEY_INVALID", `${files.length} group keys; two at most`);
  }
  return await Promise.all(files.map(readGroupKey));
}

async function readGroupKey(file: string): Promise<Uint8Array> {
  const encoded = LINE.exec(await readSecretFile(file))?.[1];
  if (encoded === undefined) throw new ShoalError("ERR_KEY_INVALID", `${file} holds no group key`);
  return new Uint8Array(Buffer.from(encoded, "base64url"));
}

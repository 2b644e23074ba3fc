/**
 * Files of keys, for their owner's eyes alone (R-DB-07, R-GRP-02). Such a file is made once, whole
 * or not at all, and never replaced. Knows files, not keys. Used by what reads and makes keys.
 */
import { randomUUID } from "node:crypto";
import { constants } from "node:fs";
import { link, open, unlink } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { ShoalError } from "@shoal/core";

/** The longest key as text is 119 bytes; anything much longer is none. */
const SECRET_FILE_BYTES_MAX = 1_024;
const OTHERS = 0o077;

/**
 * Stores `text` durably in `file`, which must not exist. Rejects with `ERR_DESTINATION_EXISTS` or
 * `ERR_KEY_INVALID`.
 */
export async function createSecretFile(file: string, text: string): Promise<void> {
  const path = resolve(file);
  const temporary = `${path}.${randomUUID()}.tmp`;
  try {
    await using made = await open(temporary, "wx", 0o600);
    try {
      await made.writeFile(text);
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
}

/** The file's text. Rejects with `ERR_KEY_INVALID`, also when others may read the file. */
export async function readSecretFile(file: string): Promise<string> {
  const path = resolve(file);
  try {
    // A FIFO in the key's place must not make anybody wait.
    await using handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const { mode, size } = await handle.stat();
    if ((mode & constants.S_IFMT) !== constants.S_IFREG || size > SECRET_FILE_BYTES_MAX) {
      throw new ShoalError("ERR_KEY_INVALID", `${path} is no key file`);
    }
    if ((mode & OTHERS) !== 0) {
      throw new ShoalError("ERR_KEY_INVALID", `others may read ${path}: chmod 600 it`);
    }
    return await handle.readFile("utf8");
  } catch (cause) {
    if (cause instanceof ShoalError) throw cause;
    throw new ShoalError("ERR_KEY_INVALID", `${path} cannot be read`, { cause });
  }
}

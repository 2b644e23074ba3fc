/**
 * The agent's identity: an Ed25519 key in a file of its own, 0600 (R-DB-07, R-PEER-30). A missing
 * or damaged file is replaced by a new key; peers then see a new agent, and nothing else is lost.
 */
import { randomUUID } from "node:crypto";
import { constants, existsSync } from "node:fs";
import { open, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { generateKeyPair, privateKeyFromProtobuf, privateKeyToProtobuf } from "@libp2p/crypto/keys";
import type { Ed25519PrivateKey } from "@libp2p/interface";
import { ShoalError } from "@shoal/core";
import type { PeerId } from "@shoal/core";
import { parsePeerId } from "./address-rules.ts";

/** Proves who an agent is. Made by `loadIdentity` or `createIdentity`; opaque to callers. */
export type PrivateKey = Ed25519PrivateKey;

/** A key file is 68 bytes; anything much longer is not one. */
const KEY_FILE_BYTES_MAX = 1_024;

/** A new identity that is stored nowhere. */
export function createIdentity(): Promise<PrivateKey> {
  return generateKeyPair("Ed25519");
}

/**
 * Reads the identity in `file`, or makes a new one and stores it there durably. `onDamaged` hears
 * when that takes the place of a file that is no identity. Rejects with `ERR_STATE_UNUSABLE` when
 * the file can be neither used nor replaced.
 */
export async function loadIdentity(file: string, onDamaged = () => {}): Promise<PrivateKey> {
  try {
    const found = await readKey(file);
    if (found !== undefined) return found;
    if (existsSync(file)) onDamaged();
    const key = await createIdentity();
    await replaceFile(file, privateKeyToProtobuf(key));
    return key;
  } catch (cause) {
    throw new ShoalError("ERR_STATE_UNUSABLE", `cannot store the identity in ${file}`, { cause });
  }
}

/** What a file of an identity is worth, without changing it. */
export type IdentityState =
  | { readonly state: "missing" | "unreadable" | "damaged" }
  /** `mode`: the file's permissions. */
  | { readonly state: "sound"; readonly peerId: PeerId; readonly mode: number };

/** Looks at the identity in `file`, for those who ask whether it is well. Never rejects. */
export async function inspectIdentity(file: string): Promise<IdentityState> {
  try {
    await using handle = await open(file, constants.O_RDONLY | constants.O_NOFOLLOW | NONBLOCK);
    const stat = await handle.stat();
    if (!stat.isFile() || stat.size > KEY_FILE_BYTES_MAX) return { state: "damaged" };
    const peerId = peerIdOf(await handle.readFile());
    if (peerId === undefined) return { state: "damaged" };
    return { state: "sound", peerId, mode: stat.mode & 0o777 };
  } catch (error) {
    const isMissing = error instanceof Error && "code" in error && error.code === "ENOENT";
    return { state: isMissing ? "missing" : "unreadable" };
  }
}

function peerIdOf(bytes: Uint8Array): PeerId | undefined {
  try {
    const key = privateKeyFromProtobuf(bytes);
    return key.type === "Ed25519" ? parsePeerId(key.publicKey.toString()) : undefined;
  } catch {
    return undefined;
  }
}

/** The key in `file`, `undefined` when there is none that can be used. Mends the file's mode. */
async function readKey(file: string): Promise<PrivateKey | undefined> {
  try {
    await using handle = await open(file, constants.O_RDONLY | constants.O_NOFOLLOW | NONBLOCK);
    const stat = await handle.stat();
    if (!stat.isFile() || stat.size > KEY_FILE_BYTES_MAX) return undefined;
    const key = privateKeyFromProtobuf(await handle.readFile());
    if (key.type !== "Ed25519") return undefined;
    if ((stat.mode & 0o077) !== 0) await handle.chmod(0o600);
    return key;
  } catch {
    // Missing, unreadable or damaged: in each case a new key is made, and storing it says whether
    // the directory can be used.
    return undefined;
  }
}

/** A FIFO in the key's place must not make the agent wait. */
const NONBLOCK = constants.O_NONBLOCK;

async function replaceFile(file: string, bytes: Uint8Array): Promise<void> {
  const directory = dirname(file);
  const temporary = `${file}.${randomUUID()}.tmp`;
  try {
    {
      await using handle = await open(temporary, "wx", 0o600);
      await handle.writeFile(bytes);
      await handle.sync();
    }
    await rename(temporary, file);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
  await using handle = await open(directory, constants.O_RDONLY);
  await handle.sync();
}

/**
 * The file that a client named, under its final name from the start: made when the download starts,
 * and only if there is none, then nothing but appended to. What it holds at a pause is what the
 * download says it has (agent REST reference, sections 8 and 10).
 *
 * Knows one path. Throws the system's errors as HRESULTs. Made by `RestDownload`.
 */
import { constants } from "node:fs";
import { lstat, open, readlink, realpath, unlink } from "node:fs/promises";
import type { FileHandle } from "node:fs/promises";
import { constants as osConstants } from "node:os";
import { basename, dirname, isAbsolute, join, sep } from "node:path";
import { hresultOfErrno, HRESULTS } from "@shoal/core";
import { HResultError } from "@shoal/jobs/compat";
import { systemError } from "./hresults.ts";

const { O_APPEND, O_CREAT, O_DIRECTORY, O_EXCL, O_NOFOLLOW, O_NONBLOCK, O_RDONLY, O_WRONLY } =
  constants;
/** As the kernel has it on every architecture that Node runs on; Node has no name for it. */
const O_PATH_LINUX = 0o10000000;
const { EISDIR } = osConstants.errno;
/** Less the umask. */
const FILE_MODE = 0o664;

interface Identity {
  readonly dev: bigint;
  readonly ino: bigint;
}

export class DestinationFile {
  readonly path: string;
  readonly #identity: Identity;
  #handle: FileHandle | undefined;
  #length = 0;
  /** What prevented the latest append. */
  failure: HResultError | undefined;

  private constructor(path: string, handle: FileHandle, identity: Identity) {
    this.path = path;
    this.#handle = handle;
    this.#identity = identity;
  }

  /** Neither in nor in place of what is `reserved`, which is the agent's own (R-FS-03). */
  static async create(path: string, reserved: readonly string[]): Promise<DestinationFile> {
    if (path.includes("\0")) throw HResultError.of("E_INVALIDARG", "the path holds a zero");
    // The agent is in no directory that its callers know.
    if (!isAbsolute(path)) throw HResultError.of("ENOENT", "the path is not absolute");
    if (path.endsWith("/")) throw new HResultError(hresultOfErrno(EISDIR), "it is a directory");
    return await translated(async () => {
      await using directory = await holdDirectory(dirname(path));
      const place = join(directory.realPath, basename(path));
      if (reserved.some((own) => isInside(place, own))) throw HResultError.of("EACCES");
      const flags = O_CREAT | O_EXCL | O_WRONLY | O_APPEND | O_NOFOLLOW;
      const handle = await open(join(directory.path, basename(path)), flags, FILE_MODE);
      const { dev, ino } = await handle.stat({ bigint: true });
      return new DestinationFile(path, handle, { dev, ino });
    });
  }

  /** Bytes appended so far. */
  get length(): number {
    return this.#length;
  }

  /** Either all bytes are in the file, or it is as it was before. */
  async append(bytes: Uint8Array): Promise<void> {
    const handle = this.#handle;
    if (handle === undefined) throw HResultError.of("E_UNEXPECTED", "the file is closed");
    try {
      for (let at = 0; at < bytes.length;) {
        at += (await handle.write(bytes, at, bytes.length - at)).bytesWritten;
      }
      this.#length += bytes.length;
    } catch (error) {
      this.failure = systemError(error) ?? HResultError.of("ERROR_BAD_LENGTH");
      await handle.truncate(this.#length).catch(() => {});
      throw this.failure;
    }
  }

  /** Opens it again: ENOENT when it is gone, EEXIST when another file has its name. */
  async reopen(): Promise<void> {
    this.failure = undefined;
    if (this.#handle !== undefined) return;
    await translated(async () => {
      const flags = O_WRONLY | O_APPEND | O_NOFOLLOW | O_NONBLOCK;
      const handle = await open(this.path, flags);
      const { dev, ino, size } = await handle.stat({ bigint: true });
      if (!this.#isSame({ dev, ino })) {
        await handle.close();
        throw HResultError.of("EEXIST", "another file has its name");
      }
      this.#handle = handle;
      if (size !== BigInt(this.#length)) await this.clear();
    });
  }

  /** The download begins anew. */
  async clear(): Promise<void> {
    await translated(async () => {
      await this.#handle?.truncate(0);
      this.#length = 0;
    });
  }

  /** What was appended survives a loss of power; of a file that is gone or moved nothing need. */
  async sync(): Promise<void> {
    const flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK;
    const handle = await open(this.path, flags).catch(() => undefined);
    if (handle === undefined) return;
    await using file = handle;
    await translated(async () => {
      if (this.#isSame(await file.stat({ bigint: true }))) await file.datasync();
    });
  }

  /** Errors may come up only now (R-FS-08). */
  async close(): Promise<void> {
    const handle = this.#handle;
    this.#handle = undefined;
    await translated(async () => await handle?.close());
  }

  /** Closes it, and removes it if it is still the one that was made; failures are nobody's concern. */
  async remove(): Promise<void> {
    await this.close().catch(() => {});
    try {
      // The names on the way may be anybody's, and lead elsewhere by now (R-FS-04).
      await using directory = await holdDirectory(dirname(this.path));
      const path = join(directory.path, basename(this.path));
      if (this.#isSame(await lstat(path, { bigint: true }))) await unlink(path);
    } catch {
      // It is gone, or stays.
    }
  }

  #isSame({ dev, ino }: Identity): boolean {
    return dev === this.#identity.dev && ino === this.#identity.ino;
  }
}

interface HeldDirectory extends AsyncDisposable {
  /** Leads there whatever happens to the names on the way (R-FS-04). */
  readonly path: string;
  /** Without links. */
  readonly realPath: string;
}

/** Elsewhere than on Linux the names are trusted. */
async function holdDirectory(path: string): Promise<HeldDirectory> {
  if (process.platform !== "linux") {
    const realPath = await realpath(path);
    return { path: realPath, realPath, [Symbol.asyncDispose]: () => Promise.resolve() };
  }
  // Neither read nor written through: whoever may make files in it may hold it.
  const handle = await open(path, O_PATH_LINUX | O_DIRECTORY);
  const held = `/proc/self/fd/${handle.fd}`;
  const close = (): Promise<void> => handle.close();
  return { path: held, realPath: await readlink(held), [Symbol.asyncDispose]: close };
}

function isInside(path: string, other: string): boolean {
  return path === other || path.startsWith(other.endsWith(sep) ? other : other + sep);
}

async function translated<Result>(action: () => Promise<Result>): Promise<Result> {
  try {
    return await action();
  } catch (error) {
    if (error instanceof HResultError) throw error;
    throw systemError(error) ?? new HResultError(HRESULTS.E_UNEXPECTED, String(error));
  }
}

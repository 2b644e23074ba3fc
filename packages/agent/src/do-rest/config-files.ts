/**
 * The two configuration files of the reference agent: the administrator's and the one that the SDK
 * writes. A value that is looked up is read again when the last reading is a minute old; a file that
 * is gone has no values, and one that cannot be understood leaves those it had (agent REST
 * reference, section 11).
 *
 * Knows keys and values; what follows from them is for whoever looks. Made by `startDoRest`.
 */
import { mkdir, open, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { isCacheHost, LIMITS } from "@shoal/core";
import type { Millis } from "@shoal/core";

export const ADMIN_FILE = "admin-config.json";
export const SDK_FILE = "sdk-config.json";

/** Cache servers to be asked before the origin, in place of the agent's own. */
export interface CacheServers {
  readonly hosts: readonly string[];
  /** How long a download stays with them; absent: as the agent's settings say. `Infinity`: for ever. */
  readonly fallbackMs?: Millis;
}

export interface ConfigFilesOptions {
  readonly directory: string;
  /** Until what was read is looked at anew. */
  readonly refreshMs: Millis;
  /** Monotonic. */
  readonly now: () => Millis;
}

/** "Never" in the administrator's file. */
const NEVER = -1;

export class ConfigFiles {
  readonly #admin: ConfigFile;
  readonly #sdk: ConfigFile;

  constructor(options: ConfigFilesOptions) {
    this.#admin = new ConfigFile(ADMIN_FILE, options);
    this.#sdk = new ConfigFile(SDK_FILE, options);
  }

  /** Whether callers must have an address of this machine's loopback network. Default: yes. */
  async validatesRemoteAddress(): Promise<boolean> {
    return booleanOf(await this.#admin.value("RestControllerValidateRemoteAddr")) ?? true;
  }

  /** `undefined` where the files name none. An empty name of the administrator's allows none. */
  async cacheServers(): Promise<CacheServers | undefined> {
    const named = await this.#admin.value("DOCacheHost");
    const gateway = gatewayOf(await this.#sdk.value("ADUC_IoTConnectionString"));
    const text = typeof named === "string" ? named : gateway;
    if (text === undefined) return undefined;
    const hosts = text.split(",").map((host) => host.trim());
    const delaySec =
      numberOf(await this.#admin.value("DODelayCacheServerFallbackBackground")) ??
      numberOf(await this.#admin.value("DODelayCacheServerFallbackForeground"));
    return {
      hosts: hosts.filter(isCacheHost).slice(0, LIMITS.cacheHostsMax),
      ...(delaySec !== undefined && { fallbackMs: fallbackMsOf(delaySec) }),
    };
  }

  /** What is looked up next is read anew. */
  reload(): void {
    this.#admin.forget();
    this.#sdk.forget();
  }
}

/** Makes the directory and an empty file for the administrator where there is none. */
export async function prepareConfigDirectory(directory: string): Promise<void> {
  await mkdir(directory, { recursive: true, mode: 0o775 });
  await writeFile(join(directory, ADMIN_FILE), "{}\n", { flag: "wx", mode: 0o644 }).catch(
    (error: unknown) => {
      if (codeOf(error) !== "EEXIST") throw error;
    },
  );
}

/** One file: an object of texts, numbers and booleans. */
class ConfigFile {
  readonly #path: string;
  readonly #options: ConfigFilesOptions;
  #readAt: Millis = -Infinity;
  #values: ReadonlyMap<string, unknown> = new Map();
  #reading: Promise<void> | undefined;

  constructor(name: string, options: ConfigFilesOptions) {
    this.#path = join(options.directory, name);
    this.#options = options;
  }

  async value(key: string): Promise<unknown> {
    if (this.#options.now() - this.#readAt >= this.#options.refreshMs) {
      this.#reading ??= this.#read().finally(() => (this.#reading = undefined));
    }
    await this.#reading;
    return this.#values.get(key);
  }

  forget(): void {
    this.#readAt = -Infinity;
  }

  async #read(): Promise<void> {
    this.#readAt = this.#options.now();
    try {
      const parsed: unknown = JSON.parse(await readSmall(this.#path));
      if (isObject(parsed)) this.#values = new Map(Object.entries(parsed));
    } catch (error) {
      if (codeOf(error) === "ENOENT") this.#values = new Map();
    }
  }
}

/** Throws for what is no file, or too long for one of these. */
async function readSmall(path: string): Promise<string> {
  await using file = await open(path, "r");
  const stats = await file.stat();
  if (!stats.isFile() || stats.size > LIMITS.doRestConfigBytesMax) throw new Error("not a file");
  return await readFile(file, "utf8");
}

/** The host after `GatewayHostName=`, in an IoT connection string. */
function gatewayOf(value: unknown): string | undefined {
  if (typeof value !== "string") return undefined;
  return /GatewayHostName=([^;]*)/i.exec(value)?.[1];
}

function booleanOf(value: unknown): boolean | undefined {
  if (value === true || value === "true" || value === 1 || value === "1") return true;
  return value === false || value === "false" || value === 0 || value === "0" ? false : undefined;
}

function numberOf(value: unknown): number | undefined {
  const text = typeof value === "number" || typeof value === "string" ? String(value) : "";
  return /^-?[0-9]{1,10}$/.test(text) ? Number(text) : undefined;
}

function fallbackMsOf(delaySec: number): Millis {
  return delaySec === NEVER ? Infinity : Math.max(delaySec, 0) * 1_000;
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && "code" in error ? error.code : undefined;
}

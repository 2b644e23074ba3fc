/**
 * The token of the API's TCP port: its file, its comparison, and the proof by which a caller knows
 * that the agent has it too before the token is sent (R-API-02, R-API-10, R-API-11).
 *
 * Knows one token. Called by the request guard; the proof is checked by `@shoal/jobs`' client.
 */
import { createHmac, hash, randomBytes, timingSafeEqual } from "node:crypto";
import { lstat, readFile, rename, unlink, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { LIMITS, ShoalError } from "@shoal/core";
import { createSecretFile, readSecretFile } from "../secret-file.ts";
import { preparePrivateDirectory } from "./listen-place.ts";

const TOKEN_PATTERN = /^[0-9a-f]{64}$/;
const MINUTE_MS = 60_000;

/** The token in the file, which is made where there is none. `ERR_KEY_INVALID`. */
export async function openToken(path: string): Promise<string> {
  await preparePrivateDirectory(dirname(path), { isGroupAllowed: true });
  const isThere = await lstat(path).then(
    () => true,
    () => false,
  );
  if (!isThere) await createSecretFile(path, `${randomBytes(32).toString("hex")}\n`);
  const token = (await readSecretFile(path)).trim();
  if (!TOKEN_PATTERN.test(token)) throw new ShoalError("ERR_KEY_INVALID", `${path} holds no token`);
  return token;
}

/** What the agent answers to a caller's nonce: only who has the token can tell. */
export function proofOf(token: string, nonce: string, port: number): string {
  return createHmac("sha256", token).update(`server${nonce}${port}`).digest("hex");
}

/** Says yes to the right token always, and to others with growing impatience. */
export class TokenGate {
  readonly #digest: Buffer;
  readonly #now: () => number;
  #failureCount = 0;
  #countedSince = -Infinity;
  #lockedUntil = -Infinity;

  constructor(token: string, now: () => number = () => performance.now()) {
    this.#digest = hash("sha256", token, "buffer");
    this.#now = now;
  }

  /** `undefined`: it is the agent's. */
  check(
    authorization: string | undefined,
  ): "ERR_TOKEN_REFUSED" | "ERR_TOO_MANY_REQUESTS" | undefined {
    const [, token = ""] = /^Bearer ([0-9a-f]{64})$/.exec(authorization ?? "") ?? [];
    // Digests are of one length, and say nothing of how much of the token was right.
    if (timingSafeEqual(hash("sha256", token, "buffer"), this.#digest)) return undefined;
    return this.#fail() ? "ERR_TOO_MANY_REQUESTS" : "ERR_TOKEN_REFUSED";
  }

  /** True when there have been too many. */
  #fail(): boolean {
    const now = this.#now();
    if (now < this.#lockedUntil) return true;
    if (now - this.#countedSince >= MINUTE_MS) {
      this.#countedSince = now;
      this.#failureCount = 0;
    }
    this.#failureCount++;
    if (this.#failureCount <= LIMITS.tokenFailuresPerMinMax) return false;
    this.#lockedUntil = now + LIMITS.tokenLockoutMs;
    this.#failureCount = 0;
    this.#countedSince = this.#lockedUntil;
    return true;
  }
}

/** Who listens where (R-API-12). */
export interface PortFacts {
  readonly pid: number;
  readonly port: number;
  readonly startedAt: number;
  readonly instanceId: string;
}

/** Writes the file whole or not at all; the returned function removes it, if it is still ours. */
export async function writePortFile(path: string, facts: PortFacts): Promise<() => Promise<void>> {
  const text = `${JSON.stringify(facts)}\n`;
  const temporary = `${path}.${facts.instanceId}.tmp`;
  try {
    await writeFile(temporary, text, { mode: 0o600, flag: "wx" });
    await rename(temporary, path);
  } catch (error) {
    // Of a full disk nothing must stay behind that makes it fuller at each start.
    await unlink(temporary).catch(() => {});
    throw error;
  }
  return async () => {
    const found = await readFile(path, "utf8").catch(() => undefined);
    if (found === text) await unlink(path);
  };
}

/** What `shoal publish` signs with, and for how long: its options as values. */
import { hex, LIMITS, ShoalError } from "@shoal/core";
import { readKeyFile } from "./key-file.ts";
import type { SigningKey } from "./key-file.ts";

const VALID_DAYS = 365;
const DAY_SEC = 86_400;

export interface Validity {
  readonly sequence: number;
  readonly issuedAtSec: number;
  readonly expiresAtSec: number;
}

/** From now on, for a year unless it is said otherwise; the number is the time by default. */
export function validityOf(options: {
  readonly sequence?: number;
  readonly validDays?: number;
}): Validity {
  const issuedAtSec = Math.floor(Date.now() / 1_000);
  const { sequence = issuedAtSec, validDays = VALID_DAYS } = options;
  return { sequence, issuedAtSec, expiresAtSec: issuedAtSec + validDays * DAY_SEC };
}

/** Rejects with `ERR_KEY_INVALID`. */
export async function readKeys(files: readonly string[]): Promise<SigningKey[]> {
  const keys: SigningKey[] = [];
  for (const file of files) keys.push(await readKeyFile(file));
  const distinct = new Set(keys.map(({ publicKey }) => hex(publicKey)));
  if (distinct.size < keys.length) throw new ShoalError("ERR_KEY_INVALID", "it is named twice");
  if (keys.length > LIMITS.keysPerPublisherMax) {
    throw new ShoalError("ERR_KEY_INVALID", `${keys.length} keys`);
  }
  return keys;
}

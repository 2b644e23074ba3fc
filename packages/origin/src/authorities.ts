/**
 * Certificates of authorities that are trusted beside the usual ones: the way to a private
 * authority, as nothing turns verification off (R-HTTP-02). A file is read once, when an agent
 * starts, and refused whole when any part of it is no certificate: half a trust is a puzzle later.
 */
import { X509Certificate } from "node:crypto";
import { readFile, stat } from "node:fs/promises";
import { MiB, ShoalError } from "@shoal/core";

/** Far more than all public authorities together. */
const CA_FILE_BYTES_MAX = 4 * MiB;
const PEM_BLOCK = /-----BEGIN ([A-Z0-9 ]+)-----[^-]*-----END \1-----/g;

/** The text of a file of PEM certificates. Rejects with `ERR_CA_INVALID`, which names the file. */
export async function readCaFile(path: string): Promise<string> {
  let pem: string;
  try {
    const { size } = await stat(path);
    if (size > CA_FILE_BYTES_MAX) throw new Error(`it is longer than ${CA_FILE_BYTES_MAX} bytes`);
    pem = await readFile(path, "utf8");
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new ShoalError("ERR_CA_INVALID", `${path}: ${reason}`, { cause });
  }
  checkAuthorities(pem, path);
  return pem;
}

/** Throws `ERR_CA_INVALID` unless `pem` has certificates and nothing else in PEM form. */
export function checkAuthorities(pem: string, path?: string): void {
  const refuse = (reason: string, cause?: unknown): never => {
    const details = path === undefined ? reason : `${path}: ${reason}`;
    throw new ShoalError("ERR_CA_INVALID", details, cause === undefined ? {} : { cause });
  };
  const blocks = [...pem.matchAll(PEM_BLOCK)];
  if (blocks.length === 0) refuse("there is no certificate in it");
  if (blocks.length !== pem.split("-----BEGIN ").length - 1) refuse("a part of it is cut off");
  blocks.forEach(([block, label], index) => {
    if (label !== "CERTIFICATE") refuse(`part ${index + 1} is no certificate`);
    try {
      void new X509Certificate(block);
    } catch (cause) {
      refuse(`certificate ${index + 1} cannot be read`, cause);
    }
  });
}

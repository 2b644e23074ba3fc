/**
 * Properties that hold documents: a client certificate, and two JSON texts (download-API reference,
 * sections 2 and 5). Each is read into what the job machine takes, or refused with the documented
 * code. Used by the table of property rules.
 */
import { createSecureContext } from "node:tls";
import { hex, isObject, LIMITS, parseSha256Base64 } from "@shoal/core";
import type { PieceHashSource } from "@shoal/core";
import { HResultError } from "../hresult-error.ts";

/**
 * A certificate and its key, as PEM or as PKCS #12 without a pass phrase: Windows' serialised
 * certificate contexts point into a key store that other systems do not have. Throws `E_INVALIDARG`
 * for no bytes or too many, `CRYPT_E_FILE_ERROR` for any that are no usable certificate.
 */
export function parseClientCertificate(bytes: Uint8Array): string {
  if (bytes.length === 0 || bytes.length > LIMITS.clientCertificateLengthMax) {
    throw HResultError.of("E_INVALIDARG", `a certificate of ${bytes.length} bytes`);
  }
  const buffer = Buffer.from(bytes);
  const pem = buffer.includes("-----BEGIN ") ? buffer.toString("latin1") : undefined;
  try {
    createSecureContext(pem === undefined ? { pfx: buffer } : { cert: pem, key: pem });
  } catch {
    // What the parser says may quote the key.
    throw HResultError.of("CRYPT_E_FILE_ERROR");
  }
  return pem ?? buffer.toString("base64");
}

/** Throws `E_INVALIDARG` for what is not JSON or lacks an address or a digest. */
export function parseIntegrityCheckInfo(text: string): PieceHashSource {
  const {
    PiecesHashFileUrl: url,
    PiecesHashFileDigest: digest,
    PiecesHashFileDigestAlgorithm: algorithm = "SHA256",
    HashOfHashes: hashOfHashes,
  } = parseJsonObject(text);
  if (typeof url !== "string") throw HResultError.of("E_INVALIDARG", "no PiecesHashFileUrl");
  if (typeof algorithm !== "string" || !/^sha-?256$/i.test(algorithm)) {
    throw HResultError.of("E_INVALIDARG", "the only digest algorithm is SHA256");
  }
  return {
    url,
    ...(digest === undefined ? {} : { sha256: parseDigest(digest) }),
    ...(hashOfHashes === undefined ? {} : { hashOfHashes: parseDigest(hashOfHashes) }),
  };
}

/**
 * Decryption is refused: `E_NOTIMPL` for a JSON object, `E_INVALIDARG` for anything else. A key that
 * was taken and not used would leave an encrypted file where a plain one was promised.
 */
export function refuseDecryptionInfo(text: string): never {
  parseJsonObject(text);
  throw HResultError.of("E_NOTIMPL", "decryption");
}

function parseDigest(value: unknown): string {
  const digest = typeof value === "string" ? parseSha256Base64(value) : undefined;
  if (digest === undefined) throw HResultError.of("E_INVALIDARG", "not a SHA-256 in base64");
  return hex(digest);
}

function parseJsonObject(text: string): Readonly<Record<string, unknown>> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw HResultError.of("E_INVALIDARG", "not JSON");
  }
  if (!isObject(value)) throw HResultError.of("E_INVALIDARG", "not a JSON object");
  return value;
}

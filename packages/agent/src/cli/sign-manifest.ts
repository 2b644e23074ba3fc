/** Makes the signed form of a manifest (docs/manifest.md) with keys that are at hand. */
import { sign } from "node:crypto";
import { encodeEnvelope, encodeStatement, keyIdOf, messageToSign } from "@shoal/core";
import type { Statement } from "@shoal/core";
import type { SigningKey } from "./key-file.ts";

/** The envelope's bytes; at most 16 different keys. */
export function signManifest(statement: Statement, keys: readonly SigningKey[]): Uint8Array {
  const statementBytes = encodeStatement(statement);
  const message = messageToSign(statementBytes);
  const signatures = keys.map(({ privateKey, publicKey }) => ({
    keyId: keyIdOf(publicKey),
    signature: new Uint8Array(sign(null, message, privateKey)),
  }));
  return encodeEnvelope({ statementBytes, signatures });
}

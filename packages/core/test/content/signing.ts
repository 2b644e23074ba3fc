/** Keys and signed manifests for tests, made with Node's own signer. */
import { generateKeyPairSync, sign } from "node:crypto";
import {
  encodeEnvelope,
  encodeStatement,
  formatPublicKey,
  keyIdOf,
  messageToSign,
} from "@shoal/core";
import type { ManifestSignature, SignedKind, Statement } from "@shoal/core";

export interface TestKey {
  readonly publicKey: Uint8Array;
  /** The public key as users name it. */
  readonly text: string;
  sign(statementBytes: Uint8Array, kind?: SignedKind): ManifestSignature;
}

export function makeKey(): TestKey {
  const { privateKey, publicKey } = generateKeyPairSync("ed25519");
  const { x = "" } = publicKey.export({ format: "jwk" });
  const raw = new Uint8Array(Buffer.from(x, "base64url"));
  return {
    publicKey: raw,
    text: formatPublicKey(raw),
    sign: (statementBytes, kind) => ({
      keyId: keyIdOf(raw),
      signature: new Uint8Array(sign(null, messageToSign(statementBytes, kind), privateKey)),
    }),
  };
}

/** The bytes of a signed manifest. */
export function signedBy(statement: Statement, ...keys: readonly TestKey[]): Uint8Array {
  const statementBytes = encodeStatement(statement);
  const signatures = keys.map((key) => key.sign(statementBytes));
  return encodeEnvelope({ statementBytes, signatures });
}

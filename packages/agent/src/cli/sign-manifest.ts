/** Signs manifests and announcements (docs/manifest.md) with keys that are at hand. */
import { sign } from "node:crypto";
import {
  encodeAnnouncement,
  encodeEnvelope,
  encodeStatement,
  keyIdOf,
  messageToSign,
} from "@shoal/core";
import type { Announcement, SignedKind, Statement } from "@shoal/core";
import type { SigningKey } from "./key-file.ts";

/** The envelope's bytes; at most 16 different keys. */
export function signManifest(statement: Statement, keys: readonly SigningKey[]): Uint8Array {
  return signed(encodeStatement(statement), "manifest", keys);
}

/** As `signManifest`, about a file at a URL. */
export function signAnnouncement(
  announcement: Announcement,
  keys: readonly SigningKey[],
): Uint8Array {
  return signed(encodeAnnouncement(announcement), "announcement", keys);
}

function signed(
  statementBytes: Uint8Array,
  kind: SignedKind,
  keys: readonly SigningKey[],
): Uint8Array {
  const message = messageToSign(statementBytes, kind);
  const signatures = keys.map(({ privateKey, publicKey }) => ({
    keyId: keyIdOf(publicKey),
    signature: new Uint8Array(sign(null, message, privateKey)),
  }));
  return encodeEnvelope({ statementBytes, signatures });
}

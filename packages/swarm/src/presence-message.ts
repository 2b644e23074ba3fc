/**
 * What a member says to all others about one content: bytes to message and back. docs/wire.md is
 * the specification.
 *
 *   | u8 version | u8 role | u8 addressCount | 0 | tag, 32 bytes | addresses … |
 *   address: | u8 4 or 6 | IP address, 4 or 16 bytes | u16 port |
 *
 * The tag names the content to those only who know it and the group's key (R-PRIV-01). Who says it
 * and when is proved by the signature around it. Knows bytes, not who may be dialled.
 */
import { createHmac } from "node:crypto";
import { BlockList, isIPv4, SocketAddress } from "node:net";
import { digestOfContentId, LIMITS } from "@shoal/core";
import type { ContentId, PresenceRole } from "@shoal/core";
import { parsePeerAddress } from "./address-rules.ts";

const VERSION = 1;
const HEAD_LENGTH = 4;
/** Length of a tag in bytes. */
export const TAG_LENGTH = 32;
const FAMILY_LENGTHS: Readonly<Record<number, number>> = { 4: 4, 6: 16 };
/** By their numbers on the wire. */
const ROLES = ["left", "fetching", "holding"] as const satisfies readonly PresenceRole[];

export interface PresenceMessage {
  readonly role: PresenceRole;
  /** In hexadecimal. */
  readonly tag: string;
  /** Multiaddrs without peer id, at most eight. Hints. */
  readonly addresses: readonly string[];
}

/** The name of a content under a group's presence key, in hexadecimal. */
export function presenceTag(key: Uint8Array, contentId: ContentId): string {
  return createHmac("sha256", key).update(digestOfContentId(contentId)).digest("hex");
}

/** Addresses that others cannot use as they are, or beyond the eighth, are left out. */
export function encodePresence({ role, tag, addresses }: PresenceMessage): Uint8Array {
  const encoded = addresses.map(encodeAddress).filter((bytes) => bytes !== undefined);
  const sent = encoded.slice(0, LIMITS.addressesPerPeerMax);
  const head = Uint8Array.of(VERSION, ROLES.indexOf(role), sent.length, 0);
  return new Uint8Array(Buffer.concat([head, Buffer.from(tag, "hex"), ...sent]));
}

/** `"foreign"`: of another version; `undefined`: malformed (R-PEER-21). */
export function decodePresence(bytes: Uint8Array): PresenceMessage | "foreign" | undefined {
  if (bytes.length < 1 || bytes.length > LIMITS.presenceBytesMax) return undefined;
  if (bytes[0] !== VERSION) return "foreign";
  const role = ROLES[bytes[1] ?? ROLES.length];
  const count = bytes[2] ?? 0;
  if (bytes.length < HEAD_LENGTH + TAG_LENGTH || role === undefined || bytes[3] !== 0) {
    return undefined;
  }
  if (count > LIMITS.addressesPerPeerMax) return undefined;
  const tag = Buffer.from(bytes.subarray(HEAD_LENGTH, HEAD_LENGTH + TAG_LENGTH)).toString("hex");
  const addresses: string[] = [];
  let at = HEAD_LENGTH + TAG_LENGTH;
  for (let i = 0; i < count; i++) {
    const length = FAMILY_LENGTHS[bytes[at] ?? 0];
    if (length === undefined || at + 3 + length > bytes.length) return undefined;
    addresses.push(decodeAddress(bytes.subarray(at + 1, at + 3 + length)));
    at += 3 + length;
  }
  return at === bytes.length ? { role, tag, addresses } : undefined;
}

/** Link-local addresses mean something on their own link only. */
const linkLocal = new BlockList();
linkLocal.addSubnet("fe80::", 10, "ipv6");

function encodeAddress(text: string): Uint8Array | undefined {
  const parsed = parsePeerAddress(text);
  if (parsed === undefined) return undefined;
  const family = isIPv4(parsed.host) ? 4 : 6;
  if (family === 6 && linkLocal.check(parsed.host, "ipv6")) return undefined;
  // A multiaddr's own bytes: u8 protocol, IP address, u8 protocol, u16 port.
  const { bytes } = parsed.address;
  const portAt = bytes.length - 2;
  if (portAt - 2 !== FAMILY_LENGTHS[family]) return undefined;
  return Uint8Array.of(family, ...bytes.subarray(1, portAt - 1), ...bytes.subarray(portAt));
}

/** Takes the IP address and the port behind it. */
function decodeAddress(bytes: Uint8Array): string {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const ipLength = bytes.length - 2;
  const port = view.getUint16(ipLength);
  if (ipLength === 4) return `/ip4/${bytes.subarray(0, 4).join(".")}/tcp/${port}`;
  const groups = Array.from({ length: 8 }, (_, i) => view.getUint16(2 * i).toString(16));
  const { address } = new SocketAddress({ address: groups.join(":"), family: "ipv6" });
  return `/ip6/${address}/tcp/${port}`;
}

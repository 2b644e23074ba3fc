/** The codec of presence: golden bytes, round trips, hostile input. */
import { contentIdFromDigest, LIMITS } from "@shoal/core";
import fc from "fast-check";
import { expect, test } from "vitest";
import { decodePresence, encodePresence, presenceTag } from "../src/presence-message.ts";
import type { PresenceMessage } from "../src/presence-message.ts";

const TAG = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
const contentId = contentIdFromDigest(Uint8Array.from({ length: 32 }, (_, i) => i));

/** Written by hand from docs/wire.md. */
const GOLDEN: ReadonlyArray<readonly [PresenceMessage, string]> = [
  // version 1, role 0, no address
  [{ role: "left", tag: TAG, addresses: [] }, `01000000 ${TAG}`],
  // version 1, role 1, one address: 10.0.0.1, port 4001
  [
    { role: "fetching", tag: TAG, addresses: ["/ip4/10.0.0.1/tcp/4001"] },
    `01010100 ${TAG} 04 0a000001 0fa1`,
  ],
  // version 1, role 2, two addresses; the second is fd12::1, port 65535
  [
    {
      role: "holding",
      tag: TAG,
      addresses: ["/ip4/192.168.1.2/tcp/1024", "/ip6/fd12::1/tcp/65535"],
    },
    `01020200 ${TAG} 04 c0a80102 0400 06 fd120000000000000000000000000001 ffff`,
  ],
];

function fromHex(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text.replaceAll(" ", ""), "hex"));
}

test.each(GOLDEN)("encodes and decodes the golden bytes of %o", (message, text) => {
  expect(Buffer.from(encodePresence(message)).toString("hex")).toBe(text.replaceAll(" ", ""));
  expect(decodePresence(fromHex(text))).toEqual(message);
});

test("R-PRIV-01: a tag is the HMAC of the digest, another under another key", () => {
  const key = new Uint8Array(32).fill(7);
  expect(presenceTag(key, contentId)).toBe(
    "54d33f8c64a9026ef00dc529ad72630eba5be546574fc8faf4613a0e65a16ea0",
  );
  expect(presenceTag(new Uint8Array(32), contentId)).not.toBe(presenceTag(key, contentId));
});

test("leaves out what others cannot use: names, link-local addresses, a ninth", () => {
  const good = Array.from({ length: 9 }, (_, i) => `/ip4/10.0.0.${i}/tcp/4001`);
  const bad = ["/dns4/example.org/tcp/4001", "/ip6/fe80::1/tcp/4001", "nonsense"];
  const zoned = "/ip6zone/eth0/ip6/fe80::1/tcp/4001";
  const bytes = encodePresence({ role: "left", tag: TAG, addresses: [...bad, zoned, ...good] });
  const decoded = decodePresence(bytes);
  expect(decoded).toEqual({ role: "left", tag: TAG, addresses: good.slice(0, 8) });
  expect(bytes.length).toBeLessThanOrEqual(LIMITS.presenceBytesMax);
});

test("R-PEER-21: refuses what is too short, too long or out of range", () => {
  for (const text of [
    "",
    "01",
    `01000000 ${TAG.slice(2)}`, // a tag too short
    `01030000 ${TAG}`, // a role that is none
    `01000001 ${TAG}`, // reserved
    `01000100 ${TAG}`, // an address that is missing
    `01000100 ${TAG} 05 0a000001 0fa1`, // of no family
    `01000100 ${TAG} 04 0a000001 0f`, // cut
    `01000000 ${TAG} 00`, // a byte too many
    `01000900 ${TAG} ${"04 0a000001 0fa1".repeat(9)}`, // nine addresses
    "02".repeat(LIMITS.presenceBytesMax + 1),
  ]) {
    expect([text, decodePresence(fromHex(text))]).toEqual([text, undefined]);
  }
});

test("knows another version for what it is", () => {
  expect(decodePresence(fromHex("02"))).toBe("foreign");
});

test("never throws, and what it takes it would have written", () => {
  const mutated = fc
    .tuple(fc.constantFrom(...GOLDEN), fc.nat(80), fc.nat(255))
    .map(([[, text], at, byte]) => {
      const bytes = fromHex(text);
      if (at < bytes.length) bytes[at] = byte;
      return bytes;
    });
  const written: [Uint8Array, Uint8Array][] = [];
  fc.assert(
    fc.property(fc.oneof(mutated, fc.uint8Array({ maxLength: 300 })), (bytes) => {
      const message = decodePresence(bytes);
      if (message === undefined || message === "foreign") return;
      // Link-local addresses are taken and not written.
      if (message.addresses.some((text) => text.startsWith("/ip6/fe"))) return;
      written.push([encodePresence(message), bytes]);
    }),
  );
  expect(written.length).toBeGreaterThan(0);
  for (const [again, bytes] of written) expect(Buffer.compare(again, bytes)).toBe(0);
});

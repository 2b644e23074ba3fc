/** Announcements: golden bytes, what stands for URLs and validators, forgeries, hostile input. */
import { decode, encode } from "cborg";
import fc from "fast-check";
import { describe, expect, it, test } from "vitest";
import { contentIdFromDigest, hex, LIMITS, parsePublisher } from "@shoal/core";
import type { Announcement, Publisher } from "@shoal/core";
import {
  encodeAnnouncement,
  openAnnouncement,
  urlTag,
  validatorTag,
} from "../../src/content/announcement.ts";
import { encodeEnvelope, messageToSign } from "../../src/content/envelope.ts";
import { makeKey } from "./signing.ts";
import type { TestKey } from "./signing.ts";

const [ALICE, BOB] = [makeKey(), makeKey()] as const;
const TRUSTED: Publisher[] = [ALICE, BOB].flatMap(({ text }) => parsePublisher(text) ?? []);
const ANNOUNCEMENT: Announcement = {
  tag: new Uint8Array(32).fill(1),
  validator: new Uint8Array(32).fill(2),
  sequence: 7,
  issuedAtSec: 1_000,
  expiresAtSec: 2_000,
  contentId: contentIdFromDigest(new Uint8Array(32).fill(3)),
};

function signed(statementBytes: Uint8Array, key: TestKey = ALICE): Uint8Array {
  const signatures = [key.sign(statementBytes, "announcement")];
  return encodeEnvelope({ statementBytes, signatures });
}

/** The code of the refusal and whether it is held against who passed it on. */
function refusalOf(bytes: Uint8Array): readonly [string, boolean] | undefined {
  const result = openAnnouncement(bytes, TRUSTED);
  return result.ok ? undefined : [result.error.code, result.isForged];
}

describe("what stands for a URL", () => {
  test.each([
    ["http://a.test/f", "http://a.test:80/f"],
    ["https://A.test/f#part", "https://a.test/f"],
    ["http://a.test/x/../f", "http://a.test/f"],
  ])("is the same for %s and %s", (one, other) => {
    expect(hex(urlTag(one)!)).toBe(hex(urlTag(other)!));
  });

  test.each(["https://a.test/f", "http://a.test/g", "http://b.test/f", "http://a.test/F"])(
    "is another for %s",
    (other) => expect(hex(urlTag(other)!)).not.toBe(hex(urlTag("http://a.test/f")!)),
  );

  test.each([
    "http://user@a.test/f",
    "http://:word@a.test/f",
    "http://a.test/f?q=1",
    "http://a.test/f?",
    "file:///etc/passwd",
    "no url",
  ])("is nothing for %s, about which nobody may be asked (R-PRIV-02)", (url) => {
    expect(urlTag(url)).toBeUndefined();
  });
});

test("what stands for a validator differs with the length, the ETag or else the date", () => {
  const etag = '"a"';
  const tags = [
    validatorTag(1, { etag }),
    validatorTag(2, { etag }),
    validatorTag(1, { etag: '"b"' }),
    validatorTag(1, { lastModified: "yesterday" }),
  ].map((tag) => tag && hex(tag));
  expect(new Set(tags).size).toBe(tags.length);
  expect(hex(validatorTag(1, { etag, lastModified: "now" })!)).toBe(tags[0]);
  expect(validatorTag(1, {})).toBeUndefined();
});

test("has the bytes that docs/manifest.md says", () => {
  const golden = [
    "a7", // a map of seven, the shortest names first
    "63746167 5820",
    "01".repeat(32),
    "66697373756564 1903e8",
    "67636f6e74656e74 5820",
    "03".repeat(32),
    "6765787069726573 1907d0",
    "6776657273696f6e 01",
    "6873657175656e6365 07",
    "6976616c696461746f72 5820",
    "02".repeat(32),
  ];
  expect(hex(encodeAnnouncement(ANNOUNCEMENT))).toBe(golden.join("").replaceAll(" ", ""));
});

test("comes back as it was signed", () => {
  const result = openAnnouncement(signed(encodeAnnouncement(ANNOUNCEMENT)), TRUSTED);
  expect(result).toMatchObject({ ok: true, opened: { announcement: ANNOUNCEMENT } });
});

describe("is refused (R-MAN-04)", () => {
  const statementBytes = encodeAnnouncement(ANNOUNCEMENT);
  const value = decode(statementBytes) as Record<string, unknown>;

  it("when a stranger has signed it, which is nobody's fault", () => {
    expect(refusalOf(signed(statementBytes, makeKey()))).toEqual(["ERR_MANIFEST_UNTRUSTED", false]);
  });

  it("when the signature is over a manifest's statement, or wrong: that is a forgery", () => {
    const manifestSignature = { statementBytes, signatures: [ALICE.sign(statementBytes)] };
    expect(refusalOf(encodeEnvelope(manifestSignature))).toEqual(["ERR_MANIFEST_UNTRUSTED", true]);
    expect(hex(messageToSign(statementBytes))).not.toBe(
      hex(messageToSign(statementBytes, "announcement")),
    );
  });

  it.each<[string, Record<string, unknown>]>([
    ["of another version", { version: 2 }],
    ["with a field more", { url: "http://a.test/f" }],
    ["with a short tag", { tag: new Uint8Array(31) }],
    ["that is never valid", { expires: 1_000 }],
    ["without end", { expires: LIMITS.instantSecMax + 1 }],
  ])("when it is one %s", (_, change) => {
    const bytes = signed(encode({ ...value, ...change }));
    expect(refusalOf(bytes)).toEqual(["ERR_MANIFEST_MALFORMED", true]);
  });

  it("when it is too long", () => {
    const bytes = new Uint8Array(LIMITS.announcementBytesMax + 1);
    expect(refusalOf(bytes)).toEqual(["ERR_MANIFEST_MALFORMED", true]);
  });

  it("in all that fits when any byte is changed", () => {
    const bytes = signed(statementBytes);
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), (at, by) => {
        const changed = Uint8Array.from(bytes, (byte, i) => (i === at ? byte ^ by : byte));
        expect(openAnnouncement(changed, TRUSTED).ok).toBe(false);
      }),
      { numRuns: 200 },
    );
  });

  it("whatever the bytes, without throwing", () => {
    fc.assert(
      fc.property(fc.uint8Array(), (bytes) => {
        expect(openAnnouncement(bytes, TRUSTED).ok).toBe(false);
      }),
    );
  });
});

test("the signatures of all keys that a publisher may have fit into it", () => {
  const keys = Array.from({ length: LIMITS.keysPerPublisherMax }, () => makeKey());
  const statementBytes = encodeAnnouncement({
    ...ANNOUNCEMENT,
    sequence: Number.MAX_SAFE_INTEGER,
    expiresAtSec: LIMITS.instantSecMax,
  });
  const signatures = keys.map((key) => key.sign(statementBytes, "announcement"));
  const { length } = encodeEnvelope({ statementBytes, signatures });
  expect(length).toBeLessThanOrEqual(LIMITS.announcementBytesMax);
});

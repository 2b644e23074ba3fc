import { contentIdOf, MiB } from "@shoal/core";
import { describe, expect, test } from "vitest";
import {
  parseBytes,
  parseContentIdText,
  parseDuration,
  parsePieceLength,
  parseRate,
  parseSetting,
  parseSha256,
} from "../../src/cli/parse-values.ts";

test.each([
  ["90", 90_000],
  ["90s", 90_000],
  ["1.5h", 5_400_000],
  ["500ms", 500],
  ["5 min", 300_000],
  ["2m", 120_000],
  ["1d", 86_400_000],
])("reads the duration %s", (text, durationMs) => expect(parseDuration(text)).toBe(durationMs));

test.each(["", "s", "-1s", "0", "1e3", "3x", "1 2s", "0x10", "999d", "__proto__", "1constructor"])(
  'refuses "%s" as a duration',
  (text) => expect(() => parseDuration(text)).toThrow("A duration"),
);

test.each([
  ["65536", 65_536],
  ["256k", 262_144],
  ["1MiB", MiB],
  ["1.5 mib", 1_572_864],
  ["2GiB", 2_147_483_648],
])("reads %s bytes", (text, bytes) => expect(parseBytes(text)).toBe(bytes));

test.each(["", "-1", "1.5", "1XB", "1e9", "MiB"])('refuses "%s" as bytes', (text) =>
  expect(() => parseBytes(text)).toThrow("A number of bytes"),
);

test.each([
  ["0", 0],
  ["500k", 512_000],
  ["2MiB/s", 2 * MiB],
  ["1.5 MiB", 1.5 * MiB],
])("reads the rate %s", (text, rate) => expect(parseRate(text)).toBe(rate));

test.each(["", "-1", "fast", "2MB/s", "2MiB/min", "2000000GiB"])('refuses "%s" as a rate', (text) =>
  expect(() => parseRate(text)).toThrow("A rate is"),
);

test("takes the piece lengths that manifests allow, and no others", () => {
  expect(parsePieceLength("64KiB")).toBe(65_536);
  expect(parsePieceLength("16MiB")).toBe(16 * MiB);
  for (const text of ["32KiB", "32MiB", "100000", "3MiB"]) {
    expect(() => parsePieceLength(text)).toThrow("power of two from 64KiB to 16MiB");
  }
});

describe("a setting", () => {
  test.each([
    ["banMs=1h", { banMs: 3_600_000 }],
    ["banMs=250", { banMs: 250 }],
    ["syncBytesMax=8MiB", { syncBytesMax: 8 * MiB }],
    ["uploadsMax=0", { uploadsMax: 0 }],
    ["verifyOnComplete=on", { verifyOnComplete: 1 }],
    ["verifyOnComplete=false", { verifyOnComplete: 0 }],
  ])("is read from %s", (text, settings) => expect(parseSetting(text)).toEqual(settings));

  test.each([
    ["banMs", "NAME=VALUE"],
    ["=1", "NAME=VALUE"],
    ["nothing=1", 'no setting "nothing"'],
    ["__proto__=1", 'no setting "__proto__"'],
    ["banMs=soon", "It takes whole numbers from 0 to 604800000, in ms."],
    ["uploadsMax=17", "It takes whole numbers from 0 to 16, in count."],
    ["verifyOnComplete=maybe", "in boolean"],
  ])("is refused as %s", (text, words) => expect(() => parseSetting(text)).toThrow(words));
});

test("takes digests in either case and content ids in their one form", () => {
  expect(parseSha256("AB".repeat(32))).toBe("ab".repeat(32));
  expect(() => parseSha256("ab")).toThrow("64 hexadecimal digits");
  const contentId = contentIdOf(new Uint8Array(1));
  expect(parseContentIdText(contentId)).toBe(contentId);
  expect(() => parseContentIdText("QmYwAPJzv5CZsnA")).toThrow("shoal publish");
});

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { LIMITS, parseHttpDate } from "@shoal/core";
import {
  parseContentRange,
  parseDecimal,
  parseRetryAfter,
  parseStrongEtag,
} from "../src/field-values.ts";

/** Any text, and text that is nearly right. */
const nearly = (alphabet: string) =>
  fc.oneof(
    fc.string({ unit: "binary" }),
    fc.string({ unit: fc.constantFrom(...alphabet.split("")), maxLength: 40 }),
  );

describe("parseDecimal", () => {
  it("takes decimal digits only, up to 2^53-1 (R-HTTP-10)", () => {
    expect(parseDecimal("0")).toBe(0);
    expect(parseDecimal("9007199254740991")).toBe(Number.MAX_SAFE_INTEGER);
    const refused = ["", "-1", "+1", " 1", "1 ", "1.0", "1e3", "0x10", "１", "9007199254740992"];
    expect(refused.filter((text) => parseDecimal(text) !== undefined)).toEqual([]);
  });

  it("round-trips every safe integer and never throws", () => {
    fc.assert(fc.property(fc.maxSafeNat(), (n) => parseDecimal(String(n)) === n));
    fc.assert(
      fc.property(nearly("0123456789+-. \t,eEx"), (text) => {
        const value = parseDecimal(text);
        expect(value === undefined || /^[0-9]+$/.test(text)).toBe(true);
      }),
    );
  });
});

describe("parseContentRange", () => {
  it("turns an inclusive range into a half-open one", () => {
    expect(parseContentRange("bytes 0-0/1")).toEqual({
      kind: "satisfied",
      start: 0,
      end: 1,
      total: 1,
    });
    expect(parseContentRange("bytes 5-9/*")).toEqual({ kind: "satisfied", start: 5, end: 10 });
    expect(parseContentRange("bytes */7")).toEqual({ kind: "unsatisfied", total: 7 });
  });

  it("refuses what is not a byte range to the letter (R-HTTP-10)", () => {
    const refused = [
      "",
      "bytes",
      "bytes 0-0",
      "bytes=0-0/1",
      "items 0-0/1",
      "bytes 5-4/10",
      "bytes 0-10/10",
      "bytes 0-0/0",
      "bytes -1-0/1",
      "bytes +0-0/1",
      "bytes 0 - 0/1",
      "bytes 0-0 /1",
      "bytes  0-0/1",
      "bytes 0-0/1 ",
      "bytes 0-0/1, bytes 0-0/1",
      "bytes */*",
      "bytes 0-0/0x10",
      "bytes 0-9007199254740991/*",
      "bytes 0-99999999999999999999/*",
      "bytes 0-0/1\n",
    ];
    expect(refused.filter((text) => parseContentRange(text) !== undefined)).toEqual([]);
  });

  it("never throws and only answers with ranges inside their total", () => {
    fc.assert(
      fc.property(nearly("bytes 0123456789-/*,+"), (text) => {
        const range = parseContentRange(text);
        if (range?.kind !== "satisfied") return;
        expect(range.start).toBeLessThan(range.end);
        expect(range.end).toBeLessThanOrEqual(range.total ?? Infinity);
      }),
    );
    fc.assert(
      fc.property(fc.nat(), fc.nat(), fc.nat(), (start, more, rest) => {
        const end = start + more + 1;
        const total = end + rest;
        const parsed = parseContentRange(`bytes ${start}-${end - 1}/${total}`);
        expect(parsed).toEqual({ kind: "satisfied", start, end, total });
      }),
    );
  });
});

describe("parseRetryAfter", () => {
  const now = Date.UTC(2026, 10, 23, 7, 0, 0);

  it("takes seconds and dates, bounded by an hour (R-HTTP-09)", () => {
    expect(parseRetryAfter("0", now)).toBe(0);
    expect(parseRetryAfter("120", now)).toBe(120_000);
    expect(parseRetryAfter("99999999999999999999999", now)).toBe(LIMITS.retryAfterMsMax);
    expect(parseRetryAfter("Mon, 23 Nov 2026 07:00:30 GMT", now)).toBe(30_000);
    expect(parseRetryAfter("Mon, 23 Nov 2026 06:00:00 GMT", now)).toBe(0);
    expect(parseRetryAfter("Mon, 23 Nov 2099 07:00:00 GMT", now)).toBe(LIMITS.retryAfterMsMax);
    const refused = ["", "-5", "1.5", "soon", "Mon, 99 Nov 2026 07:00:00 GMT"];
    expect(refused.filter((text) => parseRetryAfter(text, now) !== undefined)).toEqual([]);
  });

  it("never throws and never leaves its bounds", () => {
    fc.assert(
      fc.property(nearly("0123456789MonNv, :GT-+."), fc.double(), (text, at) => {
        const waitMs = parseRetryAfter(text, at);
        if (waitMs === undefined) return;
        expect(waitMs).toBeGreaterThanOrEqual(0);
        expect(waitMs).toBeLessThanOrEqual(LIMITS.retryAfterMsMax);
      }),
    );
  });

  it("reads back the dates that JavaScript writes", () => {
    const dates = fc.date({
      min: new Date("1970-01-01"),
      max: new Date("2200-01-01"),
      noInvalidDate: true,
    });
    fc.assert(
      fc.property(dates, (date) => {
        const seconds = Math.floor(date.getTime() / 1_000) * 1_000;
        expect(parseHttpDate(new Date(seconds).toUTCString())).toBe(seconds);
      }),
    );
  });
});

describe("parseStrongEtag", () => {
  it("keeps strong tags with their quotes and drops weak or malformed ones (R-HTTP-11)", () => {
    expect(parseStrongEtag('"a-b"')).toBe('"a-b"');
    expect(parseStrongEtag('""')).toBe('""');
    const refused = ['W/"a"', "a", '"a', '"a"b"', '"a b"', '"a\n"', `"${"x".repeat(2_000)}"`];
    expect(refused.filter((text) => parseStrongEtag(text) !== undefined)).toEqual([]);
  });

  it("never throws and never lets through what could break a request header", () => {
    fc.assert(
      fc.property(nearly('"W/abc\r\n\0 \u00ff\u0100'), (text) => {
        const etag = parseStrongEtag(text);
        expect(etag === undefined || /^"[^\r\n\0 "]*"$/.test(etag)).toBe(true);
      }),
    );
  });
});

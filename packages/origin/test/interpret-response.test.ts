import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { LIMITS } from "@shoal/core";
import { interpretResponse, isChanged } from "../src/interpret-response.ts";
import type { Interpretation, OriginQuestion } from "../src/interpret-response.ts";

const NOW = Date.UTC(2026, 10, 23, 7, 0, 0);
const ETAG = { etag: '"v1"' };
const PROBE: OriginQuestion = { kind: "probe" };
const MANIFEST: OriginQuestion = { kind: "manifest" };
/** Bytes 100 to 199 of 1000, of a file seen before. */
const RANGE: OriginQuestion = {
  kind: "range",
  start: 100,
  end: 200,
  remoteLength: 1_000,
  validator: ETAG,
};
const STREAM: OriginQuestion = { kind: "stream", remoteLength: 1_000, validator: ETAG };
const NO_VALIDATOR = { kind: "range", start: 100, end: 200, remoteLength: 1_000 } as const;

type Fields = Readonly<Record<string, string | readonly string[]>>;

function interpret(question: OriginQuestion, status: number, fields: Fields = {}): Interpretation {
  const entries = Object.entries(fields).map(
    ([name, value]) => [name, typeof value === "string" ? [value] : value] as const,
  );
  return interpretResponse(question, { status, fields: new Map(entries) }, NOW);
}

/** A short name for an interpretation: its kind, or the failure's kind and code. */
function verdict(question: OriginQuestion, status: number, fields: Fields = {}): string {
  const answer = interpret(question, status, fields);
  return answer.kind === "refused" ? `${answer.refusal.kind} ${answer.refusal.code}` : answer.kind;
}

const GOOD = { "content-range": "bytes 100-199/1000", etag: '"v1"' };
const BROKEN = "rangeBroken ERR_ORIGIN_PROTOCOL";
const FATAL = "fatal ERR_ORIGIN_PROTOCOL";
const CHANGED = "changed ERR_REMOTE_CHANGING";

describe("206", () => {
  it("is accepted with the range asked for, the same total and the same validator", () => {
    expect(interpret(RANGE, 206, { ...GOOD, "content-length": "100" })).toEqual({
      kind: "body",
      length: 100,
      validator: ETAG,
    });
  });

  it("is accepted in part: the rest is asked for again", () => {
    const fields = { ...GOOD, "content-range": "bytes 100-149/1000" };
    expect(interpret(RANGE, 206, fields)).toMatchObject({ kind: "body", length: 50 });
  });

  it("is accepted without a total when the total is known", () => {
    expect(verdict(RANGE, 206, { ...GOOD, "content-range": "bytes 100-199/*" })).toBe("body");
  });

  it("teaches a probe the total and the validator", () => {
    const fields = { "content-range": "bytes 0-0/1000", etag: '"v1"', "last-modified": "then" };
    expect(interpret(PROBE, 206, fields)).toEqual({
      kind: "probed",
      length: 1_000,
      validator: { etag: '"v1"', lastModified: "then" },
      acceptsRanges: true,
      hasBody: true,
    });
  });

  it("is broken with another start, a later end, or another total under the same validator", () => {
    for (const range of ["bytes 99-199/1000", "bytes 0-99/1000", "bytes 100-200/1000"]) {
      expect(verdict(RANGE, 206, { ...GOOD, "content-range": range })).toBe(BROKEN);
    }
    expect(verdict(RANGE, 206, { ...GOOD, "content-range": "bytes 100-199/1001" })).toBe(BROKEN);
  });

  it("is broken without a total when none is known", () => {
    expect(verdict(PROBE, 206, { "content-range": "bytes 0-0/*" })).toBe(BROKEN);
  });

  it("is broken without exactly one readable Content-Range in bytes", () => {
    expect(verdict(RANGE, 206, { etag: '"v1"' })).toBe(BROKEN);
    for (const range of ["items 100-199/1000", "bytes */1000", "bytes 100-199", "nonsense"]) {
      expect(verdict(RANGE, 206, { ...GOOD, "content-range": range })).toBe(BROKEN);
    }
    const twice = ["bytes 100-199/1000", "bytes 100-199/1000"];
    expect(verdict(RANGE, 206, { ...GOOD, "content-range": twice })).toBe(BROKEN);
  });

  it("is broken when its Content-Length contradicts its Content-Range", () => {
    expect(verdict(RANGE, 206, { ...GOOD, "content-length": "99" })).toBe(BROKEN);
    expect(verdict(RANGE, 206, { ...GOOD, "content-length": "1000" })).toBe(BROKEN);
    expect(verdict(PROBE, 206, { "content-range": "bytes 0-0/9", "content-length": "9" })).toBe(
      BROKEN,
    );
  });

  it("is broken with several parts", () => {
    const type = "multipart/byteranges; boundary=x";
    expect(verdict(RANGE, 206, { ...GOOD, "content-type": type })).toBe(BROKEN);
  });

  it("is an error when no range was asked for", () => {
    expect(verdict(STREAM, 206, GOOD)).toBe(FATAL);
    expect(verdict(MANIFEST, 206, GOOD)).toBe(FATAL);
  });

  it("means a changed file with another validator, or without one seen before (R-HTTP-11)", () => {
    expect(verdict(RANGE, 206, { ...GOOD, etag: '"v2"' })).toBe(CHANGED);
    expect(verdict(RANGE, 206, { ...GOOD, etag: 'W/"v1"' })).toBe(CHANGED);
    expect(verdict(RANGE, 206, { "content-range": "bytes 100-199/1000" })).toBe(CHANGED);
  });

  it("means a changed file with another total and no validator to compare (R-HTTP-11)", () => {
    expect(verdict(NO_VALIDATOR, 206, { "content-range": "bytes 100-199/1001" })).toBe(CHANGED);
  });
});

describe("200", () => {
  it("to a range request says that there are no ranges, if the file is the same", () => {
    const fields = { "content-length": "1000", etag: '"v1"' };
    expect(verdict(RANGE, 200, fields)).toBe("rangeUnsupported ERR_ORIGIN_PROTOCOL");
    expect(verdict(NO_VALIDATOR, 200)).toBe("rangeUnsupported ERR_ORIGIN_PROTOCOL");
  });

  it("means a changed file with another total or validator (R-HTTP-11)", () => {
    for (const question of [RANGE, STREAM]) {
      expect(verdict(question, 200, { "content-length": "999", etag: '"v1"' })).toBe(CHANGED);
      expect(verdict(question, 200, { "content-length": "1000", etag: '"v2"' })).toBe(CHANGED);
      expect(verdict(question, 200, { "content-length": "1000" })).toBe(CHANGED);
    }
  });

  it("is a stream from 0 where one was asked for, also without Content-Length", () => {
    const expected = { kind: "body", length: 1_000, validator: ETAG };
    expect(interpret(STREAM, 200, { "content-length": "1000", etag: '"v1"' })).toEqual(expected);
    expect(interpret(STREAM, 200, { "transfer-encoding": "chunked", etag: '"v1"' })).toEqual(
      expected,
    );
    expect(interpret(STREAM, 200, { etag: '"v1"' })).toEqual(expected);
  });

  it("tells a probe the length, and that there are no ranges", () => {
    expect(interpret(PROBE, 200, { "content-length": "0" })).toEqual({
      kind: "probed",
      length: 0,
      validator: {},
      acceptsRanges: false,
      hasBody: false,
    });
    expect(verdict(PROBE, 200)).toBe("fatal ERR_ORIGIN_LENGTH_UNKNOWN");
  });

  it("to a manifest must fit the limit and have a provable end (R-MAN-09, R-HTTP-10)", () => {
    expect(verdict(MANIFEST, 200, { "content-length": "100" })).toBe("body");
    expect(verdict(MANIFEST, 200, { "transfer-encoding": "chunked" })).toBe("body");
    expect(verdict(MANIFEST, 200)).toBe(FATAL);
    const length = String(LIMITS.manifestBytesMax + 1);
    expect(verdict(MANIFEST, 200, { "content-length": length })).toBe(
      "fatal ERR_MANIFEST_MALFORMED",
    );
  });

  it("to a file that is wanted whole may be of any length that is proved at its end", () => {
    const whole: OriginQuestion = { kind: "whole" };
    const length = String(LIMITS.manifestBytesMax + 1);
    for (const status of [200, 201, 202, 203]) {
      expect(verdict(whole, status, { "content-length": length })).toBe("body");
      expect(verdict(whole, status, { "transfer-encoding": "chunked" })).toBe("body");
      expect(verdict(whole, status)).toBe(FATAL);
    }
    expect(verdict(whole, 204)).toBe("body");
    expect(verdict(whole, 206, GOOD)).toBe(FATAL);
    expect(verdict(whole, 205)).toBe("transient ERR_ORIGIN_UNAVAILABLE");
  });
});

describe("codings (R-HTTP-06)", () => {
  it("refuses any Content-Encoding but identity, on full and range responses", () => {
    expect(verdict(RANGE, 206, { ...GOOD, "content-encoding": "identity" })).toBe("body");
    for (const coding of ["gzip", "br", "identity, gzip", "x"]) {
      expect(verdict(RANGE, 206, { ...GOOD, "content-encoding": coding })).toBe(BROKEN);
      expect(verdict(STREAM, 200, { etag: '"v1"', "content-encoding": coding })).toBe(FATAL);
    }
  });

  it("refuses any Transfer-Encoding but one chunked", () => {
    for (const coding of [
      "gzip, chunked",
      "chunked, chunked",
      "identity",
      ["chunked", "chunked"],
    ]) {
      expect(verdict(RANGE, 206, { ...GOOD, "transfer-encoding": coding })).toBe(BROKEN);
    }
    const both = { ...GOOD, "transfer-encoding": "chunked", "content-length": "100" };
    expect(verdict(RANGE, 206, both)).toBe(BROKEN);
  });

  it("refuses a Content-Length that is not one number in digits (R-HTTP-10)", () => {
    for (const length of ["+100", "-1", "1e2", "100, 100", ["100", "100"], ""]) {
      expect(verdict(RANGE, 206, { ...GOOD, "content-length": length })).toBe(BROKEN);
    }
  });
});

describe("416", () => {
  it("is an empty file to a probe, with the total 0", () => {
    expect(interpret(PROBE, 416, { "content-range": "bytes */0" })).toMatchObject({
      kind: "probed",
      length: 0,
    });
    expect(verdict(PROBE, 416, { "content-range": "bytes */5" })).toBe(BROKEN);
    expect(verdict(PROBE, 416)).toBe(BROKEN);
  });

  it("means a changed file with another total or none", () => {
    expect(verdict(RANGE, 416, { "content-range": "bytes */50", etag: '"v1"' })).toBe(CHANGED);
    expect(verdict(RANGE, 416)).toBe(CHANGED);
  });

  it("means broken ranges when the file is the same", () => {
    expect(verdict(RANGE, 416, { "content-range": "bytes */1000", etag: '"v1"' })).toBe(BROKEN);
  });
});

describe("other statuses", () => {
  it("304 is an error: no condition was sent that allows it", () => {
    expect(verdict(RANGE, 304)).toBe(BROKEN);
    expect(verdict(MANIFEST, 304)).toBe(FATAL);
  });

  it("204, 205 and other successes are transient, and mean no manifest", () => {
    for (const status of [201, 202, 203, 204, 205, 207, 226, 299]) {
      for (const question of [PROBE, RANGE, STREAM]) {
        expect(verdict(question, status, GOOD)).toBe("transient ERR_ORIGIN_UNAVAILABLE");
      }
      expect(verdict(MANIFEST, status)).toBe("fatal ERR_MANIFEST_UNAVAILABLE");
    }
  });

  it("are named by the refusals they lead to; 200 and 206 are not what is refused", () => {
    for (const status of [204, 300, 302, 304, 403, 404, 416, 503, 999]) {
      expect(interpret(RANGE, status)).toMatchObject({ refusal: { originStatus: status } });
    }
    for (const [question, status] of [
      [RANGE, 200],
      [RANGE, 206],
      [STREAM, 206],
    ] as const) {
      const { refusal } = interpret(question, status) as { refusal: object };
      expect(refusal).not.toHaveProperty("originStatus");
    }
  });

  it("408, 425, 429 and 5xx are transient and carry a bounded Retry-After (R-HTTP-09)", () => {
    for (const status of [408, 425, 429, 500, 502, 503, 599]) {
      expect(verdict(RANGE, status)).toBe("transient ERR_ORIGIN_UNAVAILABLE");
    }
    expect(interpret(RANGE, 503, { "retry-after": "7" })).toMatchObject({
      refusal: { retryAfterMs: 7_000 },
    });
    expect(interpret(RANGE, 503, { "retry-after": "999999" })).toMatchObject({
      refusal: { retryAfterMs: LIMITS.retryAfterMsMax },
    });
    const fields = {
      date: "Mon, 23 Nov 2026 09:00:00 GMT",
      "retry-after": "Mon, 23 Nov 2026 09:00:05 GMT",
    };
    expect(interpret(RANGE, 503, fields)).toMatchObject({ refusal: { retryAfterMs: 5_000 } });
  });

  it("404 and 410 say that the file is not there", () => {
    for (const status of [404, 410]) {
      expect(verdict(RANGE, status)).toBe("fatal ERR_ORIGIN_NOT_FOUND");
      expect(verdict(MANIFEST, status)).toBe("fatal ERR_MANIFEST_UNAVAILABLE");
    }
  });

  it("other 4xx are fatal for the URL", () => {
    for (const status of [400, 401, 403, 405, 412, 451, 499]) {
      expect(verdict(PROBE, status)).toBe("fatal ERR_ORIGIN_REFUSED");
    }
    expect(verdict(STREAM, 416)).toBe("fatal ERR_ORIGIN_REFUSED");
  });

  it("redirects need exactly one Location", () => {
    for (const status of [301, 302, 303, 307, 308]) {
      expect(verdict(RANGE, status, { location: "/x" })).toBe("redirect");
      expect(verdict(RANGE, status)).toBe(BROKEN);
      expect(verdict(RANGE, status, { location: ["/x", "/y"] })).toBe(BROKEN);
    }
    for (const status of [300, 305, 306]) {
      expect(verdict(RANGE, status, { location: "/x" })).toBe(BROKEN);
    }
  });
});

it("compares by ETag alone where there is one, by Last-Modified otherwise", () => {
  const old = { etag: '"v1"', lastModified: "then" };
  expect(isChanged(old, { etag: '"v1"', lastModified: "now" })).toBe(false);
  expect(isChanged({ lastModified: "then" }, { etag: '"v9"', lastModified: "then" })).toBe(false);
  expect(isChanged({ lastModified: "then" }, { lastModified: "now" })).toBe(true);
  expect(isChanged({ lastModified: "then" }, {})).toBe(true);
  expect(isChanged({}, old)).toBe(false);
  expect(isChanged(undefined, old)).toBe(false);
});

it("never throws, and never accepts a body other than the one asked for (R-TEST-04)", () => {
  const names = ["content-range", "content-length", "etag", "transfer-encoding", "retry-after"];
  const value = fc.oneof(
    fc.string(),
    fc.constantFrom("bytes 100-199/1000", "bytes 0-0/5", "chunked", '"v1"', "100", "bytes */1000"),
  );
  const fields = fc.dictionary(fc.constantFrom(...names), fc.array(value, { maxLength: 2 }));
  const question = fc.constantFrom(PROBE, MANIFEST, RANGE, STREAM, NO_VALIDATOR);
  fc.assert(
    fc.property(question, fc.integer({ min: 100, max: 999 }), fields, (asked, status, given) => {
      const answer = interpret(asked, status, given);
      if (answer.kind !== "body" || asked.kind !== "range") return;
      expect(status).toBe(206);
      expect(answer.length).toBeLessThanOrEqual(asked.end - asked.start);
    }),
  );
});

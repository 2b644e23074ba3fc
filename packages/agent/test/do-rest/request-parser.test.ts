import fc from "fast-check";
import { LIMITS } from "@shoal/core";
import { describe, expect, test } from "vitest";
import { RestRequestParser } from "../../src/do-rest/request-parser.ts";
import type { Parsed, RestRequest } from "../../src/do-rest/request-parser.ts";

/** What comes of bytes that arrive in those parts: requests in order, then whether it broke. */
function parse(parts: readonly Buffer[]): { requests: RestRequest[]; isMalformed: boolean } {
  const parser = new RestRequestParser();
  const requests: RestRequest[] = [];
  for (let part of parts) {
    while (part.length > 0) {
      const parsed: Parsed = parser.take(part);
      if (parsed.kind === "malformed") return { requests, isMalformed: true };
      if (parsed.kind === "request") requests.push(parsed.request);
      expect(parsed.usedCount).toBeGreaterThan(0);
      part = part.subarray(parsed.usedCount);
    }
  }
  return { requests, isMalformed: false };
}

const text = (value: string): Buffer => Buffer.from(value, "latin1");
const parseText = (value: string): ReturnType<typeof parse> => parse([text(value)]);

/** `target`, sent with the SDK's own header fields. */
const sdk = (target: string): string =>
  `POST ${target} HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: DO-SDK-CPP\r\n\r\n`;

function cut(bytes: Buffer, places: readonly number[]): Buffer[] {
  const ends = [...new Set(places.map((place) => place % (bytes.length + 1)))].toSorted(
    (a, b) => a - b,
  );
  return [...ends, bytes.length].map((end, i) => bytes.subarray(i === 0 ? 0 : ends[i - 1], end));
}

describe("a request", () => {
  test("may have a target with or without a slash before it", () => {
    const { requests } = parseText(
      sdk("download/create?Uri=http://h/x") + sdk("/download/create/"),
    );
    expect(requests).toEqual([
      { method: "POST", target: "download/create?Uri=http://h/x", isFromBrowser: false },
      { method: "POST", target: "/download/create/", isFromBrowser: false },
    ]);
  });

  test("is told from the next by its end, also where a body is between them", () => {
    const withBody = "POST download/create HTTP/1.1\r\ncontent-length: 3\r\n\r\n\r\nx";
    const { requests, isMalformed } = parseText(withBody + sdk("b"));
    expect(requests.map(({ target }) => target)).toEqual(["download/create", "b"]);
    expect(isMalformed).toBe(false);
  });

  test.for([
    ["a target with a semicolon", sdk("download/create?a=1;b=2")],
    ["a fragment", sdk("download/create#x")],
    ["square brackets", sdk("download/create?Uri=http://[::1]/")],
    ["a byte that is not ASCII", sdk("download/cr\xe9ate")],
    ["no target", "POST HTTP/1.1\r\n\r\n"],
    ["two spaces", "POST  download/create HTTP/1.1\r\n\r\n"],
    ["a method with a digit", "P0ST download/create HTTP/1.1\r\n\r\n"],
    ["another protocol", "POST download/create SPDY/1.1\r\n\r\n"],
    ["HTTP/2", "POST download/create HTTP/2.0\r\n\r\n"],
    ["an empty first line", "\r\nPOST download/create HTTP/1.1\r\n\r\n"],
    ["a lone CR", "POST download/create HTTP/1.1\r\nHost: a\rb\r\n\r\n"],
    ["a lone LF", "POST download/create HTTP/1.1\nHost: 127.0.0.1\n\n"],
    ["a field without a colon", "POST a HTTP/1.1\r\nHost\r\n\r\n"],
    ["a continued field", "POST a HTTP/1.1\r\nA: b\r\n c\r\n\r\n"],
    ["two lengths", "POST a HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx"],
    ["a negative length", "POST a HTTP/1.1\r\nContent-Length: -1\r\n\r\n"],
    ["a chunked body", "POST a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"],
    ["a body beyond the limit", "POST a HTTP/1.1\r\nContent-Length: 2048\r\n\r\n"],
    ["TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"],
  ] as const)("with %s is none", ([, bytes]) => {
    expect(parseText(bytes)).toEqual({ requests: [], isMalformed: true });
  });

  test("has up to 2048 bytes, and not one more", () => {
    const room = LIMITS.doRestRequestBytesMax - sdk("a?").length;
    expect(parseText(sdk(`a?${"x".repeat(room)}`))).toMatchObject({ isMalformed: false });
    expect(parseText(sdk(`a?${"x".repeat(room + 1)}`))).toMatchObject({ isMalformed: true });
  });

  test("that never ends is given up at the limit (R-API-09)", () => {
    const parser = new RestRequestParser();
    let kind = "more";
    for (let i = 0; i < LIMITS.doRestRequestBytesMax && kind === "more"; i++) {
      kind = parser.take(text("P")).kind;
    }
    expect(kind).toBe("malformed");
  });

  test.for([
    ["Host: evil.example", true],
    ["Host: evil.example:50000", true],
    ["Host: 127.0.0.1.evil.example", true],
    ["Host: 127.0.0.1", false],
    ["Host: 127.0.0.1:50000", false],
    ["Host: localhost:50000", false],
    ["Host: [::1]:50000", false],
    ["Origin: https://evil.example", true],
    ["Origin: null", true],
    ["Sec-Fetch-Site: cross-site", true],
    ["Accept: */*", false],
  ] as const)("with %s is a browser's: %s (R-API-03, R-API-04)", ([field, isFromBrowser]) => {
    const { requests } = parseText(`GET a HTTP/1.1\r\n${field}\r\n\r\n`);
    expect(requests).toMatchObject([{ isFromBrowser }]);
  });
});

describe("whatever arrives", () => {
  test("is the same in whatever parts it arrives", () => {
    const piece = fc.oneof(
      fc.constantFrom(
        sdk("download/create"),
        "GET x HTTP/1.1\r\n\r\n",
        "POST x HTTP/1.1\r\nContent-Length: 2\r\n\r\n\r\n",
        "GET\r\n",
      ),
      fc.string({ maxLength: 20 }),
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 4 }), fc.array(fc.nat()), (pieces, places) => {
        const bytes = text(pieces.join(""));
        expect(parse(cut(bytes, places))).toEqual(parse([bytes]));
      }),
    );
  });

  test("is taken in the end, and never throws", () => {
    const line = fc.constantFrom("GET ", "download/", "?", " HTTP/1.1\r\n", "\r\n", "\r", "A: b");
    const part = fc.oneof(
      fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
      line.map(text),
    );
    fc.assert(
      fc.property(fc.array(part, { maxLength: 30 }), (parts) => {
        expect(parse(parts).requests.length).toBeLessThanOrEqual(parts.length * 100);
      }),
    );
  });
});

/** What a job may make the agent send to origins (R-HTTP-02, R-HTTP-03). */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { checkOriginRequest } from "../../src/job/origin-request.ts";
import type { HeaderField, OriginRequestOptions } from "../../src/ports/origin-port.ts";
import { LIMITS } from "../../src/registry/limits.ts";

const problem = (name: string, value: string): string | undefined =>
  checkOriginRequest({ headers: [[name, value]] })?.message;

describe("header fields of a job", () => {
  it.each([
    ["Authorization", "Bearer abc.def"],
    ["X-Api-Key", "k"],
    ["Cookie", "a=b; c=d"],
    ["x", ""],
    ["X-Latin", "caf\u00e9"],
    ["X-Tab", "a\tb"],
  ])("may be %s: %s", (name, value) => {
    expect(problem(name, value)).toBeUndefined();
  });

  it.each([
    ["X-A\r\nHost", "evil.test"],
    ["X-A", "b\r\nHost: evil.test"],
    ["X-A", "b\nc"],
    ["X-A", "b\rc"],
    ["X-A", "b\0c"],
    ["X-A", "b\x7f"],
    ["X-A", "\u0100"],
    ["X-A", "\u010d\u010a"],
    ["X A", "b"],
    ["X-A:", "b"],
    ["", "b"],
    ["X-\u00e9", "b"],
    ["(comment)", "b"],
  ])("may not be %j: %j (R-HTTP-02)", (name, value) => {
    expect(problem(name, value)).toBeDefined();
    expect(checkOriginRequest({ challengeHeaders: [[name, value]] })).toBeDefined();
  });

  it.each([
    "Host",
    "hOsT",
    "Range",
    "If-Range",
    "If-Match",
    "If-None-Match",
    "Connection",
    "Keep-Alive",
    "Proxy-Connection",
    "Transfer-Encoding",
    "Content-Length",
    "TE",
    "Trailer",
    "Upgrade",
    "Expect",
    "Accept-Encoding",
  ])("may not be %s, which is the agent's own (R-HTTP-02)", (name) => {
    expect(problem(name, "x")).toContain(name);
  });

  it("that pass can be written into a request without adding a line", () => {
    const unit = fc.constantFrom("a", "X", "-", ":", " ", "\t", "\r", "\n", "\0", "\xe9", "\u010a");
    let passed = 0;
    fc.assert(
      fc.property(
        fc.string({ unit, minLength: 1, maxLength: 2 }),
        fc.string({ unit, maxLength: 4 }),
        (field, value) => {
          if (problem(field, value) !== undefined) return;
          passed++;
          const bytes = Buffer.from(`${field}: ${value}\r\n`, "latin1");
          expect(bytes.filter((byte) => byte === 10 || byte === 13 || byte === 0)).toHaveLength(2);
        },
      ),
      { numRuns: 1_000 },
    );
    expect(passed).toBeGreaterThan(10);
  });

  it("never show their values in what is said about them", () => {
    const secret = "s3cr3t\n";
    expect(JSON.stringify(checkOriginRequest({ headers: [["X-A", secret]] }))).not.toContain("s3c");
  });

  it("are bounded in number and length", () => {
    const fields = (count: number, length: number): HeaderField[] =>
      Array.from({ length: count }, (_, i) => [`X-${i}`, "v".repeat(length)] as const);
    expect(checkOriginRequest({ headers: fields(LIMITS.requestFieldsMax, 1) })).toBeUndefined();
    expect(checkOriginRequest({ headers: fields(LIMITS.requestFieldsMax + 1, 1) })).toBeDefined();
    expect(checkOriginRequest({ headers: fields(1, LIMITS.requestHeaderLengthMax) })).toBeDefined();
  });
});

it("unknown TLS tolerances and endless certificates are refused", () => {
  const hostile = { tlsTolerance: ["toString"] } as unknown as OriginRequestOptions;
  expect(checkOriginRequest(hostile)?.code).toBe("ERR_USAGE");
  const clientCertificate = "a".repeat(LIMITS.clientCertificateLengthMax + 1);
  expect(checkOriginRequest({ clientCertificate })?.code).toBe("ERR_USAGE");
});

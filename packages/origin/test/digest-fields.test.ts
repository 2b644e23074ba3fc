import fc from "fast-check";
import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { parseDigest, parseReprDigest } from "../src/digest-fields.ts";
import { CONTENT, Recorder, serveHttp } from "./origin-harness.ts";

const HEX = createHash("sha256").update(CONTENT).digest("hex");
const BASE64 = createHash("sha256").update(CONTENT).digest("base64");
const SHORT = BASE64.slice(4);

describe("Repr-Digest", () => {
  it("gives the SHA-256 out of a dictionary of byte sequences", () => {
    for (const text of [
      `sha-256=:${BASE64}:`,
      `  sha-256=:${BASE64}:  `,
      `sha-512=:AAAA:, sha-256=:${BASE64}:`,
      `sha-256=:${BASE64}:\t,\tmd5=::`,
      `sha-256=:${BASE64}:;a;b=?1;c="x\\"y";d=1.5;e=tok/en;f=:AA==:`,
      `sha-256=:${SHORT}:, sha-256=:${BASE64}:`,
    ]) {
      expect([text, parseReprDigest(text)]).toEqual([text, HEX]);
    }
  });

  it("gives nothing out of anything else, the last of two members counting", () => {
    for (const text of [
      "",
      "sha-256",
      `sha-256=${BASE64}`,
      `SHA-256=:${BASE64}:`,
      `sha-256=:${SHORT}:`,
      `sha-256=:${BASE64}=:`,
      `sha-256=:${BASE64.replace(/.$/, "")}:`,
      `sha-256=:${BASE64}:,`,
      `sha-256=:${BASE64}:;`,
      `sha-256 =:${BASE64}:`,
      `sha-256=:${BASE64}: x`,
      `sha-256=:${BASE64}:, sha-512=5`,
      `sha-256=:${BASE64}:, sha-256=:${SHORT}:`,
      `sha-256=":${BASE64}:"`,
      `sha-512=:${BASE64}:`,
      "sha-256=:-_-_:",
    ]) {
      expect([text, parseReprDigest(text)]).toEqual([text, undefined]);
    }
  });
});

describe("Digest", () => {
  it("gives the SHA-256 under either case of its name, and nothing out of anything else", () => {
    for (const text of [`SHA-256=${BASE64}`, `md5=AAAA==,sha-256=${BASE64}`]) {
      expect([text, parseDigest(text)]).toEqual([text, HEX]);
    }
    for (const text of ["", `sha-256=:${BASE64}:`, `sha-256=${SHORT}`, `sha-256=${BASE64};q=1`]) {
      expect([text, parseDigest(text)]).toEqual([text, undefined]);
    }
  });
});

it("digest fields never throw, and give 64 hex digits or nothing (R-TEST-04)", () => {
  const part = fc.constantFrom("sha-256=", ":", BASE64, ",", " ", ";a", '"', "=", "\\", "?1");
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.array(part).map((parts) => parts.join("")),
      ),
      (text) => {
        for (const parse of [parseReprDigest, parseDigest]) {
          expect(parse(text) ?? HEX).toMatch(/^[0-9a-f]{64}$/);
        }
      },
    ),
  );
  const long = `sha-256=:${BASE64}:${";a=1".repeat(4_000)}!`;
  expect(parseReprDigest(long)).toBe(undefined);
});

it("a probe learns the digest from whole and partial answers, and lives without", async () => {
  const cases: [fields: Record<string, string | string[]>, sha256: string | undefined][] = [
    [{ "repr-digest": `sha-256=:${BASE64}:` }, HEX],
    [{ "repr-digest": ["sha-512=:AAAA:", `sha-256=:${BASE64}:`] }, HEX],
    [{ digest: `SHA-256=${BASE64}` }, HEX],
    [{ "repr-digest": "nonsense", digest: `sha-256=${BASE64}` }, HEX],
    [{ "content-digest": `sha-256=:${BASE64}:` }, undefined],
    [{ "repr-digest": "sha-256=:AAAA:" }, undefined],
    [{}, undefined],
  ];
  for (const [fields, sha256] of cases) {
    for (const status of [200, 206]) {
      await using server = await serveHttp((_, response) => {
        const range = status === 206 ? { "content-range": `bytes 0-0/${CONTENT.length}` } : {};
        const body = status === 206 ? CONTENT.subarray(0, 1) : CONTENT;
        response.writeHead(status, { ...fields, ...range, "content-length": body.length });
        response.end(body);
      });
      await using recorder = new Recorder();
      const { end } = await recorder.probe(server.url);
      expect({ fields, end }).toMatchObject({ fields, end: { type: "originProbed" } });
      expect("sha256" in end ? end.sha256 : undefined).toBe(sha256);
    }
  }
});

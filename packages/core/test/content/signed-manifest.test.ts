/** The signed form of a manifest: golden bytes, forgeries, and random and hostile input. */
import { decode, encode } from "cborg";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { encodeManifest, parsePublisher } from "@shoal/core";
import type { Publisher, Statement } from "@shoal/core";
import { decodeEnvelope, encodeEnvelope, messageToSign } from "../../src/content/envelope.ts";
import {
  decodeStatement,
  encodeStatement,
  openSignedManifest,
} from "../../src/content/signed-manifest.ts";
import { manifests } from "./manifest-arbitrary.ts";
import { makeKey, signedBy } from "./signing.ts";

const [ALICE, BOB, CAROL] = [makeKey(), makeKey(), makeKey()] as const;
const MANIFEST = encodeManifest(fc.sample(manifests, { numRuns: 1, seed: 3 })[0]!);
const STATEMENT: Statement = {
  product: "player",
  sequence: 7,
  issuedAtSec: 1_000,
  expiresAtSec: 2_000,
  manifestBytes: MANIFEST,
};

function publisher(text: string): Publisher {
  const parsed = parsePublisher(text);
  if (parsed === undefined) throw new Error(`${text} is no publisher`);
  return parsed;
}

const TRUSTED = [publisher(ALICE.text)];

function codeOf(bytes: Uint8Array, trusted: readonly Publisher[] = TRUSTED): string {
  const result = openSignedManifest(bytes, trusted);
  return result.ok ? "accepted" : result.error.code;
}

const statements: fc.Arbitrary<Statement> = fc.record({
  product: fc.string({ minLength: 1, maxLength: 40 }).filter((text) => !/\p{Cc}/u.test(text)),
  sequence: fc.maxSafeNat(),
  issuedAtSec: fc.nat({ max: 2 ** 31 }),
  expiresAtSec: fc.integer({ min: 2 ** 31 + 1, max: 2 ** 37 }),
  manifestBytes: manifests.map((manifest) => encodeManifest(manifest)),
});

describe("the codec", () => {
  it("gives back every statement, in the bytes that cborg writes", () => {
    fc.assert(
      fc.property(statements, (statement) => {
        const bytes = encodeStatement(statement);
        expect(decodeStatement(bytes)).toEqual({ ok: true, value: statement });
        const values: unknown = decode(bytes, { strict: true, rejectDuplicateMapKeys: true });
        const { product, sequence, issuedAtSec, expiresAtSec, manifestBytes } = statement;
        const times = { issued: issuedAtSec, expires: expiresAtSec };
        expect(values).toEqual({
          ...times,
          version: 1,
          product,
          sequence,
          manifest: manifestBytes,
        });
        expect(new Uint8Array(encode(values))).toEqual(bytes);
      }),
    );
  });

  it("has these bytes", () => {
    const statement = { ...STATEMENT, manifestBytes: Uint8Array.of(0xa0) };
    const bytes = encodeStatement(statement);
    expect(Buffer.from(bytes).toString("hex")).toBe(
      "a6" + // a map of 6
        "66697373756564" + // "issued"
        "1903e8" + // 1000
        "6765787069726573" + // "expires"
        "1907d0" + // 2000
        "6770726f64756374" + // "product"
        "66706c61796572" + // "player"
        "6776657273696f6e" + // "version"
        "01" +
        "686d616e6966657374" + // "manifest"
        "41a0" + // one byte
        "6873657175656e6365" + // "sequence"
        "07",
    );
    const signed = Buffer.from(messageToSign(bytes).subarray(0, 18)).toString("latin1");
    expect(signed).toBe("shoal-manifest-v1\0");
    const keyId = new Uint8Array(32).fill(1);
    const signature = new Uint8Array(64).fill(2);
    const envelope = encodeEnvelope({ statementBytes: bytes, signatures: [{ keyId, signature }] });
    expect(Buffer.from(envelope).toString("hex")).toBe(
      "a2" + // a map of 2
        "667369676e6564" + // "signed"
        `5843${Buffer.from(bytes).toString("hex")}` + // its 67 bytes
        "6a7369676e617475726573" + // "signatures"
        "81" + // an array of 1
        "a2" +
        "656b65794964" + // "keyId"
        `5820${"01".repeat(32)}` +
        "697369676e6174757265" + // "signature"
        `5840${"02".repeat(64)}`,
    );
  });

  it("answers any bytes without throwing (R-PEER-21)", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300, size: "max" }), (bytes) => {
        expect(codeOf(bytes)).toBe("ERR_MANIFEST_MALFORMED");
        expect(decodeStatement(bytes).ok).toBe(false);
      }),
      { numRuns: 500 },
    );
  });

  it("accepts an envelope in one encoding only, and none that was changed (R-MAN-04)", () => {
    const bytes = signedBy(STATEMENT, ALICE);
    expect(codeOf(bytes)).toBe("accepted");
    fc.assert(
      fc.property(fc.nat({ max: bytes.length - 1 }), fc.integer({ min: 1, max: 255 }), (at, by) => {
        const changed = bytes.slice();
        changed[at]! ^= by;
        expect(codeOf(changed)).not.toBe("accepted");
        expect(codeOf(bytes.subarray(0, at))).toBe("ERR_MANIFEST_MALFORMED");
        const longer = Uint8Array.of(...bytes, by);
        expect(codeOf(longer)).toBe("ERR_MANIFEST_MALFORMED");
      }),
      { numRuns: 300 },
    );
  });

  it("accepts changed statements only where they are the one encoding of another", () => {
    const bytes = encodeStatement(STATEMENT);
    fc.assert(
      fc.property(fc.nat({ max: bytes.length - 1 }), fc.nat({ max: 255 }), (at, value) => {
        const changed = bytes.slice();
        changed[at] = value;
        const result = decodeStatement(changed);
        expect(result.ok ? encodeStatement(result.value) : changed).toEqual(changed);
      }),
      { numRuns: 500 },
    );
  });
});

describe("what is refused though its signature is right (R-MAN-04)", () => {
  const entries = {
    version: 1,
    product: "player",
    sequence: 7,
    issued: 1_000,
    expires: 2_000,
    manifest: MANIFEST,
  };
  const { expires: _, ...endless } = entries;
  const wrong: ReadonlyArray<readonly [string, unknown]> = [
    ["no statement", []],
    ["an unknown field", { ...entries, critical: 1 }],
    ["a missing field", endless],
    ["another version", { ...entries, version: 2 }],
    ["a product without a name", { ...entries, product: "" }],
    ["a product that moves the cursor", { ...entries, product: "\u{1b}[2J" }],
    ["a sequence beyond 2^53", { ...entries, sequence: 2n ** 60n }],
    ["an end before its beginning", { ...entries, expires: 1_000 }],
    ["an end that no calendar has", { ...entries, expires: 2 ** 50 }],
    ["a manifest that is none", { ...entries, manifest: Uint8Array.of(1) }],
  ];
  it.each(wrong)("%s", (_name, values) => {
    const statementBytes = encode(values);
    const signatures = [ALICE.sign(statementBytes)];
    expect(codeOf(encodeEnvelope({ statementBytes, signatures }))).toBe("ERR_MANIFEST_MALFORMED");
  });

  it("a key of the statement that stands twice", () => {
    const bytes = encodeStatement(STATEMENT);
    const at = Buffer.from(bytes).indexOf(encode("version"));
    const pair = bytes.subarray(at, at + 9);
    const statementBytes = Uint8Array.of(...bytes.subarray(0, at), ...pair, ...bytes.subarray(at));
    statementBytes[0]!++;
    const signatures = [ALICE.sign(statementBytes)];
    expect(codeOf(encodeEnvelope({ statementBytes, signatures }))).toBe("ERR_MANIFEST_MALFORMED");
  });
});

describe("signatures", () => {
  it("by others do not count, nor do those over other bytes (R-MAN-04)", () => {
    expect(codeOf(signedBy(STATEMENT))).toBe("ERR_MANIFEST_UNTRUSTED");
    expect(codeOf(signedBy(STATEMENT, BOB))).toBe("ERR_MANIFEST_UNTRUSTED");
    const statementBytes = encodeStatement(STATEMENT);
    const other = ALICE.sign(encodeStatement({ ...STATEMENT, sequence: 8 }));
    const stolen = { ...BOB.sign(statementBytes), keyId: other.keyId };
    for (const signature of [other, stolen]) {
      const forged = encodeEnvelope({ statementBytes, signatures: [signature] });
      expect(codeOf(forged)).toBe("ERR_MANIFEST_UNTRUSTED");
    }
  });

  it("count once for each key, however often they stand there (R-MAN-05)", () => {
    const two = [publisher(`2/${ALICE.text},${BOB.text},${CAROL.text}`)];
    expect(codeOf(signedBy(STATEMENT, ALICE), two)).toBe("ERR_MANIFEST_UNTRUSTED");
    expect(codeOf(signedBy(STATEMENT, ALICE, BOB), two)).toBe("accepted");
    expect(codeOf(signedBy(STATEMENT, CAROL, BOB, ALICE), two)).toBe("accepted");
    expect(codeOf(signedBy(STATEMENT, ALICE, ALICE), two)).toBe("ERR_MANIFEST_MALFORMED");
  });

  it("of strangers beside trusted ones do no harm; a wrong one of a trusted key does", () => {
    expect(codeOf(signedBy(STATEMENT, ALICE, BOB))).toBe("accepted");
    const either = [publisher(`${ALICE.text},${BOB.text}`)];
    const statementBytes = encodeStatement(STATEMENT);
    const wrong = BOB.sign(encodeStatement({ ...STATEMENT, sequence: 8 }));
    const signatures = [ALICE.sign(statementBytes), wrong];
    const bytes = encodeEnvelope({ statementBytes, signatures });
    expect(codeOf(bytes, either)).toBe("ERR_MANIFEST_UNTRUSTED");
  });

  it("are at most 16, each of 64 bytes under an id of 32", () => {
    const statementBytes = encodeStatement(STATEMENT);
    const of = (count: number, idLength = 32, length = 64): boolean => {
      const signatures = Array.from({ length: count }, (_, i) => ({
        keyId: new Uint8Array(idLength).fill(i),
        signature: new Uint8Array(length),
      }));
      return decodeEnvelope(encodeEnvelope({ statementBytes, signatures })).ok;
    };
    expect([of(0), of(16), of(17)]).toEqual([true, true, false]);
    expect([of(1, 31), of(1, 33), of(1, 32, 63), of(1, 32, 65)]).toEqual(Array(4).fill(false));
  });
});

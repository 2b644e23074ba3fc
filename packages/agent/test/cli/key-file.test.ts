/** Files of signing keys, on a real disk. */
import { generateKeyPairSync } from "node:crypto";
import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { formatPublicKey, openSignedManifest, parsePublisher } from "@shoal/core";
import type { ShoalError } from "@shoal/core";
import { afterEach, beforeEach, expect, test } from "vitest";
import { generateKeyFile, readKeyFile } from "../../src/cli/key-file.ts";
import { signManifest } from "../../src/cli/sign-manifest.ts";
import { parseTrustedKeys } from "../../src/trusted-keys.ts";

let directory: string;
let file: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "shoal-keys-"));
  file = join(directory, "publisher.key");
});
afterEach(() => rm(directory, { recursive: true, force: true }));

const codeOf = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => "done",
    (error: ShoalError) => error.code,
  );

test("a key file is its owner's alone, and read back as the key that was made (R-DB-07)", async () => {
  const { publicKey } = await generateKeyFile(file);
  expect((await stat(file)).mode & 0o777).toBe(0o600);
  expect((await readKeyFile(file)).publicKey).toEqual(publicKey);
  expect(await readdir(directory)).toEqual(["publisher.key"]);
});

test("a key file is never replaced, and nothing is left of the attempt", async () => {
  await generateKeyFile(file);
  const before = await readFile(file, "utf8");
  expect(await codeOf(generateKeyFile(file))).toBe("ERR_DESTINATION_EXISTS");
  expect(await readFile(file, "utf8")).toBe(before);
  expect(await readdir(directory)).toEqual(["publisher.key"]);
  expect(await codeOf(generateKeyFile(join(directory, "no", "where")))).toBe("ERR_KEY_INVALID");
});

test("a key that others may read, or that is none, is not signed with (R-DB-07)", async () => {
  await generateKeyFile(file);
  const pem = await readFile(file, "utf8");
  await chmod(file, 0o640);
  expect(await codeOf(readKeyFile(file))).toBe("ERR_KEY_INVALID");
  await chmod(file, 0o600);
  const other = generateKeyPairSync("x25519").privateKey;
  const otherPem = other.export({ type: "pkcs8", format: "pem" }).toString();
  for (const text of ["", "no key", pem.slice(0, 60), otherPem, pem.repeat(20)]) {
    await writeFile(file, text);
    expect(await codeOf(readKeyFile(file))).toBe("ERR_KEY_INVALID");
  }
  expect(await codeOf(readKeyFile(directory))).toBe("ERR_KEY_INVALID");
  expect(await codeOf(readKeyFile(join(directory, "missing")))).toBe("ERR_KEY_INVALID");
});

test("what it signs is believed by those who trust the printed key, and by nobody else", async () => {
  const keys = [await generateKeyFile(file), await generateKeyFile(`${file}2`)];
  const times = { issuedAtSec: 1, expiresAtSec: 2 };
  const statement = { product: "p", sequence: 1, ...times, manifestBytes: new Uint8Array(1) };
  const bytes = signManifest(statement, keys);
  const [a = "", b = ""] = keys.map(({ publicKey }) => formatPublicKey(publicKey));
  const codes = [`2/${a},${b}`, formatPublicKey(new Uint8Array(32))].map((text) => {
    const publisher = parsePublisher(text);
    const result = openSignedManifest(bytes, publisher === undefined ? [] : [publisher]);
    return result.ok ? "accepted" : result.error.code;
  });
  // Its signatures pass, and then the manifest is looked at.
  expect(codes).toEqual(["ERR_MANIFEST_MALFORMED", "ERR_MANIFEST_UNTRUSTED"]);
});

test("an agent refuses keys that it cannot read, and one key with two publishers (R-MAN-05)", () => {
  const [a, b] = [1, 2].map((fill) => formatPublicKey(new Uint8Array(32).fill(fill)));
  expect(parseTrustedKeys([`${a}`, `${b}`])).toHaveLength(2);
  const wrong = [["no key"], [`${a}`, `${a},${b}`], Array.from({ length: 65 }, () => `${a}`)];
  for (const texts of wrong) {
    expect(() => parseTrustedKeys(texts)).toThrow(
      expect.objectContaining({ code: "ERR_KEY_INVALID" }),
    );
  }
});

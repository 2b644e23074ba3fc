/** The identity file: kept, replaced when damaged, private. */
import { chmod, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { generateKeyPair, privateKeyToProtobuf } from "@libp2p/crypto/keys";
import { afterEach, beforeEach, expect, test } from "vitest";
import { loadIdentity } from "../src/index.ts";

let directory: string;
let file: string;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "shoal-identity-"));
  file = join(directory, "identity.key");
});
afterEach(() => rm(directory, { recursive: true }));

test("makes a key that only its owner can read, and nothing else (R-DB-07)", async () => {
  await loadIdentity(file);
  expect((await stat(file)).mode & 0o777).toBe(0o600);
  expect(await readdir(directory)).toEqual(["identity.key"]);
});

test("is the same agent after a restart", async () => {
  const first = await loadIdentity(file);
  const second = await loadIdentity(file);
  expect(second.equals(first)).toBe(true);
});

test("closes a key file that others may read", async () => {
  const first = await loadIdentity(file);
  await chmod(file, 0o644);
  expect((await loadIdentity(file)).equals(first)).toBe(true);
  expect((await stat(file)).mode & 0o777).toBe(0o600);
});

test.each([
  ["empty", new Uint8Array(0)],
  ["garbage", Uint8Array.of(1, 2, 3)],
  ["long", new Uint8Array(100_000)],
])("replaces a key file that is %s, and says so (R-DB-07)", async (_, bytes) => {
  const reports: string[] = [];
  const key = await loadIdentity(file, () => reports.push("made"));
  await writeFile(file, bytes);
  const next = await loadIdentity(file, () => reports.push("replaced"));
  expect(next.equals(key)).toBe(false);
  expect((await loadIdentity(file, () => reports.push("kept"))).equals(next)).toBe(true);
  expect(reports).toEqual(["replaced"]);
});

test("replaces a truncated key file", async () => {
  const first = await loadIdentity(file);
  const bytes = await readFile(file);
  await writeFile(file, bytes.subarray(0, bytes.length - 1));
  expect((await loadIdentity(file)).equals(first)).toBe(false);
});

test("replaces a key of another kind (R-PEER-30)", async () => {
  const other = await generateKeyPair("secp256k1");
  await writeFile(file, privateKeyToProtobuf(other));
  expect((await loadIdentity(file)).type).toBe("Ed25519");
});

test("does not follow a link in the key file's place", async () => {
  const elsewhere = join(directory, "elsewhere");
  await writeFile(elsewhere, "untouched");
  await symlink(elsewhere, file);
  await loadIdentity(file);
  expect(await readFile(elsewhere, "utf8")).toBe("untouched");
  expect((await stat(file)).isFile()).toBe(true);
});

test("says which file cannot be stored", async () => {
  const missing = join(directory, "missing", "identity.key");
  await expect(loadIdentity(missing)).rejects.toMatchObject({ code: "ERR_STATE_UNUSABLE" });
});

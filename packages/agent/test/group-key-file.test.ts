/** Files of group keys: made once, read by their owner alone. */
import { chmod, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { createGroupKeyFile, readGroupKeys } from "../src/group-key-file.ts";

let directory: string;
let file: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "shoal-group-"));
  file = join(directory, "office.group");
});
afterEach(() => rm(directory, { recursive: true }));

test("makes a key that only its owner may read, and reads it back", async () => {
  await createGroupKeyFile(file);
  expect((await stat(file)).mode & 0o777).toBe(0o600);
  const other = join(directory, "other.group");
  await createGroupKeyFile(other);
  const [first, second] = await readGroupKeys([file, other]);
  expect(first).toHaveLength(32);
  expect(second).toHaveLength(32);
  expect(first).not.toEqual(second);
});

test("takes nobody's place", async () => {
  await createGroupKeyFile(file);
  const before = await readFile(file);
  await expect(createGroupKeyFile(file)).rejects.toMatchObject({ code: "ERR_DESTINATION_EXISTS" });
  expect(await readFile(file)).toEqual(before);
});

test("R-GRP-02: refuses a file that others may read", async () => {
  await createGroupKeyFile(file);
  for (const mode of [0o640, 0o604, 0o620]) {
    await chmod(file, mode);
    await expect(readGroupKeys([file])).rejects.toMatchObject({ code: "ERR_KEY_INVALID" });
  }
});

test("R-GRP-02: refuses what is no group key, without repeating it, and more than two", async () => {
  const secret = "x".repeat(43);
  for (const text of ["", secret, `shoal-group-1:${secret}x`, `shoal-group-2:${secret}\n`]) {
    await writeFile(file, text, { mode: 0o600 });
    const error: unknown = await readGroupKeys([file]).catch((reason) => reason);
    expect(error).toMatchObject({ code: "ERR_KEY_INVALID" });
    expect(String(error)).not.toContain(secret);
  }
  await expect(readGroupKeys([join(directory, "none")])).rejects.toMatchObject({
    code: "ERR_KEY_INVALID",
  });
  await expect(readGroupKeys([file, file, file])).rejects.toMatchObject({
    code: "ERR_KEY_INVALID",
  });
});

/** Policies on the command line and in files. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { parsePolicy, policiesOf } from "../../src/cli/policy-file.ts";

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "shoal-policies-"));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

test.each([
  ["DODownloadMode=2", { DODownloadMode: 2 }],
  ["DOCacheHost=a,b:80", { DOCacheHost: "a,b:80" }],
  [
    "DOSetHoursToLimitForegroundDownloadBandwidth=8,17,20,60",
    { DOSetHoursToLimitForegroundDownloadBandwidth: "8,17,20,60" },
  ],
])("reads %s", (text, expected) => {
  expect(parsePolicy(text)).toEqual(expected);
});

test.each([
  ["DODownloadMode", "NAME=VALUE"],
  ["=1", "NAME=VALUE"],
  ["DONothing=1", 'no policy "DONothing"'],
  ["DODownloadMode=4", "one of 0, 1, 2, 3, 99, 100"],
  ["DODownloadMode=", "one of"],
  ["DOGroupId=me", "a GUID"],
])("refuses %s and says why", (text, words) => {
  expect(() => parsePolicy(text)).toThrow(words);
});

test("puts what is said one by one before what a file says", async () => {
  const path = join(directory, "policies.json");
  await writeFile(path, JSON.stringify({ DODownloadMode: 3, DOMaxCacheAge: 60 }));
  const options = { policy: { DODownloadMode: 1 }, policyFile: path };
  expect(await policiesOf(options)).toEqual({ DODownloadMode: 1, DOMaxCacheAge: 60 });
  expect(await policiesOf({})).toEqual({});
});

test.each(["[]", "null", "7", "{", ""])("refuses a file that holds %s", async (text) => {
  const path = join(directory, "policies.json");
  await writeFile(path, text);
  await expect(policiesOf({ policyFile: path })).rejects.toMatchObject({
    code: "ERR_POLICY_INVALID",
  });
});

test("refuses a file that is not there", async () => {
  const policyFile = join(directory, "none.json");
  await expect(policiesOf({ policyFile })).rejects.toMatchObject({ code: "ERR_POLICY_INVALID" });
});

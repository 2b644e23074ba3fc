import { readdir } from "node:fs/promises";
import { expect, test } from "vitest";
import { processesNaming, runProgram, TestSite } from "./harness.ts";

test.each([
  { example: "download-a-file", words: "The file is here, and right." },
  { example: "share-on-a-lan", words: "third: 0 bytes from the origin, 16777216 from peers" },
  { example: "embed-in-an-agent", words: "editor 4.2 is here." },
  { example: "migrate-from-bits", words: "The ranges are here, in their order." },
  { example: "swarm-in-a-test", words: "fail 0" },
])("the example $example runs and leaves nothing behind", async ({ example, words }) => {
  await using site = await TestSite.create();
  const script = `examples/${example}/main.ts`;
  const result = await runProgram(script, [], { temporaryDirectory: site.directory });
  expect(result).toMatchObject({ exitCode: 0, stderr: "" });
  expect(result.stdout).toContain(words);
  expect(await readdir(site.directory)).toEqual([]);
  expect(await processesNaming(site.directory)).toEqual([]);
});

import { readFile } from "node:fs/promises";
import { AGENT_NODE_FLAGS } from "@shoal/agent";
import { expect, test } from "vitest";

test("the shoal command starts with the flags, installed and from a checkout", async () => {
  const flags = AGENT_NODE_FLAGS.join(" ");
  const source = await readFile(new URL("../src/main.ts", import.meta.url), "utf8");
  expect(source.split("\n")[0]).toBe(`#!/usr/bin/env -S node ${flags}`);
  const manifest = await readFile(new URL("../../../package.json", import.meta.url), "utf8");
  const { scripts } = JSON.parse(manifest) as { scripts: { shoal: string } };
  expect(scripts.shoal).toContain(`node ${flags} `);
});

/** A new version of a file that is here already: what both have in common is not fetched again. */
import { MiB } from "@shoal/core";
import { expect, it } from "vitest";
import { sha256Of, TestSite } from "./harness.ts";
import { makeVersionPair, runUpdate } from "./version-pair.ts";

it("fetches little more of a new version than the chunks that are new", async () => {
  await using site = await TestSite.create();
  const directory = await site.makeDirectory("versions");
  const pair = await makeVersionPair(directory, { length: 32 * MiB, seed: 1 });
  const result = await runUpdate(site, pair);
  expect(result.sha256).toBe(await sha256Of(pair.newPath));
  expect(pair.changedBytes / pair.newLength).toBeGreaterThan(0.08);
  expect(pair.changedBytes / pair.newLength).toBeLessThan(0.16);
  expect(result.fetchedBytes).toBeLessThanOrEqual(1.3 * result.freshChunkBytes);
  expect(result.fetchedBytes).toBeLessThan(0.4 * pair.newLength);
  expect(result.fetchedBytes + result.reusedBytes).toBeGreaterThanOrEqual(pair.newLength);
});

/** Digests of large files are not computed where the agent answers. */
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import { startAgent } from "@shoal/agent";
import { MiB } from "@shoal/core";
import { expect, test } from "vitest";
import { scale } from "../long.ts";
import { LOOPBACK, TestSite } from "./harness.ts";

test("an agent that reads and digests a large file has time for everything else (R-SCH-09)", async () => {
  await using site = await TestSite.create();
  const content = await site.publish("large.bin", scale(192, 2_048) * MiB);
  const stateDirectory = join(site.directory, "state");
  await using agent = await startAgent({
    stateDirectory,
    listen: [LOOPBACK],
    mdns: false,
    watchNetwork: false,
  });
  const before = performance.eventLoopUtilization();
  const startedAt = performance.now();
  expect(await agent.share(content.path)).toBe(content.contentId);
  const { active } = performance.eventLoopUtilization(before);
  const elapsedMs = performance.now() - startedAt;
  // A digest takes all of the time there is; what the loop does is to wait for it.
  expect(active).toBeLessThan(0.3 * elapsedMs + 20);
});

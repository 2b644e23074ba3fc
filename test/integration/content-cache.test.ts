/** What an agent keeps on offer after its jobs, asked and told over its API. */
import { join } from "node:path";
import { startAgent } from "@shoal/agent";
import type { Agent } from "@shoal/agent";
import { MiB } from "@shoal/core";
import { expect, it } from "vitest";
import { TestSite, until } from "./harness.ts";

function start(site: TestSite): Promise<Agent> {
  const stateDirectory = join(site.directory, "state");
  const settings = { cacheCopies: 2, cacheFreeBytesMin: 0, cacheFreePercentMin: 0 };
  return startAgent({ stateDirectory, listen: [], mdns: false, watchNetwork: false, settings });
}

it("lists, pins, expires and clears what is on offer, also after a restart", async () => {
  await using site = await TestSite.create();
  const contents = [await site.publish("first", MiB), await site.publish("second", 2 * MiB)];
  {
    await using agent = await start(site);
    for (const content of contents) {
      const { url } = await site.serve(content);
      const destination = join(site.directory, content.name);
      const files = [{ url, destination, contentId: content.contentId }];
      const job = await agent.jobs.createJob({ files });
      await job.transferred;
      await job.acknowledge();
    }
    await until(async () => (await agent.cache.list()).every(({ isCopy }) => isCopy), "copies");
    expect((await agent.cache.list()).map(({ length }) => length)).toEqual([MiB, 2 * MiB]);
    await agent.cache.pin(contents[0]?.contentId ?? "", new Date(Date.now() + 60_000));
    const unknown = agent.cache.pin("bafyreiunknown");
    await expect(unknown).rejects.toMatchObject({ code: "ERR_CONTENT_NOT_CACHED" });
  }
  await using agent = await start(site);
  const offered = (): readonly string[] => [...agent.servedContents].toSorted();
  await until(() => offered().length === 2, "both are on offer");
  expect(await agent.cache.clear()).toMatchObject([{ isPinned: true, length: MiB }]);
  await until(() => offered().length === 1, "the other is not");
  expect(offered()).toEqual([contents[0]?.contentId]);
  expect(await agent.cache.expire()).toEqual([]);
  await until(() => offered().length === 0, "nothing is");
});

import { join } from "node:path";
import { MiB } from "@shoal/core";
import { expect, test } from "vitest";
import { scale } from "../long.ts";
import { sha256Of, TestSite } from "./harness.ts";

const LENGTH = scale(512 * MiB, 2048 * MiB);
const RSS_BYTES_MAX = 300 * MiB;
const TIMEOUT_MS = scale(30_000, 120_000);

test.each(["origin", "peer"] as const)(
  "a download from the %s stays within 300 MiB of memory",
  async (from) => {
    await using site = await TestSite.create();
    const content = await site.publish("large.bin", LENGTH);
    const destination = join(await site.makeDirectory("downloads"), "large.bin");
    const source =
      from === "origin"
        ? { url: (await site.serve(content)).url, peers: [] }
        : { peers: await site.startSeed("seed", content) };
    const { peers, ...url } = source;
    const agent = site.startAgent("downloader", { peers: [...peers] });
    await agent.next("ready");
    const { contentId } = content;
    agent.send({ type: "download", job: { files: [{ ...url, contentId, destination }] } });
    const { maxRssBytes, elapsedMs } = await agent.next("published", TIMEOUT_MS);
    const rate = (LENGTH / MiB / (elapsedMs / 1_000)).toFixed(0);
    const peak = (maxRssBytes / MiB).toFixed(0);
    console.log(`memory: ${LENGTH / MiB} MiB from the ${from} at ${rate} MiB/s, peak ${peak} MiB`);
    expect(await sha256Of(destination)).toBe(content.sha256);
    expect(maxRssBytes).toBeLessThanOrEqual(RSS_BYTES_MAX);
  },
  2 * TIMEOUT_MS,
);

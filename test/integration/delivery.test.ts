import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { MiB } from "@shoal/core";
import { describe, expect, test } from "vitest";
import { processesNaming, runProgram, sha256Of, TestSite } from "./harness.ts";
import type { AgentReport } from "../../examples/main-job/agent-process.ts";
import type { DeliveryResult } from "../../examples/main-job/delivery.ts";
import { scale } from "../long.ts";

const MAIN_JOB = "examples/main-job/main.ts";

describe("the main job", () => {
  test("delivers to four cold agents with less than two copies from the origin", async () => {
    await using site = await TestSite.create();
    const size = `${scale(64, 256)}MiB`;
    const options = { temporaryDirectory: site.directory };
    const { exitCode, stdout } = await runProgram(MAIN_JOB, ["--json", "--size", size], options);
    const result = JSON.parse(stdout) as DeliveryResult & { originCopies: number };
    console.log(`main job: ${result.originCopies.toFixed(3)} copies from the origin`);
    expect(result.agents).toHaveLength(4);
    for (const agent of result.agents) {
      expect(agent).toMatchObject({ sha256: result.sha256, isVerified: true });
    }
    expect(result.originCopies).toBeGreaterThanOrEqual(1);
    expect(result.originCopies).toBeLessThan(2);
    expect(exitCode).toBe(0);
    expect(await readdir(site.directory)).toEqual([]);
    expect(await processesNaming(site.directory)).toEqual([]);
  });

  test("stops on Ctrl-C and leaves neither files nor processes", async () => {
    await using site = await TestSite.create();
    const { exitCode, stderr } = await runProgram(
      MAIN_JOB,
      ["--size", "64MiB", "--origin-rate", "4MiB"],
      {
        temporaryDirectory: site.directory,
        onStderr: (text) => (text.includes("agent 1 ") ? "SIGINT" : undefined),
      },
    );
    expect({ exitCode, stderr }).toEqual({
      exitCode: 130,
      stderr: expect.stringContaining("Stopped."),
    });
    expect(await readdir(site.directory)).toEqual([]);
    expect(await processesNaming(site.directory)).toEqual([]);
  });

  test.each([
    { args: ["--agents", "nine"], exitCode: 2, words: "1 to 8" },
    { args: ["--no-such-flag"], exitCode: 2, words: "unknown option" },
    { args: ["no-such-file"], exitCode: 3, words: "There is no file no-such-file." },
    { args: ["http://127.0.0.1:1/file"], exitCode: 5, words: "cannot be reached" },
  ])("explains $args and exits with $exitCode", async ({ args, exitCode, words }) => {
    await using site = await TestSite.create();
    const result = await runProgram(MAIN_JOB, args, { temporaryDirectory: site.directory });
    expect(result.stderr).toContain(words);
    expect(result.exitCode).toBe(exitCode);
    expect(await readdir(site.directory)).toEqual([]);
  });
});

describe("a download", () => {
  test("comes from the origin alone when there are no peers", async () => {
    await using site = await TestSite.create();
    const content = await site.publish("file.bin", 32 * MiB);
    const { url } = await site.serve(content);
    const { contentId } = content;
    const { snapshot, sha256 } = await download(site, { url, contentId });
    expect(sha256).toBe(content.sha256);
    expect(snapshot).toMatchObject({ originBytes: content.length, peerBytes: 0, wastedBytes: 0 });
  });

  test("comes from the origin alone without a manifest", async () => {
    await using site = await TestSite.create();
    const content = await site.publish("file.bin", 32 * MiB);
    const { url } = await site.serve(content);
    const { sha256 } = await download(site, { url });
    expect(sha256).toBe(content.sha256);
  });

  test("comes from a seeded agent alone when the origin has stopped", async () => {
    await using site = await TestSite.create();
    const content = await site.publish("file.bin", 32 * MiB);
    const origin = await site.serve(content);
    const peers = await site.startSeed("seed", content);
    await origin.close();
    const { contentId } = content;
    const { snapshot, sha256 } = await download(site, { url: origin.url, contentId }, peers);
    expect(sha256).toBe(content.sha256);
    expect(snapshot).toMatchObject({ originBytes: 0, peerBytes: content.length, wastedBytes: 0 });
  });

  test("comes from a seeded agent when the job names no origin at all", async () => {
    await using site = await TestSite.create();
    const content = await site.publish("file.bin", 8 * MiB);
    const peers = await site.startSeed("seed", content);
    const { snapshot, sha256 } = await download(site, { contentId: content.contentId }, peers);
    expect(sha256).toBe(content.sha256);
    expect(snapshot).toMatchObject({ originBytes: 0, peerBytes: content.length });
  });
});

/** Downloads with a new agent; gives the last snapshot and the published file's digest. */
async function download(
  site: TestSite,
  source: { url?: string; contentId?: string },
  peers: readonly string[] = [],
): Promise<Extract<AgentReport, { type: "published" }> & { sha256: string }> {
  const destination = join(await site.makeDirectory("downloads"), "file.bin");
  const agent = site.startAgent("downloader", { peers: [...peers] });
  await agent.next("ready");
  agent.send({ type: "download", job: { files: [{ ...source, destination }] } });
  const report = await agent.next("published");
  return { ...report, sha256: await sha256Of(destination) };
}

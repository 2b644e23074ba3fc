/**
 * The doctor in a running agent whose machine has a fault: what lies on disk, who may read it, what
 * policies and limits hold it back. Each fault is real, a full file system too.
 */
import { execFile } from "node:child_process";
import { chmod, mkdir, statfs, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { startAgent } from "@shoal/agent";
import { MiB } from "@shoal/core";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { checksOf, startAt } from "./doctor-site.ts";
import { TestSite } from "./harness.ts";

const execute = promisify(execFile);

let site: TestSite;
beforeEach(async () => void (site = await TestSite.create()));
afterEach(() => site[Symbol.asyncDispose]());

describe("the doctor of an agent with a fault of its machine", () => {
  test("names an identity that others may read, and one that is damaged", async () => {
    const agent = await startAt(site, "agent");
    const path = join(site.directory, "agent", "identity");
    await chmod(path, 0o644);
    const open = (await checksOf(agent)).get("state.identity");
    expect(open).toMatchObject({ result: "fail", remedy: expect.stringContaining("chmod 600") });
    await chmod(path, 0o600);
    await writeFile(path, "no key");
    const damaged = (await checksOf(agent)).get("state.identity");
    expect(damaged).toMatchObject({ result: "fail" });
    expect(damaged?.finding).toContain("no identity");
  });

  test("names safe mode after crashes, and policies that keep peers away", async () => {
    const safe = await checksOf(await startAt(site, "safe", { isSafeMode: true }));
    expect(safe.get("state.crashes")).toMatchObject({ result: "fail" });
    expect(safe.get("state.crashes")?.finding).toContain("safe mode");
    const alone = await checksOf(await startAt(site, "alone", { policies: { DODownloadMode: 0 } }));
    expect(alone.get("peers.eligibility")).toMatchObject({
      result: "warn",
      facts: { reasons: "modeHttpOnly" },
      remedy: expect.stringContaining("DODownloadMode"),
    });
    expect(alone.get("network.ports")?.result).toBe("notApplicable");
  });

  test("names limits in force and who has set them", async () => {
    const settings = { uploadRateBytesPerSec: 4 * MiB };
    const limits = (await checksOf(await startAt(site, "agent", { settings }))).get("peers.limits");
    expect(limits).toMatchObject({ result: "pass" });
    expect(limits?.finding).toContain("uploads 4.0 MiB/s, set by uploadRateBytesPerSec");
  });

  test("names an API whose directory lets others in (R-FS-01)", async () => {
    const directory = join(site.directory, "run");
    await mkdir(directory, { mode: 0o700 });
    const agent = await startAt(site, "agent", {
      api: { socketPath: join(directory, "agent.sock") },
    });
    await chmod(directory, 0o755);
    const api = (await checksOf(agent)).get("agent.api");
    expect(api).toMatchObject({ result: "fail", remedy: `chmod 700 ${directory}` });
  });

  test("names a full disk", async ({ skip }) => {
    const place = join(site.directory, "small");
    await mkdir(place);
    const mount = ["-t", "tmpfs", "-o", "size=40m", "tmpfs", place];
    await execute("mount", mount).catch((error: unknown) => skip(`no mount: ${String(error)}`));
    try {
      await using agent = await startAgent({
        stateDirectory: join(place, "state"),
        listen: [],
        mdns: false,
        watchNetwork: false,
      });
      await chmod(join(place, "state"), 0o700);
      expect((await checksOf(agent)).get("state.disk")?.result).not.toBe("fail");
      const { bavail, bsize } = await statfs(place);
      await writeFile(join(place, "ballast.bin"), Buffer.alloc(bavail * bsize - 2 * MiB));
      const disk = (await checksOf(agent)).get("state.disk");
      expect(disk).toMatchObject({ result: "fail" });
      expect(disk?.finding).toMatch(/^The disk is full: 2\.0 MiB free of 40\.0 MiB/);
      expect(disk?.remedy).toContain("shoal cache clear");
    } finally {
      await execute("umount", ["-l", place]);
    }
  });
});

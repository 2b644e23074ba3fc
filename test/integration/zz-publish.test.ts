import { existsSync, statSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { MiB } from "@shoal/core";
import { expect, test } from "vitest";
import { sha256Of, TestSite, until } from "./harness.ts";
test("kill at publish", async () => {
  await using site = await TestSite.create();
  const content = await site.publish("file.bin", 8 * MiB);
  const origin = await site.serve(content);
  for (let i = 0; i < 14; i++) {
    const destination = join(await site.makeDirectory(`d${i}`), "file.bin");
    let isDone = false;
    const a = site.startAgent(`a${i}`, { onReport: (r) => { if (r.type === "progress" && r.snapshot.state === "transferred") isDone = true; } });
    await a.next("ready");
    a.send({ type: "download", job: { files: [{ url: origin.url, contentId: content.contentId, destination }] } });
    while (!isDone) await new Promise((r) => setImmediate(r));
    if (i > 2) { const t = performance.now() + (i - 3) * 2; while (performance.now() < t); }
    await a.kill();
    const there = existsSync(destination) ? statSync(destination).size : -1;
    const before = await readdir(dirname(destination));
    const progress: string[] = [];
    const b = site.startAgent(`a${i}`, { onReport: (r) => { progress.push(r.type === "progress" ? r.snapshot.state : r.type); } });
    await b.next("ready");
    await until(() => existsSync(destination) && progress.length > 0, "published " + i);
    let p = "none";
    try { await b.next("published", 2000); p = "published"; } catch (e) { p = String(e); }
    console.log(i, there, before, progress.join(), p, await readdir(dirname(destination)));
    expect(await sha256Of(destination)).toBe(content.sha256);
    await b.kill();
  }
}, 120_000);

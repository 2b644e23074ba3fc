/** smoke */
import { readFileSync, statSync } from "node:fs";
import { MiB } from "@shoal/core";
import { afterEach, beforeEach, expect, test } from "vitest";
import { DoSite } from "./do-rest-site.ts";
import { sha256Of } from "./harness.ts";

let site: DoSite;
beforeEach(async () => void (site = await DoSite.create()));
afterEach(() => site[Symbol.asyncDispose]());

test("smoke", async () => {
  const content = await site.site.publish("file.bin", 8 * MiB + 5);
  const { url } = await site.site.serve(content, { rateBytesPerSec: 16 * MiB });
  const agent = await site.startAgent();
  const client = await site.connect(agent);
  const path = site.path("a");
  const id = await client.create(url, path);
  console.log(await client.status(id));
  expect(await client.verb("start", id)).toBe(0);
  for (let i = 0; i < 3; i++) {
    await new Promise((r) => setTimeout(r, 130));
    expect(await client.verb("pause", id)).toBe(0);
    const s = await client.status(id);
    console.log(s, statSync(path).size);
    expect(String(statSync(path).size)).toBe(s.BytesTransferred);
    expect(await client.verb("start", id)).toBe(0);
  }
  console.log(await client.until(id, "Transferred"));
  expect(await sha256Of(path)).toBe(content.sha256);
  expect(await client.verb("finalize", id)).toBe(0);
  console.log((await client.call("GET", `download/getstatus?Id=${id}`)).text);
});

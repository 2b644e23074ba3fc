import { readFile, writeFile } from "node:fs/promises";
import { createServer } from "node:https";
import { join } from "node:path";
import { startAgent } from "@shoal/agent";
import type { AgentOptions } from "@shoal/agent";
import { MiB } from "@shoal/core";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { hasOpenssl, TestAuthority } from "../../packages/origin/test/certificates.ts";
import {
  CONTENT,
  serveHttp,
  serveRanges,
  started,
} from "../../packages/origin/test/origin-harness.ts";
import { serveProxy } from "../../packages/origin/test/proxy-server.ts";
import { CliUser } from "./cli-process.ts";
import { TestSite, sha256Of } from "./harness.ts";

let site: TestSite;
beforeEach(async () => void (site = await TestSite.create()));
afterEach(() => site[Symbol.asyncDispose]());

const optionsOf = (more: Partial<AgentOptions>): AgentOptions => ({
  stateDirectory: join(site.directory, "state"),
  listen: [],
  mdns: false,
  ...more,
});

describe("an agent behind a proxy", () => {
  test("fetches a file whose origin only the proxy can find", async () => {
    const content = await site.publish("file.bin", 3 * MiB);
    const origin = await site.serve(content);
    const proxy = site.use(await serveProxy({ credentials: "me:secret" }));
    const agent = site.use(await startAgent(optionsOf({ proxy: { http: proxy.proxyUrl } })));
    const destination = join(site.directory, "got.bin");
    const url = origin.url.replace("127.0.0.1", "origin.test");
    const { contentId, sha256 } = content;
    const job = await agent.jobs.createJob({ files: [{ url, contentId, destination }] });
    await job.transferred;
    await job.acknowledge();
    expect(await sha256Of(destination)).toBe(sha256);
    expect(proxy.requests.every(({ target }) => target.startsWith("http://origin.test:"))).toBe(
      true,
    );
  });

  test("fails its jobs by name when the proxy wants other credentials", async () => {
    const proxy = site.use(await serveProxy({ credentials: "me:secret" }));
    const http = proxy.proxyUrl.replace("secret", "wrong");
    const agent = site.use(await startAgent(optionsOf({ proxy: { http } })));
    const files = [{ url: "http://origin.test/x", destination: join(site.directory, "x") }];
    const job = await agent.jobs.createJob({ files, failOnTransient: true });
    await expect(job.transferred).rejects.toMatchObject({ code: "ERR_PROXY_REFUSED" });
  });

  test("does not start with a proxy that is none, and leaves nothing behind", async () => {
    const http = "ftp://proxy.test";
    await expect(startAgent(optionsOf({ proxy: { http } }))).rejects.toMatchObject({
      code: "ERR_PROXY_INVALID",
    });
    site.use(await startAgent(optionsOf({})));
  });
});

describe.skipIf(!hasOpenssl)("an agent with an authority of its own", () => {
  test("fetches over TLS, through a proxy's tunnel", async () => {
    using authority = new TestAuthority();
    const identity = authority.issue("origin", "DNS:origin.test");
    const caFile = join(site.directory, "ca.pem");
    await writeFile(caFile, authority.cert);
    const origin = site.use(await started(createServer(identity, serveRanges), "https:"));
    const proxy = site.use(await serveProxy());
    const agent = site.use(
      await startAgent(optionsOf({ caFile, proxy: { https: proxy.proxyUrl } })),
    );
    const destination = join(site.directory, "got.bin");
    const url = origin.url.replace("127.0.0.1", "origin.test");
    const job = await agent.jobs.createJob({ files: [{ url, destination }] });
    await job.transferred;
    await job.acknowledge();
    expect((await readFile(destination)).equals(CONTENT)).toBe(true);
    expect(proxy.requests.every(({ method }) => method === "CONNECT")).toBe(true);
  });

  test("does not start with a file that is none, naming it, and leaves nothing behind", async () => {
    for (const caFile of [join(site.directory, "missing.pem"), site.directory]) {
      const starting = startAgent(optionsOf({ caFile }));
      await expect(starting).rejects.toMatchObject({ code: "ERR_CA_INVALID" });
      await expect(starting).rejects.toThrow(caFile);
    }
    site.use(await startAgent(optionsOf({})));
  });
});

test("`shoal get` takes proxies from the environment and authorities from --ca", async () => {
  const origin = site.use(await serveHttp(serveRanges));
  const proxy = site.use(await serveProxy());
  const user = await CliUser.create(site.directory);
  const url = origin.url.replace("127.0.0.1", "origin.test");
  const before = process.env["http_proxy"];
  process.env["http_proxy"] = proxy.proxyUrl;
  try {
    expect(await user.run("get", url, "-o", "got.bin")).toMatchObject({ exitCode: 0 });
    expect((await readFile(join(user.cwd, "got.bin"))).equals(CONTENT)).toBe(true);
    const args = ["get", url, "-o", "other.bin", "--ca", "nowhere.pem"];
    const { exitCode, stderr } = await user.run(...args);
    expect(exitCode).toBe(2);
    expect(stderr).toContain("nowhere.pem");
  } finally {
    if (before === undefined) delete process.env["http_proxy"];
    else process.env["http_proxy"] = before;
  }
});

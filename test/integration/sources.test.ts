/** Mirrors, cache servers and Metalink documents with real sockets and files. */
import { createServer, request as httpRequest } from "node:http";
import type { IncomingHttpHeaders } from "node:http";
import { once } from "node:events";
import { rm, writeFile } from "node:fs/promises";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { startAgent } from "@shoal/agent";
import type { Agent, AgentOptions } from "@shoal/agent";
import { MiB } from "@shoal/core";
import { parseMetalink } from "@shoal/jobs";
import type { CreateJobFile } from "@shoal/jobs";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { serveFiles } from "../../examples/origin/serve-files.ts";
import { CliUser } from "./cli-process.ts";
import { LOOPBACK, sha256Of, TestSite } from "./harness.ts";
import type { TestContent, TestOrigin } from "./harness.ts";

let site: TestSite;
let content: TestContent;
let origin: TestOrigin;
beforeEach(async () => {
  site = await TestSite.create();
  content = await site.publish("file.bin", 12 * MiB);
  origin = await site.serve(content);
});
afterEach(() => site[Symbol.asyncDispose]());

async function agentWith(options: Partial<AgentOptions> = {}): Promise<Agent> {
  const stateDirectory = join(site.directory, "state");
  const quiet = { listen: [LOOPBACK], mdns: false, watchNetwork: false };
  return site.use(await startAgent({ stateDirectory, ...quiet, ...options }));
}

/** Downloads and publishes; returns the file as it then is. */
async function get(agent: Agent, file: CreateJobFile) {
  const destination = join(site.directory, "got.bin");
  const job = await agent.jobs.createJob({ files: [{ ...file, destination }] });
  await job.transferred;
  const { files } = await job.snapshot();
  await job.acknowledge();
  expect(await sha256Of(destination)).toBe(content.sha256);
  return files[0];
}

interface TestCache extends AsyncDisposable {
  readonly host: string;
  readonly asked: Array<{ readonly url: string; readonly headers: IncomingHttpHeaders }>;
}

/** A cache server that passes requests on to the origin, or answers all with a status. */
async function startCache(to: TestOrigin, status?: number): Promise<TestCache> {
  const asked: TestCache["asked"] = [];
  const server = createServer((request, response) => {
    const { url = "", headers } = request;
    asked.push({ url, headers });
    if (status !== undefined) return void response.writeHead(status).end();
    const { pathname, host } = new URL(to.url);
    const onward = httpRequest(`http://${host}${pathname}`, { headers: { ...headers, host } });
    onward.on("response", (answer) => {
      response.writeHead(answer.statusCode ?? 500, answer.headers);
      answer.pipe(response);
    });
    onward.on("error", () => response.destroy());
    onward.end();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const close = async (): Promise<void> => {
    server.closeAllConnections();
    server.close();
  };
  const { port } = server.address() as AddressInfo;
  return site.use({ host: `127.0.0.1:${port}`, asked, [Symbol.asyncDispose]: close });
}

describe("mirrors", () => {
  test("are used when the URL names no file, with and without a manifest", async () => {
    const agent = await agentWith();
    const gone = origin.url.replace("file.bin", "gone.bin");
    for (const contentId of [content.contentId, undefined]) {
      const file = await get(agent, {
        url: gone,
        mirrors: ["http://127.0.0.1:9/nobody", origin.url],
        ...(contentId !== undefined && { contentId }),
      });
      expect(file).toMatchObject({ deliveredBy: origin.url, cacheServerBytes: 0 });
      await rm(join(site.directory, "got.bin"));
    }
  });

  test("take over from an origin that stops in the middle, and nothing is fetched twice", async () => {
    const slow = await site.serve(content, { rateBytesPerSec: 8 * MiB });
    const agent = await agentWith();
    const destination = join(site.directory, "got.bin");
    const { contentId } = content;
    const file = { url: slow.url, mirrors: [origin.url], contentId, destination };
    const job = await agent.jobs.createJob({ files: [file] });
    for await (const { transferredBytes } of job.progress({ intervalMs: 10 })) {
      if (transferredBytes > 2 * MiB) break;
    }
    await slow.close();
    await job.transferred;
    const snapshot = await job.snapshot();
    expect(snapshot.files[0]).toMatchObject({ deliveredBy: origin.url });
    expect(origin.sentBytes).toBeLessThan(content.length - MiB);
    await job.acknowledge();
    expect(await sha256Of(destination)).toBe(content.sha256);
  });
});

describe("cache servers", () => {
  test("deliver in the origin's stead, and are told its name but no secrets (R-HTTP-05)", async () => {
    const cache = await startCache(origin);
    const agent = await agentWith({ cacheHosts: [cache.host] });
    const request = { headers: [["X-Key", "secret"]] } as const;
    const { url } = origin;
    const file = await get(agent, { url, contentId: content.contentId, request });
    // What stands twice in the file is fetched once.
    const received = content.length - (file?.reusedBytes ?? 0);
    expect(file).toMatchObject({ originBytes: 0, cacheServerBytes: received });
    expect(agent.counters().shoal_cache_server_received_bytes_total).toBe(received);
    for (const { url: asked, headers } of cache.asked) {
      expect(asked).toBe("/file.bin?cacheHostOrigin=127.0.0.1");
      expect(headers["x-key"]).toBeUndefined();
    }
  });

  test.each([503, 404])("that answer %i are followed by the origin at once", async (status) => {
    const cache = await startCache(origin, status);
    const agent = await agentWith({ cacheHosts: [cache.host] });
    const file = await get(agent, { url: origin.url, contentId: content.contentId });
    expect(file).toMatchObject({ deliveredBy: origin.url, cacheServerBytes: 0 });
    expect(cache.asked).toHaveLength(1);
  });

  test("that are not hosts are refused at the start", async () => {
    await expect(agentWith({ cacheHosts: ["http://cache/"] })).rejects.toMatchObject({
      code: "ERR_USAGE",
    });
  });
});

describe("a Metalink document", () => {
  const documentOf = (): string => `<?xml version="1.0"?>
    <metalink xmlns="urn:ietf:params:xml:ns:metalink"><file name="file.bin">
      <size>${content.length}</size><hash type="sha-256">${content.sha256}</hash>
      <url priority="1">http://127.0.0.1:9/nobody</url><url priority="2">${origin.url}</url>
    </file></metalink>`;

  test("is all that a job needs", async () => {
    const agent = await agentWith();
    const [file] = parseMetalink(documentOf());
    expect(await get(agent, file ?? {})).toMatchObject({
      deliveredBy: origin.url,
      integrity: "digest",
      fileId: "file.bin",
    });
  });

  test("is got by the command, from this machine and from a URL, into a directory", async () => {
    const user = await CliUser.create(site.directory);
    const path = join(site.directory, "it.meta4");
    await writeFile(path, documentOf());
    const local = await user.run("get", path, "-o", ".");
    expect(local).toMatchObject({ exitCode: 0, stderr: expect.stringContaining("as expected") });
    expect(await sha256Of(join(user.cwd, "file.bin"))).toBe(content.sha256);
    await using server = await serveFiles({ "it.meta4": path });
    const again = await user.run("get", server.urlOf("it.meta4"), "-o", ".");
    expect(again).toMatchObject({ exitCode: 8, stderr: expect.stringContaining("already exists") });
    const replaced = await user.run("get", server.urlOf("it.meta4"), "-o", ".", "--overwrite");
    expect(replaced).toMatchObject({ exitCode: 0 });
    expect(await user.leftovers()).toEqual(["file.bin"]);
  });

  test("of other files in the same directory leaves what was begun to be gone on with", async () => {
    const user = await CliUser.create(site.directory);
    const begun = join(site.directory, "begun.meta4");
    const other = join(site.directory, "other.meta4");
    await writeFile(begun, documentOf());
    await writeFile(other, documentOf().replace('name="file.bin"', 'name="other.bin"'));
    const left = await user.run("get", begun, "-o", ".", "--limit", "4MiB", "--timeout", "2s");
    expect(left).toMatchObject({ exitCode: 6, stderr: expect.stringContaining("is kept") });
    const between = await user.run("get", other, "-o", ".");
    expect(between).toMatchObject({ exitCode: 0, stderr: expect.stringContaining("as expected") });
    const again = await user.run("get", begun, "-o", ".");
    expect(again).toMatchObject({ exitCode: 0, stderr: expect.stringContaining("as expected") });
    expect(again.stderr).not.toContain("12.0 MiB from the origin");
    expect(await user.leftovers({ butStandard: true })).toEqual(["file.bin", "other.bin"]);
  });
});

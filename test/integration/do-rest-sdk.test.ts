/**
 * Every test of Microsoft's SDK (agent REST reference, section 18) as an equivalent over raw
 * sockets, with an agent of ours and an origin on this machine. The names are the SDK's; its large
 * file is one that takes too long to come, or, where it has to come whole, long enough to be met
 * halfway. Its waits are shorter here, and end with what they wait for where that can be seen. The
 * two tests of the reference that need a real network or cloud are done with a cache server and
 * names on this machine.
 */
import { existsSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { MiB } from "@shoal/core";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { Agent } from "@shoal/agent";
import { DoClient, findPort } from "./do-client.ts";
import type { DoStatus } from "./do-client.ts";
import { DoSite } from "./do-rest-site.ts";
import { sha256Of } from "./harness.ts";
import type { TestContent } from "./harness.ts";

const SMALL = 1_837;
const NOT_SET = 0x80070490;

let site: DoSite;
let agent: Agent;
let client: DoClient;
let small: TestContent;
let large: TestContent;
let halfway: TestContent;
let smallUrl: string;
let largeUrl: string;
let halfwayUrl: string;

beforeAll(async () => {
  site = await DoSite.create();
  small = await site.publish("small.bin", SMALL);
  large = await site.publish("large.bin", 8 * MiB);
  halfway = await site.publish("halfway.bin", 3 * MiB);
  smallUrl = (await site.site.serve(small)).url;
  // 4 s: longer than any test lets it run that wants it unfinished.
  largeUrl = (await site.site.serve(large, { rateBytesPerSec: 2 * MiB })).url;
  halfwayUrl = (await site.site.serve(halfway, { rateBytesPerSec: 4 * MiB })).url;
  agent = await site.startAgent();
  client = await site.connect(agent);
});
beforeEach(() => site.renew());
afterAll(() => site[Symbol.asyncDispose]());

const PATHS = ["docsdk_testfile.txt", "docsdk_testfile2.txt", "docsdk_testfile3.txt"] as const;
const path = (i = 0): string => site.path(PATHS[i] ?? "");

async function begin(url: string, destination: string): Promise<string> {
  const id = await client.create(url, destination);
  expect(await client.verb("start", id)).toBe(0);
  return id;
}

/** Pauses it as soon as some of its file is there, and sees that some is not. */
async function pauseHalfway(id: string): Promise<void> {
  await client.until(id, ({ BytesTransferred }) => BytesTransferred !== "0");
  expect(await client.verb("pause", id)).toBe(0);
  const { Status, BytesTotal, BytesTransferred } = await client.status(id);
  expect(Status).toBe("Paused");
  expect(Number(BytesTransferred)).toBeLessThan(Number(BytesTotal));
}

/** What the SDK's blocking call does: polls, and aborts when it is told to or when time is up. */
async function downloadUrlToPath(
  url: string,
  destination: string,
  { timeoutMs = 60_000, signal }: { timeoutMs?: number; signal?: AbortSignal } = {},
): Promise<number | "operation_canceled" | "timed_out"> {
  const id = await client.create(url, destination);
  const startError = await client.verb("start", id);
  if (startError !== 0) {
    await client.verb("abort", id);
    return startError;
  }
  const deadlineAt = performance.now() + timeoutMs;
  while (true) {
    const { Status, ErrorCode } = await client.status(id);
    if (Status === "Transferred") return await client.verb("finalize", id);
    const error = Number(ErrorCode) >>> 0;
    const isFailed = Status === "Paused" && error !== 0;
    const isLate = performance.now() > deadlineAt;
    if (isFailed || isLate || signal?.aborted === true) {
      const abortError = await client.verb("abort", id);
      if (abortError !== 0) return abortError;
      if (isFailed) return error;
      return isLate ? "timed_out" : "operation_canceled";
    }
    await delay(50);
  }
}

async function finish(id: string, content: TestContent, destination: string): Promise<void> {
  const status = await client.until(id, "Transferred", 30_000);
  expect(status.BytesTotal).toBe(String(content.length));
  expect(status.BytesTransferred).toBe(status.BytesTotal);
  expect(await client.verb("finalize", id)).toBe(0);
  expect(statSync(destination).size).toBe(content.length);
  expect(await sha256Of(destination)).toBe(content.sha256);
}

describe("DownloadTests", () => {
  test("SimpleDownloadTest", async () => {
    const id = await client.create(smallUrl, path());
    expect(await client.status(id)).toMatchObject({ Status: "Created", BytesTransferred: "0" });
    expect(await client.verb("start", id)).toBe(0);
    await finish(id, small, path());
  });

  test("SimpleBlockingDownloadTest", async () => {
    expect(await downloadUrlToPath(smallUrl, path())).toBe(0);
    expect(statSync(path()).size).toBe(SMALL);
  });

  test("CancelBlockingDownloadTest", async () => {
    const signal = AbortSignal.timeout(300);
    expect(await downloadUrlToPath(largeUrl, path(), { signal })).toBe("operation_canceled");
    expect(existsSync(path())).toBe(false);
  });

  test("BlockingDownloadTimeout", async () => {
    const beganAt = performance.now();
    expect(await downloadUrlToPath(largeUrl, path(), { timeoutMs: 500 })).toBe("timed_out");
    const tookMs = performance.now() - beganAt;
    expect(tookMs).toBeGreaterThanOrEqual(500);
    expect(tookMs).toBeLessThan(3_500);
    expect(existsSync(path())).toBe(false);
  });

  test("SimpleDownloadTest_With404Url", async () => {
    expect(await downloadUrlToPath(`${smallUrl}-not`, path())).toBe(0x80190194);
  });

  test("SimpleDownloadTest_WithMalformedPath", async () => {
    const malformed = "\\/\\?\\q:/nonsense";
    expect(await downloadUrlToPath(smallUrl, malformed)).toBe(0xc0d00002);
    expect(existsSync(malformed)).toBe(false);
  });

  test("SimpleDownloadTest_With404UrlAndMalformedPath", async () => {
    expect(await downloadUrlToPath(`${smallUrl}-not`, "no/such:path")).toBe(0xc0d00002);
  });

  test("Download1PausedDownload2SameDestTest", async () => {
    const first = await begin(largeUrl, path());
    await pauseHalfway(first);
    expect(existsSync(path())).toBe(true);
    const second = await client.create(smallUrl, path());
    expect(await client.verb("start", second)).toBe(0xc0d00011);
    expect(await client.verb("abort", second)).toBe(0);
    expect(existsSync(path())).toBe(true);
    expect(await client.verb("abort", first)).toBe(0);
    expect(existsSync(path())).toBe(false);
    const third = await begin(smallUrl, path());
    const seen = new Set<string>();
    await client.until(third, ({ Status }) => {
      seen.add(Status);
      return Status === "Transferred";
    });
    expect([...seen].filter((one) => one !== "Transferring")).toEqual(["Transferred"]);
    await finish(third, small, path());
  });

  test("Download1PausedDownload2SameFileDownload1Resume", async () => {
    const first = await begin(halfwayUrl, path());
    await pauseHalfway(first);
    const second = await begin(halfwayUrl, path(1));
    await finish(second, halfway, path(1));
    expect(await client.verb("start", first)).toBe(0);
    await finish(first, halfway, path());
  });

  test("Download1NeverStartedDownload2CancelledSameFileTest", async () => {
    const first = await client.create(largeUrl, path());
    const second = await begin(largeUrl, path());
    await delay(200);
    expect(await client.verb("abort", second)).toBe(0);
    expect(await client.verb("abort", first)).toBe(0);
    expect(existsSync(path())).toBe(false);
  });

  test("ResumeOnAlreadyDownloadedFileTest", async () => {
    const id = await begin(smallUrl, path());
    await finish(id, small, path());
    expect(await client.verb("start", id)).toBe(NOT_SET);
  });

  test("CancelDownloadOnCompletedState", async () => {
    const id = await begin(smallUrl, path());
    await finish(id, small, path());
    expect(await client.verb("abort", id)).toBe(NOT_SET);
    expect(existsSync(path())).toBe(true);
  });

  test("CancelDownloadInTransferredState", async () => {
    const id = await begin(smallUrl, path());
    await client.until(id, "Transferred");
    expect(statSync(path()).size).toBe(SMALL);
    expect(await client.verb("abort", id)).toBe(0);
    expect(existsSync(path())).toBe(false);
  });

  test("PauseResumeTest", async () => {
    const id = await begin(halfwayUrl, path());
    expect(await client.verb("pause", id)).toBe(0);
    expect(await client.status(id)).toMatchObject({ Status: "Paused" });
    expect(await client.verb("start", id)).toBe(0);
    await finish(id, halfway, path());
  });

  test("PauseResumeTestWithDelayAfterStart", async () => {
    const id = await begin(halfwayUrl, path());
    await pauseHalfway(id);
    expect(await client.verb("start", id)).toBe(0);
    await finish(id, halfway, path());
  });

  test("MultipleConsecutiveDownloadTest", async () => {
    for (const i of [0, 1, 2]) expect(await downloadUrlToPath(smallUrl, path(i))).toBe(0);
    for (const i of [0, 1, 2]) expect(await sha256Of(path(i))).toBe(small.sha256);
  });

  test("MultipleConcurrentDownloadTest", async () => {
    const ids = [];
    for (const i of [0, 1, 2]) ids.push(await begin(smallUrl, path(i)));
    for (const [i, id] of ids.entries()) await finish(id, small, path(i));
    expect(await readdir(site.downloads)).toHaveLength(3);
  });

  test("MultipleConcurrentDownloadTest_WithCancels", async () => {
    const first = await begin(smallUrl, path());
    const second = await begin(largeUrl, path(1));
    const third = await begin(smallUrl, path(2));
    await finish(first, small, path());
    await finish(third, small, path(2));
    await client.until(second, ({ BytesTransferred }) => BytesTransferred !== "0");
    expect(await client.verb("abort", second)).toBe(0);
    expect(existsSync(path(1))).toBe(false);
  });

  test("FileDeletionAfterPause", async () => {
    const id = await begin(largeUrl, path());
    await pauseHalfway(id);
    rmSync(path());
    expect(await client.verb("start", id)).toBe(0xc0d00002);
    expect(await client.verb("abort", id)).toBe(0);
  });
});

test("PortDiscoveryTests.DiscoverPortTest", async () => {
  expect(await findPort(site.run)).toBe(agent.doRest?.port);
});

describe("the service that was stopped", () => {
  beforeEach(() => agent.close());
  afterAll(async () => {
    await agent.close();
    agent = await site.startAgent();
    client = await site.connect(agent);
  });

  test("SimpleBlockingDownloadTest_ClientNotRunning", async () => {
    expect(await readdir(site.run)).toEqual([]);
    await expect(findPort(site.run, 1)).rejects.toThrow("DO_E_NO_SERVICE");
    expect(existsSync(path())).toBe(false);
  });

  test("SimpleBlockingDownloadTest_ClientNotRunningPortFilePresent", async () => {
    // Nobody answers there; another test's agent may have taken the port of this one.
    writeFileSync(join(site.run, "restport.1"), "1\n");
    const port = await findPort(site.run);
    await expect(DoClient.connect(port)).rejects.toMatchObject({ code: "ECONNREFUSED" });
  });

  test("MultipleRestPortFileExists_Download", async () => {
    for (let i = 0; i < 5; i++) writeFileSync(join(site.run, `restport.${i}`), `${50_000 + i}\n`);
    agent = await site.startAgent();
    expect(await readdir(site.run)).toHaveLength(1);
    client = site.site.use(await DoClient.connect(await findPort(site.run)));
    expect(await downloadUrlToPath(smallUrl, path())).toBe(0);
  });
});

describe("MCCDownloadTests", () => {
  afterEach(() => {
    for (const name of ["sdk-config.json", "admin-config.json"]) {
      rmSync(join(site.config, name), { force: true });
    }
    agent.doRest?.reload();
  });

  const gateway = (host: string): Promise<void> =>
    site.writeConfig(
      "sdk-config.json",
      JSON.stringify({
        ADUC_IoTConnectionString: `HostName=h.azure-devices.net;DeviceId=d;SharedAccessKey=k;GatewayHostName=${host}`,
      }),
    );

  test("DownloadWithMockIoTConnectionString", async () => {
    const asked: string[] = [];
    const cache = await site.serve((request, response) => {
      asked.push(request.url ?? "");
      const bytes = readFileSync(small.path);
      response.setHeader("ETag", '"cached"');
      response.writeHead(200, { "content-length": bytes.length }).end(bytes);
    });
    await gateway(new URL(cache).host);
    agent.doRest?.reload();
    expect(await downloadUrlToPath("http://no-such-origin.invalid/dir/f?a=1", path())).toBe(0);
    expect(asked).toContain("/dir/f?a=1&cacheHostOrigin=no-such-origin.invalid");
    expect(await sha256Of(path())).toBe(small.sha256);
  });

  test("DownloadWithMockIoTConnectionStringInvalidHost", async () => {
    await gateway("no-such-cache.invalid");
    agent.doRest?.reload();
    expect(await downloadUrlToPath(smallUrl, path())).toBe(0);
    expect(statSync(path()).size).toBe(SMALL);
  });

  test("DownloadWithInvalidHostAndUrl", async () => {
    await gateway("no-such-cache.invalid");
    agent.doRest?.reload();
    const id = await begin("http://no-such-origin.invalid/x", path());
    const seen = new Set<string>();
    const endAt = performance.now() + 1_000;
    while (performance.now() < endAt) {
      const { Status, BytesTransferred }: DoStatus = await client.status(id);
      seen.add(`${Status} ${BytesTransferred}`);
      await delay(100);
    }
    expect([...seen]).toEqual(["Transferring 0"]);
    expect(await client.verb("abort", id)).toBe(0);
  });

  test("an empty host of the administrator's disables the gateway", async () => {
    let isAsked = false;
    const cache = await site.serve((_, response) => {
      isAsked = true;
      response.writeHead(404).end();
    });
    await gateway(new URL(cache).host);
    await site.writeConfig("admin-config.json", '{"DOCacheHost":""}');
    agent.doRest?.reload();
    expect(await downloadUrlToPath(smallUrl, path())).toBe(0);
    expect(isAsked).toBe(false);
  });

  test("a cache server that fails is stayed with as long as the administrator says", async () => {
    const cache = await site.serve((_, response) => void response.writeHead(503).end());
    const { host } = new URL(cache);
    const key = "DODelayCacheServerFallbackBackground";
    await site.writeConfig("admin-config.json", `{"DOCacheHost":"${host}","${key}":"1"}`);
    agent.doRest?.reload();
    const beganAt = performance.now();
    expect(await downloadUrlToPath(smallUrl, path())).toBe(0);
    expect(performance.now() - beganAt).toBeGreaterThan(1_000);
  });

  describe("a cache server that is never to be left for the origin", () => {
    let originAsked: number;
    let originUrl: string;
    const never = async (host: string): Promise<void> => {
      const key = "DODelayCacheServerFallbackForeground";
      await site.writeConfig("admin-config.json", `{"DOCacheHost":"${host}","${key}":-1}`);
      agent.doRest?.reload();
    };
    beforeEach(async () => {
      originAsked = 0;
      originUrl = await site.serve((_, response) => {
        originAsked++;
        response.end("origin");
      });
    });

    test("delivers files of an origin that is not asked", async () => {
      const bytes = readFileSync(small.path);
      const cache = await site.serve((_, response) => {
        response.writeHead(200, { "content-length": bytes.length, etag: '"c"' }).end(bytes);
      });
      await never(new URL(cache).host);
      expect(await downloadUrlToPath(`${originUrl}/x`, path())).toBe(0);
      expect(readFileSync(path())).toEqual(bytes);
      expect(originAsked).toBe(0);
    });

    test("ends the download with a 4xx, each time it is started", async () => {
      const cache = await site.serve((_, response) => void response.writeHead(404).end());
      await never(new URL(cache).host);
      const id = await begin(`${originUrl}/x`, path());
      const ErrorCode = String(0x80190194 | 0);
      expect(await client.until(id, "Paused")).toMatchObject({ ErrorCode });
      expect(await client.verb("start", id)).toBe(0);
      expect(await client.until(id, "Paused")).toMatchObject({ ErrorCode });
      expect(originAsked).toBe(0);
    });

    test("is tried again while it cannot be reached", async () => {
      await never("no-such-cache.invalid");
      const id = await begin(`${originUrl}/x`, path());
      const failing = await client.until(id, (one) => one.ErrorCode !== "0");
      const ErrorCode = String(0x80072ee7 | 0);
      expect(failing).toMatchObject({ Status: "Transferring", ErrorCode });
      await delay(500);
      expect(await client.status(id)).toMatchObject({ Status: "Transferring" });
      expect(originAsked).toBe(0);
      expect(await client.verb("abort", id)).toBe(0);
    });
  });

  test.for([404, 503])(
    "a cache server that answers %i is followed by the origin",
    async (status) => {
      let asked = 0;
      const cache = await site.serve((_, response) => {
        asked++;
        response.writeHead(status).end();
      });
      await site.writeConfig("admin-config.json", `{"DOCacheHost":"${new URL(cache).host}"}`);
      agent.doRest?.reload();
      expect(await downloadUrlToPath(smallUrl, path())).toBe(0);
      expect(asked).toBe(1);
      // A 4xx bans the server for this origin.
      expect(await downloadUrlToPath(smallUrl, path(1))).toBe(0);
      expect(asked).toBe(status === 404 ? 1 : 2);
    },
  );
});

test("ConfigTests: the connection string's file is read as the SDK writes it, and left alone", async () => {
  const text = `{\n    "ADUC_IoTConnectionString": "HostName=a;GatewayHostName=b"\n}\n`;
  await mkdir(site.config, { recursive: true });
  writeFileSync(join(site.config, "sdk-config.json"), text);
  agent.doRest?.reload();
  expect(await downloadUrlToPath(smallUrl, path())).toBe(0);
  expect(readFileSync(join(site.config, "sdk-config.json"), "utf8")).toBe(text);
});

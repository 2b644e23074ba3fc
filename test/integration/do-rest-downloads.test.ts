/**
 * Downloads of the DO-compatible listener: states, files, errors, retries and cache servers, as the
 * agent REST reference has them (sections 8 and 10 to 14), and where it is better.
 */
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { renameSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import type { IncomingMessage, ServerResponse } from "node:http";
import { join } from "node:path";
import { KiB, MiB, SIGNED_SIDECAR_SUFFIX } from "@shoal/core";
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from "vitest";
import type { Agent } from "@shoal/agent";
import { serveFiles } from "../../examples/origin/serve-files.ts";
import { makeKey, signedBy } from "../../packages/core/test/content/signing.ts";
import { errorOf } from "./do-client.ts";
import type { DoClient } from "./do-client.ts";
import { DoSite } from "./do-rest-site.ts";
import { LOOPBACK, sha256Of, until } from "./harness.ts";
import type { TestContent, TestOrigin } from "./harness.ts";

const INVALID_STATE = 0x80d02013;
const ENOENT = 0xc0d00002;
const EXISTS = 0xc0d00011;
const NOT_FOUND = 0x80190194;

let site: DoSite;
let agent: Agent;
let client: DoClient;

/** One agent for tests that ask for nothing special. */
let shared: DoSite;
let sharedAgent: Agent;
beforeAll(async () => {
  shared = await DoSite.create();
  sharedAgent = await shared.startAgent();
});
afterAll(() => shared[Symbol.asyncDispose]());
beforeEach(async () => {
  await shared.renew();
  site = shared;
  agent = sharedAgent;
  client = await site.connect(agent);
});

/** An agent of the test's own. */
async function start(options: Parameters<DoSite["startAgent"]>[0] = {}): Promise<void> {
  agent = await site.startAgent(options);
  client = await site.connect(agent);
}

async function useOwnSite(): Promise<void> {
  site = await DoSite.create();
  const own = site;
  onTestFinished(() => own[Symbol.asyncDispose]());
}

/** A file at an origin, slow enough to be met halfway. */
async function slowFile(): Promise<{ content: TestContent; origin: TestOrigin }> {
  const content = await site.publish("slow.bin", 2 * MiB + 11);
  const origin = await site.site.serve(content, { rateBytesPerSec: 4 * MiB });
  return { content, origin };
}

/** Serves bytes with ranges and an ETag, unless `instead` answers. */
function fileListener(
  bytes: Buffer,
  instead: (request: IncomingMessage, response: ServerResponse) => boolean = () => false,
) {
  return (request: IncomingMessage, response: ServerResponse): void => {
    if (instead(request, response)) return;
    const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "") ?? [];
    response.setHeader("ETag", '"one"');
    if (first === undefined || last === undefined) {
      response.end(bytes);
      return;
    }
    const part = bytes.subarray(Number(first), Number(last) + 1);
    const end = Number(first) + part.length - 1;
    response.setHeader("Content-Range", `bytes ${first}-${end}/${bytes.length}`);
    response.writeHead(206).end(part);
  };
}

const bytesOf = (length: number): Buffer =>
  Buffer.from(Uint8Array.from({ length }, (_, i) => (i * 31 + (i >> 8)) % 251));

const answer =
  (status: number, body = "") =>
  (_: IncomingMessage, response: ServerResponse): void => {
    response.writeHead(status).end(body);
  };

/** Creates and starts; the error of the start. */
async function begin(uri: string, path: string): Promise<{ id: string; error: number }> {
  const id = await client.create(uri, path);
  return { id, error: await client.verb("start", id) };
}

const error = (code: number) => String(code | 0);

describe("start", () => {
  test.for([
    ["without a URL", "", "x", 0x80d02200],
    ["without a path", "http://127.0.0.1:9/x", "", 0x80d02018],
    ["with a relative path", "http://127.0.0.1:9/x", "some/nonsense", ENOENT],
    ["into a directory that is not there", "http://127.0.0.1:9/x", "/no/such/place", ENOENT],
    ["over a directory", "http://127.0.0.1:9/x", "/tmp", EXISTS],
    ["with a path through a file", "http://127.0.0.1:9/x", "/etc/passwd/x", 0xc0d00014],
    ["with a zero in its path", "http://127.0.0.1:9/x", "/tmp/a\0b", 0x80070057],
  ] as const)("%s fails, and the download stays Created", async ([, uri, path, code]) => {
    const { id, error: found } = await begin(uri, path === "x" ? site.path("x") : path);
    expect(found).toBe(code);
    expect(await client.status(id)).toMatchObject({ Status: "Created", ErrorCode: "0" });
  });

  test("makes the file at once, with the rights the umask leaves", async () => {
    const url = await site.serve(() => {});
    const { error: found } = await begin(`${url}/never`, site.path("x"));
    expect(found).toBe(0);
    const { mode, size } = statSync(site.path("x"));
    expect([mode & 0o777, size]).toEqual([0o664 & ~process.umask(), 0]);
  });

  test("over a file that exists fails, and aborting leaves that file alone", async () => {
    writeFileSync(site.path("x"), "mine");
    const { id, error: found } = await begin("http://127.0.0.1:9/x", site.path("x"));
    expect(found).toBe(EXISTS);
    expect(await client.verb("abort", id)).toBe(0);
    expect(readFileSync(site.path("x"), "utf8")).toBe("mine");
  });

  test("into directories of the agent's own is forbidden, by whatever path (R-FS-03)", async () => {
    const state = join(site.site.directory, "state");
    for (const directory of [state, join(state, "spool"), site.config, site.run]) {
      const { error: found } = await begin("http://127.0.0.1:9/x", join(directory, "x"));
      expect(found).toBe(0xc0d0000d);
    }
  });

  test("in place of the API's files and the configuration is forbidden (R-FS-03)", async () => {
    await using other = await DoSite.create();
    const home = join(other.site.directory, "home");
    mkdirSync(home, { mode: 0o700 });
    const rest = { reservedPaths: [join(home, "config.yaml")] };
    const api = { socketPath: join(home, "agent.sock") };
    const caller = await other.connect(await other.startAgent({ api, rest }));
    symlinkSync(home, other.path("link"));
    const places = ["agent.token", "agent.port", "config.yaml"].map((name) => join(home, name));
    for (const path of [...places, join(other.path("link"), "agent.token"), join(home, "x")]) {
      const found = await caller.verb("start", await caller.create("http://127.0.0.1:9/x", path));
      expect([path, found]).toEqual([path, path.endsWith("/x") ? 0 : 0xc0d0000d]);
    }
  });

  test("leaves a link in the place of its file alone when it is aborted (R-FS-04)", async () => {
    const url = await site.serve(() => {});
    const { id } = await begin(`${url}/never`, site.path("x"));
    renameSync(site.path("x"), site.path("moved"));
    symlinkSync(site.path("moved"), site.path("x"));
    expect(await client.verb("abort", id)).toBe(0);
    expect(readdirSync(site.downloads)).toEqual(["moved", "x"]);
  });

  test.skipIf(process.getuid?.() === 0)("without the right to write says so", async () => {
    chmodSync(site.downloads, 0o500);
    expect((await begin("http://127.0.0.1:9/x", site.path("x"))).error).toBe(0xc0d0000d);
    chmodSync(site.downloads, 0o700);
  });

  test("with what only this API takes for a URL is paused with that error", async () => {
    const { id, error: found } = await begin("http://h:abc/x", site.path("x"));
    expect(found).toBe(0);
    const status = await client.until(id, "Paused");
    expect(status.ErrorCode).toBe(error(0x800c0002));
  });
});

test("a file that its client has changed since it came is left alone by finalize", async () => {
  const content = await site.publish("file.bin", MiB);
  const { url } = await site.site.serve(content);
  const { id } = await begin(url, site.path("x"));
  await client.until(id, "Transferred");
  writeFileSync(site.path("x"), "and more", { flag: "a" });
  expect(await client.verb("finalize", id)).toBe(0);
  expect(statSync(site.path("x")).size).toBe(MiB + 8);
});

describe("the table of states", () => {
  test("Created: pause does nothing, finalize is refused, abort forgets", async () => {
    const id = await client.create("http://127.0.0.1:9/x", site.path("x"));
    expect(await client.verb("pause", id)).toBe(0);
    expect(await client.verb("finalize", id)).toBe(INVALID_STATE);
    expect(await client.status(id)).toMatchObject({ Status: "Created" });
    expect(await client.verb("abort", id)).toBe(0);
    for (const verb of ["start", "pause", "finalize", "abort"]) {
      expect(await client.verb(verb, id)).toBe(0x80070490);
    }
  });

  test("Transferring: start does nothing, finalize is refused, what is set is refused", async () => {
    const { origin } = await slowFile();
    const { id } = await begin(origin.url, site.path("x"));
    expect(await client.verb("start", id)).toBe(0);
    expect(await client.verb("finalize", id)).toBe(INVALID_STATE);
    expect(await client.set(id, "Uri=http://127.0.0.1/y")).toBe(INVALID_STATE);
    expect(await client.set(id, "DownloadFilePath=/tmp/y")).toBe(INVALID_STATE);
    expect(await client.set(id, "NoProgressTimeoutSeconds=10")).toBe(0);
    expect(await client.verb("abort", id)).toBe(0);
    expect(existsSync(site.path("x"))).toBe(false);
  });

  test("Paused: the file holds what the status says; pause does nothing, finalize is refused", async () => {
    const { content, origin } = await slowFile();
    const { id } = await begin(origin.url, site.path("x"));
    await client.until(id, ({ BytesTransferred }) => BytesTransferred !== "0");
    expect(await client.verb("pause", id)).toBe(0);
    const paused = await client.status(id);
    expect(paused).toMatchObject({ Status: "Paused", ErrorCode: "0", ExtendedErrorCode: "0" });
    expect(paused.BytesTotal).toBe(String(content.length));
    expect(String(statSync(site.path("x")).size)).toBe(paused.BytesTransferred);
    expect(await client.verb("pause", id)).toBe(0);
    expect(await client.verb("finalize", id)).toBe(INVALID_STATE);
    expect(await client.set(id, "DownloadFilePath=/tmp/y")).toBe(INVALID_STATE);
    expect(await client.verb("start", id)).toBe(0);
    await client.until(id, "Transferred");
    expect(await sha256Of(site.path("x"))).toBe(content.sha256);
  });

  test("Transferred: the file is whole; start and pause do nothing, finalize leaves the file", async () => {
    const content = await site.publish("file.bin", MiB + 1);
    const { url } = await site.site.serve(content);
    const { id } = await begin(url, site.path("x"));
    const done = await client.until(id, "Transferred");
    expect(statSync(site.path("x")).size).toBe(content.length);
    expect(done).toMatchObject({ BytesTotal: String(content.length), ErrorCode: "0" });
    expect(done.BytesTransferred).toBe(done.BytesTotal);
    expect(await client.verb("start", id)).toBe(0);
    expect(await client.verb("pause", id)).toBe(0);
    expect(await client.set(id, "Uri=http://127.0.0.1/y")).toBe(INVALID_STATE);
    expect(await client.status(id)).toEqual(done);
    expect(await client.verb("finalize", id)).toBe(0);
    expect(await client.verb("finalize", id)).toBe(0x80070490);
    expect(await sha256Of(site.path("x"))).toBe(content.sha256);
    const jobs = await agent.jobs.list();
    expect(jobs.at(-1)).toMatchObject({ owner: "do-rest", state: "acknowledged" });
  });

  test("a pause at any moment leaves what the status says, and the file comes whole", async () => {
    const content = await site.publish("slow.bin", 3 * MiB + 11);
    const origin = await site.site.serve(content, { rateBytesPerSec: 4 * MiB });
    const { id } = await begin(origin.url, site.path("x"));
    for (let i = 0; i < 12; i++) {
      expect(await client.verb("pause", id)).toBe(0);
      const { Status, BytesTransferred } = await client.status(id);
      expect(Status).toBe("Paused");
      expect(String(statSync(site.path("x")).size)).toBe(BytesTransferred);
      expect(await client.verb("start", id)).toBe(0);
      await new Promise((resolve) => setTimeout(resolve, i * 9));
    }
    await client.until(id, "Transferred");
    expect(await sha256Of(site.path("x"))).toBe(content.sha256);
  });
});

describe("what an origin answers", () => {
  test("with 404 pauses the download, and the empty file stays until it is aborted", async () => {
    const url = await site.serve(answer(404));
    const { id } = await begin(`${url}/x`, site.path("x"));
    const status = await client.until(id, "Paused");
    expect(status).toMatchObject({ ErrorCode: error(NOT_FOUND), ExtendedErrorCode: "0" });
    expect(statSync(site.path("x")).size).toBe(0);
    expect(await client.verb("abort", id)).toBe(0);
    expect(existsSync(site.path("x"))).toBe(false);
  });

  test("in every status of 4xx pauses it with the reference's number", async () => {
    const rows = [
      [400, 0x80190190],
      [401, 0x80190191],
      [403, 0x80190193],
      [407, 0x80190197],
      [408, 0x80190198],
      [410, 0x80190194],
      [413, 0x8019019d],
      [429, 0x80190001],
    ] as const;
    const url = await site.serve((request, response) => {
      response.writeHead(Number(request.url?.slice(1))).end();
    });
    const ids = [];
    for (const [status] of rows)
      ids.push((await begin(`${url}/${status}`, site.path(`${status}`))).id);
    for (const [i, [, hresult]] of rows.entries()) {
      const status = await client.until(ids[i]!, "Paused");
      expect(status.ErrorCode).toBe(error(hresult));
    }
  });

  test.for([
    [300, 0x801901f4],
    [500, 0x801901f4],
    [501, 0x801901f5],
    [502, 0x801901f6],
    [503, 0x801901f4],
  ] as const)(
    "with %i is tried again, the failure being shown meanwhile",
    async ([status, hresult]) => {
      let isBroken = true;
      const bytes = bytesOf(5_000);
      const url = await site.serve(
        fileListener(bytes, (_, response) => {
          if (isBroken) response.writeHead(status).end();
          return isBroken;
        }),
      );
      const { id } = await begin(`${url}/x`, site.path("x"));
      const failing = await client.until(id, ({ ErrorCode }) => ErrorCode !== "0");
      expect(failing).toMatchObject({ Status: "Transferring", ErrorCode: error(hresult) });
      isBroken = false;
      expect(await client.until(id, "Transferred")).toMatchObject({ ErrorCode: "0" });
      expect(readFileSync(site.path("x"))).toEqual(bytes);
    },
  );

  test("that nobody gives is a failure that is shown, and no reason to stop", async () => {
    const { id } = await begin("http://127.0.0.1:9/x", site.path("x"));
    const refused = await client.until(id, ({ ErrorCode }) => ErrorCode !== "0");
    expect(refused).toMatchObject({ Status: "Transferring", ErrorCode: error(0x80072efd) });
    const other = await begin("http://name.invalid/x", site.path("y"));
    const unresolved = await client.until(other.id, ({ ErrorCode }) => ErrorCode !== "0");
    expect(unresolved).toMatchObject({ Status: "Transferring", ErrorCode: error(0x80072ee7) });
    expect(await client.verb("pause", id)).toBe(0);
    expect(await client.status(id)).toMatchObject({ Status: "Paused", ErrorCode: "0" });
  });

  test("after a redirect is what counts", async () => {
    const bytes = bytesOf(5_000);
    const url = await site.serve(
      fileListener(bytes, (request, response) => {
        if (request.url !== "/from") return false;
        response.writeHead(302, { location: "/to" }).end();
        return true;
      }),
    );
    const { id } = await begin(`${url}/from`, site.path("x"));
    await client.until(id, "Transferred");
    expect(readFileSync(site.path("x"))).toEqual(bytes);
  });

  test("without a body is a file without bytes", async () => {
    const url = await site.serve((_, response) => {
      response.writeHead(200, { "content-length": 0 }).end();
    });
    const { id } = await begin(`${url}/x`, site.path("x"));
    const status = await client.until(id, "Transferred");
    expect(status).toMatchObject({ BytesTotal: "0", BytesTransferred: "0" });
    expect(await client.verb("finalize", id)).toBe(0);
    expect(statSync(site.path("x")).size).toBe(0);
  });

  test.for([200, 201, 203])(
    "in chunks, with %i, is a file whose total nobody says",
    async (status) => {
      const bytes = bytesOf(300 * KiB);
      const url = await site.serve((_, response) => {
        response.writeHead(status);
        response.write(bytes.subarray(0, 1_000));
        response.end(bytes.subarray(1_000));
      });
      const { id } = await begin(`${url}/x`, site.path("x"));
      const done = await client.until(id, "Transferred");
      expect(done).toMatchObject({ BytesTotal: "0", BytesTransferred: String(bytes.length) });
      expect(await client.verb("finalize", id)).toBe(0);
      expect(readFileSync(site.path("x"))).toEqual(bytes);
    },
  );

  test("in chunks can be paused, and comes whole when it is started again", async () => {
    const bytes = bytesOf(64 * KiB);
    let isHeld = true;
    const url = await site.serve((_, response) => {
      response.write(bytes.subarray(0, 10_000));
      if (!isHeld) response.end(bytes.subarray(10_000));
    });
    const { id } = await begin(`${url}/x`, site.path("x"));
    await client.until(id, ({ BytesTransferred }) => BytesTransferred === "10000");
    expect(await client.verb("pause", id)).toBe(0);
    expect(await client.status(id)).toMatchObject({ Status: "Paused", BytesTransferred: "10000" });
    expect(statSync(site.path("x")).size).toBe(10_000);
    isHeld = false;
    expect(await client.verb("start", id)).toBe(0);
    await client.until(id, "Transferred");
    expect(readFileSync(site.path("x"))).toEqual(bytes);
  });

  test("to a range with the whole file does not spoil what is there", async () => {
    const bytes = bytesOf(2 * MiB);
    let requests = 0;
    const url = await site.serve((_, response) => {
      requests++;
      response.writeHead(200, { "content-length": bytes.length, etag: '"one"' });
      response.write(bytes.subarray(0, MiB));
      setTimeout(() => response.end(bytes.subarray(MiB)), 400);
    });
    const { id } = await begin(`${url}/x`, site.path("x"));
    await until(() => requests > 1, "the file is asked for");
    expect(await client.verb("pause", id)).toBe(0);
    expect(await client.verb("start", id)).toBe(0);
    const done = await client.until(id, "Transferred");
    expect(done.BytesTransferred).toBe(done.BytesTotal);
    expect(readFileSync(site.path("x"))).toEqual(bytes);
  });
});

describe("while it is paused", () => {
  test("a file that is deleted is missed at the start, and abort still works", async () => {
    const { origin } = await slowFile();
    const { id } = await begin(origin.url, site.path("x"));
    expect(await client.verb("pause", id)).toBe(0);
    rmSync(site.path("x"));
    expect(await client.verb("start", id)).toBe(ENOENT);
    expect(await client.status(id)).toMatchObject({ Status: "Paused" });
    expect(await client.verb("abort", id)).toBe(0);
  });

  test("another file in its place is neither written to nor removed", async () => {
    const { origin } = await slowFile();
    const { id } = await begin(origin.url, site.path("x"));
    expect(await client.verb("pause", id)).toBe(0);
    rmSync(site.path("x"));
    writeFileSync(site.path("other"), "");
    writeFileSync(site.path("x"), "mine");
    expect(await client.verb("start", id)).toBe(EXISTS);
    expect(await client.verb("abort", id)).toBe(0);
    expect(readFileSync(site.path("x"), "utf8")).toBe("mine");
  });

  test("a file that somebody else wrote to is filled anew", async () => {
    const { content, origin } = await slowFile();
    const { id } = await begin(origin.url, site.path("x"));
    expect(await client.verb("pause", id)).toBe(0);
    writeFileSync(site.path("x"), "scribble", { flag: "a" });
    expect(await client.verb("start", id)).toBe(0);
    await client.until(id, "Transferred");
    expect(await sha256Of(site.path("x"))).toBe(content.sha256);
  });

  test("a URL that leads nowhere fails fast, and going back keeps the bytes", async () => {
    const { content, origin } = await slowFile();
    const { id } = await begin(origin.url, site.path("x"));
    await client.until(id, ({ BytesTransferred }) => BytesTransferred !== "0");
    expect(await client.verb("pause", id)).toBe(0);
    const { BytesTransferred } = await client.status(id);
    expect(await client.set(id, `Uri=${origin.url}-not`)).toBe(0);
    expect(await client.verb("start", id)).toBe(0);
    const failed = await client.until(id, "Paused");
    expect(failed).toMatchObject({ ErrorCode: error(NOT_FOUND), BytesTransferred });
    expect(await client.set(id, `Uri=${origin.url}`)).toBe(0);
    const sentBefore = origin.sentBytes;
    expect(await client.verb("start", id)).toBe(0);
    const began = await client.status(id);
    expect(Number(began.BytesTransferred)).toBeGreaterThanOrEqual(Number(BytesTransferred));
    await client.until(id, "Transferred");
    expect(origin.sentBytes - sentBefore).toBeLessThan(content.length);
    expect(await sha256Of(site.path("x"))).toBe(content.sha256);
  });

  test("a URL of another file makes it begin anew rather than mix the two", async () => {
    const { origin } = await slowFile();
    const { id } = await begin(origin.url, site.path("x"));
    await client.until(id, ({ BytesTransferred }) => BytesTransferred !== "0");
    expect(await client.verb("pause", id)).toBe(0);
    const bytes = bytesOf(3 * MiB);
    const url = await site.serve(fileListener(bytes));
    expect(await client.set(id, `Uri=${url}/other`)).toBe(0);
    expect(await client.verb("start", id)).toBe(0);
    await client.until(id, "Transferred");
    expect(readFileSync(site.path("x"))).toEqual(bytes);
  });
});

test("without progress for too long a download is paused, with what happened last", async () => {
  await useOwnSite();
  await start({ rest: { times: { noProgressTickMs: 20 } } });
  const url = await site.serve(answer(503));
  const { id } = await begin(`${url}/x`, site.path("x"));
  const status = await client.until(id, "Paused");
  expect(status).toMatchObject({
    ErrorCode: error(0x80d02002),
    ExtendedErrorCode: error(0x801901f4),
  });
  expect(await client.verb("start", id)).toBe(0);
  expect(await client.status(id)).toMatchObject({ Status: "Transferring", ExtendedErrorCode: "0" });
});

test("without a network a download is paused for now, and goes on by itself", async () => {
  // Only loopback needs no network, and the place of the proxy is asked for any other.
  await useOwnSite();
  await start({ watchNetwork: false });
  agent.setNetwork({ isOnline: false });
  const { id } = await begin("http://192.0.2.1:9/x", site.path("x"));
  const status = await client.until(id, "Paused");
  expect(status).toMatchObject({ ErrorCode: "0", ExtendedErrorCode: error(0x80d03805) });
  expect(await client.verb("start", id)).toBe(0);
  expect(await client.until(id, "Paused")).toMatchObject({ ErrorCode: "0" });
  agent.setNetwork({ isOnline: true });
  await client.until(id, "Transferring");
  expect(await client.verb("pause", id)).toBe(0);
  expect(await client.status(id)).toMatchObject({ Status: "Paused", ExtendedErrorCode: "0" });
});

test("no download outlives the agent, and its file does", async () => {
  await useOwnSite();
  await start();
  const { origin } = await slowFile();
  const { id } = await begin(origin.url, site.path("x"));
  await client.until(id, ({ BytesTransferred }) => BytesTransferred !== "0");
  await agent.close();
  const { size } = statSync(site.path("x"));
  expect(size).toBeGreaterThan(0);
  await start();
  expect(errorOf(await client.call("GET", `download/getstatus?Id=${id}`))).toBe(0x80070490);
  expect((await agent.jobs.list()).map(({ state }) => state)).toEqual(["cancelled"]);
  expect((await begin(origin.url, site.path("x"))).error).toBe(EXISTS);
  expect(statSync(site.path("x")).size).toBe(size);
});

describe("a file with a signed manifest beside it", () => {
  let content: TestContent;
  let url: string;
  let publisher: ReturnType<typeof makeKey>;
  beforeEach(async () => {
    await useOwnSite();
    content = await site.site.publish("file.bin", 2 * MiB + 3);
    publisher = makeKey();
    const issuedAtSec = Math.floor(Date.now() / 1_000);
    const times = { issuedAtSec, expiresAtSec: issuedAtSec + 3_600 };
    const { manifestBytes } = content;
    const statement = { product: "p", sequence: 1, ...times, manifestBytes };
    const signedPath = content.path + SIGNED_SIDECAR_SUFFIX;
    writeFileSync(signedPath, signedBy(statement, publisher));
    const files = { "file.bin": content.path, [`file.bin${SIGNED_SIDECAR_SUFFIX}`]: signedPath };
    const origin = site.site.use(await serveFiles(files, { rateBytesPerSec: 2 * MiB }));
    url = origin.urlOf("file.bin");
  });

  const startPeer = (options: Parameters<DoSite["startAgent"]>[0] = {}): Promise<void> => {
    const trustedKeys = [publisher.text];
    return start({ listen: [LOOPBACK], allowLoopbackPeers: true, trustedKeys, ...options });
  };

  test("comes from peers", async () => {
    await startPeer({ peers: await site.site.startSeed("seed", content) });
    await until(() => agent.connectedPeers.length === 1, "the peer is there");
    const { id } = await begin(url, site.path("x"));
    await client.until(id, "Transferred");
    const [job] = await agent.jobs.list();
    expect(job?.peerBytes).toBeGreaterThan(content.length / 2);
    expect(await sha256Of(site.path("x"))).toBe(content.sha256);
  });

  test("stays on offer to peers when its client is done, wherever that takes its file", async () => {
    await startPeer();
    const first = agent;
    const { id } = await begin(url, site.path("x"));
    await client.until(id, "Transferred");
    expect(await client.verb("finalize", id)).toBe(0);
    rmSync(site.path("x"));
    expect(first.servedContents).toEqual([content.contentId]);

    const own = { stateDirectory: join(site.site.directory, "state-2") };
    const rest = { runDirectory: join(site.site.directory, "run-2") };
    await startPeer({ ...own, rest, peers: first.addresses });
    await until(() => agent.connectedPeers.length === 1, "the peer is there");
    const second = await begin(url, site.path("y"));
    await client.until(second.id, "Transferred");
    const [job] = await agent.jobs.list();
    expect(job?.peerBytes).toBeGreaterThan(content.length / 2);
    expect(await sha256Of(site.path("y"))).toBe(content.sha256);
  });

  test("leaves nothing behind where the cache keeps no copies", async () => {
    await startPeer({ settings: { cacheCopies: 0 } });
    const { id } = await begin(url, site.path("x"));
    await client.until(id, "Transferred");
    expect(await client.verb("finalize", id)).toBe(0);
    expect(await agent.jobs.list()).toMatchObject([{ state: "acknowledged" }]);
    expect(readdirSync(join(site.site.directory, "state", "spool"))).toEqual([]);
  });
});

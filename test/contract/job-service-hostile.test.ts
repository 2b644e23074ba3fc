/** The jobs of the REST API under callers that break the rules, read nothing, or go away; dead agents. */
import { fork } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { chmod, lstat, mkdtemp, realpath, rm, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import type { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startRest } from "@shoal/agent";
import type { RestListener } from "@shoal/agent";
import { LIMITS, MiB } from "@shoal/core";
import { connectJobService, connectRest } from "@shoal/jobs";
import type { JobService, RestClient } from "@shoal/jobs";
import { afterAll, afterEach, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { serveFiles } from "../../examples/origin/serve-files.ts";
import type { FileOrigin } from "../../examples/origin/serve-files.ts";
import { until } from "../integration/harness.ts";
import { reached, requestOf } from "./job-service-contract.ts";
import { CALLERS, startJobEngine } from "./job-service-engine.ts";
import type { JobEngine } from "./job-service-engine.ts";
import { jobsOnlyAgent } from "./jobs-only-agent.ts";

let directory: string;
let origin: FileOrigin;
let engine: JobEngine;
let listener: RestListener;
let socketPath: string;
let service: JobService;
let client: RestClient;
const faults: unknown[] = [];
const onFault = (error: unknown): void => void faults.push(error);
const content = Buffer.alloc(3 * MiB, "shoal ");

beforeAll(async () => {
  directory = await realpath(await mkdtemp(join(tmpdir(), "shoal-hostile-")));
  await writeFile(join(directory, "content"), content);
  origin = await serveFiles({ content: join(directory, "content") });
  engine = await startJobEngine(join(directory, "state"));
  socketPath = join(directory, "agent.sock");
  listener = await listen(socketPath);
  service = await connectJobService({ socketPath });
  client = await connectRest({ socketPath });
});

afterAll(async () => {
  client.end("closed");
  await listener.close();
  await engine[Symbol.asyncDispose]();
  await origin.close();
  await rm(directory, { recursive: true, force: true });
  if (engine.borrowed() !== 0) throw new Error(`${engine.borrowed()} pieces that nobody owns`);
});

// Whatever a test did to its own connection, the agent is well, and so are others.
afterEach(async () => {
  await service.list();
  if (faults.length > 0) throw new AggregateError(faults, "faults of the agent");
});

function listen(path: string): Promise<RestListener> {
  const agent = jobsOnlyAgent(engine.host, CALLERS.alice);
  return startRest({ service: agent, onFault }, { socketPath: path });
}

function requestText(method: string, path: string, body?: object): string {
  const text = body === undefined ? "" : JSON.stringify(body);
  const head = `${method} ${path} HTTP/1.1\r\nhost: localhost\r\n`;
  const fields = `content-type: application/json\r\ncontent-length: ${Buffer.byteLength(text)}\r\n`;
  return `${head}${body === undefined ? "" : fields}\r\n${text}`;
}

/** A connection that says what it likes. Reads nothing before it is asked to. */
async function openRaw(): Promise<Socket> {
  const socket = connect({ path: socketPath });
  socket.on("error", () => {});
  onTestFinished(() => void socket.destroy());
  await once(socket, "connect");
  return socket;
}

async function isEnded(socket: Socket): Promise<boolean> {
  socket.resume();
  if (!socket.closed) await once(socket, "close", { signal: AbortSignal.timeout(5_000) });
  return socket.closed;
}

const isThere = async (jobId: string): Promise<boolean> =>
  (await service.snapshot(jobId)) !== undefined;

describe("calls with wrong arguments are refused, and change nothing", () => {
  const jobId = "00000000-0000-4000-8000-000000000001";
  const job = `/v1/jobs/${jobId}`;

  it.each<["POST" | "PATCH" | "GET", string, object?]>([
    ["POST", "/v1/jobs", {}],
    ["POST", "/v1/jobs", []],
    ["POST", "/v1/jobs", { ...requestOf([]), idempotencyKey: { a: 1 } }],
    ["POST", "/v1/jobs", { ...requestOf([]), files: [{ url: 7 }] }],
    ["POST", "/v1/jobs", { ...requestOf([]), attributes: { a: {} } }],
    ["POST", `${job}/cancel`, { guard: { states: "queued" } }],
    ["POST", `${job}/cancel`, { guard: { states: ["gone"] } }],
    ["POST", `${job}/cancel`, { guard: null }],
    ["POST", `${job}/cancel`, { more: 1 }],
    ["PATCH", job, { change: null }],
    ["PATCH", job, {}],
    ["PATCH", job, { change: { type: "rename" } }],
    ["GET", `${job}/files/-1`],
    ["GET", `${job}/files/0.5/spec`],
    ["GET", `${job}/files/__proto__/response`],
    ["POST", `${job}/files/x/stream`, {}],
    ["POST", "/v1/streams/none/taken", { pieceCount: "1" }],
  ])("%s %s %j", async (method, path, body) => {
    const asked = client.call(method, path, body === undefined ? {} : { body });
    await expect(asked).rejects.toMatchObject({ code: "ERR_USAGE" });
  });

  it.each(["close", "watch", "constructor", "__proto__"])("the unknown verb %s", async (name) => {
    const asked = client.call("POST", `${job}/${name}`);
    await expect(asked).rejects.toMatchObject({ code: "ERR_ROUTE_NOT_FOUND" });
  });

  it.each([
    { type: "setJob" },
    { type: "setJob", values: { attributes: 7 } },
    { type: "setFile", fileIndex: 0, values: { url: 7 } },
    { type: "setFile", fileIndex: 1e300, values: {} },
    { type: "addFiles", files: {} },
    { type: "addFiles", files: [7] },
    { type: "addRanges", fileIndex: 0, ranges: ["a"] },
  ])("changeJob %j", async (change) => {
    const files = [{ url: origin.urlOf("content"), ranges: [{ offset: 0, length: 1 }] }];
    const id = await service.createJob(requestOf(files));
    const before = await service.snapshot(id);
    const asked = client.call("PATCH", `/v1/jobs/${id}`, { body: { change } });
    await expect(asked).rejects.toMatchObject({ code: "ERR_USAGE" });
    expect(await service.snapshot(id)).toEqual(before);
    await service.applyVerb(id, "cancel");
  });

  it("a piece that was not given cannot be taken", async () => {
    const { jobId: id } = requestOf([]);
    const spec = { url: origin.urlOf("content"), toStream: true };
    await service.createJob(requestOf([spec], { jobId: id }));
    const stream = await client.open("POST", `/v1/jobs/${id}/files/0/stream`);
    const path = `/v1/streams/${String(stream.headers["shoal-stream-id"])}/taken`;
    const taken = client.call("POST", path, { body: { pieceCount: 1 } });
    await expect(taken).rejects.toMatchObject({ code: "ERR_USAGE" });
    stream.destroy();
    await service.applyVerb(id, "cancel");
  });
});

describe("what a caller can make the agent hold is bounded (R-API-09)", () => {
  it("sends long lists in parts, as they are taken", async () => {
    const names = Array.from({ length: 16 }, (_, i) => [`a${i}`, "x".repeat(4_000)]);
    const attributes = Object.fromEntries(names) as Record<string, string>;
    const jobIds = await Promise.all(
      Array.from({ length: 50 }, () => service.createJob(requestOf([], { attributes }))),
    );
    const socket = await openRaw();
    socket.write(requestText("GET", "/v1/jobs"));
    // It is not read, so no more than the system's buffers and a part have been made.
    for (let turn = 0; turn < 20; turn++) await service.list();
    expect(socket.bytesRead).toBeLessThan(MiB);
    let text = "";
    socket.on("data", (chunk: Buffer) => (text += chunk.toString("latin1")));
    await until(() => text.endsWith("0\r\n\r\n"), "the whole page comes");
    expect(text.length).toBeGreaterThan(2 * MiB);
    await Promise.all(jobIds.map((jobId) => service.applyVerb(jobId, "cancel")));
  });

  it("gives pages, with all jobs in them once", async () => {
    const jobIds = await Promise.all(
      Array.from({ length: 25 }, () => service.createJob(requestOf([]))),
    );
    const found: string[] = [];
    let path: string | undefined = "/v1/jobs?limit=10";
    while (path !== undefined) {
      const page = (await client.call("GET", path)) as {
        readonly jobs: readonly { readonly jobId: string }[];
        readonly next?: string;
      };
      expect(page.jobs.length).toBeLessThanOrEqual(10);
      found.push(...page.jobs.map(({ jobId }) => jobId));
      path = page.next && `/v1/jobs?limit=10&cursor=${page.next}`;
    }
    expect(found).toEqual((await service.list()).map(({ jobId }) => jobId));
    expect(found).toEqual(expect.arrayContaining(jobIds));
    await Promise.all(jobIds.map((jobId) => service.applyVerb(jobId, "cancel")));
  });

  it("attaches so many streams", async () => {
    const files = Array.from({ length: LIMITS.restStreamsMax + 1 }, () => ({ toStream: true }));
    const jobId = await service.createJob(requestOf(files));
    const another = await connectJobService({ socketPath });
    const taker = { write: () => Promise.resolve() };
    for (let fileIndex = 0; fileIndex < LIMITS.restStreamsMax; fileIndex++) {
      await another.attachStream({ jobId, fileIndex }, taker);
    }
    const one = another.attachStream({ jobId, fileIndex: LIMITS.restStreamsMax }, taker);
    await expect(one).rejects.toMatchObject({ code: "ERR_FILE_LIMIT" });
    another.close();
    await service.applyVerb(jobId, "cancel");
  });
});

describe("callers come and go", () => {
  it("a caller that dies with a piece in its hands fails its job, and no buffer is lost", async () => {
    const url = origin.urlOf("content");
    const jobId = await service.createJob(requestOf([{ url, toStream: true }]));
    const socket = await openRaw();
    socket.write(requestText("POST", `/v1/jobs/${jobId}/files/0/stream`, {}));
    await until(() => socket.readableLength > 0, "it is attached");
    const headLength = socket.readableLength;
    await service.applyVerb(jobId, "resume");
    await until(() => socket.readableLength > headLength, "a piece comes");
    socket.destroy();
    await until(async () => (await service.snapshot(jobId))?.state === "error", "the job fails");
    await until(() => engine.borrowed() === 0, "the piece is given back");
    expect((await service.snapshot(jobId))?.error?.code).toBe("ERR_SINK_FAILED");
    await service.applyVerb(jobId, "cancel");
  });

  it("half a request and the end are nothing", async () => {
    const socket = await openRaw();
    const request = requestOf([]);
    socket.end(requestText("POST", "/v1/jobs", request).slice(0, -20));
    expect(await isEnded(socket)).toBe(true);
    expect(await isThere(request.jobId)).toBe(false);
  });

  it("a verb goes on without its caller", async () => {
    const socket = await openRaw();
    const request = requestOf([]);
    socket.end(requestText("POST", "/v1/jobs", request));
    expect(await isEnded(socket)).toBe(true);
    await until(() => isThere(request.jobId), "the job is there");
    await service.applyVerb(request.jobId, "cancel");
  });
});

describe("places of sockets (R-FS-01)", () => {
  const failed = { code: "ERR_LISTEN_FAILED" };

  it("refuses a place where an agent answers", async () => {
    await expect(listen(socketPath)).rejects.toMatchObject(failed);
  });

  it("leaves alone what is no socket", async () => {
    const path = join(directory, "content");
    await expect(listen(path)).rejects.toMatchObject(failed);
    expect((await lstat(path)).size).toBe(content.length);
  });

  it("refuses a directory that others may enter", async () => {
    const open = await mkdtemp(join(directory, "open-"));
    await chmod(open, 0o755);
    await expect(listen(join(open, "jobs.sock"))).rejects.toMatchObject(failed);
  });

  it("refuses a path that is too long for a socket", async () => {
    await expect(listen(join(directory, "x".repeat(200)))).rejects.toMatchObject(failed);
  });
});

describe("agents that are gone", () => {
  async function startProcess(): Promise<ChildProcess> {
    const script = join(import.meta.dirname, "job-service-process.ts");
    const args = [join(directory, "other-state"), join(directory, "sockets")];
    const child = fork(script, args, { execArgv: ["--conditions=shoal-source"] });
    onTestFinished(() => void child.kill("SIGKILL"));
    await once(child, "message");
    return child;
  }

  it("nobody answers where there is no agent, or something else", async () => {
    const unreachable = { code: "ERR_AGENT_UNREACHABLE" };
    const nowhere = connectJobService({ socketPath: join(directory, "nowhere") });
    await expect(nowhere).rejects.toMatchObject(unreachable);
    const file = connectJobService({ socketPath: join(directory, "content") });
    await expect(file).rejects.toMatchObject(unreachable);
    const signal = AbortSignal.abort(new Error("enough"));
    await expect(connectJobService({ socketPath }, { signal })).rejects.toThrow("enough");
  });

  it("what waits for an agent that is killed ends, and a new one takes its place", async () => {
    const child = await startProcess();
    const path = join(directory, "sockets", "alice");
    const remote = await connectJobService({ socketPath: path });
    const jobId = await remote.createJob(requestOf([]));
    const closed = new Promise((resolve) => remote.watch({ changed: () => {}, closed: resolve }));
    child.kill("SIGSTOP");
    const waiting = remote.snapshot(jobId);
    child.kill("SIGKILL");
    await expect(waiting).rejects.toMatchObject({ code: "ERR_AGENT_CLOSED" });
    expect(await closed).toMatchObject({ code: "ERR_AGENT_CLOSED" });
    const later = remote.snapshot(jobId);
    await expect(later).rejects.toMatchObject({ code: "ERR_AGENT_UNREACHABLE" });
    expect(existsSync(path)).toBe(true);
    await startProcess();
    const again = await connectJobService({ socketPath: path });
    expect(await again.snapshot(jobId)).toMatchObject({ state: "suspended" });
    again.close();
  });

  it("a call to an agent that does not answer ends in time", async () => {
    const child = await startProcess();
    const path = join(directory, "sockets", "alice");
    const remote = await connectJobService({ socketPath: path }, { timeoutMs: 200 });
    child.kill("SIGSTOP");
    await expect(remote.list()).rejects.toMatchObject({ code: "ERR_TIMEOUT" });
    const late = connectJobService({ socketPath: path }, { timeoutMs: 200 });
    await expect(late).rejects.toMatchObject({ code: "ERR_AGENT_UNREACHABLE" });
    remote.close();
  });
});

it("streams to one caller while another hears nothing of it", async () => {
  const url = origin.urlOf("content");
  const jobId = await service.createJob(requestOf([{ url, toStream: true }]));
  const pieces: Uint8Array[] = [];
  const write = async (bytes: Uint8Array): Promise<void> => void pieces.push(bytes);
  await service.attachStream({ jobId, fileIndex: 0 }, { write });
  await service.applyVerb(jobId, "resume");
  await reached(service, jobId, "transferred");
  expect(content.equals(Buffer.concat(pieces))).toBe(true);
  await service.applyVerb(jobId, "acknowledge");
});

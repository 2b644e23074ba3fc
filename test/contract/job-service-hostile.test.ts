/** The job socket under callers that break the rules, read nothing, or go away; and dead agents. */
import { fork } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { chmod, lstat, mkdtemp, realpath, rm, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import type { Socket } from "node:net";
import { duplexPair } from "node:stream";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { LIMITS, MiB } from "@shoal/core";
import type { JobState } from "@shoal/core";
import { connectJobService, listenForJobs, serveJobService } from "@shoal/jobs";
import type { JobListener, JobService } from "@shoal/jobs";
import { afterAll, afterEach, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { serveFiles } from "../../examples/origin/serve-files.ts";
import type { FileOrigin } from "../../examples/origin/serve-files.ts";
import { until } from "../integration/harness.ts";
import { reached, requestOf } from "./job-service-contract.ts";
import { CALLERS, startJobEngine } from "./job-service-engine.ts";
import type { JobEngine } from "./job-service-engine.ts";

type Json = Readonly<Record<string, unknown>>;

let directory: string;
let origin: FileOrigin;
let engine: JobEngine;
let listener: JobListener;
let service: JobService;
const faults: unknown[] = [];
const onFault = (error: unknown): void => void faults.push(error);
const content = Buffer.alloc(3 * MiB, "shoal ");

beforeAll(async () => {
  directory = await realpath(await mkdtemp(join(tmpdir(), "shoal-hostile-")));
  await writeFile(join(directory, "content"), content);
  origin = await serveFiles({ content: join(directory, "content") });
  engine = await startJobEngine(join(directory, "state"));
  const options = { path: join(directory, "jobs.sock"), caller: CALLERS.alice };
  listener = await listenForJobs({ host: engine.host, onFault }, options);
  service = await connectJobService(listener);
});

afterAll(async () => {
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

function frameOf(message: unknown, binary = Buffer.alloc(0)): Buffer {
  const json = Buffer.from(typeof message === "string" ? message : JSON.stringify(message));
  const header = Buffer.alloc(8);
  header.writeUInt32BE(json.length, 0);
  header.writeUInt32BE(binary.length, 4);
  return Buffer.concat([header, json, binary]);
}

function callOf(name: unknown, args: unknown, id: unknown = 1): Buffer {
  return frameOf({ type: "call", id, name, args });
}

/** A connection that says what it likes. Reads nothing before it is asked to. */
async function openRaw(): Promise<Socket> {
  const socket = connect({ path: listener.path });
  socket.on("error", () => {});
  onTestFinished(() => void socket.destroy());
  await once(socket, "connect");
  return socket;
}

/** Messages up to the `count`th after the greeting. */
async function hear(socket: Socket, count = 1): Promise<readonly Json[]> {
  const messages: Json[] = [];
  let bytes = Buffer.alloc(0);
  for await (const chunk of socket.iterator({ destroyOnReturn: false })) {
    bytes = Buffer.concat([bytes, chunk as Buffer]);
    while (bytes.length >= 8) {
      const jsonEnd = 8 + bytes.readUInt32BE(0);
      const end = jsonEnd + bytes.readUInt32BE(4);
      if (bytes.length < end) break;
      messages.push(JSON.parse(bytes.toString("utf8", 8, jsonEnd)) as Json);
      bytes = bytes.subarray(end);
    }
    if (messages.length > count) return messages.slice(1);
  }
  throw new Error("the connection ended");
}

async function isEnded(socket: Socket): Promise<boolean> {
  socket.resume();
  if (!socket.closed) await once(socket, "close", { signal: AbortSignal.timeout(5_000) });
  return socket.closed;
}

describe("a caller that breaks the rules is disconnected", () => {
  const header = (json: number, binary: number): Buffer => {
    const bytes = Buffer.alloc(8);
    bytes.writeUInt32BE(json, 0);
    bytes.writeUInt32BE(binary, 4);
    return bytes;
  };
  const nested = `${"[".repeat(1_000_000)}${"]".repeat(1_000_000)}`;

  it.each<[string, Buffer]>([
    ["a frame that is too long", header(LIMITS.jobFrameJsonBytesMax + 1, 0)],
    ["a frame of 4 GiB", header(0xffff_ffff, 0xffff_ffff)],
    ["bytes where none belong", header(2, 1)],
    ["an empty frame", header(0, 0)],
    ["JSON that is cut off", frameOf('{"type":"watch","isOn":tr')],
    ["bytes that are no UTF-8", Buffer.concat([header(2, 0), Buffer.from([0xff, 0xfe])])],
    ["JSON nested a million times", frameOf(nested)],
    [
      "JSON nested too deeply",
      callOf("createJob", JSON.parse(`${nested.slice(0, 20)}${nested.slice(-20)}`)),
    ],
    ["a million values", frameOf(`{"type":"call","args":[${"[],".repeat(1_000_000)}[]]}`)],
    ["a text", frameOf("7")],
    ["nothing", frameOf("null")],
    ["a list", frameOf("[]")],
    ["an unknown message", frameOf({ type: "stop" })],
    ["a message named after a method", frameOf({ type: "toString" })],
    ["a message of the agent's", frameOf({ type: "hello", version: 1 })],
    ["a field too many", frameOf({ type: "watch", isOn: true, more: 1 })],
    ["a field too few", frameOf({ type: "call", id: 1, name: "list" })],
    ["an id that is no number", callOf("list", {}, "1")],
    ["an id below zero", callOf("list", {}, -1)],
    ["arguments that are none", callOf("list", [])],
    ["an HTTP request", Buffer.from("GET / HTTP/1.1\r\nhost: localhost\r\n\r\n")],
  ])("that sends %s", async (_, bytes) => {
    const socket = await openRaw();
    socket.write(bytes);
    expect(await isEnded(socket)).toBe(true);
  });

  it("that takes a piece it was not given", async () => {
    const { jobId } = requestOf([]);
    await service.createJob(
      requestOf([{ url: origin.urlOf("content"), toStream: true }], { jobId }),
    );
    const socket = await openRaw();
    socket.write(callOf("attachStream", { jobId, fileIndex: 0 }, 7));
    await hear(socket);
    socket.write(frameOf({ type: "taken", stream: 7 }));
    expect(await isEnded(socket)).toBe(true);
    await service.applyVerb(jobId, "cancel");
  });
});

describe("calls with wrong arguments are refused, and the connection goes on", () => {
  const jobId = "00000000-0000-4000-8000-000000000001";

  it.each<[string, unknown]>([
    ["createJob", {}],
    ["createJob", { request: [] }],
    ["createJob", { request: {} }],
    ["createJob", { request: { idempotencyKey: { a: 1 } } }],
    ["createJob", { request: { ...requestOf([]), files: [{ url: 7 }] } }],
    ["createJob", { request: { ...requestOf([]), attributes: { a: {} } } }],
    ["list", { all: true }],
    ["snapshot", { jobId: 7 }],
    ["snapshot", { jobId: "x".repeat(1_000) }],
    ["applyVerb", { jobId, verb: "toString" }],
    ["applyVerb", { jobId, verb: "addFile" }],
    ["applyVerb", { jobId, verb: ["cancel"] }],
    ["applyVerb", { jobId, verb: "cancel", guard: { states: "queued" } }],
    ["applyVerb", { jobId, verb: "cancel", guard: { states: ["gone"] } }],
    ["applyVerb", { jobId, verb: "cancel", guard: null }],
    ["changeJob", { jobId, change: null }],
    ["changeJob", { jobId }],
    ["fileSpec", { jobId, fileIndex: -1 }],
    ["fileSpec", { jobId, fileIndex: "0" }],
    ["fileResponse", { jobId, fileIndex: 0.5 }],
    ["attachStream", { jobId, fileIndex: "__proto__" }],
  ])("%s %j", async (name, args) => {
    const socket = await openRaw();
    socket.write(callOf(name, args));
    const [answer] = await hear(socket);
    expect(answer).toMatchObject({ type: "failure", id: 1, error: { code: "ERR_USAGE" } });
    socket.write(callOf("list", {}));
    await until(() => socket.readableLength > 0, "the next call is answered");
  });

  it.each(["close", "watch", "constructor", "__proto__"])("the unknown %s", async (name) => {
    const socket = await openRaw();
    socket.write(callOf(name, {}));
    const [answer] = await hear(socket);
    expect(answer).toMatchObject({ error: { code: "ERR_FEATURE_UNSUPPORTED" } });
  });

  it.each([
    { type: "rename" },
    { type: "setJob" },
    { type: "setJob", values: { attributes: 7 } },
    { type: "setFile", fileIndex: 0, values: { url: 7 } },
    { type: "setFile", fileIndex: 1e300, values: {} },
    { type: "addFiles", files: {} },
    { type: "addFiles", files: [7] },
    { type: "addRanges", fileIndex: 0, ranges: ["a"] },
  ])("changeJob %j", async (change) => {
    const files = [{ url: origin.urlOf("content"), ranges: [{ offset: 0, length: 1 }] }];
    const jobId = await service.createJob(requestOf(files));
    const before = await service.snapshot(jobId);
    const socket = await openRaw();
    socket.write(callOf("changeJob", { jobId, change }));
    const [answer] = await hear(socket);
    expect(answer).toMatchObject({ error: { code: "ERR_USAGE" } });
    expect(await service.snapshot(jobId)).toEqual(before);
    await service.applyVerb(jobId, "cancel");
  });
});

describe("what a caller can make the agent hold is bounded (R-API-09)", () => {
  it("reads no further from a caller that reads nothing", async () => {
    const attributes = { a: "x".repeat(4_000) };
    const jobIds = await Promise.all(
      Array.from({ length: 50 }, () => service.createJob(requestOf([], { attributes }))),
    );
    const [caller, agent] = duplexPair();
    const served = serveJobService({ host: engine.host, caller: CALLERS.alice, onFault }, agent);
    for (let id = 1; id <= 5_000; id++) caller.write(callOf("list", {}, id));
    for (let turn = 0; turn < 20; turn++) await service.list();
    expect(agent.writableLength).toBeLessThan(2 * MiB);
    expect(agent.readableLength + caller.writableLength).toBeGreaterThan(100_000);
    agent.destroy();
    await served;
    await Promise.all(jobIds.map((jobId) => service.applyVerb(jobId, "cancel")));
  });

  it("gives others a turn between the calls of one that has sent thousands", async () => {
    const files = Array.from({ length: 200 }, () => ({ toStream: true }));
    const jobIds = await Promise.all(
      Array.from({ length: 20 }, () => service.createJob(requestOf(files))),
    );
    const [caller, agent] = duplexPair();
    const served = serveJobService({ host: engine.host, caller: CALLERS.alice, onFault }, agent);
    let answerCount = 0;
    caller.on("data", (bytes: Buffer) => {
      answerCount += bytes.includes('"type":"answer"') ? 1 : 0;
    });
    caller.write(Buffer.concat(Array.from({ length: 5_000 }, (_, id) => callOf("list", {}, id))));
    await until(() => answerCount > 0, "the calls are being answered");
    await service.list();
    expect(answerCount).toBeLessThan(1_000);
    agent.destroy();
    await served;
    await Promise.all(jobIds.map((jobId) => service.applyVerb(jobId, "cancel")));
  });

  it("keeps the latest state of each job for a watcher that is slow", async () => {
    const [caller, agent] = duplexPair();
    const served = serveJobService({ host: engine.host, caller: CALLERS.alice, onFault }, agent);
    caller.write(frameOf({ type: "watch", isOn: true }));
    const jobId = await service.createJob(requestOf([]));
    for (let turn = 0; turn < 500; turn++) await service.applyVerb(jobId, "suspend");
    expect(agent.writableLength).toBeLessThan(1_000);
    await service.applyVerb(jobId, "cancel");
    const heard: JobState[] = [];
    let bytes = Buffer.alloc(0);
    caller.on("data", (chunk: Buffer) => (bytes = Buffer.concat([bytes, chunk])));
    await until(() => {
      heard.push(
        ...[...bytes.toString("latin1").matchAll(/"(suspended|cancelled)"/g)].map(
          ([, s]) => s as JobState,
        ),
      );
      return heard.at(-1) === "cancelled";
    }, "the watcher hears of the end");
    agent.destroy();
    await served;
  });

  it("serves so many connections, and others when those are gone", async () => {
    const sockets = await Promise.all(
      Array.from({ length: LIMITS.jobConnectionsMax - 1 }, () => openRaw()),
    );
    const refused = connectJobService(listener);
    await expect(refused).rejects.toMatchObject({ code: "ERR_AGENT_UNREACHABLE" });
    for (const socket of sockets) socket.destroy();
    const isServed = async (): Promise<boolean> => {
      const another = await connectJobService(listener).catch(() => undefined);
      another?.close();
      return another !== undefined;
    };
    await until(isServed, "there is room again");
  });

  it("attaches so many streams of one caller", async () => {
    const files = Array.from({ length: LIMITS.jobStreamsMax + 1 }, () => ({ toStream: true }));
    const jobId = await service.createJob(requestOf(files));
    const another = await connectJobService(listener);
    const taker = { write: () => Promise.resolve() };
    for (let fileIndex = 0; fileIndex < LIMITS.jobStreamsMax; fileIndex++) {
      await another.attachStream({ jobId, fileIndex }, taker);
    }
    const one = another.attachStream({ jobId, fileIndex: LIMITS.jobStreamsMax }, taker);
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
    socket.write(callOf("attachStream", { jobId, fileIndex: 0 }));
    await hear(socket);
    await service.applyVerb(jobId, "resume");
    await until(() => socket.readableLength > 0, "a piece comes");
    socket.destroy();
    await until(async () => (await service.snapshot(jobId))?.state === "error", "the job fails");
    await until(() => engine.borrowed() === 0, "the piece is given back");
    expect((await service.snapshot(jobId))?.error?.code).toBe("ERR_SINK_FAILED");
    await service.applyVerb(jobId, "cancel");
  });

  it("half a frame and the end are nothing", async () => {
    const socket = await openRaw();
    socket.end(callOf("list", {}).subarray(0, 20));
    expect(await isEnded(socket)).toBe(true);
  });

  it("a verb goes on without its caller", async () => {
    const socket = await openRaw();
    const request = requestOf([]);
    socket.end(callOf("createJob", { request }));
    expect(await isEnded(socket)).toBe(true);
    const isThere = async (): Promise<boolean> =>
      (await service.snapshot(request.jobId)) !== undefined;
    await until(isThere, "the job is there");
    await service.applyVerb(request.jobId, "cancel");
  });
});

describe("places of sockets (R-FS-01)", () => {
  const listen = (path: string): Promise<JobListener> =>
    listenForJobs({ host: engine.host }, { path, caller: CALLERS.alice });
  const failed = { code: "ERR_LISTEN_FAILED" };

  it("refuses a place where an agent answers", async () => {
    await expect(listen(listener.path)).rejects.toMatchObject(failed);
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
    const nowhere = connectJobService({ path: join(directory, "nowhere") });
    await expect(nowhere).rejects.toMatchObject(unreachable);
    const file = connectJobService({ path: join(directory, "content") });
    await expect(file).rejects.toMatchObject(unreachable);
    const signal = AbortSignal.abort(new Error("enough"));
    await expect(connectJobService(listener, { signal })).rejects.toThrow("enough");
  });

  it("what waits for an agent that is killed ends, and a new one takes its place", async () => {
    const child = await startProcess();
    const path = join(directory, "sockets", "alice");
    const remote = await connectJobService({ path });
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
    const again = await connectJobService({ path });
    expect(await again.snapshot(jobId)).toMatchObject({ state: "suspended" });
    again.close();
  });

  it("a call to an agent that does not answer ends in time", async () => {
    const child = await startProcess();
    const path = join(directory, "sockets", "alice");
    const remote = await connectJobService({ path }, { timeoutMs: 200 });
    child.kill("SIGSTOP");
    await expect(remote.list()).rejects.toMatchObject({ code: "ERR_TIMEOUT" });
    const late = connectJobService({ path }, { timeoutMs: 200 });
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

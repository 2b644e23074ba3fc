/** Both ends of a connection, each against an other end that misbehaves. */
import { duplexPair } from "node:stream";
import type { Duplex } from "node:stream";
import { ShoalError } from "@shoal/core";
import type { ErrorInfo } from "@shoal/core";
import { afterEach, expect, test } from "vitest";
import type { JobHost } from "../../src/index.ts";
import { FrameWriter } from "../../src/remote/frame-writer.ts";
import { encodeFrame, readFrames } from "../../src/remote/frames.ts";
import { RemoteJobService } from "../../src/remote/remote-job-service.ts";
import { serveJobService } from "../../src/remote/serve-job-service.ts";

const caller = { name: "alice", isAdministrator: false };
const open: Duplex[] = [];
afterEach(() => {
  for (const socket of open.splice(0)) socket.destroy();
});

function openPair(): [Duplex, Duplex] {
  const pair = duplexPair();
  open.push(...pair);
  for (const socket of pair) socket.on("error", () => {});
  return pair;
}

function serviceOn(socket: Duplex): RemoteJobService {
  const frames = readFrames(socket, { binaryBytesMax: 100 });
  return new RemoteJobService({ socket, frames }, { timeoutMs: 5_000 });
}

/** A host on which every verb throws. */
function hostThatThrows(error: Error): JobHost {
  const fail = (): never => {
    throw error;
  };
  return { act: fail, onNotice: () => () => {}, attachSink: fail };
}

test("an error travels with its code, message and the origin's status", async () => {
  const [near, far] = openPair();
  const error = new ShoalError("ERR_ORIGIN_UNAVAILABLE", "while publishing", { originStatus: 503 });
  const served = serveJobService({ host: hostThatThrows(error), caller }, far);
  const frames = readFrames(near, { binaryBytesMax: 0 });
  expect((await frames.next()).value).toMatchObject({ message: { type: "hello", version: 1 } });
  const service = new RemoteJobService({ socket: near, frames }, { timeoutMs: 5_000 });
  const { code, message, originStatus } = error;
  const same = { name: "ShoalError", code, message, originStatus };
  await expect(service.list()).rejects.toMatchObject(same);
  service.close();
  await served;
});

test("a fault of the agent ends the connection, and is told to the agent alone (R-API-15)", async () => {
  const [near, far] = openPair();
  const faults: unknown[] = [];
  const fault = new TypeError("cannot read /etc/secret");
  const onFault = (error: unknown): void => void faults.push(error);
  const served = serveJobService({ host: hostThatThrows(fault), caller, onFault }, far);
  near.write(encodeFrame({ type: "call", id: 1, name: "list", args: {} }));
  await served;
  expect(faults).toEqual([fault]);
  expect(String(near.read())).not.toContain("secret");
});

test("a caller that takes nothing is given up", async () => {
  const [, far] = openPair();
  const writer = new FrameWriter(far, { stallTimeoutMs: 20 });
  const sent = Array.from({ length: 5 }, () => writer.send({ text: "x".repeat(100_000) }));
  await Promise.all(sent);
  expect(far.destroyed).toBe(true);
});

test.each<[string, object]>([
  ["a second greeting", { type: "hello", version: 1 }],
  ["an answer nobody asked for", { type: "answer", id: 7 }],
  ["items of nothing", { type: "part", id: 7, items: [] }],
  ["a piece for nobody", { type: "piece", stream: 7 }],
  ["an unknown message", { type: "news" }],
  ["an unknown error", { type: "failure", id: 1, error: { code: "ERR_NEW", message: "" } }],
  ["an unknown state", { type: "changed", jobs: [["a", "lost"]] }],
])("an agent that says %s is left", async (_, message) => {
  const [near, far] = openPair();
  const service = serviceOn(near);
  const waiting = service.list();
  far.write(encodeFrame(message));
  await expect(waiting).rejects.toMatchObject({ code: "ERR_AGENT_CLOSED" });
  expect(near.destroyed).toBe(true);
  await expect(service.list()).rejects.toMatchObject({ code: "ERR_AGENT_UNREACHABLE" });
});

test("an agent that gives a piece before the last one is taken is left", async () => {
  const [near, far] = openPair();
  const service = serviceOn(near);
  const taker = { write: () => new Promise<void>(() => {}) };
  const attaching = service.attachStream({ jobId: "a", fileIndex: 0 }, taker);
  for (let i = 0; i < 2; i++) {
    far.write(encodeFrame({ type: "piece", stream: 1 }, 3));
    far.write(Uint8Array.of(1, 2, 3));
  }
  await expect(attaching).rejects.toMatchObject({ code: "ERR_AGENT_CLOSED" });
});

test("an answer of another shape is refused", async () => {
  const [near, far] = openPair();
  const service = serviceOn(near);
  const waiting = service.applyVerb("a", "cancel");
  far.write(encodeFrame({ type: "answer", id: 1, value: "done" }));
  const refused: Partial<ErrorInfo> = { code: "ERR_AGENT_UNREACHABLE" };
  await expect(waiting).rejects.toMatchObject(refused);
});

import { expect, test } from "vitest";
import { Random, resolveSettings, Scheduler } from "@shoal/core";
import type { EventSink, Notice, OriginCommand, StoreCommand, SwarmCommand } from "@shoal/core";
import { Engine } from "@shoal/engine";
import type { Clock } from "@shoal/engine";

interface Payload {
  readonly name: string;
}

const WALL_AT = Date.UTC(2026, 0, 1);
const JOB_ID = "00000000-0000-4000-8000-000000000001";

/** An engine on a hand-moved clock whose ports only take notes. */
function start() {
  let now = 0;
  let armed: { at: number; wake: () => void } | undefined;
  const clock: Clock = {
    now: () => now,
    wallNow: () => WALL_AT + now,
    schedule(at, wake) {
      armed = { at, wake };
      return () => {
        armed = undefined;
      };
    },
  };
  const released: string[] = [];
  const closed: string[] = [];
  const executed: Array<
    [string, StoreCommand | OriginCommand | SwarmCommand, Payload | undefined]
  > = [];
  const port = (name: string) => ({
    execute: (command: StoreCommand | OriginCommand | SwarmCommand, payload?: Payload) => {
      executed.push([name, command, payload]);
    },
    close: async () => void closed.push(name),
  });
  const engine = new Engine<Payload>({
    scheduler: new Scheduler({
      random: new Random(1),
      settings: resolveSettings(),
      selfId: "self",
    }),
    clock,
    payloads: { byteLength: () => 1, release: ({ name }) => void released.push(name) },
  });
  engine.start({ store: port("store"), origin: port("origin"), swarm: port("swarm") });
  const sink: EventSink<Payload> = engine.sink;
  sink({ type: "stateLoaded", jobs: [], resumable: [], contents: [] });
  return {
    engine,
    sink,
    released,
    closed,
    executed,
    get armedAt() {
      return armed?.at;
    },
    wakeAt(at: number) {
      now = at;
      const { wake } = armed ?? { wake: () => undefined };
      wake();
    },
    types: () => executed.map(([, command]) => command.type),
  };
}

const job = {
  jobId: JOB_ID,
  owner: "local",
  isAdministrator: true,
  displayName: "",
  priority: "normal",
  overwrite: false,
  allowsCellular: true,
  isVolatile: false,
  attributes: {},
  startSuspended: false,
  files: [{ url: "http://origin.test/", destination: "/tmp/file" }],
} as const;

test("asks the store for the stored state first", () => {
  expect(start().types()[0]).toBe("loadState");
});

test("a verb's commands have reached their ports when act returns", () => {
  const { engine, types } = start();
  engine.act((scheduler, now) => scheduler.createJob(job, now));
  expect(types()).toEqual(["loadState", "saveJob", "probeOrigin"]);
});

test("a payload nobody wants is released at once", () => {
  const { engine, sink, released } = start();
  sink({ type: "peerPiece", peerId: "a", requestId: 1, bufferId: 0 }, { name: "late" });
  expect(released).toEqual(["late"]);
  expect(engine.heldPayloads).toBe(0);
});

test("a payload leaves with the command that speaks of it", () => {
  const { engine, sink, executed } = start();
  engine.act((scheduler, now) => scheduler.createJob(job, now));
  const probe = { requestId: 1, transferId: 1 };
  sink({ type: "originProbed", ...probe, length: 3, validator: {}, acceptsRanges: true });
  sink({ type: "contentOpened", transferId: 1, have: Uint8Array.of(0) });
  const range = executed.at(-1)?.[1];
  if (range?.type !== "fetchRange") throw new Error("nothing was asked of the origin");
  const piece = {
    type: "rangePiece",
    requestId: range.requestId,
    transferId: 1,
    piece: 0,
  } as const;
  sink({ ...piece, bufferId: 0 }, { name: "piece" });
  expect(executed.at(-1)).toMatchObject(["store", { type: "storePiece" }, { name: "piece" }]);
  expect(engine.heldPayloads).toBe(0);
});

test("one timer is armed for the scheduler's deadline, and handling it asks again", () => {
  const run = start();
  run.engine.act((scheduler, now) => scheduler.createJob(job, now));
  const error = { code: "ERR_ORIGIN_UNREACHABLE", message: "" } as const;
  run.sink({
    type: "originFailed",
    requestId: 1,
    transferId: 1,
    failure: { kind: "transient", error },
  });
  const at = run.armedAt;
  expect(at).toBeGreaterThan(500);
  run.wakeAt(at ?? 0);
  expect(run.types().filter((type) => type === "probeOrigin")).toHaveLength(2);
});

test("events that arrive while one is handled wait for their turn", () => {
  const { engine, sink } = start();
  const seen: Notice["type"][] = [];
  engine.onNotice(({ type }) => {
    seen.push(type);
    if (type === "peerConnected") sink({ type: "peerDisconnected", peerId: "a", reason: "" });
  });
  sink({ type: "peerConnected", peerId: "a", host: "h", requestsMax: 1 });
  expect(seen).toEqual(["peerConnected", "peerDisconnected"]);
});

test("close stops sources before the store, and later payloads are released", async () => {
  const { engine, sink, closed, released } = start();
  await engine.close();
  await engine.close();
  expect(closed).toEqual(["swarm", "origin", "store"]);
  sink({ type: "peerPiece", peerId: "a", requestId: 1, bufferId: 0 }, { name: "after" });
  expect(released).toEqual(["after"]);
});

test("a verb's commands have reached their ports when a listener's act returns to the loop", () => {
  const { engine, sink, types } = start();
  engine.onNotice(({ type }) => {
    if (type === "peerConnected") engine.act((scheduler, now) => scheduler.createJob(job, now));
  });
  sink({ type: "peerConnected", peerId: "a", host: "h", requestsMax: 1 });
  expect(types()).toEqual(["loadState", "saveJob", "probeOrigin"]);
});

test("the wall clock is told with every verb", () => {
  const run = start();
  run.engine.act((scheduler, now) => scheduler.createJob(job, now));
  const [summary] = run.engine.act((scheduler) => scheduler.jobSummaries());
  expect(summary?.createdAt).toBe(WALL_AT);
});

test("a piece for a stream that is gone is released, and the job is told", () => {
  const { engine, sink, released, executed } = start();
  const file = { url: "http://origin.test/", toStream: true };
  engine.act((scheduler, now) =>
    scheduler.createJob({ ...job, files: [file], startSuspended: true }, now),
  );
  const given: string[] = [];
  const detach = engine.attachSink(JOB_ID, 0, ({ name }) => given.push(name));
  const again = engine.attachSink(JOB_ID, 0, () => {});
  expect(again).toMatchObject({ code: "ERR_SINK_TAKEN" });
  if ("code" in detach) throw new Error(detach.message);
  engine.act((scheduler, now) => scheduler.applyVerb(JOB_ID, "resume", now));
  const ids = { requestId: 1, transferId: 1 };
  sink({ type: "originProbed", ...ids, length: 600_000, validator: {}, acceptsRanges: true });
  sink({ type: "contentOpened", transferId: 1, have: Uint8Array.of(0) });
  sink({ type: "piecesCommitted", transferId: 1, pieces: [0, 1] });
  const readPiece = (): number => {
    const command = executed.at(-1)?.[1];
    if (command?.type !== "readPiece") throw new Error("no piece was asked for");
    return command.requestId;
  };
  sink({ type: "pieceRead", ...ids, requestId: readPiece(), bufferId: 0 }, { name: "first" });
  expect(given).toEqual(["first"]);
  engine.act((scheduler, now) => scheduler.sinkTaken(JOB_ID, 0, now));
  detach();
  sink({ type: "pieceRead", ...ids, requestId: readPiece(), bufferId: 0 }, { name: "second" });
  expect([given, released]).toEqual([["first"], ["second"]]);
  const snapshot = engine.act((scheduler, now) => scheduler.jobSnapshot(JOB_ID, now));
  expect(snapshot).toMatchObject({ state: "error", error: { code: "ERR_SINK_FAILED" } });
});

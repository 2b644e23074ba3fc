/** The simulated origin: shares, limits, troubles and what it counts. */
import { MiB, PieceLayout, Random } from "@shoal/core";
import type { OriginCommand, SchedulerEvent } from "@shoal/core";
import { describe, expect, it } from "vitest";
import { Downlink, SimOrigin, SimOriginServer, SimPayloads, VirtualClock } from "../src/index.ts";
import type { SimOriginServerOptions, SimPayload } from "../src/index.ts";

const LAYOUT = PieceLayout.fixed(100 * MiB, MiB);
const URL = "http://origin.example/file";
const SECOND = 1_000;

function setUp(options: Partial<SimOriginServerOptions> = {}) {
  const clock = new VirtualClock();
  const random = new Random(1);
  const server = new SimOriginServer({ clock, random }, { rateBytesPerSec: 10 * MiB, ...options });
  server.setFile(URL, { length: LAYOUT.contentLength, validator: { etag: '"1"' } });
  const addAgent = ({ latencyMs = 0 } = {}) => {
    const events: Array<{ at: number; event: SchedulerEvent; payload?: SimPayload }> = [];
    const sink = (event: SchedulerEvent, payload?: SimPayload): void => {
      events.push({ at: clock.now(), event, ...(payload === undefined ? {} : { payload }) });
    };
    const downlink = new Downlink(1_000 * MiB);
    const payloads = new SimPayloads();
    const port = new SimOrigin({ clock, server, downlink, payloads, sink }, { latencyMs });
    return { port, events };
  };
  return { clock, server, addAgent };
}

function fetchRange(requestId: number, pieceCount: number, fresh = false): OriginCommand {
  const what = { url: URL, layout: LAYOUT, firstPiece: 0, pieceCount, mode: "range" } as const;
  return { type: "fetchRange", requestId, transferId: 1, fresh, ...what };
}

describe("SimOriginServer", () => {
  it("shares its rate evenly among requests and counts every byte that leaves", () => {
    const { clock, server, addAgent } = setUp();
    const agents = [addAgent(), addAgent()];
    for (const { port } of agents) port.execute(fetchRange(1, 10));
    clock.run(10 * SECOND);
    for (const { events } of agents) {
      const last = events.at(-1);
      expect(last?.event.type).toBe("rangeFinished");
      expect(last?.at).toBeGreaterThan(1.95 * SECOND);
      expect(last?.at).toBeLessThan(2.05 * SECOND);
    }
    expect(server.sentBytes).toBe(20 * MiB);
    expect(server.requests).toBe(2);
  });

  it("keeps each request to its own rate", () => {
    const { clock, addAgent } = setUp({ requestRateBytesPerSecMax: MiB });
    const { port, events } = addAgent();
    port.execute(fetchRange(1, 4));
    port.execute(fetchRange(2, 2));
    clock.run(10 * SECOND);
    const finished = events.filter(({ event }) => event.type === "rangeFinished");
    expect(finished.map(({ at }) => Math.round(at / SECOND))).toEqual([2, 4]);
  });

  it("breaks what is under way when the agent's link goes, and serves it again on return", () => {
    const { clock, server, addAgent } = setUp();
    const { port, events } = addAgent({ latencyMs: 10 });
    port.execute(fetchRange(1, 10));
    clock.run(550);
    const pieces = () => events.filter(({ event }) => event.type === "rangePiece").length;
    const before = pieces();
    port.setOnline(false);
    port.execute(fetchRange(2, 1));
    clock.run(2 * SECOND);
    expect(pieces()).toBe(before);
    const failed = events.filter(({ event }) => event.type === "originFailed");
    expect(failed.map(({ at }) => at)).toEqual([550, 560]);
    expect(server.sentBytes).toBeLessThan(6 * MiB);
    port.setOnline(true);
    port.execute(fetchRange(3, 1));
    clock.run(4 * SECOND);
    expect(pieces()).toBe(before + 1);
    expect(events.at(-1)?.event.type).toBe("rangeFinished");
  });

  it("reports progress of a slow request at most twice a second", () => {
    const { clock, addAgent } = setUp({ rateBytesPerSec: MiB });
    const { port, events } = addAgent();
    port.execute(fetchRange(1, 5));
    clock.run(10 * SECOND);
    const progress = events.filter(({ event }) => event.type === "rangeProgress");
    expect(progress.length).toBeGreaterThan(5);
    expect(progress.length).toBeLessThanOrEqual(10);
  });

  it("sends wrong bytes as told, and right ones on fresh connections", () => {
    const { clock, addAgent } = setUp({ corruptShare: 1 });
    const { port, events } = addAgent();
    port.execute(fetchRange(1, 1));
    port.execute(fetchRange(2, 1, true));
    clock.run(SECOND);
    const corrupt = events.flatMap(({ event, payload }) =>
      event.type === "rangePiece" ? [[event.requestId, payload?.corrupt]] : [],
    );
    expect(corrupt).toEqual([
      [1, true],
      [2, false],
    ]);
  });

  it("breaks off when it goes down, after the pieces that did arrive", () => {
    const { clock, server, addAgent } = setUp();
    const { port, events } = addAgent();
    server.plan({ kind: "down" }, 550, 2 * SECOND);
    port.execute(fetchRange(1, 10));
    clock.run(SECOND);
    expect(events.filter(({ event }) => event.type === "rangePiece")).toHaveLength(5);
    expect(events.at(-1)?.event).toMatchObject({
      type: "originFailed",
      failure: { kind: "transient", error: { code: "ERR_ORIGIN_UNREACHABLE" } },
    });
    clock.run(3 * SECOND);
    port.execute(fetchRange(2, 1));
    clock.run(4 * SECOND);
    expect(events.at(-1)?.event.type).toBe("rangeFinished");
  });

  it("times out when it falls silent, unless the agent is not reading", () => {
    const { clock, server, addAgent } = setUp();
    const [silent, paused] = [addAgent(), addAgent()];
    server.plan({ kind: "silent" }, 100, 1_000 * SECOND);
    silent.port.execute(fetchRange(1, 10));
    paused.port.execute(fetchRange(1, 10));
    clock.run(50);
    paused.port.execute({ type: "setFlow", open: false });
    clock.run(100 * SECOND);
    expect(silent.events.at(-1)?.event).toMatchObject({
      type: "originFailed",
      failure: { kind: "timeout", error: { code: "ERR_ORIGIN_TIMEOUT" } },
    });
    expect(paused.events.filter(({ event }) => event.type === "originFailed")).toEqual([]);
  });

  it("answers before what its answer leads to, also when there is nothing to send", () => {
    const { clock, server, addAgent } = setUp();
    const { port, events } = addAgent({ latencyMs: 20 });
    const empty = "http://origin.example/empty";
    server.setFile(empty, { length: 0, validator: {}, bytes: new Uint8Array() });
    const question = { type: "fetchManifest", transferId: 1, url: empty } as const;
    port.execute({ ...question, requestId: 1, place: "exact" });
    clock.run(SECOND);
    port.execute({ ...question, requestId: 2, place: "sidecar" });
    clock.run(2 * SECOND);
    expect(events.map(({ event }) => event.type)).toEqual([
      "originAnswered",
      "manifestFetched",
      "originAnswered",
      "originFailed",
    ]);
    expect(events[1]?.at).toBe(40);
    expect(events.at(-1)?.event).toMatchObject({
      failure: { kind: "fatal", error: { originStatus: 404 } },
    });
  });

  it("answers an unexpected success with a failure that may pass", () => {
    const { clock, server, addAgent } = setUp();
    const { port, events } = addAgent();
    server.plan({ kind: "status", status: 204 }, 0, SECOND);
    clock.run(1);
    port.execute(fetchRange(1, 1));
    clock.run(SECOND);
    expect(events.at(-1)?.event).toMatchObject({
      type: "originFailed",
      failure: { kind: "transient", error: { originStatus: 204 } },
    });
  });
});

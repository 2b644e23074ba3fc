import type { LookupFunction, Socket } from "node:net";
import { LIMITS, Random } from "@shoal/core";
import { describe, expect, it } from "vitest";
import { askRange, joined, Recorder, serveRaw, until } from "./origin-harness.ts";
import type { Question } from "./origin-harness.ts";
import { BODY, HEAD, LENGTH, RANGE } from "./hostile-rows.ts";

const lookup: LookupFunction = (_, options, done) => {
  if (options.all === true) done(null, [{ address: "127.0.0.1", family: 4 }]);
  else done(null, "127.0.0.1", 4);
};

/** A server that answers when it is told to, and counts by host who is under way. */
async function serveHeld() {
  const held: { readonly host: string; readonly socket: Socket }[] = [];
  const server = await serveRaw((socket, head) => {
    held.push({ host: /^host: (.*)$/im.exec(head)?.[1] ?? "", socket });
  });
  return Object.assign(server, {
    held,
    countOf: (name: string) => held.filter(({ host }) => host.startsWith(name)).length,
    answerAll: () => {
      for (const { socket } of held.splice(0)) {
        socket.write(Buffer.concat([Buffer.from(`${HEAD}${RANGE}${LENGTH}\r\n`), BODY]));
      }
    },
  });
}

describe("requests of many jobs (R-HTTP-09)", () => {
  it("use at most 16 connections to one host and 64 in all, and then take turns", async () => {
    await using server = await serveHeld();
    await using recorder = new Recorder({}, { lookup });
    const names = Array.from({ length: 6 }, (_, i) => `host${i}.test`);
    const ends = names.flatMap((name) =>
      Array.from({ length: 20 }, (_, i) => {
        const url = server.url.replace("127.0.0.1", name);
        return recorder.ask(askRange(`${url}?job=${i}`));
      }),
    );
    const left = new Map(names.map((name) => [name, 20]));
    let totalMax = 0;
    while (left.size > 0) {
      const perHost = [...left.values()].map((n) =>
        Math.min(n, LIMITS.originConnectionsPerHostMax),
      );
      const all = perHost.reduce((sum, n) => sum + n, 0);
      const wanted = Math.min(all, LIMITS.originConnectionsTotalMax);
      await until(() => server.held.length === wanted);
      totalMax = Math.max(totalMax, server.sockets.size);
      for (const [name, n] of left) {
        const count = server.countOf(name);
        expect(count).toBeLessThanOrEqual(LIMITS.originConnectionsPerHostMax);
        if (n === count) left.delete(name);
        else left.set(name, n - count);
      }
      server.answerAll();
    }
    for (const { end } of await Promise.all(ends)) expect(end.type).toBe("rangeFinished");
    expect(totalMax).toBe(LIMITS.originConnectionsTotalMax);
    expect(LIMITS.originConnectionsTotalMax).toBe(64);
    expect(LIMITS.originConnectionsPerHostMax).toBe(16);
  });

  it("of a host that is busy do not keep those of another from starting", async () => {
    await using server = await serveHeld();
    await using recorder = new Recorder({}, { lookup });
    const urlOf = (name: string): string => server.url.replace("127.0.0.1", name);
    for (let i = 0; i < 100; i++) recorder.start(askRange(urlOf("busy.test")));
    await until(() => server.held.length === LIMITS.originConnectionsPerHostMax);
    recorder.start(askRange(urlOf("idle.test")));
    await until(() => server.countOf("idle.test") === 1);
    expect(server.countOf("busy.test")).toBe(LIMITS.originConnectionsPerHostMax);
  });
});

/** One thing that a server may do in place of a good answer, or after one. */
type Fault = (socket: Socket) => void;
const GOOD = Buffer.concat([Buffer.from(`${HEAD}${RANGE}${LENGTH}\r\n`), BODY]);
const FAULTS: readonly Fault[] = [
  (socket) => socket.resetAndDestroy(),
  (socket) => socket.end(),
  (socket) => socket.end(GOOD.subarray(0, 30)),
  (socket) => socket.write(GOOD.subarray(0, 30), () => socket.resetAndDestroy()),
  (socket) => socket.end(GOOD.subarray(0, -1_000)),
  (socket) => socket.write(GOOD.subarray(0, -1_000), () => socket.resetAndDestroy()),
  (socket) => socket.write(GOOD.subarray(0, -1_000)),
  (socket) => socket.end(GOOD),
  (socket) => socket.write(GOOD, () => socket.resetAndDestroy()),
  (socket) => socket.write(Buffer.concat([GOOD, GOOD, Buffer.from("x")])),
  (socket) => socket.write(GOOD, () => setTimeout(() => socket.end(), 3).unref()),
  (socket) => socket.write("HTTP/1.1 103 Early Hints\r\n\r\n".repeat(30)),
  (socket) => socket.write("nonsense\r\n\r\n"),
  (socket) => socket.write("HTTP/1.1 302 Found\r\nlocation: /other\r\ncontent-length: 9\r\n\r\n"),
  (socket) => socket.write("HTTP/1.1 404 Not Found\r\ncontent-length: 9\r\n\r\nnot whole"),
  (socket) => socket.write("HTTP/1.1 503 Busy\r\ncontent-length: 9\r\n\r\nnot"),
  () => {},
];

describe("requests to a server that fails in every way", () => {
  it.each([1, 2, 3, 4])("leave neither connections nor buffers taken (seed %i)", async (seed) => {
    const random = new Random(seed);
    const held: Socket[] = [];
    await using server = await serveRaw((socket, head) => {
      if (head.startsWith("GET /held")) return void held.push(socket);
      const fault = random.below(2) === 0 ? undefined : FAULTS[random.below(FAULTS.length)];
      if (fault === undefined) socket.write(GOOD);
      else fault(socket);
    });
    const timeouts = { headersTimeoutMs: 50, bodyTimeoutMs: 50, waitTimeoutMs: 150 };
    const limits = { connectionsPerHostMax: 3, bodyRateWindowMs: 120, keepAliveMs: 1_100 };
    await using recorder = new Recorder({ ...timeouts, ...limits });
    const questions: readonly Question[] = [
      askRange(server.url),
      askRange(server.url, { fresh: true }),
      { type: "probeOrigin", url: server.url },
      { type: "fetchManifest", url: server.url, place: "sidecar" },
    ];
    const pause = setInterval(() => {
      recorder.origin.execute({ type: "setFlow", open: random.below(2) === 0 });
      const rateBytesPerSec = random.below(2) * 1_000_000;
      recorder.origin.execute({ type: "setPace", transferId: 1, rateBytesPerSec });
    }, 4);
    const ends = Array.from({ length: 120 }, () => {
      const started = recorder.start(questions[random.below(questions.length)] ?? askRange(""));
      const { requestId } = started;
      if (random.below(4) > 0) return started.end;
      setTimeout(
        () => recorder.origin.execute({ type: "cancelOrigin", requestId }),
        random.below(400),
      );
      return undefined;
    });
    const outcomes = await Promise.all(ends.filter((end) => end !== undefined));
    const whole = outcomes.filter(({ end }) => end.type === "rangeFinished");
    for (const outcome of whole) expect(joined(outcome)).toEqual(BODY);
    clearInterval(pause);
    recorder.origin.execute({ type: "setFlow", open: true });
    recorder.origin.execute({ type: "setPace", transferId: 1, rateBytesPerSec: 0 });
    const heldUrl = new URL("/held", server.url).href;
    await until(() => recorder.pool.borrowed === 0);
    const open = (): number => held.filter(({ destroyed }) => !destroyed).length;
    // Three at once again: nothing is counted as taken still.
    await until(() => {
      recorder.start(askRange(heldUrl));
      return open() >= 3;
    });
    expect(recorder.pool.borrowed).toBe(0);
  });
});

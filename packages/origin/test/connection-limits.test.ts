import type { LookupFunction, Socket } from "node:net";
import { LIMITS } from "@shoal/core";
import { describe, expect, it } from "vitest";
import { askRange, Recorder, serveRaw, until } from "./origin-harness.ts";
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

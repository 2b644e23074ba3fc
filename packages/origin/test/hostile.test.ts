import { describe, expect, it } from "vitest";
import type { Socket } from "node:net";
import {
  askRange,
  CONTENT,
  CONTENT_LENGTH,
  failureOf,
  joined,
  LAYOUT,
  Recorder,
  serveRaw,
  until,
} from "./origin-harness.ts";
import type { Outcome, Question } from "./origin-harness.ts";

const HEAD = "HTTP/1.1 206 Partial Content\r\n";
const RANGE = `content-range: bytes 2000-4999/${CONTENT_LENGTH}\r\n`;
const LENGTH = "content-length: 3000\r\n";
const BODY = CONTENT.subarray(2_000, 5_000);
const all = { firstPiece: 0, pieceCount: LAYOUT.pieceCount, mode: "stream" } as const;

type Part = string | Buffer;

/** Answers every request with `parts`; then closes, when told to. */
async function answered(
  parts: readonly Part[],
  more: { close?: boolean; question?: Partial<Extract<Question, { type: "fetchRange" }>> } = {},
): Promise<Outcome & { connections: number }> {
  await using server = await serveRaw((socket) => {
    for (const part of parts) socket.write(part, "latin1");
    if (more.close === true) socket.end();
  });
  await using recorder = new Recorder({ headersTimeoutMs: 3_000, bodyTimeoutMs: 3_000 });
  const outcome = await recorder.ask(askRange(server.url, more.question));
  expect(recorder.pool.borrowed).toBe(0);
  return { ...outcome, connections: server.connections };
}

/** The kind and code a range request fails with. */
async function verdict(...args: Parameters<typeof answered>): Promise<string> {
  const { kind, code } = failureOf(await answered(...args));
  return `${kind} ${code}`;
}

const BROKEN = "rangeBroken ERR_ORIGIN_PROTOCOL";
const EARLY = "transient ERR_ORIGIN_UNAVAILABLE";

describe("answers that are not HTTP", () => {
  it("are refused, whatever they are", async () => {
    const answers = [
      "SSH-2.0-OpenSSH_9.9\r\n",
      "\0\0\0\0\0\0\0\0",
      "HTTP/1.1 2xx What\r\n\r\n",
      "HTTP/9.9 206 No\r\n\r\n",
      `${HEAD}no colon here\r\n\r\n`,
      `${HEAD}content-range : bytes 2000-4999/10000\r\n\r\n`,
      `${HEAD}content-length: 3000\r\ncontent-length: 3000\r\n${RANGE}\r\n`,
      `${HEAD}content-length: 3000\r\ncontent-length: 5\r\n${RANGE}\r\n`,
      `${HEAD}content-length: -3000\r\n${RANGE}\r\n`,
      `${HEAD}content-length: 3000, 3000\r\n${RANGE}\r\n`,
      `${HEAD}content-length: 0x0BB8\r\n${RANGE}\r\n`,
      `${HEAD}content-length: 99999999999999999999999\r\n${RANGE}\r\n`,
      `${HEAD}${LENGTH}transfer-encoding: chunked\r\n${RANGE}\r\n`,
      `${HEAD}transfer-encoding: chunked\r\n${RANGE}\r\nzz\r\n`,
      `${HEAD}transfer-encoding: gzip, chunked\r\n${RANGE}\r\n0\r\n\r\n`,
      `${HEAD}transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n${RANGE}\r\n0\r\n\r\n`,
      `${HEAD}x: a\0b\r\n${RANGE}\r\n`,
    ];
    for (const answer of answers) {
      expect([answer, await verdict([answer])]).toEqual([answer, BROKEN]);
    }
  });

  it("are refused with a header block beyond 16 KiB or 100 fields (R-HTTP-07)", async () => {
    expect(await verdict([HEAD, `x: ${"y".repeat(17 * 1024)}\r\n`])).toBe(BROKEN);
    const fields = Array.from({ length: 101 }, (_, i) => `x${i}: y\r\n`).join("");
    expect(await verdict([HEAD, RANGE, LENGTH, fields, "\r\n", BODY])).toBe(BROKEN);
    const fewer = Array.from({ length: 98 }, (_, i) => `x${i}: y\r\n`).join("");
    const outcome = await answered([HEAD, RANGE, LENGTH, fewer, "\r\n", BODY]);
    expect(outcome.end.type).toBe("rangeFinished");
  });

  it("are refused after more than 20 informational responses (R-HTTP-07)", async () => {
    const hint = "HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n";
    const good = [HEAD, RANGE, LENGTH, "\r\n", BODY];
    expect((await answered([hint.repeat(20), ...good])).end.type).toBe("rangeFinished");
    expect(await verdict([hint.repeat(21), ...good])).toBe(BROKEN);
    for (const upgrade of ["upgrade: x\r\n\r\n", "upgrade: x\r\nconnection: upgrade\r\n\r\n"]) {
      expect(await verdict([`HTTP/1.1 101 Switching Protocols\r\n${upgrade}`])).toBe(BROKEN);
    }
    expect(await verdict(["HTTP/1.1 100 Continue\r\n\r\n", ...good])).toBe(BROKEN);
  });

  it("are a failed connection when there is none at all", async () => {
    expect(await verdict([], { close: true })).toBe("transient ERR_ORIGIN_UNREACHABLE");
    expect(await verdict([HEAD], { close: true })).toMatch(/^transient /);
  });
});

describe("bodies that do not keep their word (R-HTTP-10)", () => {
  it("end early: what was whole is delivered, the rest is tried again", async () => {
    for (const framing of [
      [LENGTH, "\r\n", BODY.subarray(0, 2_500)],
      ["\r\n", BODY.subarray(0, 2_500)],
      ["transfer-encoding: chunked\r\n\r\n9c4\r\n", BODY.subarray(0, 2_500)],
      ["connection: close\r\n", LENGTH, "\r\n", BODY.subarray(0, 2_500)],
      ["connection: close\r\ntransfer-encoding: chunked\r\n\r\nbb8\r\n", BODY.subarray(0, 2_500)],
      ["transfer-encoding: chunked\r\n\r\n9c4\r\n", BODY.subarray(0, 2_500), "\r\n0\r\n\r\n"],
    ]) {
      const outcome = await answered([HEAD, RANGE, ...framing], { close: true });
      const { kind, code } = failureOf(outcome);
      expect(`${kind} ${code}`).toBe(EARLY);
      expect([...outcome.pieces.keys()]).toEqual([2, 3]);
      expect(joined(outcome)).toEqual(BODY.subarray(0, 2_000));
    }
  });

  it("end by a reset: what was whole is delivered", async () => {
    await using server = await serveRaw((socket) => {
      socket.write(`${HEAD}${RANGE}${LENGTH}\r\n`);
      socket.write(BODY.subarray(0, 1_500), () => setTimeout(() => socket.resetAndDestroy(), 20));
    });
    await using recorder = new Recorder();
    const outcome = await recorder.ask(askRange(server.url));
    expect(failureOf(outcome).kind).toBe("transient");
    expect([...outcome.pieces.keys()]).toEqual([2]);
    expect(recorder.pool.borrowed).toBe(0);
  });

  it("delimited by the close are accepted only at exactly the known length", async () => {
    const exact = await answered([HEAD, RANGE, "\r\n", BODY], { close: true });
    expect(exact.end.type).toBe("rangeFinished");
    expect(joined(exact)).toEqual(BODY);
    expect(await verdict([HEAD, RANGE, "\r\n", BODY, "x"], { close: true })).toBe(BROKEN);
    const stream = ["HTTP/1.1 200 OK\r\n\r\n", CONTENT];
    const whole = await answered(stream, { close: true, question: all });
    expect(joined(whole)).toEqual(CONTENT);
    const short = { close: true, question: all };
    expect(await verdict(["HTTP/1.1 200 OK\r\n\r\n", CONTENT.subarray(1)], short)).toBe(EARLY);
    expect(await verdict([...stream, "x"], short)).toBe("fatal ERR_ORIGIN_PROTOCOL");
  });

  it("in chunks are refused one byte beyond the range", async () => {
    const chunked = [HEAD, RANGE, "transfer-encoding: chunked\r\n\r\n"];
    const surplus = ["bb9\r\n", BODY, "x\r\n0\r\n\r\n"];
    expect(await verdict([...chunked, ...surplus])).toBe(BROKEN);
    const exact = await answered([...chunked, "bb8\r\n", BODY, "\r\n0\r\n\r\n"]);
    expect(joined(exact)).toEqual(BODY);
  });

  it("with surplus bytes cost the connection, and never answer the next request", async () => {
    const forged = `${HEAD}${RANGE}${LENGTH}\r\n${"Z".repeat(3_000)}`;
    for (const surplus of ["x", forged]) {
      await using server = await serveRaw((socket) => {
        socket.write(Buffer.concat([Buffer.from(`${HEAD}${RANGE}${LENGTH}\r\n`), BODY]));
        socket.write(surplus);
      });
      await using recorder = new Recorder();
      for (let i = 1; i <= 4; i++) {
        const outcome = await recorder.ask(askRange(server.url));
        expect(joined(outcome)).toEqual(BODY);
        expect(server.connections).toBe(i);
      }
    }
  });

  it("with surplus bytes never answer the request that waits for the connection", async () => {
    let asked = 0;
    await using server = await serveRaw((socket) => {
      const answer = Buffer.concat([Buffer.from(`${HEAD}${RANGE}${LENGTH}\r\n`), BODY]);
      const forged = `${HEAD}${RANGE}${LENGTH}\r\n${"Z".repeat(1_000)}`;
      if (asked++ === 0) socket.write(Buffer.concat([answer, Buffer.from(forged)]));
      else socket.write(answer);
    });
    await using recorder = new Recorder({ connectionsPerHostMax: 1 });
    const outcomes = [1, 2, 3].map(() => recorder.ask(askRange(server.url)));
    for (const outcome of await Promise.all(outcomes)) expect(joined(outcome)).toEqual(BODY);
    expect(server.connections).toBe(2);
  });

  it("that are late surplus of an idle connection never answer the next request", async () => {
    const sockets: Socket[] = [];
    await using server = await serveRaw((socket) => {
      sockets.push(socket);
      socket.write(Buffer.concat([Buffer.from(`${HEAD}${RANGE}${LENGTH}\r\n`), BODY]));
    });
    await using recorder = new Recorder();
    await recorder.ask(askRange(server.url));
    sockets[0]?.write(`${HEAD}${RANGE}${LENGTH}\r\n${"Z".repeat(3_000)}`);
    await until(() => server.sockets.size === 0);
    expect(joined(await recorder.ask(askRange(server.url)))).toEqual(BODY);
    expect(server.connections).toBe(2);
  });
});

describe("ranges that are not what was asked for", () => {
  it("are discarded unread", async () => {
    const wrong = [
      `${HEAD}content-range: bytes 0-2999/${CONTENT_LENGTH}\r\n${LENGTH}\r\n`,
      `${HEAD}content-range: bytes 2000-5000/${CONTENT_LENGTH}\r\n\r\n`,
      `${HEAD}content-range: items 2000-4999/${CONTENT_LENGTH}\r\n${LENGTH}\r\n`,
      `${HEAD}${LENGTH}\r\n`,
      `${HEAD}${RANGE}${RANGE}${LENGTH}\r\n`,
      `${HEAD}${RANGE}content-length: 2999\r\n\r\n`,
      `${HEAD}${RANGE}${LENGTH}content-type: multipart/byteranges; boundary=x\r\n\r\n`,
      `${HEAD}${RANGE}${LENGTH}content-encoding: gzip\r\n\r\n`,
    ];
    for (const head of wrong) {
      const outcome = await answered([head, BODY]);
      expect([head, failureOf(outcome).kind]).toEqual([head, "rangeBroken"]);
      expect(outcome.pieces.size).toBe(0);
    }
  });

  it("cost the connection", async () => {
    await using server = await serveRaw((socket) => {
      socket.write(`${HEAD}content-range: bytes 0-2999/${CONTENT_LENGTH}\r\n${LENGTH}\r\n`);
      socket.write(BODY);
    });
    await using recorder = new Recorder();
    await recorder.ask(askRange(server.url));
    await until(() => server.sockets.size === 0);
    expect(server.connections).toBe(1);
  });
});

it("sends its own header fields and no others, one request line, no body (R-HTTP-05)", async () => {
  const heads: string[] = [];
  await using server = await serveRaw((socket, head) => {
    heads.push(head);
    socket.end("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n");
  });
  await using recorder = new Recorder({ userAgent: "Test/1" });
  await recorder.ask(
    askRange(`${server.url}?a=b%0d%0aX:%20y#z`, { validator: { etag: '"v1"' }, fresh: true }),
  );
  expect(heads[0]?.split("\r\n")).toEqual([
    "GET /file.bin?a=b%0d%0aX:%20y HTTP/1.1",
    `host: 127.0.0.1:${server.port}`,
    "connection: keep-alive",
    "user-agent: Test/1",
    "accept-encoding: identity",
    "cache-control: no-cache",
    "range: bytes=2000-4999",
    'if-range: "v1"',
  ]);
});

it("survives random bytes, and answers nearly right, without leaking (R-TEST-04)", async () => {
  const good = Buffer.concat([Buffer.from(`${HEAD}${RANGE}${LENGTH}etag: "v1"\r\n\r\n`), BODY]);
  let seed = 12_345;
  const random = (below: number): number => {
    seed = (Math.imul(seed, 1_103_515_245) + 12_345) & 0x7fffffff;
    return seed % below;
  };
  await using server = await serveRaw((socket) => {
    const bytes = Buffer.from(good);
    for (let i = random(4); i >= 0; i--) bytes[random(random(3) === 0 ? 3_100 : 160)] = random(256);
    socket.end(random(10) === 0 ? bytes.subarray(random(bytes.length)) : bytes);
  });
  await using recorder = new Recorder({ headersTimeoutMs: 2_000, bodyTimeoutMs: 2_000 });
  for (let round = 0; round < 40; round++) {
    const asked = Array.from({ length: 10 }, () => recorder.ask(askRange(server.url)));
    for (const { end, pieces } of await Promise.all(asked)) {
      expect(["rangeFinished", "originFailed"]).toContain(end.type);
      for (const piece of pieces.keys()) expect([2, 3, 4]).toContain(piece);
    }
  }
  expect(recorder.pool.borrowed).toBe(0);
}, 20_000);

import type { LookupFunction, Socket } from "node:net";
import { describe, expect, it } from "vitest";
import {
  askRange,
  CONTENT,
  failureOf,
  joined,
  Recorder,
  serveRaw,
  until,
} from "./origin-harness.ts";
import type { Outcome } from "./origin-harness.ts";
import { FRAMING_ROWS } from "./hostile-bodies.ts";
import { ANSWER_ROWS, BODY, HEAD, LENGTH, RANGE } from "./hostile-rows.ts";
import type { Row } from "./hostile-rows.ts";

const TIMEOUTS = { headersTimeoutMs: 3_000, bodyTimeoutMs: 3_000, keepAliveMs: 50 };

function outcomeOf(outcome: Outcome): string {
  if (outcome.end.type !== "originFailed") return outcome.end.type;
  const { kind, code, retryAfterMs: waitMs } = failureOf(outcome);
  return `${kind} ${code}${waitMs === undefined ? "" : ` after ${waitMs} ms`}`;
}

function askedPieces({ ask }: Row): readonly number[] {
  const { firstPiece, pieceCount } = askRange("", typeof ask === "object" ? ask : {});
  return Array.from({ length: pieceCount }, (_, i) => firstPiece + i);
}

describe("every answer of a server means one thing", () => {
  it.each([...ANSWER_ROWS, ...FRAMING_ROWS])("$says ($rule)", async (row) => {
    let count = 0;
    await using server = await serveRaw((socket) => {
      const parts = row.answers[Math.min(count++, row.answers.length - 1)] ?? [];
      for (const part of parts) socket.write(part, "latin1");
      if (row.close === true) socket.end();
    });
    await using recorder = new Recorder(TIMEOUTS);
    const { url } = server;
    const { ask } = row;
    const outcome = await (ask === "probe"
      ? recorder.probe(url)
      : ask === "manifest"
        ? recorder.sidecar(url)
        : recorder.ask(askRange(url, ask)));
    expect(outcomeOf(outcome)).toBe(row.outcome);
    expect(outcome.end).toMatchObject(row.holding ?? {});
    const pieces = row.pieces ?? (row.outcome === "rangeFinished" ? askedPieces(row) : []);
    expect([...outcome.pieces.keys()]).toEqual(pieces);
    for (const [piece, bytes] of outcome.pieces) {
      expect(bytes.equals(CONTENT.subarray(piece * 1_000, (piece + 1) * 1_000))).toBe(true);
    }
    expect(recorder.pool.borrowed).toBe(0);
    await until(() => server.sockets.size === 0);
  });
});

/** Keeps `write` going until the client closes; returns how many bytes it wrote. */
function pour(socket: Socket, part: Buffer | string): void {
  const write = (): void => {
    while (!socket.destroyed && socket.write(part)) continue;
  };
  socket.on("drain", write);
  write();
}

describe("a server without an end", () => {
  const sources: [says: string, head: string, part: string | Buffer, outcome: RegExp][] = [
    ["sends a body without a length", `${HEAD}${RANGE}\r\n`, CONTENT, /^rangeBroken/],
    [
      "sends chunks",
      `${HEAD}${RANGE}transfer-encoding: chunked\r\n\r\n`,
      Buffer.concat([Buffer.from("bb8\r\n"), BODY, Buffer.from("\r\n")]),
      /^rangeBroken/,
    ],
    ["sends fields", HEAD, "x: y\r\n".repeat(500), /^rangeBroken/],
    ["sends one field", `${HEAD}x: `, "y".repeat(5_000), /^rangeBroken/],
    ["sends early hints", "", "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(50), /^rangeBroken/],
    [
      "sends surplus bytes after Content-Length",
      `${HEAD}${RANGE}${LENGTH}\r\n${BODY.toString("latin1")}`,
      "surplus!".repeat(1_000),
      /^rangeFinished/,
    ],
    [
      "sends an error's body",
      "HTTP/1.1 503 No\r\nconnection: keep-alive\r\ntransfer-encoding: chunked\r\n\r\n",
      "3e8\r\n" + "x".repeat(1_000) + "\r\n",
      /^transient/,
    ],
  ];
  it.each(sources)("that %s is left (R-HTTP-07, R-HTTP-10)", async (_, head, part, expected) => {
    await using server = await serveRaw((socket) => {
      socket.write(head, "latin1");
      pour(socket, part);
    });
    await using recorder = new Recorder(TIMEOUTS);
    expect(outcomeOf(await recorder.ask(askRange(server.url)))).toMatch(expected);
    await until(() => server.sockets.size === 0);
    expect(recorder.pool.borrowed).toBe(0);
  });

  const silences: [says: string, head: string, drip: string | Buffer, outcome: string][] = [
    ["says nothing at all", "", "", "timeout ERR_ORIGIN_TIMEOUT"],
    ["stops within its head", `${HEAD}${RANGE}`, "", "timeout ERR_ORIGIN_TIMEOUT"],
    ["drips its head", HEAD, "x", "timeout ERR_ORIGIN_TIMEOUT"],
    ["stops within its body", `${HEAD}${RANGE}${LENGTH}\r\nab`, "", "timeout ERR_ORIGIN_TIMEOUT"],
    ["drips its body", `${HEAD}${RANGE}${LENGTH}\r\n`, "z", "transient ERR_ORIGIN_UNAVAILABLE"],
    [
      "drips chunks of one byte",
      `${HEAD}${RANGE}transfer-encoding: chunked\r\n\r\n`,
      "1\r\nz\r\n",
      "transient ERR_ORIGIN_UNAVAILABLE",
    ],
  ];
  it.each(silences)("that %s is left in time (R-HTTP-08)", async (_, head, drip, expected) => {
    await using server = await serveRaw((socket) => {
      socket.write(head, "latin1");
      const timer = setInterval(() => drip !== "" && socket.write(drip), 20);
      socket.on("close", () => clearInterval(timer));
    });
    await using recorder = new Recorder({
      headersTimeoutMs: 300,
      bodyTimeoutMs: 300,
      bodyRateBytesPerSecMin: 10_000,
      bodyRateWindowMs: 600,
    });
    expect(outcomeOf(await recorder.ask(askRange(server.url)))).toBe(expected);
    await until(() => server.sockets.size === 0);
    expect(recorder.pool.borrowed).toBe(0);
  });
});

describe.skipIf(process.platform !== "linux")("a name that resolves differently later", () => {
  // 127.0.0.1 stands for a global address, .2 for a private one, .3 for this machine.
  const addresses = { refused: [], private: ["127.0.0.2/32"], loopback: ["127.0.0.3/32"] };

  it("cannot turn a retry to this machine (R-HTTP-04)", async () => {
    const hosts = { "name.test": "127.0.0.2" };
    let count = 0;
    await using server = await serveRaw((socket) => {
      count++;
      socket.end(`${HEAD}${RANGE}${LENGTH}\r\n`);
    });
    await using recorder = new Recorder(TIMEOUTS, { addresses, lookup: lookupIn(hosts) });
    const url = server.url.replace("127.0.0.1", "name.test");
    hosts["name.test"] = "127.0.0.1";
    expect(outcomeOf(await recorder.ask(askRange(url)))).toMatch(/^transient/);
    for (const address of ["127.0.0.3", "127.0.0.3"]) {
      hosts["name.test"] = address;
      const { kind, code } = failureOf(await recorder.ask(askRange(url)));
      expect({ kind, code }).toEqual({ kind: "fatal", code: "ERR_ADDRESS_REFUSED" });
    }
    expect(count).toBe(1);
  });

  it("cannot turn a redirect from outside inside, at any hop (R-HTTP-03)", async () => {
    const hosts: Record<string, string> = { "outer.test": "127.0.0.1" };
    let hop = 0;
    await using server = await serveRaw((socket) => {
      hop++;
      // Between two hops the name begins to point inside.
      hosts["inner.test"] = hop === 1 ? "127.0.0.1" : "127.0.0.2";
      const location = `http://inner.test:${server.port}/${hop}`;
      socket.end(`HTTP/1.1 302 Found\r\nlocation: ${location}\r\ncontent-length: 0\r\n\r\n`);
    });
    await using recorder = new Recorder(TIMEOUTS, { addresses, lookup: lookupIn(hosts) });
    const url = server.url.replace("127.0.0.1", "outer.test");
    const { kind, code } = failureOf(await recorder.ask(askRange(url)));
    expect({ kind, code }).toEqual({ kind: "fatal", code: "ERR_REDIRECT_REFUSED" });
    expect(hop).toBe(2);
  });
});

function lookupIn(hosts: Readonly<Record<string, string>>): LookupFunction {
  return (name, options, done) => {
    const address = hosts[name] ?? "127.0.0.1";
    if (options.all === true) done(null, [{ address, family: 4 }]);
    else done(null, address, 4);
  };
}

it("surplus bytes never answer the next request, however they come (R-HTTP-10)", async () => {
  const forged = `${HEAD}${RANGE}${LENGTH}\r\n${"Z".repeat(3_000)}`;
  await using server = await serveRaw((socket) => {
    socket.write(Buffer.concat([Buffer.from(`${HEAD}${RANGE}${LENGTH}\r\n`), BODY]));
    socket.write(forged);
  });
  await using recorder = new Recorder(TIMEOUTS);
  for (let i = 0; i < 5; i++) {
    expect(joined(await recorder.ask(askRange(server.url))).equals(BODY)).toBe(true);
  }
});

/** The parser of responses by itself: any cut of the bytes reads the same, and no laxer than Node. */
import { once } from "node:events";
import { get } from "node:http";
import type { AddressInfo } from "node:net";
import { createServer } from "node:net";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ResponseParser } from "../src/response-parser.ts";
import type { RawHead } from "../src/response-parser.ts";

interface Reading {
  readonly heads: RawHead[];
  body: string;
  end: string;
  taken: number;
}

/** Reads one response out of the bytes, given in parts that end at `cuts`, and then the end. */
function read(bytes: Buffer, cuts: readonly number[] = [], { ends = true } = {}): Reading {
  const reading: Reading = { heads: [], body: "", end: "", taken: 0 };
  const parser = new ResponseParser({
    onHead: (head) => void reading.heads.push(head),
    onBytes: (part) => (reading.body += Buffer.from(part).toString("latin1")),
    onEnd: (keepAlive) => (reading.end = `end ${JSON.stringify(keepAlive)}`),
    onFault: (fault) => (reading.end = fault),
  });
  const stops = [0, ...cuts.toSorted((a, b) => a - b), bytes.length];
  for (let i = 1; i < stops.length; i++) {
    reading.taken += parser.push(bytes.subarray(stops[i - 1], stops[i]));
  }
  if (ends) parser.end();
  return reading;
}

const readText = (text: string): Reading => read(Buffer.from(text, "latin1"));

const RESPONSES = [
  'HTTP/1.1 200 OK\r\nContent-Length: 10\r\nETag: "a"\r\n\r\n0123456789',
  "HTTP/1.1 206 Partial Content\r\ncontent-range: bytes 0-3/9\r\ncontent-length: 4\r\n\r\nabcd",
  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\nA;x=y\r\n0123456789\r\n0\r\n\r\n",
  "HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n1\r\na\r\n0\r\nX-T: 1\r\n\r\n",
  "HTTP/1.0 200 OK\r\nServer: x\r\n\r\nto the end",
  "HTTP/1.1 204 No Content\r\nConnection: keep-alive\r\nKeep-Alive: timeout=7, max=9\r\n\r\n",
  "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 404 \r\nconnection: Close\r\nContent-Length: 0\r\n\r\n",
].map((text) => Buffer.from(text, "latin1"));

/** One of the responses, some of its bytes changed, cut out or said twice. */
const nearlyResponse = fc
  .tuple(
    fc.constantFrom(...RESPONSES),
    fc.array(fc.tuple(fc.nat(), fc.constantFrom("set", "cut", "twice"), fc.nat(255)), {
      maxLength: 3,
    }),
  )
  .map(([response, changes]) => {
    const bytes = [...response];
    for (const [place, change, value] of changes) {
      const at = place % bytes.length;
      if (change === "set") bytes[at] = value;
      else if (change === "cut") bytes.splice(at, 1 + (value % 4));
      else bytes.splice(at, 0, ...bytes.slice(at, at + 1 + (value % 8)));
    }
    return Buffer.from(bytes);
  });

describe("a response", () => {
  it("reads the same however its bytes are cut", () => {
    fc.assert(
      fc.property(nearlyResponse, fc.array(fc.nat(400), { maxLength: 12 }), (bytes, places) => {
        const cuts = places.map((place) => Math.min(place, bytes.length));
        const whole = read(bytes);
        const parts = read(bytes, cuts);
        expect({ ...parts, taken: 0 }).toEqual({ ...whole, taken: 0 });
      }),
      { numRuns: 2_000 },
    );
  });

  it("says where it ends, and takes nothing of what follows", () => {
    for (const response of RESPONSES) {
      const isDelimited = !response.includes("HTTP/1.0");
      const { taken } = read(Buffer.concat([response, Buffer.from("HTTP/1.1 ")]));
      expect(taken).toBe(isDelimited ? response.length : response.length + 9);
    }
  });

  it("says what the server allows the connection", () => {
    const ends = RESPONSES.map((response) => read(response).end);
    expect(ends[0]).toBe('end {"isAllowed":true}');
    expect(ends[4]).toBe('end {"isAllowed":false}');
    expect(ends[5]).toBe('end {"isAllowed":true,"timeoutSec":7}');
    expect(ends[6]).toBe('end {"isAllowed":false}');
  });

  it("has no two readings (RFC 9112, R-HTTP-06, R-HTTP-10)", () => {
    const ok = "HTTP/1.1 200 OK\r\n";
    const refused = [
      `${ok}content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n`,
      `${ok}content-length: 3\r\ncontent-length: 3\r\n\r\nabc`,
      `${ok}content-length: +3\r\n\r\nabc`,
      `${ok}content-length: 9007199254740993\r\n\r\n`,
      `${ok}content-length : 3\r\n\r\nabc`,
      `${ok} folded: 3\r\n\r\n`,
      `${ok}x: a\r b\r\n\r\n`,
      `${ok}x: y\n\r\n`,
      `${ok}transfer-encoding: identity\r\n\r\n`,
      `${ok}transfer-encoding: chunked\r\n\r\n 3\r\nabc\r\n0\r\n\r\n`,
      `${ok}transfer-encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n`,
      `${ok}transfer-encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n`,
      "HTTP/2 200\r\n\r\n",
      "http/1.1 200 OK\r\n\r\n",
      "HTTP/1.1 0200 OK\r\n\r\n",
    ];
    for (const text of refused) expect([text, readText(text).end]).toEqual([text, "notHttp"]);
    expect(readText(`${ok}x: ${"y".repeat(17_000)}`).end).toBe("headTooLong");
    expect(readText(`${ok}transfer-encoding: chunked\r\n\r\n3;${"x".repeat(17_000)}`).end).toBe(
      "headTooLong",
    );
  });

  it("is never read where Node's own client refuses it, and never as another", async () => {
    const samples = fc.sample(nearlyResponse, { numRuns: 400, seed: 7 });
    let next: Buffer = Buffer.alloc(0);
    const server = createServer((socket) => {
      socket.on("error", () => socket.destroy());
      socket.once("data", () => socket.end(next));
    }).listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    let compared = 0;
    for (const bytes of samples) {
      next = bytes;
      const ours = read(bytes);
      // What follows a response is Node's reason to refuse it, and ours to close the connection.
      if (!ours.end.startsWith("end {") || ours.taken < bytes.length) continue;
      const theirs = await readByNode(port);
      expect([bytes.toString("latin1"), ours.body]).toEqual([bytes.toString("latin1"), theirs]);
      compared++;
    }
    server.close();
    expect(compared).toBeGreaterThan(50);
  });
});

/** The body as Node's client reads it, or why it does not. */
function readByNode(port: number): Promise<string> {
  return new Promise((resolve) => {
    const request = get({ port, host: "127.0.0.1", agent: false }, (response) => {
      let body = "";
      response.setEncoding("latin1");
      response.on("data", (text: string) => (body += text));
      response.on("end", () => resolve(body));
      response.on("error", (error) => resolve(`failed: ${error.message}`));
    });
    request.on("upgrade", () => resolve("upgraded"));
    request.on("error", (error) => resolve(`failed: ${error.message}`));
  });
}

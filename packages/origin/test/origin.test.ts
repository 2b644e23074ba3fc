import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { LIMITS, PieceLayout } from "@shoal/core";
import {
  askRange,
  CONTENT,
  CONTENT_LENGTH,
  failureOf,
  joined,
  LAYOUT,
  PIECE_LENGTH,
  rangeOf,
  Recorder,
  serveHttp,
  serveRanges,
  until,
} from "./origin-harness.ts";

const ETAG = { etag: '"v1"' };

describe("probeOrigin", () => {
  it("learns length and validator by one byte's range", async () => {
    const asked: unknown[] = [];
    await using server = await serveHttp((request, response) => {
      asked.push([request.method, request.headers.range, request.headers["accept-encoding"]]);
      serveRanges(request, response);
    });
    await using recorder = new Recorder();
    const { end } = await recorder.probe(`${server.url}?sig=1#fragment`);
    expect(end).toMatchObject({
      type: "originProbed",
      length: CONTENT_LENGTH,
      validator: ETAG,
      acceptsRanges: true,
    });
    expect(asked).toEqual([["GET", "bytes=0-0", "identity"]]);
  });

  it("learns the length of a server without ranges and closes the body unread", async () => {
    let closedEarly = false;
    await using server = await serveHttp((_, response) => {
      response.writeHead(200, { "content-length": 1_000_000_000 });
      response.write(CONTENT);
      response.on("close", () => (closedEarly = !response.writableFinished));
    });
    await using recorder = new Recorder();
    const { end } = await recorder.probe(server.url);
    expect(end).toMatchObject({ length: 1_000_000_000, acceptsRanges: false, validator: {} });
    await until(() => closedEarly && server.sockets.size === 0);
  });

  it("finds empty files, whether the server answers 416 or 200", async () => {
    await using server = await serveHttp((request, response) => {
      if (request.url === "/416") response.writeHead(416, { "content-range": "bytes */0" });
      else response.writeHead(200, { "content-length": 0 });
      response.end();
    });
    await using recorder = new Recorder();
    for (const path of ["/416", "/200"]) {
      const { end } = await recorder.probe(new URL(path, server.url).href);
      expect(end).toMatchObject({ type: "originProbed", length: 0 });
    }
  });

  it("refuses URLs with other schemes or passwords, naming none (R-HTTP-01)", async () => {
    await using recorder = new Recorder();
    for (const url of ["file:///etc/passwd", "http://user:hush@127.0.0.1/", "nonsense"]) {
      const failure = failureOf(await recorder.probe(url));
      expect(failure).toMatchObject({ kind: "fatal", code: "ERR_URL_INVALID" });
      expect(failure.message).not.toContain("hush");
    }
  });
});

describe("fetchManifest", () => {
  it("fetches what lies at the very URL, when told so", async () => {
    const asked: unknown[] = [];
    await using server = await serveHttp((request, response) => {
      asked.push(request.url);
      response.writeHead(200, { "content-length": CONTENT.length }).end(CONTENT);
    });
    await using recorder = new Recorder();
    const url = `${server.url}?sig=1`;
    const { end } = await recorder.ask({ type: "fetchManifest", url, place: "exact" });
    expect(end.type === "manifestFetched" && CONTENT.equals(end.bytes)).toBe(true);
    expect(asked).toEqual(["/file.bin?sig=1"]);
  });

  it("fetches the sidecar beside the file, chunked or not", async () => {
    const asked: unknown[] = [];
    await using server = await serveHttp((request, response) => {
      asked.push(request.url);
      if (request.url?.endsWith("chunked") === true) response.write(CONTENT.subarray(0, 10));
      else response.setHeader("content-length", CONTENT.length);
      response.end(request.url?.endsWith("chunked") === true ? CONTENT.subarray(10) : CONTENT);
    });
    await using recorder = new Recorder();
    for (const query of ["", "?chunked"]) {
      const { end } = await recorder.sidecar(server.url + query);
      expect(end).toMatchObject({ type: "manifestFetched", overTls: false });
      expect(end.type === "manifestFetched" && CONTENT.equals(end.bytes)).toBe(true);
    }
    expect(asked).toEqual(["/file.bin.shoal", "/file.bin.shoal?chunked"]);
  });

  it("fails for good when there is none, and keeps the connection", async () => {
    await using server = await serveHttp((_, response) => {
      response.writeHead(404).end("there is no such file");
    });
    await using recorder = new Recorder();
    for (let i = 0; i < 3; i++) {
      const outcome = await recorder.sidecar(server.url);
      expect(failureOf(outcome)).toMatchObject({ kind: "fatal", code: "ERR_MANIFEST_UNAVAILABLE" });
      // The error's body is read beside the event; the next request waits for it here.
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(server.connections).toBeLessThanOrEqual(2);
  });

  it("gives up one byte beyond the limit (R-MAN-09)", async () => {
    const piece = Buffer.alloc(1024 * 1024);
    await using server = await serveHttp((_, response) => {
      for (let i = 0; i < 16; i++) response.write(piece);
      response.write("x");
      // Never ended: the limit must do it.
    });
    await using recorder = new Recorder();
    const outcome = await recorder.sidecar(server.url);
    expect(LIMITS.manifestBytesMax).toBe(16 * piece.length);
    expect(failureOf(outcome)).toMatchObject({ kind: "fatal", code: "ERR_MANIFEST_MALFORMED" });
    await until(() => server.sockets.size === 0);
  });
});

describe("fetchRange", () => {
  it("delivers each whole piece of the run, and nothing else", async () => {
    const asked: unknown[] = [];
    await using server = await serveHttp((request, response) => {
      asked.push([request.headers.range, request.headers["if-range"]]);
      serveRanges(request, response);
    });
    await using recorder = new Recorder();
    const outcome = await recorder.ask(askRange(server.url, { validator: ETAG }));
    expect(outcome.end).toMatchObject({ type: "rangeFinished", validator: ETAG });
    expect([...outcome.pieces.keys()]).toEqual([2, 3, 4]);
    expect(joined(outcome)).toEqual(CONTENT.subarray(2_000, 5_000));
    expect(asked).toEqual([["bytes=2000-4999", '"v1"']]);
    expect(recorder.pool.borrowed).toBe(0);
  });

  it("asks for a shorter last piece to the byte", async () => {
    await using server = await serveHttp(serveRanges);
    await using recorder = new Recorder();
    const layout = PieceLayout.fixed(CONTENT_LENGTH, 3_000);
    const outcome = await recorder.ask(
      askRange(server.url, { layout, firstPiece: 3, pieceCount: 1 }),
    );
    expect(joined(outcome)).toEqual(CONTENT.subarray(9_000));
  });

  it("never sends a weak ETag or a date as If-Range (R-HTTP-11)", async () => {
    const asked: unknown[] = [];
    const lastModified = "Mon, 23 Nov 2026 07:00:00 GMT";
    await using server = await serveHttp((request, response) => {
      asked.push(request.headers["if-range"]);
      response.setHeader("last-modified", lastModified);
      serveRanges(request, response);
    });
    await using recorder = new Recorder();
    const { end } = await recorder.ask(askRange(server.url, { validator: { lastModified } }));
    expect(end).toMatchObject({ type: "rangeFinished", validator: { lastModified } });
    expect(asked).toEqual([undefined]);
  });

  it("reuses one connection for one request after the other", async () => {
    await using server = await serveHttp(serveRanges);
    await using recorder = new Recorder();
    for (let i = 0; i < 8; i++) await recorder.ask(askRange(server.url, { firstPiece: i % 7 }));
    expect(server.connections).toBe(1);
  });

  it("asks on a new connection when the server has closed the idle one", async () => {
    await using server = await serveHttp(serveRanges);
    await using recorder = new Recorder();
    for (let i = 1; i <= 3; i++) {
      expect((await recorder.ask(askRange(server.url))).end.type).toBe("rangeFinished");
      expect(server.connections).toBe(i);
      for (const socket of server.sockets) socket.destroy();
      await until(() => server.sockets.size === 0);
      // The other end hears of it a little later.
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  });

  it("asks on a new connection and past caches when it is to be fresh (R-HTTP-14)", async () => {
    const asked: unknown[] = [];
    await using server = await serveHttp((request, response) => {
      asked.push(request.headers["cache-control"]);
      serveRanges(request, response);
    });
    await using recorder = new Recorder();
    for (const fresh of [false, true, false]) await recorder.ask(askRange(server.url, { fresh }));
    expect(asked).toEqual([undefined, "no-cache", undefined]);
    expect(server.connections).toBe(2);
    await until(() => server.sockets.size === 1);
  });

  it("asks for the rest when a range is answered in part", async () => {
    const asked: unknown[] = [];
    await using server = await serveHttp((request, response) => {
      asked.push(request.headers.range);
      const range = rangeOf(request);
      if (range === undefined) return;
      const end = Math.min(range.end, range.start + 1_300);
      response
        .writeHead(206, { "content-range": `bytes ${range.start}-${end - 1}/${CONTENT_LENGTH}` })
        .end(CONTENT.subarray(range.start, end));
    });
    await using recorder = new Recorder();
    const outcome = await recorder.ask(askRange(server.url));
    expect(outcome.end.type).toBe("rangeFinished");
    expect(joined(outcome)).toEqual(CONTENT.subarray(2_000, 5_000));
    expect(asked).toEqual(["bytes=2000-4999", "bytes=3300-4999", "bytes=4600-4999"]);
  });

  it("calls ranges broken after eight much too short answers in a row (R-HTTP-12)", async () => {
    let answers = 0;
    await using server = await serveHttp((request, response) => {
      answers++;
      const start = rangeOf(request)?.start ?? 0;
      response
        .writeHead(206, { "content-range": `bytes ${start}-${start}/${CONTENT_LENGTH}` })
        .end(CONTENT.subarray(start, start + 1));
    });
    await using recorder = new Recorder();
    const outcome = await recorder.ask(askRange(server.url));
    expect(failureOf(outcome)).toMatchObject({ kind: "rangeBroken", code: "ERR_ORIGIN_PROTOCOL" });
    expect(answers).toBe(8);
    expect(recorder.pool.borrowed).toBe(0);
  });

  it("does not join answers whose validators differ (R-HTTP-11)", async () => {
    let version = 0;
    await using server = await serveHttp((request, response) => {
      const { start } = rangeOf(request) ?? { start: 0 };
      response
        .writeHead(206, {
          "content-range": `bytes ${start}-${start + 1_299}/${CONTENT_LENGTH}`,
          etag: `"v${++version}"`,
        })
        .end(CONTENT.subarray(start, start + 1_300));
    });
    await using recorder = new Recorder();
    const outcome = await recorder.ask(askRange(server.url));
    expect(failureOf(outcome)).toMatchObject({ kind: "changed", code: "ERR_REMOTE_CHANGING" });
    expect([...outcome.pieces.keys()]).toEqual([2]);
    expect(recorder.pool.borrowed).toBe(0);
  });

  it("leaves the body unread when a range is answered with 200", async () => {
    await using server = await serveHttp((_, response) => {
      response.writeHead(200, { "content-length": CONTENT_LENGTH }).write(CONTENT.subarray(0, 99));
    });
    await using recorder = new Recorder();
    const outcome = await recorder.ask(askRange(server.url));
    expect(failureOf(outcome).kind).toBe("rangeUnsupported");
    expect(outcome.pieces.size).toBe(0);
    await until(() => server.sockets.size === 0);
  });

  it("sees that the file was changed by If-Range and by the total length", async () => {
    await using server = await serveHttp(serveRanges);
    await using recorder = new Recorder();
    const stale = await recorder.ask(askRange(server.url, { validator: { etag: '"v0"' } }));
    expect(failureOf(stale)).toMatchObject({ kind: "changed", code: "ERR_REMOTE_CHANGING" });
    const layout = PieceLayout.fixed(CONTENT_LENGTH + 1, PIECE_LENGTH);
    expect(failureOf(await recorder.ask(askRange(server.url, { layout }))).kind).toBe("changed");
  });
});

describe('fetchRange with mode "stream"', () => {
  it("reads from byte 0 without a Range and delivers the asked pieces only", async () => {
    const asked: unknown[] = [];
    await using server = await serveHttp((request, response) => {
      asked.push(request.headers.range);
      response.writeHead(200, { "content-length": CONTENT_LENGTH, etag: '"v1"' }).end(CONTENT);
    });
    await using recorder = new Recorder();
    const mode = "stream";
    const part = await recorder.ask(askRange(server.url, { mode, validator: ETAG }));
    expect(joined(part)).toEqual(CONTENT.subarray(2_000, 5_000));
    expect([...part.pieces.keys()]).toEqual([2, 3, 4]);
    const all = { firstPiece: 0, pieceCount: LAYOUT.pieceCount };
    const whole = await recorder.ask(askRange(server.url, { mode, ...all }));
    expect(whole.end).toMatchObject({ type: "rangeFinished", validator: ETAG });
    expect(joined(whole)).toEqual(CONTENT);
    expect(asked).toEqual([undefined, undefined]);
  });

  it("stops reading after the last piece that was asked for", async () => {
    await using server = await serveHttp((_, response) => {
      response.writeHead(200, { "content-length": CONTENT_LENGTH });
      response.write(CONTENT.subarray(0, 5_500)); // and never more
    });
    await using recorder = new Recorder();
    const outcome = await recorder.ask(askRange(server.url, { mode: "stream" }));
    expect(outcome.end.type).toBe("rangeFinished");
    await until(() => server.sockets.size === 0);
    expect(recorder.pool.borrowed).toBe(0);
  });

  const python = spawnSync("python3", ["--version"]).status === 0;
  if (!python) process.stderr.write("skipped: python3 is not there to serve files\n");
  it.skipIf(!python)("downloads from python3's http.server, which has no ranges", async () => {
    const directory = await mkdtemp(join(tmpdir(), "shoal-origin-"));
    await writeFile(join(directory, "file.bin"), CONTENT);
    const script = `import http.server, functools, sys
server = http.server.HTTPServer(("127.0.0.1", 0),
    functools.partial(http.server.SimpleHTTPRequestHandler, directory=sys.argv[1]))
print(server.server_port, flush=True)
server.serve_forever()`;
    const child = spawn("python3", ["-c", script, directory], {
      stdio: ["ignore", "pipe", "ignore"],
    });
    try {
      const [line] = (await once(child.stdout, "data")) as [Buffer];
      const url = `http://127.0.0.1:${Number(line)}/file.bin`;
      await using recorder = new Recorder();
      const { end } = await recorder.probe(url);
      expect(end).toMatchObject({ length: CONTENT_LENGTH, acceptsRanges: false });
      const validator = end.type === "originProbed" ? end.validator : {};
      expect(validator.lastModified).toMatch(/ GMT$/);
      expect(failureOf(await recorder.ask(askRange(url, { validator }))).kind).toBe(
        "rangeUnsupported",
      );
      const all = { firstPiece: 0, pieceCount: LAYOUT.pieceCount, validator };
      expect(joined(await recorder.ask(askRange(url, { mode: "stream", ...all })))).toEqual(
        CONTENT,
      );
      const manifest = await recorder.sidecar(url);
      expect(failureOf(manifest).code).toBe("ERR_MANIFEST_UNAVAILABLE");
    } finally {
      child.kill("SIGKILL");
      await rm(directory, { recursive: true });
    }
  });
});

describe("failures", () => {
  it("name host, port and reason when nobody listens", async () => {
    let port: number;
    {
      await using server = await serveHttp(serveRanges);
      port = server.port;
    }
    await using recorder = new Recorder();
    const failure = failureOf(await recorder.probe(`http://127.0.0.1:${port}/x?token=hush`));
    expect(failure).toMatchObject({ kind: "transient", code: "ERR_ORIGIN_UNREACHABLE" });
    expect(failure.message).toBe(
      `The origin cannot be reached: GET http://127.0.0.1:${port}/x: ` +
        `connection refused by 127.0.0.1:${port}`,
    );
  });

  it("name the host that does not resolve", async () => {
    await using recorder = new Recorder(
      {},
      { lookup: (_, __, done) => done(Object.assign(new Error(), { code: "ENOTFOUND" }), "", 4) },
    );
    const failure = failureOf(await recorder.probe("http://no.such.host/x"));
    expect(failure).toMatchObject({ kind: "transient", code: "ERR_ORIGIN_UNRESOLVED" });
    expect(failure.message).toContain("host name not found: no.such.host:80");
  });

  it("carry Retry-After and do not wait for a slow error body", async () => {
    await using server = await serveHttp((_, response) => {
      response.writeHead(503, { "retry-after": "5" }).write("still writing the reason");
    });
    await using recorder = new Recorder();
    expect(failureOf(await recorder.ask(askRange(server.url)))).toMatchObject({
      kind: "transient",
      code: "ERR_ORIGIN_UNAVAILABLE",
      retryAfterMs: 5_000,
    });
  });

  it("read at most 64 KiB of an error's body, then close (R-HTTP-07)", async () => {
    let sent = 0;
    await using server = await serveHttp((_, response) => {
      const more = (): void => {
        while (!response.destroyed && response.write(CONTENT)) sent += CONTENT.length;
      };
      response.writeHead(500).on("drain", more);
      more();
    });
    await using recorder = new Recorder();
    expect(failureOf(await recorder.probe(server.url)).kind).toBe("transient");
    await until(() => server.sockets.size === 0);
    expect(sent).toBeLessThan(32 * 1024 * 1024);
  });
});

describe("fetchRange out of a remote file that is laid out otherwise", () => {
  /** Pieces 1 to 3, packed after a piece of another range, lie at 7000 in the remote file. */
  const layout = PieceLayout.explicit(Uint32Array.of(100, 700, 300, 5));
  const remote = { start: 7_000, length: CONTENT_LENGTH };
  const question = (url: string) =>
    askRange(url, { layout, firstPiece: 1, pieceCount: 3, remote, validator: ETAG });

  it("asks for the bytes where they lie there and goes on after short answers", async () => {
    const asked: unknown[] = [];
    await using server = await serveHttp((request, response) => {
      const { start = 0, end = 0 } = rangeOf(request) ?? {};
      asked.push([request.headers.range, request.headers["if-range"]]);
      const last = Math.min(end, start + 600) - 1;
      const range = `bytes ${start}-${last}/${CONTENT_LENGTH}`;
      response.writeHead(206, { "content-range": range, etag: '"v1"' });
      response.end(CONTENT.subarray(start, last + 1));
    });
    await using recorder = new Recorder();
    const outcome = await recorder.ask(question(server.url));
    expect(outcome.end).toMatchObject({ type: "rangeFinished", validator: ETAG });
    expect([...outcome.pieces.keys()]).toEqual([1, 2, 3]);
    expect(joined(outcome)).toEqual(CONTENT.subarray(7_000, 8_005));
    expect(asked).toEqual([
      ["bytes=7000-8004", '"v1"'],
      ["bytes=7600-8004", '"v1"'],
    ]);
  });

  it("refuses other totals, other ranges, whole files and other versions", async () => {
    const etag = '"v1"';
    const cases = [
      ["rangeBroken", 206, { etag, "content-range": "bytes 7000-8004/1105" }],
      ["rangeBroken", 206, { etag, "content-range": `bytes 100-1104/${CONTENT_LENGTH}` }],
      ["rangeUnsupported", 200, { etag, "content-length": String(CONTENT_LENGTH) }],
      ["changed", 200, { etag, "content-length": "1105" }],
      ["changed", 206, { etag: '"v2"', "content-range": `bytes 7000-8004/${CONTENT_LENGTH}` }],
      ["changed", 416, { etag, "content-range": "bytes */7000" }],
    ] as const;
    for (const [kind, status, fields] of cases) {
      await using server = await serveHttp((_, response) => {
        response.writeHead(status, fields).end();
      });
      await using recorder = new Recorder();
      const failure = failureOf(await recorder.ask(question(server.url)));
      expect({ fields, kind: failure.kind }).toEqual({ fields, kind });
      expect(failure.originStatus).toBe(status === 416 ? 416 : undefined);
    }
  });

  it("takes another Last-Modified for another file where there is no ETag", async () => {
    await using server = await serveHttp((request, response) => {
      response.setHeader("last-modified", "Mon, 23 Nov 2026 07:00:00 GMT");
      const { start = 0, end = 0 } = rangeOf(request) ?? {};
      const range = `bytes ${start}-${end - 1}/${CONTENT_LENGTH}`;
      response.writeHead(206, { "content-range": range }).end(CONTENT.subarray(start, end));
    });
    await using recorder = new Recorder();
    for (const [lastModified, type] of [
      ["Mon, 23 Nov 2026 07:00:00 GMT", "rangeFinished"],
      ["Mon, 23 Nov 2026 07:00:01 GMT", "originFailed"],
    ] as const) {
      const { end } = await recorder.ask({ ...question(server.url), validator: { lastModified } });
      expect(end.type).toBe(type);
    }
  });
});

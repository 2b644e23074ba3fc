import type { IncomingHttpHeaders, RequestListener } from "node:http";
import { describe, expect, it } from "vitest";
import { LIMITS } from "@shoal/core";
import { JobCredentials } from "../src/job-credentials.ts";
import {
  askRange,
  CONTENT,
  failureOf,
  joined,
  Recorder,
  serveHttp,
  serveRanges,
  until,
} from "./origin-harness.ts";
import type { OriginRequestOptions, TestServer } from "./origin-harness.ts";

/** Longer than any word of ours, so that no message holds it by chance. */
const SECRET = "open-sesame-4711";
const HEADERS = { headers: [["X-Key", SECRET]] } as const satisfies OriginRequestOptions;

interface Heard extends TestServer {
  readonly heard: IncomingHttpHeaders[];
}

/** Serves as `handler` says and remembers the header fields that came. */
async function serveHearing(handler: RequestListener = serveRanges): Promise<Heard> {
  const heard: IncomingHttpHeaders[] = [];
  const server = await serveHttp((request, response) => {
    heard.push(request.headers);
    handler(request, response);
  });
  return Object.assign(server, { heard });
}

const keysAt = ({ heard }: Heard): unknown[] => heard.map((headers) => headers["x-key"]);

describe("a job's header fields (R-HTTP-05)", () => {
  it("go along with every kind of request to the first origin, redirects inside it too", async () => {
    await using server = await serveHearing((request, response) => {
      if (request.url !== "/moved") return serveRanges(request, response);
      response.writeHead(302, { location: "/file.bin" }).end();
    });
    await using recorder = new Recorder();
    await recorder.probe(server.url, HEADERS);
    await recorder.sidecar(server.url, HEADERS);
    await recorder.ask(askRange(server.url, { request: HEADERS }));
    await recorder.probe(new URL("/moved", server.url).href, HEADERS);
    expect(keysAt(server)).toEqual([SECRET, SECRET, SECRET, SECRET, SECRET]);
  });

  it("are dropped for good by a redirect to another origin, even one that comes back", async () => {
    let awayUrl = "";
    await using home = await serveHearing((request, response) => {
      if (request.url === "/back") return serveRanges(request, response);
      response.writeHead(302, { location: awayUrl }).end();
    });
    await using away = await serveHearing((_, response) => {
      response.writeHead(302, { location: new URL("/back", home.url).href }).end();
    });
    awayUrl = away.url;
    await using recorder = new Recorder();
    const outcome = await recorder.ask(askRange(home.url, { request: HEADERS }));
    expect(joined(outcome)).toEqual(CONTENT.subarray(2_000, 5_000));
    expect(keysAt(home)).toEqual([SECRET, undefined]);
    expect(keysAt(away)).toEqual([undefined]);
  });

  it("neither replace ours nor frame, name hosts, carry ranges or end lines", async () => {
    await using server = await serveHearing();
    await using recorder = new Recorder({ userAgent: "ours" });
    const values = ["a\r\nX-Split: 1", "a\nb", "a\0b", "a\u0100"];
    const reserved = ["Host", "Range", "If-Range", "Connection", "Content-Length", "Expect", "TE"];
    const names = ["User-Agent", "Cache-Control", "Transfer-Encoding", "X Y", "X:Y", "", "X\r\nY"];
    const headers = [
      ...values.map((value) => ["X-Bad", value] as const),
      ...[...reserved, ...names].map((name) => [name, "1"] as const),
    ];
    const question = askRange(server.url, { fresh: true, request: { headers } });
    expect(joined(await recorder.ask(question))).toEqual(CONTENT.subarray(2_000, 5_000));
    expect(server.heard).toEqual([
      {
        host: new URL(server.url).host,
        "user-agent": "ours",
        "accept-encoding": "identity",
        "cache-control": "no-cache",
        range: "bytes=2000-4999",
        connection: "keep-alive",
      },
    ]);
  });

  it("keep their connections from requests with other ones", async () => {
    await using server = await serveHearing();
    await using recorder = new Recorder();
    const others = { headers: [["X-Key", "another"]] } as const;
    for (const request of [HEADERS, {}, others]) {
      await recorder.ask(askRange(server.url, { request }));
    }
    expect(server.connections).toBe(3);
    for (const request of [HEADERS, {}, others, {}]) {
      await recorder.ask(askRange(server.url, { request }));
    }
    expect(server.connections).toBe(3);
  });
});

describe("connections that wait for a next request", () => {
  it("count among those to a host, whatever they were used for (R-HTTP-09)", async () => {
    await using server = await serveHearing();
    await using recorder = new Recorder({ connectionsPerHostMax: 3 });
    let openMax = 0;
    for (let i = 0; i < 20; i++) {
      const headers = [["X-Key", String(i)]] as const;
      await recorder.ask(askRange(server.url, { request: { headers } }));
      // What has been ended is gone at the server a moment later.
      await until(() => server.sockets.size <= 3);
      openMax = Math.max(openMax, server.sockets.size);
    }
    expect(server.connections).toBe(20);
    expect(openMax).toBe(3);
    for (const key of ["19", "18", "17"]) {
      const headers = [["X-Key", key]] as const;
      await recorder.ask(askRange(server.url, { request: { headers } }));
    }
    expect(server.connections).toBe(20);
  });
});

describe("challenge header fields", () => {
  const request = {
    headers: [
      ["X-Key", "first"],
      ["X-Other", "kept"],
    ],
    challengeHeaders: [["x-key", SECRET]],
  } as const satisfies OriginRequestOptions;

  /** Lets only those in who bring the secret. */
  const guard =
    (status: number): RequestListener =>
    (asked, response) => {
      if (asked.headers["x-key"] === SECRET) return serveRanges(asked, response);
      response.writeHead(status, { "www-authenticate": "Bearer" }).end("who are you?");
    };

  it("go out in one further try after 401 or 407, in addition to the others", async () => {
    for (const status of [401, 407]) {
      await using server = await serveHearing(guard(status));
      await using recorder = new Recorder();
      const outcome = await recorder.ask(askRange(server.url, { request }));
      expect(joined(outcome)).toEqual(CONTENT.subarray(2_000, 5_000));
      expect(keysAt(server)).toEqual(["first", SECRET]);
      expect(server.heard.map((headers) => headers["x-other"])).toEqual(["kept", "kept"]);
      expect(recorder.answersTo(outcome.requestId).map((answer) => answer.status)).toEqual([206]);
    }
  });

  it("are not sent without a challenge, and a second refusal is final", async () => {
    await using open = await serveHearing();
    await using shut = await serveHearing((_, response) => response.writeHead(401).end());
    await using recorder = new Recorder();
    await recorder.probe(open.url, request);
    expect(keysAt(open)).toEqual(["first"]);
    const outcome = await recorder.probe(shut.url, request);
    const refused = { kind: "fatal", code: "ERR_ORIGIN_REFUSED", originStatus: 401 };
    expect(failureOf(outcome)).toMatchObject(refused);
    expect(keysAt(shut)).toEqual(["first", SECRET]);
    expect(recorder.answersTo(outcome.requestId)).toHaveLength(1);
    expect(failureOf(await recorder.probe(shut.url, HEADERS))).toMatchObject(refused);
    expect(shut.heard).toHaveLength(3);
  });

  it("never sign in to a proxy, whoever claims to be one (R-HTTP-05)", async () => {
    await using server = await serveHearing((_, response) => response.writeHead(407).end());
    await using recorder = new Recorder();
    const fields = ["Proxy-Authorization", "proxy-authorization", "Proxy-Anything"];
    const headers = fields.map((name) => [name, SECRET] as const);
    await recorder.probe(server.url, { headers, challengeHeaders: headers });
    expect(server.heard).toHaveLength(1);
    expect(JSON.stringify(server.heard)).not.toContain(SECRET);
  });

  it("do not answer another origin (R-HTTP-05)", async () => {
    await using other = await serveHearing(guard(401));
    await using home = await serveHearing((_, response) => {
      response.writeHead(302, { location: other.url }).end();
    });
    await using recorder = new Recorder();
    const failure = failureOf(await recorder.probe(home.url, request));
    expect(failure).toMatchObject({ code: "ERR_ORIGIN_REFUSED", originStatus: 401 });
    expect(keysAt(other)).toEqual([undefined]);
  });

  it("stay with a request whose range comes in parts, each asked for once", async () => {
    await using server = await serveHearing((asked, response) => {
      if (asked.headers["x-key"] !== SECRET) return guard(401)(asked, response);
      const start = Number(/=(\d+)/.exec(asked.headers.range ?? "")?.[1]);
      const body = CONTENT.subarray(start, start + 1_000);
      const range = `bytes ${start}-${start + 999}/${CONTENT.length}`;
      response.writeHead(206, { "content-range": range }).end(body);
    });
    await using recorder = new Recorder();
    const outcome = await recorder.ask(askRange(server.url, { request }));
    expect(joined(outcome)).toEqual(CONTENT.subarray(2_000, 5_000));
    expect(keysAt(server)).toEqual(["first", SECRET, SECRET, SECRET]);
    expect(recorder.answersTo(outcome.requestId)).toHaveLength(3);
  });
});

describe("what a job shows", () => {
  it("has one key for equal things only, and none for nothing", () => {
    const hop = { isHome: true, isChallenged: false };
    const keyOf = (options: OriginRequestOptions, at = hop): string | undefined =>
      JobCredentials.of(options)?.show(at).key;
    const tolerant = { tlsTolerance: ["wrongName", "wrongDate"] } as const;
    expect(keyOf({})).toBe("");
    expect(keyOf(HEADERS, { isHome: false, isChallenged: false })).toBe("");
    expect(keyOf({ tlsTolerance: ["wrongDate", "wrongName"] })).toBe(keyOf(tolerant));
    expect(keyOf(tolerant, { isHome: false, isChallenged: false })).toBe(keyOf(tolerant));
    const keys = [HEADERS, tolerant, { ...HEADERS, ...tolerant }].map((options) => keyOf(options));
    expect(new Set(keys).size).toBe(3);
    expect(keys.join()).not.toContain(SECRET);
  });

  it("enters no event, whatever fails (R-LOG-01, R-API-13)", async () => {
    const clientCertificate = `-----BEGIN CERTIFICATE-----\n${SECRET}\n-----END CERTIFICATE-----`;
    const headers = [
      ["X-Key", SECRET],
      ["X-Bad", `${SECRET}\r\n`],
      [`${SECRET}:`, "1"],
    ] as const;
    const request = { headers, challengeHeaders: headers };
    await using server = await serveHearing(({ url = "" }, response) => {
      if (url === "/loop") response.writeHead(302, { location: "/loop" }).end();
      else if (url === "/cut") response.destroy();
      else if (url === "/nonsense") response.socket?.end("nonsense");
      else response.writeHead(Number(url.slice(1))).end();
    });
    await using recorder = new Recorder();
    for (const path of ["/loop", "/cut", "/nonsense", "/204", "/401", "/404", "/503", "/416"]) {
      const { end } = await recorder.probe(new URL(path, server.url).href, request);
      expect([path, end.type]).toEqual([path, "originFailed"]);
    }
    expect(server.heard.some((heard) => heard["x-key"] === SECRET)).toBe(true);
    const untls = await recorder.probe(server.url.replace("http:", "https:"), request);
    expect(failureOf(untls).code).toBe("ERR_ORIGIN_UNREACHABLE");
    const certified = await recorder.probe(server.url, { ...request, clientCertificate });
    expect(failureOf(certified)).toMatchObject({
      kind: "fatal",
      code: "ERR_CLIENT_CERTIFICATE_INVALID",
    });
    expect(JSON.stringify(recorder.events)).not.toContain(SECRET);
  });
});

describe("originAnswered", () => {
  it("carries status line and fields as received, the final URL and the address", async () => {
    await using target = await serveHttp((request, response) => {
      response.setHeader("X-Two", ["a", "b"]);
      response.writeEarlyHints({ link: "</x>; rel=preload" });
      serveRanges(request, response);
    });
    await using server = await serveHttp((_, response) => {
      response.writeHead(307, { location: `${target.url}?sig=1` }).end();
    });
    await using recorder = new Recorder();
    const { requestId } = await recorder.probe(server.url);
    const [answer, ...more] = recorder.answersTo(requestId);
    expect(more).toEqual([]);
    expect(answer).toMatchObject({
      status: 206,
      url: `${target.url}?sig=1`,
      address: "127.0.0.1",
    });
    const lines = answer?.headers.split("\r\n") ?? [];
    expect(lines[0]).toBe("HTTP/1.1 206 Partial Content");
    expect(lines).toEqual(expect.arrayContaining(["X-Two: a", "X-Two: b", 'etag: "v1"']));
    expect(lines.at(-1)).toBe("");
  });

  it("is bounded however long the head is (R-HTTP-07)", async () => {
    await using server = await serveHttp((_, response) => {
      for (let i = 0; i < 90; i++) response.setHeader(`x-${i}`, "x".repeat(160));
      response.writeHead(404, "y".repeat(500)).end();
    });
    await using recorder = new Recorder();
    const outcome = await recorder.probe(server.url);
    const [answer] = recorder.answersTo(outcome.requestId);
    expect(answer?.headers.length).toBeLessThanOrEqual(LIMITS.responseHeaderBytesMax);
    expect(answer?.headers).toMatch(/^HTTP\/1\.1 404 /);
    expect(failureOf(outcome).message.length).toBeLessThan(500);
  });
});

import { createServer } from "node:https";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { hasOpenssl, TestAuthority } from "./certificates.ts";
import type { Identity } from "./certificates.ts";
import {
  askRange,
  CONTENT,
  failureOf,
  joined,
  Recorder,
  serveHttp,
  serveRanges,
  started,
  until,
} from "./origin-harness.ts";

if (!hasOpenssl) process.stderr.write("skipped: openssl is not there to make certificates\n");

let authority: TestAuthority;
let ca: string;
/** For 127.0.0.1, and for another host name only. */
let good: Identity;
let elsewhere: Identity;

describe.skipIf(!hasOpenssl)("https:", () => {
  beforeAll(() => {
    authority = new TestAuthority();
    ca = authority.cert;
    good = authority.issue("good", "IP:127.0.0.1,DNS:good.test");
    elsewhere = authority.issue("elsewhere", "DNS:elsewhere.test");
  });
  afterAll(() => authority[Symbol.dispose]());

  const serve = (identity: Identity, more: object = {}) =>
    started(createServer({ ...identity, ...more }, serveRanges), "https:");
  const lookup = {
    lookup: (_: unknown, __: unknown, done: (...args: never[]) => void) => {
      (done as (...args: unknown[]) => void)(null, [{ address: "127.0.0.1", family: 4 }]);
    },
  };

  it("delivers over a connection that a given authority vouches for", async () => {
    await using server = await serve(good);
    await using recorder = new Recorder({ ca }, lookup);
    for (const url of [server.url, server.url.replace("127.0.0.1", "good.test")]) {
      const outcome = await recorder.ask(askRange(url));
      expect(joined(outcome)).toEqual(CONTENT.subarray(2_000, 5_000));
      const manifest = await recorder.sidecar(url);
      expect(manifest.end).toMatchObject({ type: "manifestFetched", overTls: true });
    }
    expect(server.connections).toBe(2);
  });

  it("trusts no one on the word of the environment (R-HTTP-02)", async () => {
    await using unknown = await serve(good);
    await using misnamed = await serve(elsewhere);
    const before = process.env["NODE_TLS_REJECT_UNAUTHORIZED"];
    process.env["NODE_TLS_REJECT_UNAUTHORIZED"] = "0";
    try {
      await using distrusting = new Recorder();
      await using trusting = new Recorder({ ca });
      for (const [recorder, server] of [
        [distrusting, unknown],
        [trusting, misnamed],
      ] as const) {
        const failure = failureOf(await recorder.probe(server.url));
        expect(failure).toMatchObject({ kind: "transient", code: "ERR_ORIGIN_UNREACHABLE" });
        expect(failure.message).toContain("TLS");
        await until(() => server.sockets.size === 0);
      }
    } finally {
      if (before === undefined) delete process.env["NODE_TLS_REJECT_UNAUTHORIZED"];
      else process.env["NODE_TLS_REJECT_UNAUTHORIZED"] = before;
    }
  });

  it("refuses TLS older than 1.2", async () => {
    const old = { minVersion: "TLSv1", maxVersion: "TLSv1.1", ciphers: "ALL:@SECLEVEL=0" };
    await using server = await serve(good, old);
    await using recorder = new Recorder({ ca });
    expect(failureOf(await recorder.probe(server.url)).message).toContain("TLS");
  });

  it("is not left by a redirect to http:, but may be reached by one (R-HTTP-03)", async () => {
    await using plain = await serveHttp(serveRanges);
    await using leaving = await started(
      createServer(good, (_, response) => {
        response.writeHead(302, { location: plain.url }).end();
      }),
      "https:",
    );
    await using secure = await serve(good);
    await using arriving = await serveHttp((_, response) => {
      response.writeHead(302, { location: secure.url }).end();
    });
    await using recorder = new Recorder({ ca });
    expect(failureOf(await recorder.probe(leaving.url))).toMatchObject({
      kind: "fatal",
      code: "ERR_REDIRECT_REFUSED",
    });
    expect(plain.connections).toBe(0);
    const manifest = await recorder.sidecar(arriving.url);
    expect(manifest.end).toMatchObject({ type: "manifestFetched", overTls: false });
  });

  it("closes at every stage of the handshake", async () => {
    await using server = await serve(good);
    for (let delayMs = 0; delayMs < 8; delayMs++) {
      const recorder = new Recorder({ ca });
      recorder.start(askRange(server.url));
      await new Promise((resolve) => setTimeout(resolve, delayMs));
      await recorder.origin.close();
      expect(recorder.pool.borrowed).toBe(0);
    }
    await until(() => server.sockets.size === 0);
  });
});

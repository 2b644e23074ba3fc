import { describe, expect, it } from "vitest";
import type { LookupFunction } from "node:net";
import { ADDRESS_TABLE } from "../src/index.ts";
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

const REFUSED = { kind: "fatal", code: "ERR_REDIRECT_REFUSED" };

/** Redirects `/to/X` to X; serves everything else with ranges. */
const serveRedirects = (status = 302, address = "127.0.0.1") =>
  serveHttp((request, response) => {
    const path = request.url ?? "";
    if (!path.startsWith("/to/")) return serveRanges(request, response);
    response.writeHead(status, { location: decodeURIComponent(path.slice(4)) }).end("moved");
  }, address);

const via = (base: string, location: string): string =>
  new URL(`/to/${encodeURIComponent(location)}`, base).href;

describe("redirects (R-HTTP-03)", () => {
  it("are followed for each of their statuses, relative ones too", async () => {
    for (const status of [301, 302, 303, 307, 308]) {
      await using server = await serveRedirects(status);
      await using recorder = new Recorder();
      for (const location of ["/file", "../file", server.url, `//127.0.0.1:${server.port}/x`]) {
        const { end } = await recorder.probe(via(server.url, location));
        expect([location, end.type]).toEqual([location, "originProbed"]);
      }
    }
  });

  it("are followed with the same range and condition, and counted per request", async () => {
    const asked: unknown[] = [];
    await using target = await serveHttp((request, response) => {
      asked.push([request.headers.range, request.headers["if-range"]]);
      serveRanges(request, response);
    });
    await using server = await serveRedirects();
    await using recorder = new Recorder();
    const question = askRange(via(server.url, target.url), { validator: { etag: '"v1"' } });
    const outcome = await recorder.ask(question);
    expect(joined(outcome)).toEqual(CONTENT.subarray(2_000, 5_000));
    expect(asked).toEqual([["bytes=2000-4999", '"v1"']]);
    for (let i = 0; i < 5; i++) await recorder.ask(question);
    expect(server.connections + target.connections).toBeLessThanOrEqual(4);
  });

  it("are followed at most five times", async () => {
    await using server = await serveHttp((request, response) => {
      const left = Number(request.url?.slice(1));
      if (left === 0) return serveRanges(request, response);
      response.writeHead(302, { location: `/${left - 1}` }).end();
    });
    await using recorder = new Recorder();
    const at = (hops: number): string => new URL(`/${hops}`, server.url).href;
    expect((await recorder.probe(at(5))).end.type).toBe("originProbed");
    expect(failureOf(await recorder.probe(at(6)))).toMatchObject(REFUSED);
  });

  it("are refused in a loop, to other schemes, with passwords, and to nonsense", async () => {
    const locations = [
      "/file.bin",
      "ftp://127.0.0.1/x",
      "file:///etc/passwd",
      "javascript:alert(1)",
      "http://user:hush@127.0.0.1/",
      "http://[::1",
      `/${"x".repeat(9_000)}`,
    ];
    for (const location of locations) {
      await using server = await serveHttp((_, response) => {
        response.writeHead(302, { location }).end();
      });
      await using recorder = new Recorder();
      const failure = failureOf(await recorder.probe(server.url));
      expect({ ...failure, location }).toMatchObject({ ...REFUSED, location });
      expect(failure.message).not.toContain("hush");
    }
  });

  it("may be cancelled between one server and the next", async () => {
    await using server = await serveRedirects();
    await using recorder = new Recorder();
    const started = Array.from({ length: 50 }, () =>
      recorder.start(askRange(via(server.url, "/x"))),
    );
    started.forEach(({ requestId }, i) =>
      setTimeout(() => recorder.origin.execute({ type: "cancelOrigin", requestId }), i % 10),
    );
    await until(() => server.connections > 0);
    await recorder.probe(server.url);
    expect(recorder.pool.borrowed).toBe(0);
  });
});

/**
 * The addresses 127.0.0.x stand for the kinds of address there are: .1 is global, .2 private, .3
 * loopback, .4 refused. Names resolve as `hosts` says.
 */
function withAddresses(hosts: Record<string, string>): Recorder {
  const lookup: LookupFunction = (name, options, done) => {
    const address = hosts[name] ?? "127.0.0.1";
    if (options.all === true) done(null, [{ address, family: 4 }]);
    else done(null, address, 4);
  };
  const addresses = {
    refused: ["127.0.0.4/32"],
    private: ["127.0.0.2/32"],
    loopback: ["127.0.0.3/32"],
  };
  return new Recorder({}, { lookup, addresses });
}

// Other systems give loopback one address only.
describe.skipIf(process.platform !== "linux")("addresses (R-HTTP-04)", () => {
  it("are checked where the connection goes: from global no redirect leads inside", async () => {
    await using server = await serveRedirects();
    await using recorder = withAddresses({
      "global.test": "127.0.0.1",
      "private.test": "127.0.0.2",
      "loopback.test": "127.0.0.3",
    });
    const global = `http://global.test:${server.port}/`;
    for (const host of ["private.test", "loopback.test", "127.0.0.2", "127.0.0.3"]) {
      const location = `http://${host}:${server.port}/x`;
      expect(failureOf(await recorder.probe(via(global, location)))).toMatchObject(REFUSED);
      const twice = via(global, via(`http://other.test:${server.port}/`, location));
      expect(failureOf(await recorder.probe(twice))).toMatchObject(REFUSED);
    }
    const good = `http://other.test:${server.port}/x`;
    expect((await recorder.probe(via(global, good))).end.type).toBe("originProbed");
  });

  it("may be private when asked for first, and when redirected to from private", async () => {
    await using first = await serveRedirects(302, "127.0.0.2");
    await using second = await serveRedirects(302, "127.0.0.3");
    await using recorder = withAddresses({ "a.test": "127.0.0.2", "b.test": "127.0.0.3" });
    const location = `http://b.test:${second.port}/x`;
    const { end } = await recorder.probe(via(`http://a.test:${first.port}/`, location));
    expect(end.type).toBe("originProbed");
  });

  it("are refused when link-local or the like, as first hop and as redirect", async () => {
    await using server = await serveRedirects(302, "127.0.0.2");
    await using recorder = withAddresses({ "meta.test": "127.0.0.4", "a.test": "127.0.0.2" });
    const meta = `http://meta.test:${server.port}/x`;
    for (const url of [meta, `http://127.0.0.4:${server.port}/`]) {
      expect(failureOf(await recorder.probe(url))).toMatchObject({
        kind: "fatal",
        code: "ERR_ADDRESS_REFUSED",
      });
    }
    const redirected = await recorder.probe(via(`http://a.test:${server.port}/`, meta));
    expect(failureOf(redirected)).toMatchObject(REFUSED);
    expect(ADDRESS_TABLE.refused).toContain("169.254.0.0/16");
  });

  it("do not become this machine's once a name was outside", async () => {
    await using server = await serveHttp(serveRanges, "127.0.0.2");
    await using inside = await serveHttp(serveRanges, "127.0.0.3");
    const hosts: Record<string, string> = { "rebound.test": "127.0.0.2" };
    await using recorder = withAddresses(hosts);
    const url = `http://rebound.test:${server.port}/x`;
    expect((await recorder.probe(url)).end.type).toBe("originProbed");
    hosts["rebound.test"] = "127.0.0.3";
    const rebound = `http://rebound.test:${inside.port}/x`;
    for (const question of [askRange(rebound), askRange(url, { fresh: true })]) {
      expect(failureOf(await recorder.ask(question))).toMatchObject({
        kind: "fatal",
        code: "ERR_ADDRESS_REFUSED",
      });
    }
    expect(inside.connections).toBe(0);
  });
});

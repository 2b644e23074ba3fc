import { createServer } from "node:https";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ADDRESS_TABLE } from "../src/index.ts";
import { createAddressRules } from "../src/addresses.ts";
import { Proxies } from "../src/proxies.ts";
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
  serveRaw,
  started,
  until,
} from "./origin-harness.ts";
import { serveProxy } from "./proxy-server.ts";
import type { ProxyBehaviour } from "./proxy-server.ts";

/** A host no resolver knows: only the proxy can lead there. */
const named = (url: string, host = "origin.test"): string => url.replace("127.0.0.1", host);

describe("which proxy a URL is asked through", () => {
  const rules = createAddressRules(ADDRESS_TABLE);
  const hostOf = (proxies: Proxies, url: string): string | undefined =>
    proxies.for(new URL(url))?.host;

  it("depends on the scheme of the URL", () => {
    const proxies = new Proxies({ http: "http://one.test:1", https: "two.test:2" }, rules);
    expect(hostOf(proxies, "http://a.test/")).toBe("one.test");
    expect(hostOf(proxies, "https://a.test/")).toBe("two.test");
    expect(hostOf(new Proxies({ http: "http://one.test" }, rules), "https://a.test/")).toBe(
      undefined,
    );
    expect(proxies.for(new URL("https://a.test/"))).toEqual({
      host: "two.test",
      port: 2,
      secure: false,
    });
  });

  it("is none for this machine, unless asked for", () => {
    const urls = ["localhost", "a.localhost", "127.0.0.1", "127.8.9.9", "[::1]", "localhost."];
    const usual = new Proxies({ http: "http://p.test" }, rules);
    const all = new Proxies({ http: "http://p.test", loopback: true }, rules);
    for (const host of urls) {
      expect([host, hostOf(usual, `http://${host}/`)]).toEqual([host, undefined]);
      expect([host, hostOf(all, `http://${host}/`)]).toEqual([host, "p.test"]);
    }
  });

  it("is none for what is excepted by name, address, subnet and port", () => {
    const noProxy =
      "a.test, .b.test *.c.test,d.test:8080 192.0.2.7,10.0.0.0/8,2001:db8::/32 [2001:db9::1] :: /";
    const proxies = new Proxies({ http: "http://p.test", noProxy }, rules);
    const direct = [
      "a.test",
      "A.TEST.",
      "x.a.test",
      "b.test",
      "x.y.b.test",
      "x.c.test",
      "d.test:8080",
      "192.0.2.7",
      "192.0.2.7:81",
      "10.255.0.1",
      "[2001:db8:1::2]",
      "[2001:db9::1]",
    ];
    const proxied = ["aa.test", "a.test.org", "d.test", "192.0.2.8", "11.0.0.1", "[2001:db9::2]"];
    for (const host of direct) {
      expect([host, hostOf(proxies, `http://${host}/`)]).toEqual([host, undefined]);
    }
    for (const host of proxied) {
      expect([host, hostOf(proxies, `http://${host}/`)]).toEqual([host, "p.test"]);
    }
    const nobody = new Proxies({ http: "http://p.test", noProxy: "*" }, rules);
    expect(hostOf(nobody, "http://x.test/")).toBe(undefined);
  });

  it("must be an http: or https: URL, and no message repeats its password", () => {
    for (const http of ["ftp://u:hush@p.test", "http://", "socks5://p.test", "http://u:%zz@p.t"]) {
      let error: unknown;
      try {
        void new Recorder({ proxy: { http } });
      } catch (thrown) {
        error = thrown;
      }
      expect({ http, error }).toMatchObject({ http, error: { code: "ERR_PROXY_INVALID" } });
      expect(String(error)).not.toContain("hush");
    }
    expect(new Proxies({ http: "" }, rules).for(new URL("http://a.test/"))).toBe(undefined);
  });
});

describe("http: through a proxy", () => {
  it("names the whole URL, and signs in with the proxy's URL only", async () => {
    const seen: (string | undefined)[] = [];
    await using server = await serveHttp((request, response) => {
      seen.push(request.url, request.headers["proxy-authorization"], request.headers.host);
      serveRanges(request, response);
    });
    await using proxy = await serveProxy({ credentials: "me:p%40ss".replace("%40", "@") });
    const http = proxy.proxyUrl.replace("me:p@ss@", "me:p%40ss@");
    await using recorder = new Recorder({ proxy: { http } });
    const url = `${named(server.url)}?a=b`;
    const outcome = await recorder.ask(
      askRange(url, { request: { headers: [["Proxy-Authorization", "Basic mine"]] } }),
    );
    expect(joined(outcome)).toEqual(CONTENT.subarray(2_000, 5_000));
    expect(proxy.requests.map(({ target }) => target)).toEqual([url]);
    expect(seen).toEqual(["/file.bin?a=b", undefined, `origin.test:${server.port}`]);
    expect(recorder.answersTo(outcome.requestId)[0]).toMatchObject({ url, address: "127.0.0.1" });
  });

  it("keeps the connection to the proxy for the next request to the same host", async () => {
    await using server = await serveHttp(serveRanges);
    await using proxy = await serveProxy();
    await using recorder = new Recorder({ proxy: { http: proxy.proxyUrl } });
    for (let i = 0; i < 3; i++) await recorder.ask(askRange(named(server.url)));
    expect(proxy.connections).toBe(1);
  });

  it("fails for good when the proxy wants other credentials, and sends it no others", async () => {
    await using proxy = await serveProxy({ credentials: "me:secret" });
    const http = proxy.proxyUrl.replace("secret", "guess");
    await using recorder = new Recorder({ proxy: { http, https: http } });
    const challengeHeaders = [["Authorization", "Basic forTheOrigin"]] as const;
    for (const url of ["http://origin.test/x", "https://origin.test/x"]) {
      const failure = failureOf(await recorder.probe(url, { challengeHeaders }));
      expect(failure).toMatchObject({ kind: "fatal", code: "ERR_PROXY_REFUSED" });
      expect(failure.message).toContain("407");
      expect(failure.message).not.toContain("guess");
    }
    expect(proxy.requests).toHaveLength(2);
    for (const { headers } of proxy.requests) expect(headers).not.toHaveProperty("authorization");
  });

  it("names the proxy when it does not answer", async () => {
    await using silent = await serveRaw(() => {});
    const proxy = { https: `http://127.0.0.1:${silent.port}` };
    await using recorder = new Recorder({ proxy, connectTimeoutMs: 100 });
    const failure = failureOf(await recorder.probe("https://origin.test/file.bin"));
    expect(failure).toMatchObject({ kind: "timeout", code: "ERR_ORIGIN_TIMEOUT" });
    expect(failure.message).toContain(`through the proxy 127.0.0.1:${silent.port}`);
    await until(() => silent.sockets.size === 0);
  });

  it("names the proxy when it cannot be reached", async () => {
    const gone = await serveProxy();
    await gone[Symbol.asyncDispose]();
    await using recorder = new Recorder({ proxy: { http: gone.proxyUrl, https: gone.proxyUrl } });
    for (const url of ["http://origin.test/x", "https://origin.test/x"]) {
      const failure = failureOf(await recorder.probe(url));
      expect(failure).toMatchObject({ kind: "transient", code: "ERR_ORIGIN_UNREACHABLE" });
      expect(failure.message).toContain(`the proxy 127.0.0.1:${gone.port}`);
    }
  });

  it("asks this machine and exceptions directly", async () => {
    await using server = await serveHttp(serveRanges);
    await using proxy = await serveProxy();
    await using usual = new Recorder({ proxy: { http: proxy.proxyUrl } });
    expect((await usual.probe(server.url)).end.type).toBe("originProbed");
    expect(proxy.connections).toBe(0);
    const asked = { http: proxy.proxyUrl, loopback: true };
    await using wanted = new Recorder({ proxy: asked });
    expect((await wanted.probe(server.url)).end.type).toBe("originProbed");
    await using excepted = new Recorder({ proxy: { ...asked, noProxy: "127.0.0.1" } });
    expect((await excepted.probe(server.url)).end.type).toBe("originProbed");
    expect(proxy.connections).toBe(1);
  });
});

describe("addresses behind a proxy (R-HTTP-03, R-HTTP-04)", () => {
  it("are refused where the URL names them, whoever would connect", async () => {
    await using proxy = await serveProxy();
    await using recorder = new Recorder({
      proxy: { http: proxy.proxyUrl, https: proxy.proxyUrl, loopback: true },
    });
    for (const scheme of ["http", "https"]) {
      const { kind, code } = failureOf(await recorder.probe(`${scheme}://169.254.169.254/x`));
      expect({ kind, code }).toEqual({ kind: "fatal", code: "ERR_ADDRESS_REFUSED" });
    }
    expect(proxy.connections).toBe(0);
  });

  it("are not led to by a redirect from outside, by the proxy or past it", async () => {
    await using inside = await serveHttp(serveRanges);
    await using proxy = await serveProxy();
    const places = [
      `http://127.0.0.1:${inside.port}/`,
      `http://localhost:${inside.port}/`,
      "http://10.1.2.3/",
      "http://169.254.169.254/",
      `http://direct.test:${inside.port}/`,
    ];
    for (const location of places) {
      await using outside = await serveHttp((_, response) => {
        response.writeHead(302, { location }).end();
      });
      for (const loopback of [false, true]) {
        const noProxy = "direct.test";
        await using recorder = new Recorder(
          { proxy: { http: proxy.proxyUrl, noProxy, loopback } },
          {
            lookup: (_, options, done) => {
              if (options.all === true) done(null, [{ address: "127.0.0.1", family: 4 }]);
              else done(null, "127.0.0.1", 4);
            },
          },
        );
        const { kind, code } = failureOf(await recorder.probe(named(outside.url)));
        expect({ location, kind, code }).toEqual({
          location,
          kind: "fatal",
          code: "ERR_REDIRECT_REFUSED",
        });
      }
    }
    expect(inside.connections).toBe(0);
  });
});

if (!hasOpenssl) process.stderr.write("skipped: openssl is not there to make certificates\n");

describe.skipIf(!hasOpenssl)("https: through a proxy", () => {
  let authority: TestAuthority;
  let identity: Identity;
  beforeAll(() => {
    authority = new TestAuthority();
    identity = authority.issue("origin", "DNS:origin.test,IP:127.0.0.1");
  });
  afterAll(() => authority[Symbol.dispose]());

  const tunnelled = (behaviour: ProxyBehaviour = {}) => serveProxy(behaviour);

  it("goes through a tunnel; the origin never hears of the proxy's credentials", async () => {
    const seen: unknown[] = [];
    await using server = await started(
      createServer(identity, (request, response) => {
        seen.push(request.url, request.headers["proxy-authorization"]);
        serveRanges(request, response);
      }),
      "https:",
    );
    await using proxy = await tunnelled({ credentials: "me:secret" });
    await using recorder = new Recorder({ ca: authority.cert, proxy: { https: proxy.proxyUrl } });
    const url = named(server.url);
    const outcome = await recorder.ask(askRange(url));
    expect(joined(outcome)).toEqual(CONTENT.subarray(2_000, 5_000));
    const manifest = await recorder.sidecar(url);
    expect(manifest.end).toMatchObject({ type: "manifestFetched", overTls: true });
    expect(proxy.requests).toMatchObject([
      { method: "CONNECT", target: `origin.test:${server.port}` },
    ]);
    expect(seen).toEqual(["/file.bin", undefined, "/file.bin.shoal", undefined]);
  });

  it("verifies the origin's certificate behind the tunnel (R-HTTP-02)", async () => {
    await using server = await started(createServer(identity, serveRanges), "https:");
    await using proxy = await tunnelled();
    const https = proxy.proxyUrl;
    await using distrusting = new Recorder({ proxy: { https } });
    await using misled = new Recorder({ ca: authority.cert, proxy: { https } });
    for (const [recorder, host] of [
      [distrusting, "origin.test"],
      [misled, "other.test"],
    ] as const) {
      const failure = failureOf(await recorder.probe(named(server.url, host)));
      expect(failure).toMatchObject({ kind: "transient", code: "ERR_ORIGIN_UNREACHABLE" });
      expect(failure.message).toContain("TLS");
    }
  });

  it("may reach the proxy itself over TLS, which must be verified", async () => {
    await using server = await started(createServer(identity, serveRanges), "https:");
    await using plain = await serveHttp(serveRanges);
    await using proxy = await tunnelled({ identity });
    const options = { proxy: { http: proxy.proxyUrl, https: proxy.proxyUrl } };
    await using recorder = new Recorder({ ...options, ca: authority.cert });
    for (const { url } of [server, plain]) {
      const outcome = await recorder.ask(askRange(named(url)));
      expect(joined(outcome)).toEqual(CONTENT.subarray(2_000, 5_000));
    }
    await using distrusting = new Recorder(options);
    expect(failureOf(await distrusting.probe(named(plain.url))).message).toContain("TLS");
  });

  it("fails by what the proxy says, whatever that is, and closes the tunnel", async () => {
    const cases: [answer: string, kind: string, code: string][] = [
      ["HTTP/1.1 403 Forbidden\r\n\r\n", "fatal", "ERR_PROXY_REFUSED"],
      ["HTTP/1.1 302 Found\r\nlocation: /\r\n\r\n", "fatal", "ERR_PROXY_REFUSED"],
      ["HTTP/1.1 502 Bad Gateway\r\n\r\n", "transient", "ERR_ORIGIN_UNREACHABLE"],
      ["HTTP/1.0 504 No\r\n\r\n", "transient", "ERR_ORIGIN_UNREACHABLE"],
      ["SSH-2.0-OpenSSH\r\n\r\n", "fatal", "ERR_PROXY_REFUSED"],
      ["HTTP/1.1 200 OK\r\n\r\nsurplus", "fatal", "ERR_PROXY_REFUSED"],
      [`HTTP/1.1 200 OK\r\nx: ${"y".repeat(17_000)}`, "fatal", "ERR_PROXY_REFUSED"],
      ["HTTP/1.1 200", "timeout", "ERR_ORIGIN_TIMEOUT"],
    ];
    for (const [tunnelAnswer, kind, code] of cases) {
      await using proxy = await tunnelled({ tunnelAnswer });
      await using recorder = new Recorder({
        connectTimeoutMs: 300,
        proxy: { https: proxy.proxyUrl },
      });
      const failure = failureOf(await recorder.probe("https://origin.test/x"));
      expect({ ...failure, tunnelAnswer }).toMatchObject({ kind, code, tunnelAnswer });
      await until(() => proxy.sockets.size === 0);
    }
  });

  it("is cancelled and closed at every stage of the way", async () => {
    await using server = await started(createServer(identity, serveRanges), "https:");
    await using proxy = await tunnelled({ identity });
    const options = { ca: authority.cert, proxy: { https: proxy.proxyUrl } };
    for (let delayMs = 0; delayMs < 12; delayMs++) {
      const recorder = new Recorder(options);
      const { requestId } = recorder.start(askRange(named(server.url)));
      recorder.start(askRange(named(server.url)));
      await new Promise((resolve) => setTimeout(resolve, delayMs));
      recorder.origin.execute({ type: "cancelOrigin", requestId });
      await recorder.origin.close();
      expect(recorder.pool.borrowed).toBe(0);
    }
    await until(() => server.sockets.size === 0 && proxy.sockets.size === 0);
  });
});

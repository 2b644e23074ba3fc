import { createPrivateKey } from "node:crypto";
import { createServer } from "node:https";
import { beforeAll, describe, expect, it } from "vitest";
import { hasOpenssl, TestAuthority } from "./certificates.ts";
import type { Extras, Identity } from "./certificates.ts";
import {
  askRange,
  CONTENT,
  failureOf,
  joined,
  Recorder,
  serveHttp,
  serveRanges,
  started,
} from "./origin-harness.ts";
import type { OriginRequestOptions } from "./origin-harness.ts";

type Tolerance = NonNullable<OriginRequestOptions["tlsTolerance"]>[number];
const ALL: readonly Tolerance[] = ["unknownAuthority", "wrongUsage", "wrongName", "wrongDate"];
const EXPIRED: Extras = { days: -1 };
const FOR_CLIENTS: Extras = { extensions: ["extendedKeyUsage=clientAuth"] };
const HERE = "IP:127.0.0.1";

/** Every set of tolerances. */
const SETS = Array.from({ length: 1 << ALL.length }, (_, bits) =>
  ALL.filter((__, i) => (bits & (1 << i)) !== 0),
);

let known: TestAuthority;
let unknown: TestAuthority;

beforeAll(() => {
  if (!hasOpenssl) return;
  known = new TestAuthority();
  unknown = new TestAuthority();
  return () => {
    known[Symbol.dispose]();
    unknown[Symbol.dispose]();
  };
});

const serve = (identity: Identity, more: object = {}) =>
  started(createServer({ ...identity, ...more }, serveRanges), "https:");

describe.skipIf(!hasOpenssl)("TLS tolerances", () => {
  it("let a certificate pass when each of its faults is tolerated, and only then", async () => {
    await using recorder = new Recorder({ ca: known.cert });
    const names = [HERE, "DNS:other.test"];
    let count = 0;
    for (const [authority, chain] of [
      [known, false],
      [unknown, false],
      [unknown, true],
    ] as const) {
      for (const subject of names) {
        for (const extras of [{}, EXPIRED, FOR_CLIENTS, { ...EXPIRED, ...FOR_CLIENTS }]) {
          const faults: Tolerance[] = [];
          if (authority === unknown) faults.push("unknownAuthority");
          if (subject !== HERE) faults.push("wrongName");
          if (extras === EXPIRED || "days" in extras) faults.push("wrongDate");
          if ("extensions" in extras) faults.push("wrongUsage");
          const { key, cert } = authority.issue(`case-${count++}`, subject, extras);
          await using server = await serve({ key, cert: chain ? cert + authority.cert : cert });
          for (const tlsTolerance of SETS) {
            const { end } = await recorder.sidecar(server.url, { tlsTolerance });
            const isPassed = end.type === "manifestFetched";
            const isTolerated = faults.every((fault) => tlsTolerance.includes(fault));
            expect({ faults, chain, tlsTolerance, isPassed }).toMatchObject({
              isPassed: isTolerated,
            });
            // Trust in a manifest takes a certificate without any fault (trust level T4).
            const overTls = isPassed && end.overTls;
            expect({ faults, overTls }).toMatchObject({ overTls: faults.length === 0 });
          }
        }
      }
    }
  }, 30_000);

  it("find an authority through an intermediate, and one that may not sign out", async () => {
    const issuer = (...extensions: string[]): Extras => ({ extensions });
    const good = known.issue("sub", "DNS:sub.test", issuer("basicConstraints=critical,CA:true"));
    const weak = known.issue("leafy", "DNS:leafy.test", issuer("basicConstraints=CA:false"));
    const bound = known.issue(
      "bound",
      "DNS:bound.test",
      issuer("basicConstraints=critical,CA:true", "nameConstraints=permitted;DNS:bound.test"),
    );
    const request = { tlsTolerance: ["wrongDate"] } as const;
    for (const [by, { cert: chain }, isPassed] of [
      ["sub", good, true],
      ["leafy", weak, false],
      ["bound", bound, false],
    ] as const) {
      const { key, cert } = known.issue(`by-${by}`, HERE, { ...EXPIRED, by });
      await using server = await serve({ key, cert: cert + chain });
      await using recorder = new Recorder({ ca: known.cert });
      const { end } = await recorder.probe(server.url, request);
      expect([by, end.type === "originProbed"]).toEqual([by, isPassed]);
    }
  });

  it("say which faults there are, and are not tried on connections of others", async () => {
    const identity = unknown.issue("expired", "DNS:other.test", EXPIRED);
    await using server = await serve(identity);
    await using recorder = new Recorder({ ca: known.cert });
    const failure = failureOf(await recorder.probe(server.url, { tlsTolerance: ["wrongDate"] }));
    expect(failure).toMatchObject({ kind: "transient", code: "ERR_ORIGIN_UNREACHABLE" });
    expect(failure.message).toContain("wrongDate, wrongName, unknownAuthority");
    const tolerant = { tlsTolerance: ALL };
    expect((await recorder.probe(server.url, tolerant)).end.type).toBe("originProbed");
    for (const request of [{}, { tlsTolerance: ALL.slice(1) }, { tlsTolerance: [] }]) {
      expect(failureOf(await recorder.probe(server.url, request)).message).toContain("TLS");
    }
    const { connections } = server;
    expect((await recorder.probe(server.url, tolerant)).end.type).toBe("originProbed");
    expect(server.connections).toBe(connections);
  });

  it("are not switched on by the environment (R-HTTP-02)", async () => {
    const identity = unknown.issue("untrusted", HERE);
    await using server = await serve(identity);
    await using recorder = new Recorder({ ca: known.cert });
    const before = process.env["NODE_TLS_REJECT_UNAUTHORIZED"];
    process.env["NODE_TLS_REJECT_UNAUTHORIZED"] = "0";
    try {
      const request = { tlsTolerance: ["wrongName"] } as const;
      expect(failureOf(await recorder.probe(server.url, request)).message).toContain("TLS");
    } finally {
      if (before === undefined) delete process.env["NODE_TLS_REJECT_UNAUTHORIZED"];
      else process.env["NODE_TLS_REJECT_UNAUTHORIZED"] = before;
    }
  });
});

describe.skipIf(!hasOpenssl)("redirects to http:", () => {
  it("are followed where the job allows it, without its header fields, and trusted less", async () => {
    const heard: unknown[] = [];
    const good = known.issue("good", HERE);
    await using plain = await serveHttp((request, response) => {
      heard.push(request.headers["x-key"]);
      if (request.url?.startsWith("/back") !== true) return serveRanges(request, response);
      response.writeHead(302, { location: secure.url }).end();
    });
    await using secure = await serve(good);
    await using leaving = await started(
      createServer(good, (request, response) => {
        const path = request.url?.startsWith("/back") === true ? "/back" : "/file";
        response.writeHead(302, { location: new URL(path, plain.url).href }).end();
      }),
      "https:",
    );
    await using recorder = new Recorder({ ca: known.cert });
    const request = { allowInsecureRedirect: true, headers: [["X-Key", "1"]] } as const;
    for (const path of ["/file", "/back"]) {
      const url = new URL(path, leaving.url).href;
      const { end } = await recorder.sidecar(url, request);
      expect(end).toMatchObject({ type: "manifestFetched", overTls: false });
      expect(failureOf(await recorder.probe(url))).toMatchObject({ code: "ERR_REDIRECT_REFUSED" });
    }
    expect(heard).toEqual([undefined, undefined]);
  });
});

describe.skipIf(!hasOpenssl)("client certificates", () => {
  const mutual = (identity: Identity) =>
    serve(identity, { requestCert: true, rejectUnauthorized: true, ca: known.cert });

  it("sign in, as PEM and as PKCS #12, and their connections are not lent", async () => {
    const client = known.issue("client", "DNS:client.test", FOR_CLIENTS);
    await using server = await mutual(known.issue("server", HERE));
    await using recorder = new Recorder({ ca: known.cert });
    for (const clientCertificate of [client.cert + client.key, known.pkcs12("client")]) {
      const question = askRange(server.url, { request: { clientCertificate } });
      expect(joined(await recorder.ask(question))).toEqual(CONTENT.subarray(2_000, 5_000));
      const failure = failureOf(await recorder.probe(server.url));
      expect(failure).toMatchObject({ kind: "transient", code: "ERR_ORIGIN_UNREACHABLE" });
    }
    const strange = unknown.issue("stranger", "DNS:client.test", FOR_CLIENTS);
    const request = { clientCertificate: strange.cert + strange.key };
    expect(failureOf(await recorder.probe(server.url, request)).code).toBe(
      "ERR_ORIGIN_UNREACHABLE",
    );
  });

  it("are shown to the first origin only (R-HTTP-05)", async () => {
    const { cert, key } = known.issue("homely", "DNS:client.test", FOR_CLIENTS);
    const request = { clientCertificate: cert + key };
    await using other = await mutual(known.issue("other", HERE));
    await using home = await started(
      createServer(known.issue("home", HERE), (_, response) => {
        response.writeHead(302, { location: other.url }).end();
      }),
      "https:",
    );
    await using recorder = new Recorder({ ca: known.cert });
    expect((await recorder.probe(other.url, request)).end.type).toBe("originProbed");
    expect(failureOf(await recorder.probe(home.url, request)).code).toBe("ERR_ORIGIN_UNREACHABLE");
  });

  it("of a PKCS #12 bring authorities along, whose word makes no manifest trusted", async () => {
    const { cert, key } = unknown.issue("bringer", "DNS:client.test", FOR_CLIENTS);
    await using server = await serve(unknown.issue("brought", HERE));
    await using recorder = new Recorder({ ca: known.cert });
    const packed = { clientCertificate: unknown.pkcs12("bringer") };
    const { end } = await recorder.sidecar(server.url, packed);
    expect(end).toMatchObject({ type: "manifestFetched", overTls: false });
    const pem = { clientCertificate: cert + unknown.cert + key };
    for (const request of [pem, {}]) {
      expect(failureOf(await recorder.sidecar(server.url, request)).message).toContain("TLS");
    }
  });

  it("that are none fail the request before it is sent, and are not repeated", async () => {
    const { cert, key } = known.issue("one", "DNS:one.test");
    const { key: wrongKey } = known.issue("two", "DNS:two.test");
    await using server = await serveHttp(serveRanges);
    await using recorder = new Recorder();
    const locked = createPrivateKey(key).export({
      type: "pkcs8",
      format: "pem",
      cipher: "aes-256-cbc",
      passphrase: "locked",
    });
    const bad = [
      "",
      "nonsense",
      `${cert}${locked.toString()}`,
      cert,
      key,
      cert + wrongKey,
      known.pkcs12("one", "locked"),
      "AAAA",
    ];
    for (const clientCertificate of bad) {
      const outcome = await recorder.probe(server.url, { clientCertificate });
      expect(failureOf(outcome)).toEqual({
        kind: "fatal",
        code: "ERR_CLIENT_CERTIFICATE_INVALID",
        message: "The client certificate cannot be used",
      });
    }
    expect(server.connections).toBe(0);
  });
});

/** The REST API against who has no business with it: every request is written by hand. */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  chmod,
  lstat,
  mkdir,
  mkdtemp,
  readFile,
  rename,
  stat,
  symlink,
  writeFile,
} from "node:fs/promises";
import { createServer } from "node:http";
import { connect, createServer as createNetServer } from "node:net";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { connectAgent, startRest } from "@shoal/agent";
import { LIMITS } from "@shoal/core";
import { connectJobService } from "@shoal/jobs";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { jobsOnlyAgent } from "../contract/jobs-only-agent.ts";
import { until } from "./harness.ts";
import { answerOn, RestSite } from "./rest-site.ts";

let rest: RestSite;
beforeAll(async () => void (rest = await RestSite.open()));
afterAll(() => rest[Symbol.asyncDispose]());

const codeOf = ({ body }: { readonly body: string }): unknown =>
  (JSON.parse(body) as { readonly code: string }).code;

describe("places and files (R-API-01, R-API-12, R-FS-01)", () => {
  const modeOf = async (name: string): Promise<number> =>
    (await stat(join(rest.runDirectory, name))).mode & 0o777;

  it("the directory, the socket, the token and the port file are their owner's alone", async () => {
    expect(await modeOf(".")).toBe(0o700);
    expect(await modeOf("agent.sock")).toBe(0o600);
    expect(await modeOf("agent.token")).toBe(0o600);
    expect(await modeOf("agent.port")).toBe(0o600);
    expect(rest.token).toMatch(/^[0-9a-f]{64}$/);
  });

  it("the port file names process, port, start and run, and goes with the agent (R-API-12)", async () => {
    const text = await readFile(join(rest.runDirectory, "agent.port"), "utf8");
    const facts = JSON.parse(text) as Record<string, unknown>;
    expect(facts).toMatchObject({ pid: process.pid, port: rest.port });
    expect(facts["instanceId"]).toMatch(/^[0-9a-f-]{36}$/);
    expect(Number(facts["startedAt"])).toBeLessThanOrEqual(Date.now());
    await using another = await RestSite.open();
    await another.agent.close();
    const gone = { code: "ENOENT" };
    await expect(lstat(join(another.runDirectory, "agent.port"))).rejects.toMatchObject(gone);
    await expect(lstat(join(another.runDirectory, "agent.sock"))).rejects.toMatchObject(gone);
  });

  it("the token is no file to share, by whatever path (R-API-13)", async () => {
    const link = join(rest.site.directory, "innocent.bin");
    await symlink(join(rest.runDirectory, "agent.token"), link);
    for (const path of [join(rest.runDirectory, "agent.token"), link]) {
      const answer = await rest.ask({ method: "POST", path: "/v1/content", body: { path } });
      expect(codeOf(answer)).toBe("ERR_FILE_UNREADABLE");
    }
  });

  it("only 127.0.0.1 has the port (R-API-01)", async () => {
    const socket = connect({ host: "127.0.0.2", port: rest.port });
    const refused = once(socket, "connect");
    await expect(refused).rejects.toMatchObject({ code: "ECONNREFUSED" });
  });

  it("keeps another user of this machine out (R-API-01, R-FS-01)", async ({ skip }) => {
    if (process.getuid?.() !== 0) return skip("only root can become another user");
    const script = `
      const { connect } = require("node:net");
      const { readFileSync } = require("node:fs");
      const socket = connect(process.argv[1]);
      socket.on("connect", () => { console.log("connected"); process.exit(); });
      socket.on("error", (error) => {
        console.log(error.code);
        try { readFileSync(process.argv[2]); console.log("read"); }
        catch (failure) { console.log(failure.code); }
      });`;
    const paths = [rest.socketPath, join(rest.runDirectory, "agent.token")];
    // The site's own directory is private; what is asked for is that the inner one keeps out too.
    await chmod(rest.site.directory, 0o711);
    const args = ["-e", script, ...paths];
    const { stdout, error } = spawnSync(process.execPath, args, {
      uid: 65_534,
      gid: 65_534,
      encoding: "utf8",
      cwd: "/",
    });
    if (error !== undefined) return skip(`another user cannot run it: ${error.message}`);
    expect(stdout).toBe("EACCES\nEACCES\n");
  });

  it("lets a group in where it is told to, and nobody in a directory that is open", async () => {
    const service = jobsOnlyAgent(nobodyHost, { name: "a", isAdministrator: true });
    const place = await mkdtemp(join(rest.site.directory, "group-"));
    const socketPath = join(place, "run", "agent.sock");
    const listener = await startRest({ service }, { socketPath, socketMode: 0o660 });
    expect((await stat(socketPath)).mode & 0o777).toBe(0o660);
    expect((await stat(join(place, "run"))).mode & 0o777).toBe(0o750);
    await listener.close();
    await mkdir(join(place, "open"), { mode: 0o755 });
    const open = startRest({ service }, { socketPath: join(place, "open", "agent.sock") });
    await expect(open).rejects.toMatchObject({ code: "ERR_LISTEN_FAILED" });
  });
});

it("serves on a descriptor that listens already, and leaves its path alone", async () => {
  const place = await mkdtemp(join(rest.site.directory, "fd-"));
  const socketPath = join(place, "activated.sock");
  // As a supervisor does it: the child's descriptor 3 listens on the path.
  const parent = createNetServer().listen(join(place, "made.sock"));
  await once(parent, "listening");
  const { fd } = (parent as unknown as { readonly _handle: { readonly fd: number } })._handle;
  const script = join(import.meta.dirname, "rest-activated.ts");
  const child = spawn(process.execPath, ["--conditions=shoal-source", script], {
    stdio: ["ignore", "inherit", "inherit", fd, "ipc"],
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  await once(child, "message");
  // Whoever closes a socket removes its path: this one has another by then.
  await rename(join(place, "made.sock"), socketPath);
  parent.close();
  const service = await connectJobService({ socketPath });
  await expect(service.snapshot("none")).rejects.toMatchObject({ code: "ERR_FEATURE_UNSUPPORTED" });
  service.close();
  child.disconnect();
  await once(child, "exit");
});

const nobodyHost = {
  act: () => {
    throw new Error("nobody asks");
  },
  onNotice: () => () => {},
  attachSink: () => () => {},
};

describe("who asks (R-API-02, R-API-10, R-API-11)", () => {
  it("answers whoever has the token", async () => {
    const answer = await rest.ask();
    expect(answer.status).toBe(200);
    expect(JSON.parse(answer.body)).toMatchObject({ processId: process.pid });
  });

  it.each([
    ["no token", { authorization: null }],
    ["a wrong token", { authorization: `Bearer ${"0".repeat(64)}` }],
    ["a token that is too short", { authorization: "Bearer 00" }],
    ["another scheme", { authorization: "Basic cm9vdDpyb290" }],
    ["two fields", { authorization: null, Authorization: "x\r\nauthorization: y" }],
  ])("refuses %s (R-API-02)", async (_, headers) => {
    const answer = await rest.ask({ headers });
    expect(answer.status).toBe(401);
    expect(codeOf(answer)).toBe("ERR_TOKEN_REFUSED");
  });

  it.each(["/v1/jobs", "/metrics", "/readyz", "/openapi.json", "/v1/events", "/nothing"])(
    "says nothing of %s without a token (R-API-02)",
    async (path) => {
      expect((await rest.ask({ path, headers: { authorization: null } })).status).toBe(401);
    },
  );

  it("says that it is there, and nothing else, to everybody (R-API-02)", async () => {
    const answer = await rest.ask({ path: "/healthz", headers: { authorization: null } });
    expect(answer).toMatchObject({ status: 200, body: '{"status":"ok"}' });
  });

  it("grows impatient with wrong tokens, and never with the right one (R-API-10)", async () => {
    await using another = await RestSite.open();
    const wrong = { headers: { authorization: "Bearer no" } };
    const statuses: number[] = [];
    for (let i = 0; i < LIMITS.tokenFailuresPerMinMax + 2; i++) {
      statuses.push((await another.ask(wrong)).status);
    }
    expect(statuses.filter((status) => status === 401)).toHaveLength(LIMITS.tokenFailuresPerMinMax);
    expect(statuses.slice(-2)).toEqual([429, 429]);
    expect((await another.ask(wrong)).headers["retry-after"]).toBe("60");
    expect((await another.ask()).status).toBe(200);
  });

  it("a client sends the token to nobody who has not proved to have it (R-API-11)", async () => {
    const heard: string[] = [];
    const thief = createServer((request, response) => {
      heard.push(request.rawHeaders.join(" "));
      response.end(JSON.stringify({ proof: "0".repeat(64), apiVersion: 1 }));
    }).listen(0, "127.0.0.1");
    await once(thief, "listening");
    onTestFinished(() => void thief.close());
    const url = `http://127.0.0.1:${(thief.address() as AddressInfo).port}`;
    const connected = connectAgent({ url, token: rest.token });
    await expect(connected).rejects.toMatchObject({ code: "ERR_AGENT_UNREACHABLE" });
    expect(heard).toHaveLength(1);
    expect(heard.join("")).not.toContain(rest.token);
  });

  it("a client is told that its token is wrong by its own eyes, and finds the agent with it", async () => {
    const url = rest.agent.apiUrl ?? "";
    const wrong = connectAgent({ url, token: "0".repeat(64) });
    await expect(wrong).rejects.toMatchObject({ code: "ERR_AGENT_UNREACHABLE" });
    const agent = await connectAgent({ url, token: rest.token });
    expect(await agent.facts()).toMatchObject({ processId: process.pid });
    agent.close();
  });

  it("a token file that others may read, or that holds none, is not used", async () => {
    const place = await mkdtemp(join(rest.site.directory, "token-"));
    const tokenFile = join(place, "token");
    const service = jobsOnlyAgent(nobodyHost, { name: "a", isAdministrator: true });
    const start = (): Promise<unknown> => startRest({ service }, { tcp: { port: 0, tokenFile } });
    await writeFile(tokenFile, "0".repeat(64), { mode: 0o644 });
    await expect(start()).rejects.toMatchObject({ code: "ERR_KEY_INVALID" });
    await chmod(tokenFile, 0o600);
    await writeFile(tokenFile, "short");
    await expect(start()).rejects.toMatchObject({ code: "ERR_KEY_INVALID" });
  });
});

describe("from where a browser might ask (R-API-03, R-API-04, R-API-05)", () => {
  it.each([
    ["another name (DNS rebinding)", "attacker.example"],
    ["another name with our port", "attacker.example:PORT"],
    ["another port", "127.0.0.1:1"],
    ["no port", "127.0.0.1"],
    ["a trailing dot", "localhost.:PORT"],
    ["a user", "user@localhost:PORT"],
    ["another loopback address", "127.0.0.2:PORT"],
    ["nothing", ""],
  ])("refuses a Host that is %s (R-API-03)", async (_, host) => {
    const headers = { host: host.replace("PORT", String(rest.port)) };
    for (const path of ["/v1/agent", "/healthz"]) {
      const answer = await rest.ask({ headers, path });
      expect(answer.status).toBe(421);
      expect(answer.headers["connection"]).toBe("close");
    }
  });

  it("refuses two Hosts, none, and one in the request line (R-API-03)", async () => {
    const host = `127.0.0.1:${rest.port}`;
    const auth = `authorization: Bearer ${rest.token}\r\n`;
    const lines = [
      `GET /v1/agent HTTP/1.1\r\nhost: ${host}\r\nhost: attacker.example\r\n${auth}\r\n`,
      `GET /v1/agent HTTP/1.1\r\nhost: ${host}\r\nHost: ${host}\r\n${auth}\r\n`,
      `GET /v1/agent HTTP/1.1\r\n${auth}\r\n`,
      `GET /v1/agent HTTP/1.0\r\n${auth}\r\n`,
      `GET http://attacker.example/v1/agent HTTP/1.1\r\nhost: ${host}\r\n${auth}\r\n`,
      `GET http://${host}/v1/agent HTTP/1.1\r\nhost: ${host}\r\n${auth}\r\n`,
    ];
    for (const line of lines) expect((await rest.send(line)).status).toBe(421);
  });

  it("takes localhost by its name", async () => {
    expect((await rest.ask({ headers: { host: `localhost:${rest.port}` } })).status).toBe(200);
  });

  it.each([
    ["another Origin", { origin: "http://attacker.example" }],
    ["a null Origin", { origin: "null" }],
    ["our Origin with TLS", { origin: "https://127.0.0.1:PORT" }],
    ["another port's Origin", { origin: "http://127.0.0.1:1" }],
    ["another site", { "sec-fetch-site": "cross-site" }],
    ["another host of the site", { "sec-fetch-site": "same-site" }],
  ])("refuses %s (R-API-04)", async (_, fields) => {
    const headers = Object.fromEntries(
      Object.entries(fields).map(([name, value]) => [name, value.replace("PORT", `${rest.port}`)]),
    );
    const answer = await rest.ask({ headers });
    expect(answer.status).toBe(403);
    expect(codeOf(answer)).toBe("ERR_CROSS_SITE");
  });

  it("takes its own Origin, and never says that others may ask (R-API-04)", async () => {
    const headers = { origin: `http://127.0.0.1:${rest.port}`, "sec-fetch-site": "same-origin" };
    const answer = await rest.ask({ headers });
    expect(answer.status).toBe(200);
    const preflight = await rest.ask({
      method: "OPTIONS",
      headers: { ...headers, "access-control-request-method": "POST" },
    });
    expect(preflight.status).toBe(403);
    for (const { headers: fields } of [answer, preflight]) {
      expect(Object.keys(fields).filter((name) => name.startsWith("access-control"))).toEqual([]);
    }
  });

  it.each([
    ["a form's", "application/x-www-form-urlencoded", "a=b"],
    ["an upload's", "multipart/form-data; boundary=x", "--x--"],
    ["plain text", "text/plain", '{"files":[]}'],
    ["JSON in another alphabet", "application/json; charset=utf-7", '{"files":[]}'],
    ["none", null, '{"files":[]}'],
  ])("refuses a body whose type is %s (R-API-05)", async (_, type, body) => {
    const jobCount = (await rest.agent.jobs.list()).length;
    const headers = { "content-type": type };
    const answer = await rest.ask({ method: "POST", path: "/v1/jobs", headers, body });
    expect(answer.status).toBe(415);
    expect(await rest.agent.jobs.list()).toHaveLength(jobCount);
  });

  it("takes no method from a field, and changes nothing by GET (R-API-05)", async () => {
    const headers = { "x-http-method-override": "DELETE", "x-http-method": "DELETE" };
    expect((await rest.ask({ path: "/v1/peers/bans/a", headers })).status).toBe(404);
    expect((await rest.ask({ path: "/v1/settings/reload" })).status).toBe(404);
    expect((await rest.ask({ method: "HEAD", path: "/v1/agent" })).status).toBe(404);
  });

  it("says on every answer that no page may use it (R-API-07)", async () => {
    const answers = [
      await rest.ask(),
      await rest.ask({ path: "/nothing" }),
      await rest.ask({ headers: { host: "a" } }),
      await rest.send("nonsense\r\n\r\n"),
      await rest.ask({ headers: { expect: "the-impossible" } }),
      await rest.ask({ headers: { expect: "the-impossible", authorization: null } }),
    ];
    expect(answers.map(({ status }) => status)).toEqual([200, 404, 421, 400, 400, 401]);
    for (const { headers } of answers) {
      expect(headers).toMatchObject({
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
        "cache-control": "no-store",
        "cross-origin-resource-policy": "same-origin",
      });
      expect(headers["content-security-policy"]).toContain("default-src 'none'");
      expect(headers["content-security-policy"]).toContain("frame-ancestors 'none'");
    }
  });
});

describe("what is asked (R-API-08, R-API-09, R-API-13, R-API-15)", () => {
  const post = (body: string | object, path = "/v1/downloads") =>
    rest.ask({ method: "POST", path, body });
  const nested = (depth: number): string => `${"[".repeat(depth)}${"]".repeat(depth)}`;

  it.each<[string, string, string]>([
    ["no JSON", '{"url":', "ERR_USAGE"],
    ["JSON nested a million times", nested(500_000), "ERR_USAGE"],
    ["JSON nested too deeply", `{"url":${nested(20)}}`, "ERR_USAGE"],
    ["a million values", `[${"0,".repeat(400_000)}0]`, "ERR_USAGE"],
    ["a text of 9,000 characters", JSON.stringify({ url: "x".repeat(9_000) }), "ERR_USAGE"],
    ["bytes that are no UTF-8", '{"url":"\xff\xfe"}', "ERR_USAGE"],
    ["an unknown field", '{"url":"http://a/","path":"/a","more":1}', "ERR_USAGE"],
    ["a field named after a method", '{"url":"http://a/","path":"/a","__proto__":{}}', "ERR_USAGE"],
    ["more than 1 MiB", JSON.stringify(" ".repeat(1_100_000)), "ERR_BODY_TOO_LARGE"],
  ])("refuses %s (R-API-09)", async (_, body, code) => {
    const length = { "content-length": String(Buffer.byteLength(body, "latin1")) };
    const head = rest.bytesOf({
      method: "POST",
      path: "/v1/downloads",
      headers: { "content-type": "application/json", connection: "close", ...length },
    });
    const answer = await rest.send(Buffer.concat([head, Buffer.from(body, "latin1")]));
    expect(codeOf(answer)).toBe(code);
  });

  it.each<[string, string, object]>([
    ["a job", "/v1/jobs", { files: [], startSuspended: true }],
    ["an attribute of a job", "/v1/jobs", { files: [], attributes: {} }],
    ["settings", "/v1/settings", {}],
  ])(
    "refuses %s with a field named __proto__, however written (R-PROC-06)",
    async (_, path, body) => {
      const method = path === "/v1/settings" ? "PATCH" : "POST";
      for (const name of ["__proto__", String.raw`\u005f_proto__`]) {
        const text = JSON.stringify(body)
          .replace(/\}(?=\}?$)/, `,"${name}":"x"}`)
          .replace("{,", "{");
        const answer = await rest.ask({ method, path, body: text });
        expect(codeOf(answer)).toBe("ERR_USAGE");
        expect(answer.body).toContain("__proto__");
      }
    },
  );

  it.each<[string, string, number]>([
    ["steps upwards", "/v1/../../etc/passwd", 404],
    ["steps upwards in disguise", "/v1/%2e%2e/%2e%2e/etc/passwd", 404],
    ["a path with a zero", "/v1/jobs/%00", 404],
    ["half an escape", "/v1/jobs/%", 400],
    ["a path that begins twice", "//v1/agent", 404],
    ["a path in capitals", "/V1/AGENT", 404],
    ["a job's id of a kilobyte", `/v1/jobs/${"x".repeat(1_000)}`, 400],
    ["a file that is none", "/v1/jobs/a/files/-1", 400],
    ["a limit beyond the page", "/v1/jobs?limit=501", 400],
    ["a cursor of somebody else's", "/v1/jobs?cursor=../../etc", 400],
    ["a log from nowhere", "/v1/log?after=NaN", 400],
    ["a nonce of two kinds", "/challenge?nonce=a&nonce=b", 400],
  ])("refuses %s", async (_, path, status) => {
    const answer = await rest.ask({ path });
    expect(answer.status).toBe(status);
    expect(answer.headers["content-type"]).toContain("application/problem+json");
  });

  it.each<[string, string]>([
    ["two lengths", "content-length: 2\r\ncontent-length: 5\r\n"],
    ["a length and chunks", "content-length: 5\r\ntransfer-encoding: chunked\r\n"],
    ["chunks in disguise", "transfer-encoding: xchunked\r\n"],
    ["a length below zero", "content-length: -1\r\n"],
    ["a field with a space before its colon", "content-length : 2\r\n"],
    ["a field that goes on in the next line", "x: a\r\n b\r\n"],
  ])("answers one request and no second one for %s", async (_, fields) => {
    const head = rest.bytesOf({ method: "POST", path: "/v1/settings/reload" }).toString();
    const smuggled = rest.bytesOf({ path: "/v1/agent" });
    const bytes = `${head.slice(0, -2)}content-type: application/json\r\n${fields}\r\n{}${smuggled.toString()}`;
    const answer = await rest.send(bytes);
    expect(answer.status).toBe(400);
    expect(answer.body).not.toContain("processId");
  });

  it("refuses heads that are too long (R-API-09)", async () => {
    const answer = await rest.ask({ headers: { x: "x".repeat(17_000) } });
    expect(answer.status).toBe(431);
  });

  it("says what is wrong in words and a code, and nothing of itself (R-API-15)", async () => {
    const answer = await post({ url: "ftp://a/", path: "/a" });
    expect(answer.status).toBe(400);
    const problem = JSON.parse(answer.body) as Record<string, unknown>;
    expect(problem).toMatchObject({ code: "ERR_URL_INVALID", status: 400, isTransient: false });
    expect(Object.keys(problem).toSorted()).toEqual(
      ["code", "detail", "isTransient", "remedy", "status", "title", "type"].toSorted(),
    );
    expect(answer.body).not.toMatch(/node_modules|\.ts|at [A-Z]/);
  });

  it("names the state that forbids a verb, and changes nothing (R-API-14)", async () => {
    const path = "/v1/downloads";
    const body = { url: "http://127.0.0.1:9/", path: "/tmp/never", startSuspended: true };
    const { jobId } = JSON.parse((await post(body, path)).body) as { jobId: string };
    expect((await post({}, `/v1/jobs/${jobId}/cancel`)).status).toBe(200);
    const answer = await post({}, `/v1/jobs/${jobId}/resume`);
    expect(answer.status).toBe(409);
    expect(JSON.parse(answer.body)).toMatchObject({ code: "ERR_JOB_STATE", state: "cancelled" });
  });

  it("gives header fields of jobs to nobody on the port (R-API-13)", async () => {
    const request = { headers: [["x-secret", "open sesame"]] };
    const files = [{ url: "http://127.0.0.1:9/", destination: "/tmp/never", request }];
    const created = await post({ files, startSuspended: true }, "/v1/jobs");
    const { jobId } = JSON.parse(created.body) as { jobId: string };
    for (const path of ["", "/files/0", "/files/0/spec", "/explain"]) {
      const { status, body } = await rest.ask({ path: `/v1/jobs/${jobId}${path}` });
      expect([path, status]).toEqual([path, 200]);
      expect(body).not.toContain("sesame");
    }
    expect((await rest.ask({ path: "/v1/jobs" })).body).not.toContain("sesame");
    await post({}, `/v1/jobs/${jobId}/cancel`);
  });
});

describe("who is slow, or many (R-API-09)", () => {
  it("ends a head that takes too long, and answers others meanwhile (R-API-09)", async () => {
    const socket = await rest.connect("port");
    socket.write("GET /v1/agent HTTP/1.1\r\nx: ");
    const drip = setInterval(() => void (socket.writable && socket.write("x")), 200);
    onTestFinished(() => clearInterval(drip));
    const startedAt = performance.now();
    const ended = answerOn(socket, 20_000);
    expect((await rest.ask()).status).toBe(200);
    expect((await ended).status).toBe(408);
    expect(performance.now() - startedAt).toBeLessThan(LIMITS.restHeaderTimeoutMs + 5_000);
  });

  it("lets no more than so many ask at a time, and idle ones give way (R-API-09)", async () => {
    const sockets = await Promise.all(
      Array.from({ length: LIMITS.restConnectionsMax + 20 }, () => rest.connect("socket")),
    );
    const service = await connectJobService({ socketPath: rest.socketPath });
    expect(await service.list()).toEqual(expect.any(Array));
    service.close();
    await until(
      () => sockets.filter(({ closed }) => closed).length >= 20,
      "those that asked nothing for longest are gone",
    );
    for (const socket of sockets) socket.destroy();
  });

  it("counts watchers apart from those who ask, and refuses more (R-API-09)", async () => {
    const watch = "GET /v1/events HTTP/1.1\r\nhost: localhost\r\n\r\n";
    const sockets = await Promise.all(
      Array.from({ length: LIMITS.restWatchersMax }, async () => {
        const socket = await rest.connect("socket");
        socket.write(watch);
        await once(socket, "data");
        return socket;
      }),
    );
    onTestFinished(() => sockets.forEach((socket) => void socket.destroy()));
    const close = watch.replace("\r\n\r\n", "\r\nconnection: close\r\n\r\n");
    const answer = await rest.send(close, "socket");
    expect(answer.status).toBe(429);
    expect((await rest.ask()).status).toBe(200);
    const another = await connectAgent({ socketPath: rest.socketPath });
    expect(await another.facts()).toMatchObject({ processId: process.pid });
    another.close();
  });

  it("disconnects who asks on and on without reading (R-API-09)", async () => {
    const socket = await rest.connect("socket");
    const ask = "GET /v1/agent HTTP/1.1\r\nhost: localhost\r\n\r\n";
    socket.write(ask.repeat(5_000));
    await until(() => socket.closed, "the connection ends");
    expect((await rest.ask()).status).toBe(200);
  });
});

/**
 * The wire of the DO-compatible listener, by a client written from the agent REST reference alone:
 * discovery, transport, grammar, responses, operations, properties and callers (sections 2 to 9).
 */
import { readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { networkInterfaces } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { Agent } from "@shoal/agent";
import { CliUser, startCliAgent } from "./cli-process.ts";
import { DoClient, encode, errorOf, findPort, requestOf } from "./do-client.ts";
import { DoSite } from "./do-rest-site.ts";

const SERVER = "Server: Delivery-Optimization-Agent/1.1.0";
const UNSUPPORTED = 0x80070032;
const INVALID_ARGUMENT = 0x80070057;
const NOT_SET = 0x80070490;
const INVALID_URL = 0x800c0002;
const INVALID_STATE = 0x80d02013;

let site: DoSite;
let agent: Agent;
let client: DoClient;
beforeEach(async () => void (site = await DoSite.create()));
afterEach(() => site[Symbol.asyncDispose]());

/** One agent for tests that leave nothing behind. */
let shared: DoSite;
let sharedAgent: Agent;
beforeAll(async () => {
  shared = await DoSite.create();
  sharedAgent = await shared.startAgent();
});
afterAll(() => shared[Symbol.asyncDispose]());
const useShared = async (): Promise<void> => {
  agent = sharedAgent;
  client = await shared.connect(agent);
};

const start = async (options: Parameters<DoSite["startAgent"]>[0] = {}): Promise<void> => {
  agent = await site.startAgent(options);
  client = await site.connect(agent);
};

const newId = async (): Promise<string> => {
  const { json } = await client.call("POST", "download/create");
  return String(json["Id"]);
};

describe("discovery", () => {
  test("the port file has the port and a line end, for everybody to read and nobody to write", async () => {
    await start();
    const path = join(site.run, `restport.${process.pid}`);
    expect(readFileSync(path, "utf8")).toBe(`${agent.doRest?.port}\n`);
    expect(statSync(path).mode & 0o777).toBe(0o444);
    expect(await findPort(site.run)).toBe(agent.doRest?.port);
    expect(agent.doRest?.port).toBeGreaterThanOrEqual(50_000);
    expect(agent.doRest?.port).toBeLessThanOrEqual(60_999);
  });

  test("old port files are removed first, and the new one at the end", async () => {
    await mkdir(site.run);
    for (let i = 0; i < 5; i++) writeFileSync(join(site.run, `restport.${i}`), "50000\n");
    writeFileSync(join(site.run, "other"), "");
    writeFileSync(join(site.run, "my-restport-copy"), "");
    await start();
    expect(readdirSync(site.run).toSorted()).toEqual(["other", `restport.${process.pid}`]);
    await agent.close();
    expect(readdirSync(site.run)).toEqual(["other"]);
  });

  test("a link with the file's name is removed, and what it leads to is left alone", async () => {
    await mkdir(site.run);
    const victim = site.path("victim");
    writeFileSync(victim, "precious");
    symlinkSync(victim, join(site.run, `restport.${process.pid}`));
    await start();
    expect(readFileSync(victim, "utf8")).toBe("precious");
  });

  test("where all ports are busy the agent does not start, and says so", async () => {
    await start();
    const port = agent.doRest?.port ?? 0;
    const second = site.startAgent({
      stateDirectory: join(site.site.directory, "state-2"),
      rest: { listener: { ports: { first: port, last: port } } },
    });
    await expect(second).rejects.toMatchObject({ code: "ERR_LISTEN_FAILED" });
  });
});

describe("shoal agent --do-rest", () => {
  test("is found within 2 s of its start, also after a SIGKILL, and leaves no port file", async () => {
    const user = await CliUser.create(site.site.directory);
    const args = ["--do-rest", "--do-rest-run", site.run, "--do-rest-config", site.config];
    const killed = await startCliAgent(user, ...args);
    killed.process.kill("SIGKILL");
    await killed.process.ended();
    expect(readdirSync(site.run)).toHaveLength(1);
    const { process: second } = await startCliAgent(user, ...args);
    await using running = second;
    const port = Number(running.objects[0]?.["doRestPort"]);
    expect(await findPort(site.run)).toBe(port);
    expect(readdirSync(site.run)).toHaveLength(1);
    const sdk = site.site.use(await DoClient.connect(port));
    expect((await sdk.call("POST", "download/create")).status).toBe(200);
    running.kill("SIGTERM");
    await running.ended();
    expect(readdirSync(site.run)).toEqual([]);
  });
});

describe("responses", () => {
  beforeEach(useShared);

  test("are those of the reference, byte for byte", async () => {
    const created = await client.call("POST", "download/create?Uri=http://127.0.0.1/x");
    const id = String(created.json["Id"]);
    expect(id).toMatch(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
    expect(created.text).toBe(
      `HTTP/1.1 200 OK\r\nContent-Length: 46\r\n${SERVER}\r\n\r\n{"Id":"${id}"}\n`,
    );
    const status = await client.call("GET", `download/getstatus?Id=${id}`);
    expect(status.body).toBe(
      '{"Status":"Created","BytesTotal":"0","BytesTransferred":"0","ErrorCode":"0",' +
        '"ExtendedErrorCode":"0"}\n',
    );
    const paused = await client.call("POST", `download/pause?Id=${id}`);
    expect(paused.text).toBe(`HTTP/1.1 200 OK\r\nContent-Length: 3\r\n${SERVER}\r\n\r\n{}\n`);
    const wrong = await client.call("POST", "download/create?Nonsense=1");
    expect(wrong.text).toBe(
      `HTTP/1.1 400 BadRequest\r\nContent-Length: 28\r\n${SERVER}\r\n\r\n` +
        '{ "ErrorCode": -2147024809 }',
    );
    const unknown = await client.call("GET", "download/getstatus?Id=none");
    expect(unknown.text).toBe(
      `HTTP/1.1 404 NotFound\r\nContent-Length: 28\r\n${SERVER}\r\n\r\n` +
        '{ "ErrorCode": -2147023728 }',
    );
  });

  test("slashes in values are escaped", async () => {
    const uri = "http://127.0.0.1/a/b";
    const id = await client.create(uri, "/tmp/x");
    const { body, json } = await client.call(
      "GET",
      `download/getproperty?Id=${id}&PropertyKey=uri`,
    );
    expect(body).toBe(String.raw`{"uri":"http:\/\/127.0.0.1\/a\/b"}` + "\n");
    expect(json).toEqual({ uri });
  });

  test("a broken percent escape is 500 with the code of an unhandled exception", async () => {
    const { text } = await client.call("POST", "download/create?Uri=%zz");
    expect(text).toContain("500 InternalError\r\n");
    expect(text).toContain('{ "ErrorCode": -2147024322 }');
  });
});

describe("a connection", () => {
  beforeEach(useShared);

  test("answers requests with and without a slash, one after the other, for as long as it lasts", async () => {
    for (const target of ["download/create", "/download/create", "/download/create/"]) {
      expect((await client.call("POST", target)).status).toBe(200);
    }
    client.send("POST /download/create HTTP/1.1\r\nConnection: close\r\n\r\n");
    expect((await client.read()).status).toBe(200);
    expect((await client.call("POST", "download/create")).status).toBe(200);
  });

  test("answers pipelined requests in their order", async () => {
    const targets = ["download/nothing", "download/create", "download/getstatus?Id=none"];
    client.send(
      requestOf("POST", targets[0]!) +
        requestOf("POST", targets[1]!) +
        requestOf("GET", targets[2]!),
    );
    const statuses = [];
    for (let i = 0; i < 3; i++) statuses.push((await client.read({ isPipelined: true })).status);
    expect(statuses).toEqual([400, 200, 404]);
  });

  test("takes a request that comes a byte at a time", async () => {
    for (const byte of Buffer.from(requestOf("POST", "download/create"))) {
      client.send(Uint8Array.of(byte));
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect((await client.read()).status).toBe(200);
  });

  test("ignores a body that is announced", async () => {
    client.send("POST download/create HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello");
    expect((await client.read()).status).toBe(200);
    expect((await client.call("POST", "download/create")).status).toBe(200);
  });

  test.for([
    ["no request", "hello\r\n\r\n"],
    ["a lone CR", "POST download/create HTTP/1.1\rHost: x\r\n\r\n"],
    ["characters that a target has not", "POST download/create;x HTTP/1.1\r\n\r\n"],
    ["2049 bytes", requestOf("POST", `download/create?Uri=${"x".repeat(2_049)}`)],
  ] as const)("ends after %s, with 400 and nothing else", async ([, bytes]) => {
    client.send(bytes);
    expect(await client.readToEnd()).toBe(`HTTP/1.1 400 BadRequest\r\n${SERVER}\r\n\r\n`);
  });

  test("that is closed by its client halfway still gets its answer", async () => {
    client.socket.end(requestOf("POST", "download/create"));
    expect(await client.readToEnd()).toContain("200 OK");
  });

  test("with half a request holds nobody up, and is let go in time (R-API-09)", async () => {
    await start({ rest: { listener: { requestTimeoutMs: 200 } } });
    const slow = await site.connect(agent);
    slow.send("POST download/create HTT");
    expect((await client.call("POST", "download/create")).status).toBe(200);
    expect(await slow.readToEnd()).toBe("");
    expect((await client.call("POST", "download/create")).status).toBe(200);
  });

  test("that was quiet longest makes room for one too many (R-API-09)", async () => {
    await start({ rest: { listener: { connectionsMax: 2 } } });
    const quiet = await site.connect(agent);
    expect((await client.call("POST", "download/create")).status).toBe(200);
    const third = await site.connect(agent);
    expect(await quiet.readToEnd()).toBe("");
    expect((await third.call("POST", "download/create")).status).toBe(200);
    expect((await client.call("POST", "download/create")).status).toBe(200);
  });

  test("whose client reads nothing is not fed without bound, and holds nobody up", async () => {
    const greedy = await site.connect(agent);
    greedy.socket.pause();
    const many = requestOf("GET", "download/enumerate").repeat(20_000);
    greedy.send(many);
    expect((await client.call("POST", "download/create")).status).toBe(200);
    greedy.close();
  });
});

describe("operations", () => {
  beforeEach(useShared);

  test.for([
    ["POST", "download/nothing", UNSUPPORTED],
    ["GET", "download/create", UNSUPPORTED],
    ["POST", "download/getstatus", UNSUPPORTED],
    ["PUT", "download/create", UNSUPPORTED],
    ["POST", "download", UNSUPPORTED],
    ["POST", "download/create/more", UNSUPPORTED],
    ["POST", "//download/create", UNSUPPORTED],
    ["POST", "download/start", NOT_SET],
    ["POST", "download/start?Id=94cff2ab-2a11-cb40-958c-a9ca38888a85", NOT_SET],
    ["POST", "download/start?Id=none&Nonsense=1", INVALID_ARGUMENT],
    ["GET", "download/getstatus", NOT_SET],
    ["GET", "download/enumerate", 0x80004001],
    ["GET", "download/enumerate?Id=x&Uri=y", 0x80004001],
    ["POST", "download/create?Nonsense=1", INVALID_ARGUMENT],
  ] as const)("%s %s fails with its code", async ([method, target, code]) => {
    expect(errorOf(await client.call(method, target))).toBe(code);
  });

  test.for([
    ["invaliduri:http//", INVALID_URL],
    ["invalidurihttp", INVALID_URL],
    ["http://", INVALID_URL],
    ["ftp://server.com", INVALID_URL],
    ["HTTP://Server.com/x", 0],
    ["https://server.com", 0],
    ["http://h:abc/x", 0],
    ["", 0],
  ] as const)("create with the URL %o: %i, and so when it is set", async ([uri, code]) => {
    const target = `download/create?Uri=${encode(uri)}&DownloadFilePath=/nowhere/x`;
    expect(errorOf(await client.call("POST", target))).toBe(code);
    const id = await newId();
    const expected = uri === "" ? INVALID_ARGUMENT : code;
    expect(await client.set(id, `Uri=${encode(uri)}`)).toBe(expected);
  });

  test("names are known in whatever case, and the last value counts", async () => {
    const id = await newId();
    const response = await client.call("GET", `DOWNLOAD/GetStatus?ID=none&iD=${id}`);
    expect(response.json).toMatchObject({ Status: "Created" });
    expect(errorOf(await client.call("GET", `download/getstatus?Id=${id.toUpperCase()}`))).toBe(
      /[a-f]/.test(id) ? NOT_SET : 0,
    );
    expect(errorOf(await client.call("GET", `download/getstatus?Id={${id}}`))).toBe(-1);
  });
});

describe("properties", () => {
  const get = (id: string, key: string) =>
    client.call("GET", `download/getproperty?Id=${id}&PropertyKey=${key}`);
  beforeEach(useShared);

  test("are answered under the name that was asked for", async () => {
    const id = await client.create("http://127.0.0.1/x?a=1&b=2", "/tmp/a b");
    expect((await get(id, "ID")).json).toEqual({ ID: id });
    expect((await get(id, "Uri")).json).toEqual({ Uri: "http://127.0.0.1/x?a=1&b=2" });
    expect((await get(id, "downloadfilepath")).json).toEqual({ downloadfilepath: "/tmp/a b" });
    const timeout = (await get(id, "NoProgressTimeoutSeconds")).json;
    expect(timeout).toEqual({ NoProgressTimeoutSeconds: "0" });
  });

  test.for([
    ["", INVALID_ARGUMENT],
    ["PropertyKey", 0x80d02011],
    ["CostPolicy", 0x80d02011],
    ["toString", 0x80d02011],
  ] as const)("of the name %o are none, whatever the download", async ([key, code]) => {
    expect(errorOf(await get("none", key))).toBe(code);
  });

  test("of a download that does not exist are none", async () => {
    expect(errorOf(await get("none", "Uri"))).toBe(NOT_SET);
  });

  test("are set together, the id only saying whose they are", async () => {
    const id = await newId();
    const query = "Uri=http://127.0.0.1/y&DownloadFilePath=/tmp/y&NoProgressTimeoutSeconds=60";
    expect(await client.set(id, query)).toBe(0);
    expect((await get(id, "Uri")).json).toEqual({ Uri: "http://127.0.0.1/y" });
    expect((await get(id, "DownloadFilePath")).json).toEqual({ DownloadFilePath: "/tmp/y" });
    const { json } = await get(id, "NoProgressTimeoutSeconds");
    expect(json).toEqual({ NoProgressTimeoutSeconds: "60" });
  });

  test.for([
    ["Uri=", INVALID_ARGUMENT],
    ["DownloadFilePath=", INVALID_ARGUMENT],
    ["NoProgressTimeoutSeconds=9", INVALID_ARGUMENT],
    ["NoProgressTimeoutSeconds=x", INVALID_ARGUMENT],
    ["PropertyKey=Uri", 0x80d02011],
    ["Nonsense=1", INVALID_ARGUMENT],
  ] as const)("%s is refused", async ([query, code]) => {
    expect(await client.set(await newId(), query)).toBe(code);
  });

  test("of a value too long for a response of the SDK's are not answered", async () => {
    const id = await client.create(`http://127.0.0.1/${"/".repeat(1_200)}`, "/tmp/x");
    expect(errorOf(await get(id, "Uri"))).toBe(0x80070018);
  });

  test("a refused change of state is said with its code", async () => {
    expect(await client.verb("finalize", await newId())).toBe(INVALID_STATE);
  });
});

describe("callers", () => {
  /** An address of this machine that is not loopback. */
  const foreign = Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .find(({ internal, family }) => !internal && family === "IPv4")?.address;

  test("on all of 127.0.0.0/8 are served", async () => {
    await start();
    const other = await site.connect(agent, "127.0.1.5");
    expect((await other.call("POST", "/download/create/")).status).toBe(200);
  });

  test.skipIf(foreign === undefined)(
    "from another address are refused before anything of the request is looked at",
    async () => {
      await start();
      const other = await site.connect(agent, foreign);
      for (const target of ["download/create", "nonsense", "download/create?Uri=%zz"]) {
        expect(errorOf(await other.call("POST", target))).toBe(INVALID_ARGUMENT);
      }
    },
  );

  test.skipIf(foreign === undefined)(
    "from another address are served where the administrator says so, from a reload on",
    async () => {
      await start();
      const other = await site.connect(agent, foreign);
      expect((await other.call("POST", "download/create")).status).toBe(400);
      await site.writeConfig("admin-config.json", '{ "RestControllerValidateRemoteAddr":false }');
      expect((await other.call("POST", "download/create")).status).toBe(400);
      agent.doRest?.reload();
      expect((await other.call("POST", "download/create")).status).toBe(200);
    },
  );

  test.for([
    ["Origin: https://evil.example"],
    ["Sec-Fetch-Site: cross-site"],
    ["Host: rebound.example:50000"],
  ])("that are sent here by a page, with %s, are refused (R-API-03, R-API-04)", async ([field]) => {
    await start();
    client.send(`POST /download/create HTTP/1.1\r\n${field}\r\n\r\n`);
    expect(errorOf(await client.read())).toBe(INVALID_ARGUMENT);
  });
});

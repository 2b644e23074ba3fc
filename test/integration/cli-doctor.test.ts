/**
 * `shoal doctor` and `shoal support-bundle` as a user runs them, with an agent and without one:
 * what is shown, exit codes, files and their modes, and that no secret gets out.
 */
import { execFile } from "node:child_process";
import { readdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { CliUser } from "./cli-process.ts";
import { startUsualAgent, usualSocket } from "./cli-running-agent.ts";
import { TestSite } from "./harness.ts";

let site: TestSite;
let user: CliUser;
beforeEach(async () => {
  site = await TestSite.create();
  user = await CliUser.create(site.directory);
});
afterEach(() => site[Symbol.asyncDispose]());

describe("shoal doctor without an agent", () => {
  test("says that none runs, looks at what there is, and succeeds", async () => {
    const { exitCode, stdout } = await user.run("doctor");
    expect(stdout).toContain("No agent runs, so only what lies on disk was looked at.");
    expect(stdout).toContain("→ Start one: shoal agent");
    for (const group of ["Agent", "State", "Machine", "Network", "Peers"]) {
      expect(stdout.split("\n")).toContain(group);
    }
    expect(exitCode).toBe(0);
    expect((await user.leftovers()).filter((name) => !name.includes(".cache"))).toEqual([]);
  });

  test("names a configuration that is wrong, by its place, and exits with 1", async () => {
    const path = join(user.cwd, "mine.yaml");
    await writeFile(path, "uplodRate: 5\n", { mode: 0o600 });
    process.env["SHOAL_CONFIG"] = path;
    try {
      const { exitCode, stdout, stderr } = await user.run("doctor", "--json");
      expect(exitCode).toBe(1);
      const objects = stdout
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line) as object);
      expect(objects).toContainEqual(
        expect.objectContaining({ type: "check", id: "agent.configuration", result: "fail" }),
      );
      expect(objects).toContainEqual(expect.objectContaining({ type: "summary", fail: 1 }));
      expect(objects.at(-1)).toMatchObject({ type: "error", code: "ERR_CHECK_FAILED" });
      expect(stdout).toContain("mine.yaml:1:1");
      expect(stderr).toBe("");
    } finally {
      delete process.env["SHOAL_CONFIG"];
    }
  });
});

describe("shoal doctor with an agent", () => {
  test("shows faults first, tries what is named, and writes a report that needs no network", async () => {
    const agent = site.use(await startUsualAgent(user, join(site.directory, "state")));
    const peer = site.use(
      await startUsualAgent(
        await CliUser.create(await site.makeDirectory("b")),
        join(site.directory, "state-b"),
      ),
    );
    const gone = "http://127.0.0.1:9/<img src=x onerror=alert(1)>?key=hunter2";
    const [address = ""] = peer.addresses;
    const args = ["--html", "report.html", "--origin", gone, "--peer", address];
    const { exitCode, stdout, stderr } = await user.run("doctor", ...args);
    expect(exitCode).toBe(1);
    expect(stdout).toMatch(/^1 fault, /);
    expect(stdout).toMatch(/FAIL +Origins you named: .*127\.0\.0\.1:9/);
    expect(stdout).toMatch(/ok +Peer you named +The agent is connected with it, by tls/);
    expect(stderr).toContain("The doctor has found faults: 1 fault");
    const path = join(user.cwd, "report.html");
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    const html = await readFile(path, "utf8");
    expect(html).toContain(agent.peerId);
    expect(html).toContain("default-src 'none'");
    expect(html).not.toContain("<img");
    expect(html + stdout + stderr).not.toContain("hunter2");
  });
});

/** Secrets that are put wherever an agent takes any. */
const SECRETS = {
  challenge: "YWxpY2U6Y2hhbGxlbmdl",
  urlQuery: "signature-in-query",
  header: "value-of-header",
  proxyPassword: "proxy-pw-9f2",
  groupId: "{5d0c2f9e-0000-4000-8000-00000000beef}",
  groupKey: Buffer.alloc(32, "group!").toString("base64url"),
};

describe("shoal support-bundle", () => {
  test("gathers everything, for its owner alone, and no secret (R-API-13, R-LOG-01)", async () => {
    const groupFile = join(user.cwd, "office.group");
    await writeFile(groupFile, `shoal-group-1:${SECRETS.groupKey}\n`, { mode: 0o600 });
    const proxy = { http: `http://me:${SECRETS.proxyPassword}@127.0.0.1:9` };
    const stateDirectory = join(site.directory, "state");
    const api = { socketPath: usualSocket(user), tcp: { port: 0 } };
    const policies = { DODownloadMode: 2, DOGroupId: SECRETS.groupId };
    const options = { groupKeyFiles: [groupFile], proxy, api, policies };
    const agent = site.use(await startUsualAgent(user, stateDirectory, options));
    const url = `http://origin.test/f.bin?s=${SECRETS.urlQuery}`;
    const request = {
      headers: [["x-api-key", SECRETS.header]],
      challengeHeaders: [["authorization", `Basic ${SECRETS.challenge}`]],
    } as const;
    const destination = join(user.cwd, "f.bin");
    const job = await agent.jobs.createJob({ files: [{ url, destination, request }] });
    await job.suspend();
    const token = (await readFile(join(usualSocket(user), "..", "agent.token"), "utf8")).trim();
    const identity = await readFile(join(stateDirectory, "identity"));
    process.env["http_proxy"] = proxy.http;
    const { exitCode, stdout } = await user.run("support-bundle", "help.tar.gz");
    delete process.env["http_proxy"];
    expect({ exitCode, stdout }).toEqual({ exitCode: 0, stdout: "help.tar.gz\n" });
    const path = join(user.cwd, "help.tar.gz");
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    // As whoever gets it opens it.
    await promisify(execFile)("tar", ["-xzf", path, "-C", site.directory]);
    const opened = join(site.directory, "shoal-support");
    const names = await readdir(opened, { recursive: true });
    for (const name of ["README.txt", "doctor.json", "report.html", "log.ndjson", "metrics.txt"]) {
      expect(names).toContain(name);
    }
    for (const name of ["configuration.json", "counters.json", "limits.json", "versions.json"]) {
      expect(names).toContain(name);
    }
    expect(names.filter((name) => name.startsWith("explanations/"))).toHaveLength(1);
    const files = names.filter((name) => name.includes("."));
    const texts = await Promise.all(files.map((name) => readFile(join(opened, name), "utf8")));
    const text = texts.join("\n");
    expect(text).toContain(agent.peerId);
    const key = identity.subarray(4);
    const secrets = [...Object.values(SECRETS), token, key.toString("base64"), key.toString("hex")];
    for (const secret of secrets) expect(text).not.toContain(secret);
  });

  test("does not write over a file that is there", async () => {
    await writeFile(join(user.cwd, "help.tar.gz"), "mine");
    const { exitCode, stderr } = await user.run("support-bundle", "help.tar.gz");
    expect(exitCode).toBe(8);
    expect(stderr).toContain("help.tar.gz");
    expect(await readFile(join(user.cwd, "help.tar.gz"), "utf8")).toBe("mine");
  });
});

import { spawn, spawnSync } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, openSync, closeSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { join } from "node:path";
import { AGENT_NODE_FLAGS, connectAgent } from "@shoal/agent";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { CliRun } from "./cli-here.ts";
import { root, TestSite, until } from "./harness.ts";

const MAIN = join(root, "packages/agent/src/main.ts");
const FLAGS = [...AGENT_NODE_FLAGS, "--conditions=shoal-source"];
const LOCAL = ["--no-mdns", "--listen", "/ip4/127.0.0.1/tcp/0"];

const hasPerl = spawnSync("perl", ["-v"]).status === 0;
if (!hasPerl) console.log("socket activation is not tried: there is no perl");
/** Listens as systemd does for a service, with the socket as descriptor 3, and becomes it. */
const LISTEN_AND_EXEC = `
  use Socket; use POSIX;
  BEGIN { $^F = 10 }
  my ($path, @command) = @ARGV;
  socket(my $socket, AF_UNIX, SOCK_STREAM, 0) or die;
  bind($socket, sockaddr_un($path)) or die;
  listen($socket, 64) or die;
  POSIX::dup2(fileno($socket), 3);
  @ENV{qw(LISTEN_PID LISTEN_FDS)} = ($$, 1);
  exec(@command) or die;`;

let site: TestSite;
beforeEach(async () => {
  site = await TestSite.create();
  mkdirSync(join(site.directory, "etc"));
});
afterEach(() => site[Symbol.asyncDispose]());

/** `shoal agent` as a process of a service: no terminal, a configuration of its own. */
class Daemon implements AsyncDisposable {
  stdout = "";
  stderr = "";
  readonly startedAt = performance.now();
  readonly child: ChildProcess;
  readonly #ended: Promise<unknown>;

  constructor(
    args: readonly string[] = [],
    {
      env = {},
      stderr = "pipe",
      within = [],
    }: {
      /** A command that becomes the daemon. */
      readonly within?: readonly string[];
      readonly env?: Readonly<Record<string, string>>;
      readonly stderr?: number | "pipe";
    } = {},
  ) {
    const line = [process.execPath, ...FLAGS, MAIN, "agent", "--json", ...LOCAL, ...args];
    const [program = "", ...rest] = [...within, ...line];
    this.child = spawn(program, rest, {
      env: {
        PATH: process.env["PATH"],
        HOME: site.directory,
        NODE_COMPILE_CACHE: process.env["NODE_COMPILE_CACHE"],
        STATE_DIRECTORY: join(site.directory, "state"),
        SHOAL_CONFIG_DIRECTORY: join(site.directory, "etc"),
        ...env,
      },
      stdio: ["ignore", "pipe", stderr],
      timeout: 60_000,
      killSignal: "SIGKILL",
    });
    this.#ended = once(this.child, "close");
    this.child.stdout?.on("data", (bytes: Buffer) => (this.stdout += bytes.toString()));
    this.child.stderr?.on("data", (bytes: Buffer) => (this.stderr += bytes.toString()));
  }

  async ready(): Promise<Record<string, unknown>> {
    const isOver = (): boolean => this.child.exitCode !== null;
    await until(() => this.stdout.includes("\n") || isOver(), "the agent is ready", 30_000);
    if (isOver()) throw new Error(this.stderr);
    return JSON.parse(this.stdout.split("\n")[0] ?? "") as Record<string, unknown>;
  }

  /** Records of the log with this message. */
  logged(message: string): readonly Record<string, unknown>[] {
    const lines = this.stderr.split("\n").slice(0, -1);
    const records = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
    return records.filter((record) => record["message"] === message);
  }

  /** Its exit code, and how long it took to end. */
  async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<{ code: number | null; ms: number }> {
    const at = performance.now();
    this.child.kill(signal);
    await this.#ended;
    return { code: this.child.exitCode, ms: performance.now() - at };
  }

  async ended(): Promise<number | null> {
    await this.#ended;
    return this.child.exitCode;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop("SIGKILL");
  }
}

function writeConfig(text: string): void {
  writeFileSync(join(site.directory, "etc/config.yaml"), text, { mode: 0o600 });
}

describe("the daemon", () => {
  test("reloads its files on SIGHUP, whole or not at all, and says what needs another start", async () => {
    writeConfig("uploadRateBytesPerSec: 1MiB\n");
    await using daemon = new Daemon();
    await daemon.ready();
    writeConfig("uploadRateBytesPerSec: 2MiB\ncacheAgeMs: 1h\nuploadsMax: 2\nlogLevel: debug\n");
    daemon.child.kill("SIGHUP");
    await until(() => daemon.logged("configuration reloaded").length === 1, "the reload");
    const applied = String(daemon.logged("configuration reloaded")[0]?.["applied"]).split(" ");
    expect(new Set(applied)).toEqual(new Set(["uploadRateBytesPerSec", "cacheAgeMs", "logLevel"]));
    await until(() => daemon.logged("these keys need another start").length === 1, "the warning");
    expect(daemon.logged("these keys need another start")[0]).toMatchObject({ keys: "uploadsMax" });
    writeConfig("uploadRateBytesPerSec: 3MiB\nmdsn: off\n");
    daemon.child.kill("SIGHUP");
    const refused = "the configuration is wrong; the old one stays in force";
    await until(() => daemon.logged(refused).length === 1, "the refusal");
    expect(String(daemon.logged(refused)[0]?.["reason"])).toContain(":2:1: there is no key");
    writeConfig("uploadRateBytesPerSec: 2MiB\ncacheAgeMs: 1h\nlogLevel: debug\n");
    daemon.child.kill("SIGHUP");
    await until(() => daemon.logged("configuration reloaded").length === 2, "another reload");
    // As before: what was refused has changed nothing.
    expect(daemon.logged("configuration reloaded")[1]).toMatchObject({ applied: "" });
    expect(await daemon.stop()).toMatchObject({ code: 0 });
  });

  test("starts in safe mode after five crashes in ten minutes: no peers (R-PROC-04)", async () => {
    const state = join(site.directory, "state");
    mkdirSync(state, { mode: 0o700 });
    const crash = JSON.stringify({ at: Date.now() - 1_000, fault: "Error" });
    writeFileSync(join(state, "crashes"), `${crash}\n`.repeat(5), { mode: 0o600 });
    await using daemon = new Daemon(["--no-api"]);
    const ready = await daemon.ready();
    expect(ready).toMatchObject({ isSafeMode: true, addresses: [] });
    expect(ready).not.toHaveProperty("socketPath");
    expect(daemon.logged("the API is not served")).toEqual([]);
    expect(daemon.stderr).toContain("safe mode after repeated crashes");
    expect(daemon.logged("peering is held back")[0]).toMatchObject({ reasons: "safeMode" });
    await daemon.stop();
  });

  test("ends at once, with a code of its own and nothing changed, when another runs (R-PROC-01)", async () => {
    await using first = new Daemon();
    await first.ready();
    const state = join(site.directory, "state");
    const look = (): readonly string[] =>
      readdirSync(state, { recursive: true, encoding: "utf8" })
        .toSorted()
        .map((name) => `${name} ${statSync(join(state, name)).ino}`);
    const before = look();
    await using second = new Daemon();
    expect(await second.ended()).toBe(11);
    console.log(`refused after ${Math.round(performance.now() - second.startedAt)} ms`);
    expect(second.stdout).toContain("ERR_STATE_LOCKED");
    expect(look()).toEqual(before);
    // Killed from outside, it leaves no record of a crash, and the next one starts.
    await first.stop("SIGKILL");
    const content = await site.publish("disk.iso", 1_000_000);
    writeConfig(`share: [${join(site.directory, "gone.iso")}, ${content.path}]\n`);
    await using third = new Daemon();
    const ready = await third.ready();
    expect(ready).not.toHaveProperty("isSafeMode");
    expect(readdirSync(state)).not.toContain("crashes");
    // It offers the files of its configuration, but for one that is gone.
    expect(ready).toMatchObject({ contents: [content.contentId] });
    expect(third.logged("a file cannot be offered")).toHaveLength(1);
  });

  test("runs on while its log cannot be written: full disk, nobody reading (R-LOG-04)", async () => {
    const full = openSync("/dev/full", "w");
    await using unwritten = new Daemon(["--log-level", "debug"], { stderr: full });
    closeSync(full);
    await unwritten.ready();
    expect(await unwritten.stop()).toMatchObject({ code: 0 });
    await using unread = new Daemon(["--log-level", "debug"]);
    unread.child.stderr?.destroy();
    await unread.ready();
    unread.child.kill("SIGHUP");
    expect(await unread.stop()).toMatchObject({ code: 0 });
  });

  test("refuses a configuration that is wrong with exit code 2, naming the place", async () => {
    writeConfig("mdns: on\nuploadsMax: lots\n");
    await using daemon = new Daemon();
    expect(await daemon.ended()).toBe(2);
    expect(daemon.stdout).toContain("config.yaml:2:13: uploadsMax");
  });

  test.skipIf(!hasPerl)(
    "serves its API on a socket that a supervisor listens on (socket activation)",
    async () => {
      const path = join(site.directory, "api.sock");
      await using daemon = new Daemon([], { within: ["perl", "-e", LISTEN_AND_EXEC, path] });
      await daemon.ready();
      expect(await statusOf(path, "/healthz")).toBe(200);
      expect(await daemon.stop()).toMatchObject({ code: 0 });
      // It is the supervisor's, and stays.
      expect(statSync(path).isSocket()).toBe(true);
    },
  );

  test("is reached at the usual place of its user, which a second one leaves alone", async () => {
    await using daemon = new Daemon();
    const path = join(site.directory, ".local/state/shoal/agent.sock");
    expect(await daemon.ready()).toMatchObject({ socketPath: path });
    expect(statSync(path).mode & 0o777).toBe(0o600);
    await using other = new Daemon(["--state", join(site.directory, "other")]);
    expect(await other.ready()).not.toHaveProperty("socketPath");
    expect(other.logged("the API is not served")).toHaveLength(1);
    expect(await statusOf(path, "/healthz")).toBe(200);
  });

  test("says by shoal config what it works with after changes, and reloads by its API", async () => {
    writeConfig("uploadRateBytesPerSec: 1MiB\n");
    await using daemon = new Daemon();
    const { socketPath } = await daemon.ready();
    const agent = await connectAgent({ socketPath: String(socketPath) });
    writeConfig("uploadRateBytesPerSec: 2MiB\nDOMaxCacheAge: 60\nuploadsMax: 1\n");
    await agent.reload();
    await agent.changeSettings({ downloadRateBytesPerSec: 1024 });
    agent.close();
    const args = ["config", "show", "--running", "--origin"];
    await using show = new CliRun(args, site.directory);
    const { stdout: text } = await show.ended();
    expect(text.split("\n").slice(0, -1).toSorted()).toEqual([
      "cacheAgeMs: 1min  # policy: DOMaxCacheAge",
      "downloadRateBytesPerSec: 1KiB  # setting",
      "uploadRateBytesPerSec: 2MiB  # setting",
    ]);
  });
});

/** The status of a GET over a Unix socket. */
async function statusOf(socketPath: string, path: string): Promise<number | undefined> {
  const { promise, resolve, reject } = Promise.withResolvers<number | undefined>();
  const asked = request({ socketPath, path, host: "localhost", timeout: 10_000 }, (response) => {
    response.resume();
    resolve(response.statusCode);
  });
  asked.on("error", reject).end();
  return await promise;
}

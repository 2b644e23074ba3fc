import { chmod, mkdir, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { contentIdOf, MiB, SIDECAR_SUFFIX } from "@shoal/core";
import { connectJobs } from "@shoal/jobs";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { canBeNobody, CliUser, startCliAgent } from "./cli-process.ts";
import type { CliResult } from "./cli-process.ts";
import { sha256Of, TestSite, until } from "./harness.ts";
import type { TestContent } from "./harness.ts";

let site: TestSite;
let user: CliUser;
beforeEach(async () => {
  site = await TestSite.create();
  user = await CliUser.create(site.directory);
});
afterEach(() => site[Symbol.asyncDispose]());

const inCwd = (name: string): string => join(user.cwd, name);

describe("shoal get", () => {
  let content: TestContent;
  let url: string;
  beforeEach(async () => {
    content = await site.publish("disk.iso", 5 * MiB + 17);
    ({ url } = await site.serve(content));
  });

  test.each<[string, () => string[], string]>([
    ["nothing but a URL", () => [], "Not checked"],
    ["a SHA-256", () => ["--sha256", content.sha256.toUpperCase()], "The SHA-256 is as expected"],
    ["a content id", () => ["--content-id", content.contentId], "Every piece was checked"],
  ])(
    "saves a file named by %s, says how it was checked, and nothing else is left",
    async (...row) => {
      const [, args, words] = row;
      const { exitCode, stdout, stderr } = await user.run("get", url, "-o", "f.iso", ...args());
      expect(stderr).toContain(words);
      expect(stderr).toContain("5.0 MiB from the origin, 0 B from peers");
      expect({ exitCode, stdout }).toEqual({ exitCode: 0, stdout: "" });
      expect(await sha256Of(inCwd("f.iso"))).toBe(content.sha256);
      expect(await user.leftovers()).toEqual(["f.iso"]);
    },
  );

  test("with --json prints progress and a result, one object a line", async () => {
    await using process = user.start("get", url, "-o", "f", "--json");
    const { exitCode, stderr } = await process.ended();
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
    expect(process.objects[0]).toMatchObject({ type: "progress", files: [{ url }] });
    expect(process.objects.at(-1)).toMatchObject({
      type: "done",
      destination: inCwd("f"),
      integrity: "none",
      length: content.length,
      originBytes: content.length,
      peerBytes: 0,
    });
  });

  test("replaces a file only with --overwrite", async () => {
    await writeFile(inCwd("f"), "precious");
    const refused = await user.run("get", url, "-o", "f");
    expectFailure(refused, 8, "The destination already exists");
    expect(await readFile(inCwd("f"), "utf8")).toBe("precious");
    const { exitCode } = await user.run("get", url, "-o", "f", "--overwrite");
    expect(exitCode).toBe(0);
    expect(await sha256Of(inCwd("f"))).toBe(content.sha256);
  });

  test("saves an empty file", async () => {
    const path = join(site.directory, "empty");
    await writeFile(path, "");
    const origin = await site.serve({ ...content, name: "empty", path });
    const { exitCode } = await user.run("get", origin.url, "-o", "empty");
    expect(exitCode).toBe(0);
    expect((await stat(inCwd("empty"))).size).toBe(0);
  });

  test("takes the file from a peer when the origin has stopped, and keeps --state", async () => {
    const { process, addresses } = await startCliAgent(
      user,
      "--log-format",
      "text",
      "--share",
      content.path,
    );
    site.use(process);
    const peer = addresses.flatMap((address) => ["--peer", address]);
    const id = ["--content-id", content.contentId];
    const fromPeer = await user.run("get", "http://127.0.0.1:1/f", "-o", "f", ...id, ...peer);
    expect(fromPeer.stderr).toContain("0 B from the origin, 5.0 MiB from peers");
    expect(fromPeer.exitCode).toBe(0);
    const withoutUrl = await user.run("get", "-o", "g", ...id, ...peer, "--state", "kept");
    expect(withoutUrl.exitCode).toBe(0);
    expect(await sha256Of(inCwd("f"))).toBe(content.sha256);
    expect(await sha256Of(inCwd("g"))).toBe(content.sha256);
    expect(await readdir(inCwd("kept"))).toContain("state.db");

    process.kill("SIGTERM");
    const { exitCode, stderr } = await process.ended();
    expect(exitCode).toBe(0);
    expect(stderr).toContain(`Sharing ${content.path} as ${content.contentId}.`);
    expect(stderr).toContain("peer connected 12D3KooW");
    const onceMore = await startCliAgent(user, "--state", "kept");
    site.use(onceMore.process);
    const second = onceMore.addresses.flatMap((address) => ["--peer", address]);
    const again = await user.run("get", "-o", "h", ...id, ...second);
    expect(again.exitCode).toBe(0);
  });

  test("goes on writing the file when nobody reads its output (R-LOG-04)", async () => {
    await using process = user.start("get", url, "-o", "f", "--json");
    process.stopReading();
    const { exitCode, stderr } = await process.ended();
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
    expect(await sha256Of(inCwd("f"))).toBe(content.sha256);
  });

  describe("fails in one line, with the right code, and leaves nothing behind", () => {
    test("when the origin cannot be reached", async () => {
      const beganAt = performance.now();
      const result = await user.run("get", "http://127.0.0.1:1/f", "-o", "f");
      expectFailure(result, 5, "The origin cannot be reached: GET http://127.0.0.1:1/f");
      expect(performance.now() - beganAt).toBeLessThan(15_000);
      expect(await user.leftovers()).toEqual([]);
    });

    test.each<[string, number, string, () => string[]]>([
      ["the origin has no such file", 3, "status 404", () => [`${url}x`, "-o", "f"]],
      [
        "the SHA-256 is another one",
        4,
        "does not have the expected SHA-256",
        () => [url, "-o", "f", "--sha256", "00".repeat(32)],
      ],
      [
        "the manifest is of another content",
        4,
        "The manifest does not match the content id",
        () => [url, "-o", "f", "--content-id", contentIdOf(new Uint8Array(1))],
      ],
      [
        "the directory is missing",
        8,
        "The destination directory does not exist",
        () => [url, "-o", "no/f"],
      ],
      ["the URL has another scheme", 2, "The URL cannot be used", () => ["ftp://a/f", "-o", "f"]],
      [
        "a peer's address is not one",
        2,
        "address is not valid",
        () => [url, "-o", "f", "--peer", "x"],
      ],
      ["a flag is unknown", 2, "Unknown option '--pear'", () => [url, "-o", "f", "--pear", "x"]],
    ])("when %s", async (_name, exitCode, words, args) => {
      expectFailure(await user.run("get", ...args()), exitCode, words);
      expect(await user.leftovers()).toEqual([]);
    });

    test.skipIf(!canBeNobody)("when the directory cannot be written", async () => {
      const result = await user.runAsNobody("get", url, "-o", "f");
      expectFailure(result, 8, "The destination directory cannot be written");
      expect(await user.leftovers()).toEqual([]);
    });

    test("when the manifest is malformed", async () => {
      const bytes = new Uint8Array([0xa1, 0x61, 0x78, 0x01]);
      await writeFile(content.path + SIDECAR_SUFFIX, bytes);
      const named = ["--content-id", contentIdOf(bytes)];
      const result = await user.run("get", url, "-o", "f", ...named);
      expectFailure(result, 4, "The manifest is malformed");
      expect(await user.leftovers()).toEqual([]);
    });

    test("when no peer is there and the time allowed passes", async () => {
      const id = ["--content-id", content.contentId];
      const peer = await silentPeer();
      const result = await user.run("get", "-o", "f", ...id, "--peer", peer, "--timeout", "1s");
      expectFailure(result, 6, "The time allowed has passed: 1.0 s");
      expect(await user.leftovers()).toEqual([]);
    });

    test("and with --json as an object", async () => {
      await using process = user.start("get", `${url}x`, "-o", "f", "--json");
      const { exitCode, stderr } = await process.ended();
      expect({ exitCode, stderr }).toEqual({ exitCode: 3, stderr: "" });
      expect(process.objects.at(-1)).toMatchObject({
        type: "error",
        code: "ERR_ORIGIN_NOT_FOUND",
        remedy: "Check the URL.",
      });
    });
  });
});

describe("an interrupted shoal get", () => {
  const LENGTH = 24 * MiB;
  let content: TestContent;
  let args: string[];

  async function serveSlowly(rateBytesPerSec: number): Promise<{ sentBytes: number }> {
    const origin = await site.serve(content, { rateBytesPerSec });
    args = ["get", origin.url, "-o", "f", "--content-id", content.contentId];
    return origin;
  }

  beforeEach(async () => {
    content = await site.publish("disk.iso", LENGTH);
  });

  test("goes on where Ctrl-C stopped it, and then leaves nothing", async () => {
    const origin = await serveSlowly(16 * MiB);
    await using process = user.start(...args, "--json");
    await until(() => transferredBytes(process.objects) > 6 * MiB, "some of the file");
    process.kill("SIGINT");
    const { exitCode } = await process.ended();
    expect(exitCode).toBe(130);
    expect(process.objects.at(-1)).toMatchObject({
      code: "INTERRUPTED",
      remedy: "What was fetched is kept; the same command goes on from there.",
    });
    expect((await readdir(user.cwd)).join()).toMatch(/^\.shoal-.*\.part$/);
    expect(await readdir(join(user.home, ".local/state/shoal/get"))).toHaveLength(1);

    const result = await user.run(...args);
    expect(result.exitCode).toBe(0);
    expect(await sha256Of(inCwd("f"))).toBe(content.sha256);
    // What was on its way when it stopped is fetched twice.
    expect(origin.sentBytes).toBeLessThan(LENGTH + 20 * MiB);
    const received = /: ([0-9.]+) MiB from the origin/.exec(result.stderr)?.[1];
    expect(Number(received)).toBeLessThanOrEqual(18);
    expect(await user.leftovers({ butStandard: true })).toEqual(["f"]);
  });

  test("that has fetched nothing yet leaves nothing", async () => {
    const peer = await silentPeer();
    const id = ["--content-id", content.contentId];
    await using process = user.start("get", "-o", "f", ...id, "--peer", peer, "--json");
    await until(() => process.objects.length > 0, "the first object");
    process.kill("SIGINT");
    expect((await process.ended()).exitCode).toBe(130);
    expect(await user.leftovers()).toEqual([]);
  });

  test("begins anew when it is asked for something else", async () => {
    await serveSlowly(16 * MiB);
    await using process = user.start(...args, "--json");
    await until(() => transferredBytes(process.objects) > 4 * MiB, "some of the file");
    process.kill("SIGTERM");
    await process.ended();
    const other = await site.publish("other.iso", MiB);
    const { url } = await site.serve(other);
    expect((await user.run("get", url, "-o", "f")).exitCode).toBe(0);
    expect(await sha256Of(inCwd("f"))).toBe(other.sha256);
    expect(await user.leftovers({ butStandard: true })).toEqual(["f"]);
  });

  test("goes on after a SIGKILL", async () => {
    await serveSlowly(16 * MiB);
    await using process = user.start(...args, "--json");
    await until(() => transferredBytes(process.objects) > 6 * MiB, "some of the file");
    process.kill("SIGKILL");
    await process.ended();
    expect((await user.run(...args)).exitCode).toBe(0);
    expect(await sha256Of(inCwd("f"))).toBe(content.sha256);
    expect(await user.leftovers({ butStandard: true })).toEqual(["f"]);
  });

  test("keeps what it has when the origin goes away", async () => {
    const origin = await site.serve(content, { rateBytesPerSec: 16 * MiB });
    args = ["get", origin.url, "-o", "f", "--content-id", content.contentId];
    await using process = user.start(...args);
    const state = join(user.home, ".local/state/shoal/get");
    await until(async () => (await partLength(user.cwd)) > 8 * MiB, "some of the file");
    await origin.close();
    const result = await process.ended();
    expectFailure(result, 5, "The origin cannot be reached", "What was fetched is kept");
    expect(await readdir(state)).toHaveLength(1);
  });

  test("refuses to run twice for one destination", async () => {
    await serveSlowly(4 * MiB);
    await using process = user.start(...args, "--json");
    await until(() => process.objects.length > 0, "the first object");
    expectFailure(await user.run(...args), 11, "Another agent is using this state directory");
    process.kill("SIGINT");
    expect((await process.ended()).exitCode).toBe(130);
  });
});

describe("shoal publish", () => {
  test("writes a sidecar and prints the content id alone", async () => {
    await writeFile(inCwd("f"), "some content");
    const { exitCode, stdout, stderr } = await user.run("publish", "f");
    expect(exitCode).toBe(0);
    const sidecar = await readFile(inCwd("f.shoal"));
    expect(stdout).toBe(`${contentIdOf(sidecar)}\n`);
    expect(stderr).toContain(`Wrote ${inCwd("f.shoal")}`);
    const json = await user.run("publish", "f", "--json", "--piece-length", "64KiB");
    expect(JSON.parse(json.stdout)).toMatchObject({ pieceLength: 65_536, pieceCount: 1 });
    expect(json.stderr).toBe("");
  });

  test("fails in one line for a file that cannot be read", async () => {
    expectFailure(await user.run("publish", "missing"), 3, "The file cannot be read");
    await mkdir(inCwd("directory"));
    expectFailure(await user.run("publish", "directory"), 3, "The file cannot be read");
    await rm(inCwd("directory"), { recursive: true });
    expect(await user.leftovers()).toEqual([]);
  });
});

test("shoal agent lets programs of its user use its job API at the socket it is told", async () => {
  const path = join(user.home, "jobs.sock");
  await chmod(user.home, 0o700);
  const content = await site.publish("disk.iso", MiB);
  const { url } = await site.serve(content);
  await using process = user.start("agent", "--json", "--api-socket", path);
  await until(() => process.objects.length > 0, "the agent is ready");
  expect(process.objects[0]).toMatchObject({ type: "ready", socketPath: path });
  expect((await stat(path)).mode & 0o777).toBe(0o600);
  await using jobs = await connectJobs({ socketPath: path });
  const job = await jobs.createJob({ files: [{ url, destination: inCwd("f.iso") }] });
  await job.transferred;
  expect(await job.acknowledge()).toEqual({ isPartial: false, undeletedCount: 0 });
  expect(await sha256Of(inCwd("f.iso"))).toBe(content.sha256);
  process.kill("SIGTERM");
  await process.ended();
  await expect(jobs.list()).rejects.toMatchObject({ code: "ERR_AGENT_UNREACHABLE" });
});

test("shoal without a command shows help; an unknown one is named", async () => {
  const [none, unknown, help] = await Promise.all([
    user.run(),
    user.run("gett"),
    user.run("get", "--help"),
  ]);
  expect(none).toMatchObject({ exitCode: 2, stderr: "" });
  expect(none.stdout).toMatch(/^Examples:\n/);
  expectFailure(unknown, 2, "Unknown command 'gett' (Did you mean get?)");
  expect(help).toMatchObject({ exitCode: 0, stderr: "" });
});

/** One line with what happened, one with what to do, nothing on stdout. */
function expectFailure(result: CliResult, exitCode: number, words: string, remedy = ""): void {
  expect(result.stderr).toContain(words);
  expect(result.stderr).toContain(remedy);
  expect(result.stderr).toMatch(/^shoal: .+[.)]\n.+\.\n$/);
  expect(result).toMatchObject({ exitCode, stdout: "" });
}

function transferredBytes(objects: readonly Record<string, unknown>[]): number {
  return Number(objects.at(-1)?.["transferredBytes"] ?? 0);
}

/** Bytes on disk of the part file, which has its full length from the start. */
async function partLength(directory: string): Promise<number> {
  const name = (await readdir(directory)).find((found) => found.endsWith(".part"));
  return name === undefined ? 0 : (await stat(join(directory, name))).blocks * 512;
}

/** A peer that accepts connections and says nothing. */
async function silentPeer(): Promise<string> {
  const server = createServer();
  site.use({
    async [Symbol.asyncDispose]() {
      server.close();
    },
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return `/ip4/127.0.0.1/tcp/${port}/p2p/12D3KooWDWBSXV9Ca643gDFbiHNfzBswtCmJ5x3YfM3sE9455ehR`;
}

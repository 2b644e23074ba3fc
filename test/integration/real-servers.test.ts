import { randomBytes } from "node:crypto";
import { readdir, readFile, rename, utimes, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { startAgent } from "@shoal/agent";
import type { Agent, CreateJobOptions, JobSnapshot } from "@shoal/agent";
import { MiB, SIDECAR_SUFFIX } from "@shoal/core";
import { describeFile } from "@shoal/store";
import { afterAll, afterEach, beforeEach, describe, expect, test } from "vitest";
import type { TestContext } from "vitest";
import { serveFiles } from "../../examples/origin/serve-files.ts";
import { LOOPBACK, sha256Of, TestSite, until } from "./harness.ts";
import { startRelay } from "./relay.ts";
import type { Relay } from "./relay.ts";
import { startApache, startNginx, startPython } from "./web-servers.ts";
import type { StartServer } from "./web-servers.ts";

const NAME = "file.bin";
const LENGTH = 24 * MiB + 12_345;
/** Where the relay holds: far enough for commits, and with requests still to come. */
const HOLD_AT_BYTES = 14 * MiB;
/** Short runs, so that a file in the middle of its download has not been asked for whole. */
const SETTINGS = { originRunBytes: MiB, syncDelayMs: 0 };

interface Server {
  readonly name: string;
  readonly start: StartServer;
  readonly hasRanges: boolean;
  /** Whether its rules keep something from everybody. */
  readonly hasForbidden: boolean;
}

const startNode: StartServer = async (directory) => {
  const names = [NAME, NAME + SIDECAR_SUFFIX];
  const origin = await serveFiles(
    Object.fromEntries(names.map((name) => [name, join(directory, name)])),
  );
  return {
    url: new URL(origin.urlOf("x")).origin,
    [Symbol.asyncDispose]: () => origin[Symbol.asyncDispose](),
  };
};

const SERVERS: readonly Server[] = [
  { name: "nginx", start: startNginx, hasRanges: true, hasForbidden: true },
  { name: "Apache httpd", start: startApache, hasRanges: true, hasForbidden: true },
  { name: "Node's http", start: startNode, hasRanges: true, hasForbidden: false },
  { name: "Python's http.server", start: startPython, hasRanges: false, hasForbidden: false },
];

/** What came of each case, for the one table that is printed at the end. */
const outcomes: string[] = [];
afterAll(() => console.log(`real servers:\n${outcomes.join("\n")}`));

let site: TestSite;
beforeEach(async () => void (site = await TestSite.create()));
afterEach(() => site[Symbol.asyncDispose]());

describe.each(SERVERS)("a job from $name", ({ name, start, hasRanges, hasForbidden }) => {
  const record = (what: string, outcome: string): void =>
    void outcomes.push(`  ${name.padEnd(22)} ${what.padEnd(34)} ${outcome}`);

  /** The server over a directory with one file, behind a relay; skips where it is not installed. */
  async function serve(context: TestContext, { holdAtBytes = Infinity } = {}): Promise<Served> {
    const directory = await site.makeDirectory("www");
    const path = join(directory, NAME);
    await writeVersion(path, 1);
    const server = await start(directory);
    if (server === undefined) {
      process.stderr.write(`skipped: ${name} is not installed\n`);
      context.skip(`${name} is not installed`);
    }
    site.use(server);
    const relay = site.use(await startRelay(server.url, holdAtBytes));
    return { path, relay, url: `${relay.url}/${NAME}`, sha256: await sha256Of(path) };
  }

  const begin = async (): Promise<Agent> =>
    site.use(
      await startAgent({
        stateDirectory: join(site.directory, "state"),
        listen: [LOOPBACK],
        mdns: false,
        settings: { ...SETTINGS, originFailuresMax: 2 },
      }),
    );

  test("gets the whole file, checked as far as the job allows", async (context) => {
    const { url, path, sha256 } = await serve(context);
    const { bytes, contentId } = await describeFile(path);
    await writeFile(path + SIDECAR_SUFFIX, bytes);
    const agent = await begin();
    for (const [integrity, more] of [
      ["digest", { sha256 }],
      ["pieces", { contentId }],
    ] as const) {
      const destination = join(site.directory, `by-${integrity}`);
      const snapshot = await finish(agent, { files: [{ url, destination, ...more }] });
      expect(snapshot.files[0]?.integrity).toBe(integrity);
      expect(await sha256Of(destination)).toBe(sha256);
      record(`whole file, checked by ${integrity}`, "right");
    }
  });

  test("gets ranges, or says that there are none", async (context) => {
    const { url, path } = await serve(context);
    const agent = await begin();
    const destination = join(site.directory, "ranges");
    const ranges = [
      { start: 5 * MiB + 1, end: 6 * MiB },
      { start: 100, end: 150 },
    ];
    const outcome = await finish(agent, { files: [{ url, destination, ranges }] }).then(
      () => "right",
      (error: unknown) => (error as { code?: string }).code,
    );
    const whole = await readFile(path);
    const parts = ranges.map(({ start: from, end }) => whole.subarray(from, end));
    const wanted = hasRanges ? Buffer.concat(parts) : undefined;
    const got = await readFile(destination).catch(() => undefined);
    expect(outcome).toBe(hasRanges ? "right" : "ERR_RANGES_UNSUPPORTED");
    expect(got?.toString("base64")).toBe(wanted?.toString("base64"));
    record("ranges", outcome ?? "");
  });

  test("fails where there is nothing for it", async (context) => {
    const { url } = await serve(context);
    const agent = await begin();
    const cases = [
      ["missing.bin", "ERR_ORIGIN_NOT_FOUND"],
      ...(hasForbidden ? [["forbidden/file.bin", "ERR_ORIGIN_REFUSED"] as const] : []),
    ] as const;
    for (const [where, code] of cases) {
      const destination = join(site.directory, `none-${code}`);
      const files = [{ url: new URL(where, url), destination }];
      await expect(finish(agent, { files })).rejects.toMatchObject({ code });
      record(where, code);
    }
    const names = await readdir(site.directory);
    expect(names.filter((each) => each.startsWith("none-"))).toEqual([]);
  });

  test("goes on after the agent was killed, by ranges where there are any", async (context) => {
    const { url, relay, sha256 } = await serve(context, { holdAtBytes: HOLD_AT_BYTES });
    const destination = join(await site.makeDirectory("downloads"), NAME);
    let transferredBytes = 0;
    let changedAt = 0;
    const first = site.startAgent("downloader", {
      settings: SETTINGS,
      onReport: (report) => {
        if (report.type !== "progress") return;
        if (report.snapshot.transferredBytes !== transferredBytes) changedAt = performance.now();
        ({ transferredBytes } = report.snapshot);
      },
    });
    await first.next("ready");
    first.send({ type: "download", job: { files: [{ url, destination, sha256 }] } });
    // Quiet for a while: what has come is committed, too.
    const isHalfWay = (): boolean =>
      relay.isHolding &&
      transferredBytes > HOLD_AT_BYTES / 2 &&
      performance.now() - changedAt > 500;
    await until(isHalfWay, "half of the file is there");
    await first.kill();
    expect(await readdir(dirname(destination))).not.toContain(NAME);
    const passedBefore = relay.passedBytes;
    relay.open();
    const second = site.startAgent("downloader", { settings: SETTINGS });
    await second.next("published");
    expect(await sha256Of(destination)).toBe(sha256);
    const again = relay.passedBytes - passedBefore;
    expect(again).toBeGreaterThan(hasRanges ? 0 : LENGTH);
    expect(again).toBeLessThan(hasRanges ? LENGTH - MiB : 2 * LENGTH);
    record("killed in the middle", `right; ${(again / MiB).toFixed(1)} MiB more`);
  });

  test("gets one version of a file that changes meanwhile, never a mix (R-HTTP-11)", async (context) => {
    const { url, path, relay, sha256 } = await serve(context, { holdAtBytes: HOLD_AT_BYTES });
    const agent = await begin();
    const destination = join(site.directory, "changed");
    const fetched = finish(agent, { files: [{ url, destination }] });
    await until(() => relay.isHolding, "the middle of the file");
    await writeVersion(`${path}.new`, 2);
    const newSha256 = await sha256Of(`${path}.new`);
    await rename(`${path}.new`, path);
    relay.open();
    await fetched;
    // One stream goes on with the file it was opened on.
    const wanted = hasRanges ? newSha256 : sha256;
    expect(await sha256Of(destination)).toBe(wanted);
    record("changed in the middle", hasRanges ? "the new file" : "the old file");
  });

  test("uses at most 4 connections for a job, and 16 for many (R-HTTP-09)", async (context) => {
    const { url, relay } = await serve(context);
    const agent = await begin();
    const fetch = (name: string): Promise<JobSnapshot> =>
      finish(agent, {
        files: [{ url: `${url}?${name}`, destination: join(site.directory, name) }],
      });
    await fetch("one");
    const peakOfOne = relay.connectionsPeak;
    await Promise.all(["a", "b", "c", "d", "e", "f"].map(fetch));
    expect(peakOfOne).toBeLessThanOrEqual(4);
    expect(relay.connectionsPeak).toBeLessThanOrEqual(16);
    record("connections of one job, of six", `${peakOfOne}, ${relay.connectionsPeak}`);
  });
});

interface Served {
  readonly path: string;
  readonly relay: Relay;
  readonly url: string;
  readonly sha256: string;
}

/** Versions differ in every byte and in their time; both times are long past, as strong tags need. */
async function writeVersion(path: string, version: number): Promise<void> {
  const bytes = randomBytes(LENGTH);
  for (let i = 0; i < LENGTH; i++) bytes[i] = ((bytes[i] ?? 0) & 0xfe) | (version & 1);
  await writeFile(path, bytes);
  const writtenAt = new Date(Date.UTC(2026, 0, version));
  await utimes(path, writtenAt, writtenAt);
}

async function finish(agent: Agent, options: CreateJobOptions): Promise<JobSnapshot> {
  const job = await agent.jobs.createJob({ ...options, failOnTransient: true });
  const snapshot = await job.transferred;
  await job.acknowledge();
  return snapshot;
}

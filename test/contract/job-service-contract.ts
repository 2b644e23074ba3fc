/**
 * The job service's contract (jobs `job-service.ts`), as tests that every transport passes. The
 * harness provides services of three callers on one engine; one engine serves all tests.
 */
import { randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, realpath, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { MiB } from "@shoal/core";
import type { JobChange, JobFileSpec, JobId, JobSnapshot, JobState } from "@shoal/core";
import type { JobService, ServiceJobRequest } from "@shoal/jobs";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { serveFiles } from "../../examples/origin/serve-files.ts";
import type { FileOrigin } from "../../examples/origin/serve-files.ts";
import { until } from "../integration/harness.ts";
import type { CallerName } from "./job-service-engine.ts";
import { describeStreams } from "./job-service-streams.ts";

export interface JobServiceHarness {
  /** A new service; the test closes it. */
  open(caller: CallerName): Promise<JobService>;
  /** Ends the engine; returns what it should not have left. */
  end(): Promise<readonly unknown[]>;
}

/** What the tests of one harness share. */
export interface JobServiceSite {
  readonly content: Buffer;
  /** A service that is closed when the test ends. */
  readonly open: (caller?: CallerName) => Promise<JobService>;
  /** A free path for a destination. */
  readonly newPath: () => string;
  /** Where `content` is, or where nothing is. */
  readonly urlOf: (name?: string) => string;
}

const LENGTH = 3 * MiB + 17;

/** A request that waits for `resume`, unless it is said otherwise. */
export function requestOf(
  files: readonly JobFileSpec[],
  changes: Partial<ServiceJobRequest> = {},
): ServiceJobRequest {
  return {
    jobId: randomUUID(),
    displayName: "contract",
    priority: "normal",
    overwrite: false,
    allowsCellular: true,
    isVolatile: false,
    attributes: {},
    startSuspended: true,
    files,
    ...changes,
  };
}

/** Polls the job until it is in the state; fails when it is in `error` instead. */
export async function reached(
  service: JobService,
  jobId: JobId,
  state: JobState,
): Promise<JobSnapshot> {
  let snapshot: JobSnapshot | undefined;
  const isThere = async (): Promise<boolean> => {
    snapshot = await service.snapshot(jobId);
    return snapshot?.state === state || snapshot?.state === "error";
  };
  await until(isThere, `the job is ${state}`);
  expect(snapshot).toMatchObject({ state });
  return snapshot as JobSnapshot;
}

export function describeJobServiceContract(
  name: string,
  start: (directory: string) => Promise<JobServiceHarness>,
): void {
  describe(`job service, ${name}`, () => {
    const content = Buffer.alloc(LENGTH, "shoal ");
    let directory: string;
    let origin: FileOrigin;
    let harness: JobServiceHarness;

    beforeAll(async () => {
      directory = await realpath(await mkdtemp(join(tmpdir(), "shoal-jobs-")));
      for (let at = 0; at < LENGTH - 4; at += 4096) content.writeUInt32BE(at, at);
      await writeFile(join(directory, "content"), content);
      origin = await serveFiles({ content: join(directory, "content") });
      harness = await start(directory);
    });

    afterAll(async () => {
      const leftovers = await harness.end();
      await origin.close();
      await rm(directory, { recursive: true, force: true });
      expect(leftovers).toEqual([]);
    });

    const site: JobServiceSite = {
      content,
      urlOf: (path = "content") => origin.urlOf(path),
      newPath: () => join(directory, randomUUID()),
      open: async (caller = "alice") => {
        const service = await harness.open(caller);
        onTestFinished(() => service.close());
        return service;
      },
    };
    describeLives(site);
    describeRefusals(site);
    describeOwners(site);
    describeStreams(site);
    describeWatching(site);
  });
}

function describeLives({ open, newPath, content, urlOf }: JobServiceSite): void {
  it("takes a job from its creation to its file", async () => {
    const service = await open();
    const destination = newPath();
    const request = requestOf([{ url: urlOf(), destination }], { startSuspended: false });
    const jobId = await service.createJob(request);
    expect(jobId).toBe(request.jobId);
    const snapshot = await reached(service, jobId, "transferred");
    expect(snapshot.files[0]).toMatchObject({ phase: "transferred", length: content.length });
    expect(JSON.parse(JSON.stringify(snapshot))).toEqual(snapshot);
    const response = await service.fileResponse({ jobId, fileIndex: 0 });
    expect(response).toMatchObject({ address: "127.0.0.1", url: urlOf() });
    const outcome = await service.applyVerb(jobId, "acknowledge");
    expect(outcome).toEqual({ isPartial: false, undeletedCount: 0 });
    expect(content.equals(await readFile(destination))).toBe(true);
    expect(await service.snapshot(jobId)).toMatchObject({ state: "acknowledged" });
  });

  it("explains a job and each of its files to whoever may see it, without secrets (R-LOG-01)", async () => {
    const service = await open();
    const url = `${urlOf()}?token=secret`;
    const files = Array.from({ length: 50 }, () => ({ url, destination: newPath() }));
    const jobId = await service.createJob(requestOf(files));
    const explanation = await service.explain(jobId);
    expect(explanation).toMatchObject({ jobId, state: "suspended", policies: [] });
    expect(explanation?.verdicts).toMatchObject([{ code: "suspended" }]);
    expect(explanation?.files.map(({ destination }) => destination)).toEqual(
      files.map(({ destination }) => destination),
    );
    expect(JSON.stringify(explanation)).not.toContain("secret");
    const bob = await open("bob");
    await expect(bob.explain(jobId)).rejects.toMatchObject({ code: "ERR_ACCESS_DENIED" });
    expect(await service.explain(randomUUID())).toBeUndefined();
    await service.applyVerb(jobId, "cancel");
  });

  it("shows and lifts bans for administrators alone (R-BAN-05)", async () => {
    const root = await open("administrator");
    expect(await root.bans()).toEqual([]);
    expect(await root.removeBan("10.0.0.7")).toBe(false);
    const alice = await open();
    await expect(alice.bans()).rejects.toMatchObject({ code: "ERR_ACCESS_DENIED" });
    await expect(alice.removeBan("10.0.0.7")).rejects.toMatchObject({ code: "ERR_ACCESS_DENIED" });
  });

  it("lists jobs without their files, the oldest first, however long the list", async () => {
    const service = await open();
    const attributes = Object.fromEntries(
      Array.from({ length: 8 }, (_, i) => [`a${i}`, "\u0001é".repeat(2_000)]),
    );
    const before = (await service.list()).length;
    const requests = Array.from({ length: 12 }, () => requestOf([], { attributes }));
    for (const request of requests) await service.createJob(request);
    const list = (await service.list()).slice(before);
    expect(list.map(({ jobId }) => jobId)).toEqual(requests.map(({ jobId }) => jobId));
    expect(list[0]).toMatchObject({ owner: "alice", state: "suspended", attributes });
    expect(list[0]).not.toHaveProperty("files");
    for (const { jobId } of requests) await service.applyVerb(jobId, "cancel");
  });

  it("shows every file of a job that has many", async () => {
    const service = await open();
    const files = Array.from({ length: 200 }, () => ({
      url: `${urlOf()}?${"x".repeat(4_000)}`,
      destination: newPath(),
    }));
    const jobId = await service.createJob(requestOf(files));
    const snapshot = await service.snapshot(jobId);
    expect(snapshot?.files.map(({ destination }) => destination)).toEqual(
      files.map(({ destination }) => destination),
    );
    await service.applyVerb(jobId, "cancel");
  });

  it("changes values, files, and ranges", async () => {
    const service = await open();
    const file = { url: urlOf(), destination: newPath(), ranges: [{ offset: 0, length: 10 }] };
    const noProgressTimeoutMs = 7_000;
    const jobId = await service.createJob(requestOf([file], { noProgressTimeoutMs }));
    const added = { url: urlOf(), destination: newPath() };
    const changes: JobChange[] = [
      { type: "setJob", values: { displayName: "another", noProgressTimeoutMs: null } },
      { type: "addFiles", files: [added] },
      { type: "setFile", fileIndex: 1, values: { fileId: "second" } },
      { type: "addRanges", fileIndex: 0, ranges: [{ offset: 20, length: 5 }] },
    ];
    for (const change of changes) await service.changeJob(jobId, change);
    const snapshot = await service.snapshot(jobId);
    expect(snapshot).toMatchObject({
      displayName: "another",
      files: [{ ranges: [{ offset: 0 }, { offset: 20 }] }, { fileId: "second" }],
    });
    expect(snapshot?.noProgressTimeoutMs).not.toBe(noProgressTimeoutMs);
    await service.applyVerb(jobId, "cancel");
  });

  it("holds the same key of the same caller for the same job", async () => {
    const alice = await open();
    const request = requestOf([], { idempotencyKey: randomUUID() });
    const jobId = await alice.createJob(request);
    expect(await alice.createJob({ ...request, jobId: randomUUID() })).toBe(jobId);
    await expect(alice.createJob({ ...request, displayName: "else" })).rejects.toMatchObject({
      code: "ERR_IDEMPOTENCY_CONFLICT",
    });
    const bob = await open("bob");
    const another = randomUUID();
    expect(await bob.createJob({ ...request, jobId: another })).toBe(another);
    await alice.applyVerb(jobId, "cancel");
    await bob.applyVerb(another, "cancel");
  });

  it("answers thousands of calls at once", async () => {
    const service = await open();
    const jobId = await service.createJob(requestOf([]));
    const snapshots = Array.from({ length: 2_000 }, () => service.snapshot(jobId));
    for (const snapshot of await Promise.all(snapshots)) expect(snapshot?.jobId).toBe(jobId);
    const verbs = Array.from({ length: 1_200 }, () => service.applyVerb(jobId, "suspend"));
    expect(await Promise.all(verbs)).toHaveLength(1_200);
    await service.applyVerb(jobId, "cancel");
  });
}

function describeRefusals({ open, newPath, urlOf }: JobServiceSite): void {
  it("applies a verb only while its guard holds, and the state allows it", async () => {
    const service = await open();
    const jobId = await service.createJob(requestOf([{ url: urlOf(), destination: newPath() }]));
    const refused = { code: "ERR_JOB_STATE" };
    const guarded = service.applyVerb(jobId, "cancel", { states: ["transferred"] });
    await expect(guarded).rejects.toMatchObject(refused);
    const started = service.applyVerb(jobId, "cancel", { hasStarted: true });
    await expect(started).rejects.toMatchObject(refused);
    const change = { type: "setJob", values: { displayName: "another" } } as const;
    const changed = service.changeJob(jobId, change, { states: ["error"] });
    await expect(changed).rejects.toMatchObject(refused);
    expect(await service.snapshot(jobId)).toMatchObject({
      state: "suspended",
      displayName: "contract",
    });
    await service.applyVerb(jobId, "cancel", { states: ["suspended"], hasStarted: false });
    await expect(service.applyVerb(jobId, "resume")).rejects.toMatchObject(refused);
  });

  it("knows nothing of jobs and files there are not", async () => {
    const service = await open();
    const nowhere = { jobId: randomUUID(), fileIndex: 0 };
    expect(await service.snapshot(nowhere.jobId)).toBeUndefined();
    expect(await service.fileSpec(nowhere)).toBeUndefined();
    expect(await service.fileResponse(nowhere)).toBeUndefined();
    const missing = { code: "ERR_JOB_NOT_FOUND" };
    await expect(service.applyVerb(nowhere.jobId, "cancel")).rejects.toMatchObject(missing);
    const change = { type: "setJob", values: {} } as const;
    await expect(service.changeJob(nowhere.jobId, change)).rejects.toMatchObject(missing);
    const taker = { write: () => Promise.resolve() };
    await expect(service.attachStream(nowhere, taker)).rejects.toMatchObject(missing);
    const jobId = await service.createJob(requestOf([]));
    expect(await service.fileSpec({ jobId, fileIndex: 0 })).toBeUndefined();
    await service.applyVerb(jobId, "cancel");
  });

  it.each([
    ["an id that is no UUID", "ERR_USAGE", { jobId: "7" }],
    ["a name that is too long", "ERR_USAGE", { displayName: "x".repeat(257) }],
    ["an unknown priority", "ERR_USAGE", { priority: "urgent" }],
    ["a timeout that is no number", "ERR_USAGE", { noProgressTimeoutMs: NaN }],
    ["a timeout without end", "ERR_USAGE", { noProgressTimeoutMs: Infinity }],
    ["files that are no list", "ERR_USAGE", { files: 7 }],
    ["a file that is none", "ERR_USAGE", { files: [null] }],
    ["an unknown field", "ERR_USAGE", { unknown: true }],
    ["another protocol", "ERR_URL_INVALID", { files: [{ url: "ftp://127.0.0.1/" }] }],
    ["a relative path", "ERR_DESTINATION_INVALID", { files: [{ destination: "a" }] }],
    [
      "a path of a megabyte",
      "ERR_DESTINATION_INVALID",
      { files: [{ destination: "\u0001".repeat(MiB / 2) }] },
    ],
    [
      "no destination",
      "ERR_SINK_MISSING",
      { files: [{ url: "http://a/" }], startSuspended: false },
    ],
  ])("refuses a request with %s, and makes nothing of it", async (_, code, changes) => {
    const service = await open();
    const before = await service.list();
    const request = { ...requestOf([]), ...changes } as ServiceJobRequest;
    await expect(service.createJob(request)).rejects.toMatchObject({ code });
    expect(await service.list()).toEqual(before);
  });

  it("refuses numbers that a change cannot mean, and leaves what was", async () => {
    const service = await open();
    const noProgressTimeoutMs = 7_000;
    const jobId = await service.createJob(requestOf([], { noProgressTimeoutMs }));
    const change = { type: "setJob", values: { noProgressTimeoutMs: NaN } } as const;
    await expect(service.changeJob(jobId, change)).rejects.toMatchObject({ code: "ERR_USAGE" });
    expect(await service.snapshot(jobId)).toMatchObject({ noProgressTimeoutMs });
    await service.applyVerb(jobId, "cancel");
  });

  it("carries code, message and the origin's status of what failed", async () => {
    const service = await open();
    const file = { url: urlOf("missing"), destination: newPath() };
    const jobId = await service.createJob(requestOf([file], { startSuspended: false }));
    await until(async () => (await service.snapshot(jobId))?.state === "error", "the job fails");
    expect((await service.snapshot(jobId))?.error).toMatchObject({
      code: "ERR_ORIGIN_NOT_FOUND",
      originStatus: 404,
    });
    expect(existsSync(file.destination)).toBe(false);
    const taken = service.createJob(requestOf([{ ...file, url: urlOf() }]));
    await expect(taken).rejects.toMatchObject({
      code: "ERR_DESTINATION_TAKEN",
      message: `The destination belongs to another job: ${file.destination}`,
    });
    await service.applyVerb(jobId, "cancel");
  });
}

function describeOwners({ open, newPath, urlOf }: JobServiceSite): void {
  it("keeps a caller from everything of another's jobs (R-API-13)", async () => {
    const [alice, bob] = [await open("alice"), await open("bob")];
    const heard: JobId[] = [];
    bob.watch({ changed: (jobId) => heard.push(jobId), closed: () => {} });
    const jobId = await alice.createJob(requestOf([{ url: urlOf(), destination: newPath() }]));
    const file = { jobId, fileIndex: 0 };
    const denied = { code: "ERR_ACCESS_DENIED" };
    const change = { type: "setJob", values: { displayName: "mine" } } as const;
    const taker = { write: () => Promise.resolve() };
    for (const attempt of [
      () => bob.snapshot(jobId),
      () => bob.applyVerb(jobId, "cancel"),
      () => bob.changeJob(jobId, change),
      () => bob.fileSpec(file),
      () => bob.fileResponse(file),
      () => bob.attachStream(file, taker),
    ]) {
      await expect(attempt()).rejects.toMatchObject(denied);
    }
    expect((await bob.list()).map((job) => job.jobId)).not.toContain(jobId);
    expect(await alice.snapshot(jobId)).toMatchObject({ displayName: "contract" });
    await alice.applyVerb(jobId, "cancel");
    expect(heard).not.toContain(jobId);
  });

  it("lets nobody but administrators have a file announced", async () => {
    const announcement = { path: newPath(), signed: "" };
    const alice = await open("alice");
    const denied = { code: "ERR_ACCESS_DENIED" };
    await expect(alice.announce(announcement)).rejects.toMatchObject(denied);
    // The agent behind this service has no place for files of this machine.
    const root = await open("administrator");
    const unsupported = { code: "ERR_FEATURE_UNSUPPORTED" };
    await expect(root.announce(announcement)).rejects.toMatchObject(unsupported);
  });

  it("lets administrators see and change all jobs", async () => {
    const [alice, root] = [await open("alice"), await open("administrator")];
    const jobId = await alice.createJob(requestOf([]));
    expect(await root.snapshot(jobId)).toMatchObject({ owner: "alice" });
    expect((await root.list()).map((job) => job.jobId)).toContain(jobId);
    await root.applyVerb(jobId, "cancel");
    expect(await alice.snapshot(jobId)).toMatchObject({ state: "cancelled" });
  });

  it("takes nobody's word for who they are", async () => {
    const bob = await open("bob");
    const request = { ...requestOf([]), owner: "alice", isAdministrator: true };
    await bob.createJob(request);
    expect(await bob.snapshot(request.jobId)).toMatchObject({ owner: "bob" });
    await bob.applyVerb(request.jobId, "cancel");
  });

  it("gives header fields back by fileSpec alone (R-API-13)", async () => {
    const service = await open();
    const request = { headers: [["x-secret", "open sesame"]] } as const;
    const spec = { url: urlOf(), destination: newPath(), request };
    const jobId = await service.createJob(requestOf([spec]));
    expect(await service.fileSpec({ jobId, fileIndex: 0 })).toEqual(spec);
    const shown = JSON.stringify([await service.snapshot(jobId), await service.list()]);
    expect(shown).not.toContain("sesame");
    await service.applyVerb(jobId, "cancel");
  });
}

function describeWatching({ open, newPath, urlOf }: JobServiceSite): void {
  it("tells watchers what has become of a job, until they are gone", async () => {
    const service = await open();
    const heard = new Map<JobId, JobState>();
    const other: JobId[] = [];
    const changed = (jobId: JobId, state: JobState): void => void heard.set(jobId, state);
    const unwatch = service.watch({ changed, closed: () => {} });
    service.watch({ changed: (jobId) => other.push(jobId), closed: () => {} });
    const file = { url: urlOf(), destination: newPath() };
    const jobId = await service.createJob(requestOf([file], { startSuspended: false }));
    await until(() => heard.get(jobId) === "transferred", "the watcher hears of the end");
    unwatch();
    unwatch();
    other.length = 0;
    await service.applyVerb(jobId, "cancel");
    await until(() => other.length > 0, "the other watcher hears of the cancelling");
    expect(heard.get(jobId)).toBe("transferred");
  });

  it("ends what waits when it is closed, and lets jobs go on", async () => {
    const service = await open();
    const jobId = await service.createJob(requestOf([]));
    const closed: unknown[] = [];
    service.watch({ changed: () => {}, closed: (error) => closed.push(error.code) });
    const waiting = service.applyVerb(jobId, "suspend");
    const ended = { code: "ERR_AGENT_CLOSED" };
    service.close();
    service.close();
    await expect(waiting).rejects.toMatchObject(ended);
    for (const attempt of [
      () => service.list(),
      () => service.snapshot(jobId),
      () => service.createJob(requestOf([])),
      () => service.applyVerb(jobId, "cancel"),
      () => service.fileSpec({ jobId, fileIndex: 0 }),
    ]) {
      await expect(attempt()).rejects.toMatchObject(ended);
    }
    service.watch({ changed: () => {}, closed: (error) => closed.push(error.code) });
    expect(closed).toEqual(["ERR_AGENT_CLOSED", "ERR_AGENT_CLOSED"]);
    const another = await open();
    expect(await another.snapshot(jobId)).toMatchObject({ state: "suspended" });
    await another.applyVerb(jobId, "cancel");
  });
}

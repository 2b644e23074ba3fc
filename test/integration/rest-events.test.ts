/** Events of the REST API: ids, resumption, what was missed, filters, and watchers who are slow. */
import { get } from "node:http";
import type { IncomingMessage } from "node:http";
import { LIMITS } from "@shoal/core";
import type { JobService } from "@shoal/jobs";
import { afterAll, beforeAll, expect, it, onTestFinished } from "vitest";
import { requestOf } from "../contract/job-service-contract.ts";
import { until } from "./harness.ts";
import { RestSite } from "./rest-site.ts";

interface Heard {
  readonly id: number;
  readonly event: string;
  readonly data: Readonly<Record<string, unknown>>;
}

let rest: RestSite;
let jobs: JobService;
beforeAll(async () => {
  rest = await RestSite.open();
  jobs = rest.agent.jobService();
});
afterAll(() => rest[Symbol.asyncDispose]());

interface Watching {
  readonly heard: Heard[];
  readonly response: IncomingMessage;
}

async function watch(path = "/v1/events", headers: Record<string, string> = {}): Promise<Watching> {
  const { promise, resolve } = Promise.withResolvers<IncomingMessage>();
  const all = { host: "localhost", ...headers };
  get({ socketPath: rest.socketPath, path, headers: all, agent: false }, resolve);
  const response = await promise;
  onTestFinished(() => void response.destroy());
  const heard: Heard[] = [];
  let text = "";
  response.setEncoding("utf8");
  response.on("error", () => {});
  response.on("data", (chunk: string) => {
    text += chunk;
    const blocks = text.split("\n\n");
    text = blocks.pop() ?? "";
    for (const block of blocks) {
      const fields = Object.fromEntries(
        block.split("\n").map((line) => line.split(/: (.*)/s).slice(0, 2)),
      ) as Record<string, string>;
      if (fields["event"] === undefined) continue;
      const data = JSON.parse(fields["data"] ?? "{}") as Heard["data"];
      heard.push({ id: Number(fields["id"]), event: fields["event"], data });
    }
  });
  return { heard, response };
}

/** A job that has come and gone. */
async function live(): Promise<string> {
  const jobId = await jobs.createJob(requestOf([]));
  await jobs.applyVerb(jobId, "cancel");
  return jobId;
}

/** So many events at least, and as fast as they come. */
async function liveMany(eventCount: number): Promise<void> {
  const width = 256;
  for (let told = 0; told < eventCount; told += 2 * width) {
    await Promise.all(Array.from({ length: width }, live));
  }
}

const isEndOf =
  (jobId: string) =>
  ({ data }: Heard): boolean =>
    data["jobId"] === jobId && data["state"] === "cancelled";

it("gives ids that rise, and goes on behind the last one that was seen", async () => {
  const first = await watch();
  const before = await live();
  await until(() => first.heard.some(isEndOf(before)), "the first job is told of");
  const last = first.heard.at(-1)?.id ?? 0;
  first.response.destroy();
  const missed = await live();
  const second = await watch("/v1/events", { "last-event-id": String(last) });
  await until(() => second.heard.some(isEndOf(missed)), "what was missed is told");
  expect(second.heard.some(isEndOf(before))).toBe(false);
  const ids = [...first.heard, ...second.heard].map(({ id }) => id);
  expect(ids).toEqual(ids.toSorted((a, b) => a - b));
  expect(new Set(ids).size).toBe(ids.length);
});

it.each(["0", "1", "9999999999999999", "nonsense"])(
  "says reset to who has seen %s, which is not there",
  async (lastEventId) => {
    const { heard } = await watch("/v1/events", { "last-event-id": lastEventId });
    await until(() => heard.length > 0, "something is told");
    expect(heard[0]?.event).toBe("reset");
    const jobId = await live();
    await until(() => heard.some(isEndOf(jobId)), "and it goes on from there");
  },
);

it("says reset where more has happened than is kept", async () => {
  const { heard, response } = await watch();
  await live();
  await until(() => heard.length > 0, "something is told");
  const seen = heard[0]?.id ?? 0;
  await liveMany(LIMITS.restEventsKeptMax + 1);
  response.destroy();
  const again = await watch("/v1/events", { "last-event-id": String(seen) });
  await until(() => again.heard.length > 0, "something is told");
  expect(again.heard[0]?.event).toBe("reset");
});

it("tells of one job, or of some types, to who asks for no more", async () => {
  const jobId = await jobs.createJob(requestOf([]));
  const ofJob = await watch(`/v1/jobs/${jobId}/events`);
  const ofNothing = await watch("/v1/events?types=peerBanned,policyChanged");
  const other = await live();
  await jobs.applyVerb(jobId, "cancel");
  await until(() => ofJob.heard.some(isEndOf(jobId)), "the job's end is told");
  expect(ofJob.heard.some(({ data }) => data["jobId"] === other)).toBe(false);
  expect(ofNothing.heard).toEqual([]);
  const missing = await rest.ask({ path: "/v1/jobs/none/events" });
  expect(missing.status).toBe(404);
});

it("tells no more often of a job than its state changes, or four times a second", async () => {
  const { heard } = await watch();
  const jobId = await jobs.createJob(requestOf([]));
  const startedAt = performance.now();
  for (let i = 0; i < 300; i++) {
    const values = { displayName: `name ${i}` };
    await jobs.changeJob(jobId, { type: "setJob", values });
  }
  await jobs.applyVerb(jobId, "cancel");
  await until(() => heard.some(isEndOf(jobId)), "the end is told");
  const elapsedMs = performance.now() - startedAt;
  const told = heard.filter(({ data }) => data["jobId"] === jobId);
  const countMax = elapsedMs / LIMITS.restJobEventIntervalMs + 4;
  expect(told.length).toBeLessThanOrEqual(countMax);
});

it("holds no more for a watcher who does not read, and tells it that it missed something", async () => {
  const { heard, response } = await watch();
  response.pause();
  await liveMany(3 * LIMITS.restEventsKeptMax);
  response.resume();
  await until(() => heard.some(({ event }) => event === "reset"), "what it missed is said");
  const last = await live();
  await until(() => heard.some(isEndOf(last)), "and it goes on from there");
  const ids = heard.map(({ id }) => id);
  expect(ids).toEqual(ids.toSorted((a, b) => a - b));
});

it("keeps no secret in an event (R-API-13)", async () => {
  const { heard } = await watch();
  const request = { headers: [["x-secret", "open sesame"]] } as const;
  const url = "http://127.0.0.1:9/?token=sesame";
  const destination = `${rest.site.directory}/secret.bin`;
  const jobId = await jobs.createJob(requestOf([{ url, destination, request }]));
  await jobs.applyVerb(jobId, "cancel");
  await until(() => heard.some(isEndOf(jobId)), "the end is told");
  expect(JSON.stringify(heard)).not.toContain("sesame");
});

it("ends with the agent", async () => {
  await using another = await RestSite.open();
  const { promise, resolve } = Promise.withResolvers<IncomingMessage>();
  const headers = { host: "localhost" };
  get({ socketPath: another.socketPath, path: "/v1/events", headers, agent: false }, resolve);
  const response = await promise;
  response.on("error", () => {});
  response.resume();
  await another.agent.close();
  await until(() => response.closed, "the answer ends");
  expect(response.closed).toBe(true);
});

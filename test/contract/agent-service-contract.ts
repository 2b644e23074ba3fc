/**
 * The agent service's contract (agent `service/agent-service.ts`), as tests that the local service and
 * the remote one pass. One agent serves all tests of a harness.
 */
import { randomUUID } from "node:crypto";
import { mkdtemp, realpath, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startAgent } from "@shoal/agent";
import type { Agent, AgentEvent, AgentService } from "@shoal/agent";
import { COUNTERS, SETTINGS } from "@shoal/core";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { until } from "../integration/harness.ts";
import { requestOf } from "./job-service-contract.ts";

/** Who asks. */
export type AgentCallerName = "local" | "guest";

export interface AgentServiceHarness {
  /** A new service; the test closes it. */
  open(caller: AgentCallerName): Promise<AgentService>;
  end(): Promise<void>;
}

export function describeAgentServiceContract(
  name: string,
  start: (agent: Agent, directory: string) => Promise<AgentServiceHarness>,
): void {
  describe(`agent service, ${name}`, () => {
    let directory: string;
    let agent: Agent;
    let harness: AgentServiceHarness;

    beforeAll(async () => {
      directory = await realpath(await mkdtemp(join(tmpdir(), "shoal-service-")));
      agent = await startAgent({
        stateDirectory: join(directory, "state"),
        mdns: false,
        listen: [],
        service: {
          diagnose: async () => [
            { id: "a.b", title: "A", result: "pass", finding: "It is well.", facts: { n: 1 } },
          ],
        },
      });
      harness = await start(agent, directory);
    });

    afterAll(async () => {
      await harness.end();
      await agent.close();
      await rm(directory, { recursive: true, force: true });
    });

    const open = async (caller: AgentCallerName = "local"): Promise<AgentService> => {
      const service = await harness.open(caller);
      onTestFinished(() => service.close());
      return service;
    };
    describeFacts(open, () => agent);
    describeChanges(open, () => directory);
    describeEvents(open);
  });
}

type Open = (caller?: AgentCallerName) => Promise<AgentService>;

function describeFacts(open: Open, agentOf: () => Agent): void {
  it("says what the agent is", async () => {
    const service = await open();
    const facts = await service.facts();
    expect(facts).toMatchObject({
      processId: process.pid,
      peerId: agentOf().peerId,
      isSafeMode: false,
      nodeVersion: process.versions.node,
    });
    expect(await service.facts()).toEqual(facts);
  });

  it("answers every question in plain JSON", async () => {
    const service = await open();
    const answers = await Promise.all([
      service.facts(),
      service.contents(),
      service.peers(),
      service.bans(),
      service.performance(),
      service.month(),
      service.traffic(),
      service.counters(),
      service.cache(),
      service.configuration(),
      service.log(),
      service.diagnose(),
    ]);
    for (const answer of answers) expect(JSON.parse(JSON.stringify(answer))).toEqual(answer);
  });

  it("counts what docs/metrics.md lists, and says who provided each setting", async () => {
    const service = await open();
    expect(Object.keys(await service.counters()).toSorted()).toEqual(
      Object.keys(COUNTERS).toSorted(),
    );
    const { settings } = await service.configuration();
    expect(settings.map(({ name }) => name).toSorted()).toEqual(Object.keys(SETTINGS).toSorted());
  });

  it("says what was checked, and what is not there in this agent", async () => {
    const service = await open();
    expect(await service.diagnose()).toEqual([
      { id: "a.b", title: "A", result: "pass", finding: "It is well.", facts: { n: 1 } },
    ]);
    await expect(service.reload()).rejects.toMatchObject({ code: "ERR_FEATURE_UNSUPPORTED" });
  });

  it("tells log records apart from those that were seen", async () => {
    const service = await open();
    const records = await service.log();
    const last = records.at(-1)?.sequence ?? 0;
    expect(await service.log(last)).toEqual([]);
  });

  it("is for administrators, apart from jobs of the caller's own", async () => {
    const guest = await open("guest");
    const denied = { code: "ERR_ACCESS_DENIED" };
    for (const ask of [
      () => guest.facts(),
      () => guest.contents(),
      () => guest.cache(),
      () => guest.configuration(),
      () => guest.changeSettings({}),
      () => guest.share("/etc/passwd"),
      () => guest.log(),
    ]) {
      await expect(ask()).rejects.toMatchObject(denied);
    }
    const jobId = await guest.jobs.createJob(requestOf([]));
    expect(await guest.jobs.snapshot(jobId)).toMatchObject({ owner: "guest" });
    await guest.jobs.applyVerb(jobId, "cancel");
  });
}

function describeChanges(open: Open, directoryOf: () => string): void {
  it("shares a file, keeps it in view, and refuses what cannot be read", async () => {
    const service = await open();
    const path = join(directoryOf(), "shared.bin");
    await writeFile(path, Buffer.alloc(200_000, randomUUID()));
    const contentId = await service.share(path);
    const contents = await service.contents();
    expect(contents).toMatchObject([{ contentId, length: 200_000, heldBytes: 200_000 }]);
    expect(await service.peers(contentId)).toEqual([]);
    const missing = service.share(join(directoryOf(), "missing"));
    await expect(missing).rejects.toMatchObject({ code: "ERR_FILE_UNREADABLE" });
    await expect(service.share("relative")).rejects.toMatchObject({ code: "ERR_USAGE" });
  });

  it("changes settings that may change while it runs, and refuses others whole", async () => {
    const service = await open();
    const { uploadRateBytesPerSec: before } = await valuesOf(service);
    const changed = await service.changeSettings({ uploadRateBytesPerSec: 123_456 });
    const found = changed.settings.find(({ name }) => name === "uploadRateBytesPerSec");
    expect(found).toBeDefined();
    const invalid = { code: "ERR_SETTING_INVALID" };
    const wrong = service.changeSettings({ uploadRateBytesPerSec: -1 });
    await expect(wrong).rejects.toMatchObject(invalid);
    await expect(service.changeSettings({ nothing: 1 })).rejects.toMatchObject(invalid);
    await service.changeSettings({ uploadRateBytesPerSec: before ?? 0 });
  });

  it("refuses what is no peer, no content, and no announcement", async () => {
    const service = await open();
    const peer = service.addPeer("/ip4/192.0.2.1");
    await expect(peer).rejects.toMatchObject({ code: "ERR_PEER_ADDRESS_INVALID" });
    const contentId = "bafyreiba2csl5fgcaakvugy4xlgcwy2j3vxwj6y6vnhwcozmo7gfqpmupm";
    const pin = service.changeCache({ verb: "pin", contentId });
    await expect(pin).rejects.toMatchObject({ code: "ERR_CONTENT_NOT_CACHED" });
    const announced = service.announce("AAAA");
    await expect(announced).rejects.toMatchObject({ code: "ERR_MANIFEST_MALFORMED" });
    expect(await service.removeBan("192.0.2.1")).toBe(false);
    expect(await service.changeCache({ verb: "clear", includePinned: false })).toEqual([]);
  });
}

async function valuesOf(service: AgentService): Promise<Readonly<Record<string, number>>> {
  const { settings } = await service.configuration();
  return Object.fromEntries(settings.map(({ name, value }) => [name, value]));
}

function describeEvents(open: Open): void {
  it("tells watchers of jobs in order, until they go or it is closed", async () => {
    const service = await open();
    const heard: AgentEvent[] = [];
    const closed: unknown[] = [];
    const unwatch = service.watch({
      happened: (event) => heard.push(event),
      closed: (error) => closed.push(error),
    });
    const jobId = await service.jobs.createJob(requestOf([]));
    await service.jobs.applyVerb(jobId, "cancel");
    const isOver = (event: AgentEvent): boolean =>
      event.type === "jobChanged" && event["jobId"] === jobId && event["state"] === "cancelled";
    await until(() => heard.some(isOver), "the end of the job is told");
    const sequences = heard.map(({ sequence }) => sequence);
    expect(sequences).toEqual(sequences.toSorted((a, b) => a - b));
    unwatch();
    unwatch();
    expect(closed).toEqual([]);
    service.watch({ happened: () => {}, closed: (error) => closed.push(error) });
    service.close();
    expect(closed).toMatchObject([{ code: "ERR_AGENT_CLOSED" }]);
    await expect(service.facts()).rejects.toMatchObject({ code: "ERR_AGENT_CLOSED" });
  });
}

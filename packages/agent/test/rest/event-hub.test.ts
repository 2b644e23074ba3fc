import type { JobId, JobState } from "@shoal/core";
import type { ServiceWatcher } from "@shoal/jobs";
import { expect, test } from "vitest";
import { EventHub } from "../../src/rest/event-hub.ts";
import type { AgentService, AgentWatcher } from "../../src/service/agent-service.ts";

/** A service whose events the test makes. */
class Told {
  readonly jobWatchers = new Set<ServiceWatcher>();
  readonly watchers = new Set<AgentWatcher>();
  readonly service = {
    jobs: { watch: (watcher: ServiceWatcher) => add(this.jobWatchers, watcher) },
    watch: (watcher: AgentWatcher) => add(this.watchers, watcher),
  } as unknown as AgentService;

  change(jobId: JobId, state: JobState): void {
    for (const watcher of this.jobWatchers) watcher.changed(jobId, state);
  }

  happen(type: string): void {
    for (const watcher of this.watchers) watcher.happened({ sequence: 1, at: 1, type });
  }
}

function add<Item>(set: Set<Item>, item: Item): () => void {
  set.add(item);
  return () => void set.delete(item);
}

const nobody = { wake: (): void => {}, beat: (): void => {}, end: (): void => {} };

test("listens to nothing while nobody watches, and once for however many do", () => {
  const told = new Told();
  const hub = new EventHub(told.service);
  expect(told.jobWatchers.size + told.watchers.size).toBe(0);
  for (let i = 0; i < 200; i++) hub.watch({ ...nobody });
  expect(told.jobWatchers.size).toBe(1);
  expect(told.watchers.size).toBe(1);
  hub.close();
  expect(told.jobWatchers.size + told.watchers.size).toBe(0);
});

test("writes each event down once, whoever reads it, and wakes watchers once for many", async () => {
  const told = new Told();
  const hub = new EventHub(told.service);
  let wakeCount = 0;
  const wake = (): void => void wakeCount++;
  for (let i = 0; i < 200; i++) hub.watch({ ...nobody, wake });
  const firstId = hub.nextId;
  for (let i = 0; i < 100; i++) told.happen("peerConnected");
  await new Promise((resolve) => setImmediate(resolve));
  expect(hub.nextId - firstId).toBe(100);
  expect(wakeCount).toBe(200);
  // The same bytes for all: what is done for one event does not grow with the watchers.
  expect(hub.eventOf(firstId)?.bytes).toBe(hub.eventOf(firstId)?.bytes);
  hub.close();
});

test("tells changes of one job that come at once as one, and each new state at once", () => {
  const told = new Told();
  const hub = new EventHub(told.service);
  hub.watch(nobody);
  const firstId = hub.nextId;
  for (let i = 0; i < 1_000; i++) told.change("a", "transferring");
  told.change("a", "transferred");
  for (let i = 0; i < 1_000; i++) told.change("b", "queued");
  const texts = Array.from({ length: hub.nextId - firstId }, (_, index) =>
    Buffer.from(hub.eventOf(firstId + index)?.bytes ?? []).toString(),
  );
  expect(texts.map((text) => /"state":"(\w+)"/.exec(text)?.[1])).toEqual([
    "transferring",
    "transferred",
    "queued",
  ]);
  hub.close();
});

test("keeps so many events, and leaves out those of the agent that say nothing more", () => {
  const told = new Told();
  const hub = new EventHub(told.service);
  hub.watch(nobody);
  const firstId = hub.nextId;
  for (const type of ["jobChanged", "ticketSettled", "pieceStored"]) told.happen(type);
  expect(hub.nextId).toBe(firstId);
  for (let i = 0; i < 5_000; i++) told.happen("peerConnected");
  expect(hub.has(firstId)).toBe(false);
  expect(hub.eventOf(firstId)).toBeUndefined();
  expect(hub.has(hub.nextId - 2_048)).toBe(true);
  hub.close();
});

test("ends its watchers once, also those who come later", () => {
  const hub = new EventHub(new Told().service);
  let endCount = 0;
  const end = (): void => void endCount++;
  hub.watch({ ...nobody, end });
  hub.close();
  hub.close();
  hub.watch({ ...nobody, end });
  expect(endCount).toBe(2);
});

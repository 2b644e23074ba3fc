import { HRESULTS } from "@shoal/core";
import { beforeEach, expect, test } from "vitest";
import {
  BG_JOB_PRIORITY,
  BG_JOB_STATE,
  BG_JOB_TYPE,
  BG_NOTIFY,
  BITS_JOB_PROPERTY_ID,
  createBackgroundCopyManager,
  DOFilePropertyId,
  GUID_NULL,
  LEGACY_IIDS,
} from "../../src/compat.ts";
import type {
  CallbackClock,
  CallbackResult,
  IBackgroundCopyCallback,
  IBackgroundCopyJob,
  IBackgroundCopyJob5,
  IBackgroundCopyManager,
} from "../../src/compat.ts";
import { LocalJobService } from "../../src/index.ts";
import { LiteralHost } from "../literal-host.ts";

const { S_OK, E_FAIL, S_FALSE } = HRESULTS;
const CLSID = "0f8fad5b-d9cb-469f-a165-70867728950e";
const ALL =
  BG_NOTIFY.BG_NOTIFY_JOB_TRANSFERRED |
  BG_NOTIFY.BG_NOTIFY_JOB_ERROR |
  BG_NOTIFY.BG_NOTIFY_JOB_MODIFICATION;

/** Moved by hand. */
class HandClock implements CallbackClock {
  at = 0;
  #timers: Array<{ readonly at: number; readonly wake: () => void }> = [];

  get timerCount(): number {
    return this.#timers.length;
  }

  now(): number {
    return this.at;
  }

  schedule(delayMs: number, wake: () => void): () => void {
    const timer = { at: this.at + delayMs, wake };
    this.#timers.push(timer);
    return () => void (this.#timers = this.#timers.filter((other) => other !== timer));
  }

  async pass(ms: number): Promise<void> {
    this.at += ms;
    const due = this.#timers.filter(({ at }) => at <= this.at);
    this.#timers = this.#timers.filter(({ at }) => at > this.at);
    for (const { wake } of due) wake();
    await settle();
  }
}

/** Lets everything that was begun come to its end: looks are promises, and nothing else waits. */
const settle = async (): Promise<void> => {
  for (let i = 0; i < 60; i++) await Promise.resolve();
};

class Hearer implements IBackgroundCopyCallback {
  readonly heard: string[] = [];
  /** Of `JobTransferred` and `JobError`; may throw. */
  answer: (job: IBackgroundCopyJob) => CallbackResult = () => S_OK;
  modified: () => CallbackResult = () => S_OK;

  JobTransferred(job: IBackgroundCopyJob): CallbackResult {
    this.heard.push("transferred");
    return this.answer(job);
  }

  JobError(job: IBackgroundCopyJob): CallbackResult {
    this.heard.push("error");
    return this.answer(job);
  }

  JobModification(): CallbackResult {
    this.heard.push("modification");
    return this.modified();
  }
}

let host: LiteralHost;
let clock: HandClock;
let service: LocalJobService;
let manager: IBackgroundCopyManager;
let hearer: Hearer;
/** What the notification class makes. */
let activated: Hearer | undefined;
let fileCount = 0;

beforeEach(() => {
  host = new LiteralHost();
  host.deliver();
  clock = new HandClock();
  hearer = new Hearer();
  activated = new Hearer();
  service = new LocalJobService(host, { name: "local", isAdministrator: true });
  manager = createBackgroundCopyManager(service, { clock });
});

async function newJob(): Promise<IBackgroundCopyJob5> {
  const { job } = await manager.CreateJob("job", BG_JOB_TYPE.BG_JOB_TYPE_DOWNLOAD);
  const adder = job.queryInterface(LEGACY_IIDS.IDeliveryOptimizationJob);
  await adder.AddFileWithRanges("id", "http://origin.test/f", `/files/${++fileCount}`);
  return job.queryInterface(LEGACY_IIDS.IBackgroundCopyJob5);
}

async function transferredJob(): Promise<IBackgroundCopyJob5> {
  const job = await newJob();
  await job.Resume();
  await settle();
  expect(await job.GetState()).toBe(BG_JOB_STATE.BG_JOB_STATE_TRANSFERRED);
  return job;
}

test("an entry is told once, and no timer runs when nothing waits", async () => {
  const job = await newJob();
  await job.SetNotifyInterface(hearer);
  expect(await job.GetNotifyInterface()).toBe(hearer);
  await job.Resume();
  await settle();
  expect(hearer.heard).toEqual(["transferred"]);
  await job.SetPriority(BG_JOB_PRIORITY.BG_JOB_PRIORITY_LOW);
  await job.SetNotifyInterface(hearer);
  await clock.pass(600_000);
  await clock.pass(600_000);
  expect(hearer.heard).toEqual(["transferred"]);
  expect(clock.timerCount).toBe(0);
});

test.for<[string, (job: IBackgroundCopyJob) => CallbackResult]>([
  ["returns a failure", () => E_FAIL],
  ["returns another success", () => S_FALSE],
  ["rejects", () => Promise.reject(new Error("no"))],
  [
    "throws",
    () => {
      throw new Error("no");
    },
  ],
])("a callback that %s is called again, after 1 s, 2 s and so on to a minute", async ([, fail]) => {
  const job = await transferredJob();
  hearer.answer = fail;
  await job.SetNotifyInterface(hearer);
  await settle();
  let count = 1;
  for (const seconds of [1, 2, 4, 8, 16, 32, 60, 60, 60]) {
    await clock.pass(seconds * 1_000 - 1);
    expect(hearer.heard).toHaveLength(count);
    await clock.pass(1);
    expect(hearer.heard).toHaveLength(++count);
  }
  hearer.answer = () => S_OK;
  await clock.pass(60_000);
  expect(hearer.heard).toHaveLength(++count);
  await clock.pass(600_000);
  expect(hearer.heard).toHaveLength(count);
  expect(clock.timerCount).toBe(0);
});

test("a callback that never answers has failed after five minutes, and holds no place", async () => {
  const job = await transferredJob();
  hearer.answer = () => new Promise<number>(() => {});
  await job.SetNotifyInterface(hearer);
  await settle();
  await clock.pass(300_000);
  await clock.pass(1_000);
  expect(hearer.heard).toEqual(["transferred", "transferred"]);
});

test("each entry into a state is told, with the error of ERROR", async () => {
  host.refuse("fatal");
  const job = await newJob();
  await job.SetNotifyInterface(hearer);
  for (const times of [1, 2]) {
    await job.Resume();
    await settle();
    expect(hearer.heard).toHaveLength(times);
  }
  expect(hearer.heard).toEqual(["error", "error"]);
});

test("a transient error tells nobody", async () => {
  host.onOrigin = ({ command }) => {
    if (!("transferId" in command) || command.type === "setPace") return;
    const { requestId, transferId } = command;
    const error = { code: "ERR_ORIGIN_UNREACHABLE", message: "it failed" } as const;
    const failure = { kind: "transient", error } as const;
    host.emit({ type: "originFailed", requestId, transferId, failure });
  };
  const job = await newJob();
  await job.SetNotifyInterface(hearer);
  await job.Resume();
  await settle();
  expect(await job.GetState()).toBe(BG_JOB_STATE.BG_JOB_STATE_TRANSIENT_ERROR);
  await clock.pass(10_000);
  expect(hearer.heard).toEqual([]);
});

test("who comes later, or replaces another, is told of the state that lasts", async () => {
  const job = await transferredJob();
  await job.SetNotifyInterface(hearer);
  await settle();
  const second = new Hearer();
  await job.SetNotifyInterface(second);
  await settle();
  expect([hearer.heard, second.heard]).toEqual([["transferred"], ["transferred"]]);
  await job.SetNotifyInterface(null);
  await settle();
  expect(await job.GetNotifyInterface()).toBe(null);
  await job.SetNotifyInterface(second);
  await settle();
  expect(second.heard).toEqual(["transferred", "transferred"]);
});

test("a callback that is replaced while it runs does not answer for its successor", async () => {
  const job = await transferredJob();
  const answer = Promise.withResolvers<number>();
  hearer.answer = () => answer.promise;
  await job.SetNotifyInterface(hearer);
  await settle();
  const second = new Hearer();
  await job.SetNotifyInterface(second);
  await settle();
  expect(second.heard).toEqual([]);
  answer.resolve(S_OK);
  await settle();
  expect(second.heard).toEqual(["transferred"]);
});

test("who replaces a callback that fails does not wait as long as that would", async () => {
  const job = await transferredJob();
  hearer.answer = () => E_FAIL;
  await job.SetNotifyInterface(hearer);
  await settle();
  for (const seconds of [1, 2, 4]) await clock.pass(seconds * 1_000);
  expect(hearer.heard).toHaveLength(4);
  const second = new Hearer();
  second.answer = () => (second.heard.length === 1 ? E_FAIL : S_OK);
  await job.SetNotifyInterface(second);
  await settle();
  expect(second.heard).toHaveLength(1);
  await clock.pass(1_000);
  expect(second.heard).toHaveLength(2);
  await clock.pass(600_000);
  expect([hearer.heard.length, second.heard.length]).toEqual([4, 2]);
  expect(clock.timerCount).toBe(0);
});

test("a property of a file is a modification, too", async () => {
  const job = await newJob();
  await job.SetNotifyFlags(ALL);
  await job.SetNotifyInterface(hearer);
  await settle();
  await clock.pass(1_000);
  hearer.heard.length = 0;
  const [file] = (await (await job.EnumFiles()).Next(1)).items;
  const file2 = file?.queryInterface(LEGACY_IIDS.IDeliveryOptimizationFile2);
  await file2?.SetProperty(DOFilePropertyId.DOFilePropertyId_IntegrityCheckMandatory, true);
  await clock.pass(1_000);
  await clock.pass(1_000);
  expect(hearer.heard).toEqual(["modification"]);
});

test("flags choose what is told, and DISABLE silences all", async () => {
  const job = await transferredJob();
  await job.SetNotifyFlags(BG_NOTIFY.BG_NOTIFY_JOB_ERROR);
  await job.SetNotifyInterface(hearer);
  await clock.pass(1_000);
  await job.SetNotifyFlags(BG_NOTIFY.BG_NOTIFY_DISABLE | ALL);
  await clock.pass(1_000);
  expect(hearer.heard).toEqual([]);
  await job.SetNotifyFlags(BG_NOTIFY.BG_NOTIFY_JOB_TRANSFERRED);
  await settle();
  expect(hearer.heard).toEqual(["transferred"]);
});

test("DISABLE silences a callback that is being called again", async () => {
  const job = await transferredJob();
  hearer.answer = () => E_FAIL;
  await job.SetNotifyInterface(hearer);
  await settle();
  await job.SetNotifyFlags(BG_NOTIFY.BG_NOTIFY_DISABLE | ALL);
  await clock.pass(60_000);
  await clock.pass(60_000);
  expect(hearer.heard).toEqual(["transferred"]);
});

test("modifications come at most every 500 ms, none for entering TRANSFERRED or ERROR", async () => {
  const job = await newJob();
  await job.SetNotifyFlags(ALL);
  await job.SetNotifyInterface(hearer);
  await settle();
  for (let i = 0; i < 10; i++) await job.SetNoProgressTimeout(100 + i);
  await clock.pass(500);
  expect(hearer.heard).toEqual(["modification"]);
  await job.SetNoProgressTimeout(200);
  await clock.pass(499);
  expect(hearer.heard).toHaveLength(1);
  await clock.pass(1);
  expect(hearer.heard).toEqual(["modification", "modification"]);
  let fail = (): void => {};
  host.onOrigin = ({ command }) => {
    if (!("transferId" in command) || command.type === "setPace") return;
    const { requestId, transferId } = command;
    const error = { code: "ERR_ORIGIN_NOT_FOUND", message: "it failed" } as const;
    const failure = { kind: "fatal", error } as const;
    fail = () => host.emit({ type: "originFailed", requestId, transferId, failure });
  };
  await job.Resume();
  await clock.pass(5_000);
  hearer.heard.length = 0;
  fail();
  await clock.pass(5_000);
  expect(hearer.heard).toEqual(["error"]);
  host.deliver();
  await job.Resume();
  await clock.pass(5_000);
  expect(hearer.heard.at(-1)).toBe("transferred");
  expect(clock.timerCount).toBe(0);
});

test("the result of a modification does not matter", async () => {
  const job = await newJob();
  hearer.modified = () => E_FAIL;
  await job.SetNotifyFlags(ALL);
  await job.SetNotifyInterface(hearer);
  await settle();
  await job.SetNoProgressTimeout(100);
  await clock.pass(600_000);
  await clock.pass(600_000);
  expect(hearer.heard).toEqual(["modification"]);
  expect(clock.timerCount).toBe(0);
});

test("Complete works from inside JobTransferred, and ends what is told", async () => {
  const job = await newJob();
  let result: number | undefined;
  hearer.answer = async (it) => {
    result = await it.Complete();
    return E_FAIL;
  };
  await job.SetNotifyInterface(hearer);
  await job.Resume();
  await settle();
  await clock.pass(600_000);
  expect([result, hearer.heard]).toEqual([S_OK, ["transferred"]]);
  expect(await job.GetState()).toBe(BG_JOB_STATE.BG_JOB_STATE_ACKNOWLEDGED);
  expect(clock.timerCount).toBe(0);
});

test("four callbacks run at a time, the others wait for a place", async () => {
  const gates: Array<PromiseWithResolvers<number>> = [];
  hearer.answer = () => {
    const gate = Promise.withResolvers<number>();
    gates.push(gate);
    return gate.promise;
  };
  for (let i = 0; i < 7; i++) await (await transferredJob()).SetNotifyInterface(hearer);
  await settle();
  expect(gates).toHaveLength(4);
  gates[0]?.resolve(S_OK);
  await settle();
  expect(gates).toHaveLength(5);
  for (let i = 0; i < 7; i++) {
    gates[i]?.resolve(S_OK);
    await settle();
  }
  expect(hearer.heard).toHaveLength(7);
});

test("a notification class is kept with the job, and used where nothing live is registered", async () => {
  const made: string[] = [];
  const activate = (clsid: string): IBackgroundCopyCallback | undefined => {
    made.push(clsid);
    return activated;
  };
  manager = createBackgroundCopyManager(service, { clock, activate });
  const job = await newJob();
  const id = BITS_JOB_PROPERTY_ID.BITS_JOB_PROPERTY_NOTIFICATION_CLSID;
  expect(await job.GetProperty(id)).toEqual({ ClsID: GUID_NULL });
  await job.SetProperty(id, { ClsID: `{${CLSID}}` });
  expect(await job.GetProperty(id)).toEqual({ ClsID: CLSID.toUpperCase() });
  await job.Resume();
  await settle();
  expect([made, activated?.heard]).toEqual([[CLSID.toUpperCase()], ["transferred"]]);
  await job.SetNotifyInterface(hearer);
  await settle();
  expect([hearer.heard, activated?.heard]).toEqual([["transferred"], ["transferred"]]);

  const restarted = new Hearer();
  createBackgroundCopyManager(service, { clock, activate: () => restarted });
  await settle();
  expect(restarted.heard).toEqual(["transferred"]);
  await job.SetProperty(id, { ClsID: GUID_NULL });
  expect(await job.GetProperty(id)).toEqual({ ClsID: GUID_NULL });
});

test("a manager that is disposed of calls nothing again", async () => {
  const job = await transferredJob();
  hearer.answer = () => E_FAIL;
  await job.SetNotifyInterface(hearer);
  await settle();
  (manager as Partial<Disposable>)[Symbol.dispose]?.();
  await settle();
  await clock.pass(60_000);
  expect([hearer.heard, clock.timerCount]).toEqual([["transferred"], 0]);
});

test("nothing is told when the service has closed", async () => {
  const job = await transferredJob();
  hearer.answer = () => E_FAIL;
  await job.SetNotifyInterface(hearer);
  await settle();
  service.close();
  await clock.pass(60_000);
  expect(hearer.heard).toEqual(["transferred"]);
  expect(clock.timerCount).toBe(0);
  await expect(job.GetState()).rejects.toMatchObject({ symbol: "DO_E_NO_SERVICE" });
});

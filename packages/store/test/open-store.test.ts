/** A store whose thread has stopped, though nobody closed it. */
import type { JobRecord } from "@shoal/core";
import { expect, test } from "vitest";
import { jobRecord, openThreadedStore, temporaryDirectory } from "./harness.ts";

test("a store that has stopped says so to everybody who wants a job to be durable (R-DB-02)", async () => {
  const { store, events } = await openThreadedStore(temporaryDirectory());
  // What no caller can send stands for whatever makes the thread fail.
  store.execute({ type: "saveJob", revision: 1, job: undefined as unknown as JobRecord });
  expect((await events.next("stateFailed")).error.code).toBe("ERR_STATE_UNUSABLE");
  store.execute({ type: "saveJob", revision: 2, job: jobRecord("/d/f") });
  expect((await events.next("stateFailed")).error.code).toBe("ERR_STATE_UNUSABLE");
  await store.close();
  store.execute({ type: "saveJob", revision: 3, job: jobRecord("/d/f") });
  expect(events.all).toHaveLength(2);
});

import { tmpdir } from "node:os";
import { resolveSettings } from "@shoal/core";
import type { JobSnapshot, Settings } from "@shoal/core";
import type { JobService } from "@shoal/jobs";
import { beforeEach, expect, test } from "vitest";
import { KeptJobs } from "../../src/do-rest/kept-jobs.ts";

let now = 0;
let ended: string[];
beforeEach(() => {
  now = 0;
  ended = [];
});

/** Room for everything, unless a test says otherwise. */
const ROOM = { cacheFreeBytesMin: 0, cacheFreePercentMin: 0, cachePercentMax: 100 };

/** Complete jobs of 100 bytes each; the file's facts as given. */
function keptJobs(settings: Partial<Settings> = {}, file: object = {}): KeptJobs {
  const facts = { integrity: "pieces", url: "http://127.0.0.1/x", ...file };
  const snapshot = { state: "transferred", length: 100, files: [facts] } as unknown as JobSnapshot;
  const service: Pick<JobService, "snapshot" | "applyVerb"> = {
    snapshot: () => Promise.resolve(snapshot),
    applyVerb: (jobId, verb) => {
      expect(verb).toBe("acknowledge");
      ended.push(jobId);
      return Promise.resolve({ isPartial: false, undeletedCount: 0 });
    },
  };
  return new KeptJobs({
    service: service as JobService,
    settings: resolveSettings({ ...ROOM, ...settings }),
    stateDirectory: tmpdir(),
    now: () => now,
  });
}

test("a complete job with verified pieces is kept", async () => {
  await keptJobs().finish("a");
  expect(ended).toEqual([]);
});

test.for([
  ["that nothing verified", {}, { integrity: "none" }],
  ["with a query string, which is its client's alone (R-PRIV-02)", {}, { url: "http://h/x?key" }],
  ["where the cache keeps no copies", { cacheCopies: 0 }, {}],
  ["where there is no room for it", { cacheBytesMax: 99 }, {}],
  ["where too little is free", { cacheFreePercentMin: 100 }, {}],
] as const)("one %s is acknowledged", async ([, settings, file]) => {
  await keptJobs(settings, file).finish("a");
  expect(ended).toEqual(["a"]);
});

test("the oldest go first, for bytes, for number and for age", async () => {
  const few = keptJobs({ cacheBytesMax: 200 });
  for (const jobId of ["a", "b", "c"]) await few.finish(jobId);
  expect(ended).toEqual(["a"]);
  ended = [];
  const many = keptJobs({ cacheAgeMs: 10_000 });
  for (let i = 0; i < 65; i++) {
    now = i;
    await many.finish(`${i}`);
  }
  expect(ended).toEqual(["0"]);
  now = 10_002;
  await many.trim();
  expect(ended).toEqual(["0", "1", "2"]);
  await many.clear();
  expect(ended).toHaveLength(65);
});

/** Stored jobs: what is written comes back, and nothing else is let in (R-DB-05). */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { contentIdFromDigest } from "../../src/content/content-id.ts";
import { hex } from "../../src/hash/digest.ts";
import { JOB_PRIORITIES, parseJobRecord } from "../../src/job/record.ts";
import type { JobFileSpec, JobRecord } from "../../src/job/record.ts";
import { errorInfo } from "../../src/registry/errors.ts";
import { LIMITS } from "../../src/registry/limits.ts";

const digest = fc.uint8Array({ minLength: 32, maxLength: 32 });
const fileSpec: fc.Arbitrary<JobFileSpec> = fc
  .record(
    {
      destination: fc.stringMatching(/^\/[a-z]{1,9}\/[a-z]{1,9}$/),
      url: fc.webUrl(),
      contentId: digest.map(contentIdFromDigest),
      sha256: digest.map(hex),
    },
    { requiredKeys: ["destination", "url"] },
  )
  .map((spec) => ({ ...spec }));
const records: fc.Arbitrary<JobRecord> = fc
  .record({
    jobId: fc.uuid(),
    displayName: fc.string({ maxLength: 40 }),
    priority: fc.constantFrom(...JOB_PRIORITIES),
    overwrite: fc.boolean(),
    state: fc.constantFrom(
      "queued",
      "suspended",
      "error",
      "transientError",
      "transferred",
      "acknowledged",
      "cancelled",
    ),
    files: fc.array(fc.tuple(fileSpec, fc.boolean(), fc.boolean()), { minLength: 1, maxLength: 3 }),
    failed: fc.boolean(),
  })
  .map(({ files, failed, ...rest }) => ({
    ...rest,
    files: files.map(([spec]) => spec),
    transferred: files.map(([, transferred]) => transferred),
    published: files.map(([, , published]) => published),
    ...(failed ? { error: errorInfo("ERR_DISK_FULL", "/data") } : {}),
  }));

const RIGHT: JobRecord = {
  jobId: "123e4567-e89b-42d3-a456-426614174000",
  displayName: "a job",
  priority: "normal",
  overwrite: false,
  state: "queued",
  files: [{ destination: "/data/a", url: "https://example.org/a" }],
  transferred: [false],
  published: [false],
};
const roundTrip = (record: unknown): JobRecord | undefined =>
  parseJobRecord(JSON.parse(JSON.stringify(record)));
const withFile = (changes: object): object => ({
  ...RIGHT,
  files: [{ destination: "/data/a", url: "https://example.org/a", ...changes }],
});

describe("a stored job", () => {
  it("comes back as it was written", () => {
    fc.assert(
      fc.property(records, (record) => {
        expect(roundTrip(record)).toEqual(record);
      }),
    );
  });

  it("loses fields that this version does not know", () => {
    expect(roundTrip({ ...RIGHT, extra: 1 })).toEqual(RIGHT);
    expect(roundTrip(withFile({ mode: 0o4755 }))).toEqual(RIGHT);
  });

  const damaged: ReadonlyArray<readonly [string, unknown]> = [
    ["nothing", null],
    ["a list", [RIGHT]],
    ["text", "job"],
    ["no id", { ...RIGHT, jobId: undefined }],
    ["an id that is a path", { ...RIGHT, jobId: "../../../../../../etc/passwd-123456789" }],
    ["a long name", { ...RIGHT, displayName: "a".repeat(LIMITS.displayNameLengthMax + 1) }],
    ["an unknown priority", { ...RIGHT, priority: "highest" }],
    ["a priority of the prototype", { ...RIGHT, priority: "toString" }],
    ["an overwrite that is text", { ...RIGHT, overwrite: "yes" }],
    ["an unknown state", { ...RIGHT, state: "done" }],
    ["a state of a running transfer", { ...RIGHT, state: "transferring" }],
    ["a state of a connection", { ...RIGHT, state: "connecting" }],
    ["files that are no list", { ...RIGHT, files: {} }],
    ["too many files", tooManyFiles()],
    ["a relative destination", withFile({ destination: "a" })],
    ["a destination outside", withFile({ destination: "/data/../etc/passwd" })],
    ["a URL that is a number", withFile({ url: 1 })],
    ["an endless URL", withFile({ url: "a".repeat(LIMITS.urlLengthMax + 1) })],
    ["a broken content id", withFile({ contentId: "bafy" })],
    ["a broken SHA-256", withFile({ sha256: "abc" })],
    ["a SHA-256 that is null", withFile({ sha256: null })],
    ["flags for fewer files", { ...RIGHT, transferred: [] }],
    ["flags for more files", { ...RIGHT, published: [false, false] }],
    ["flags that are numbers", { ...RIGHT, published: [0] }],
    ["an unknown error", { ...RIGHT, error: { code: "ERR_NONE", message: "" } }],
    ["an error of the prototype", { ...RIGHT, error: { code: "toString", message: "" } }],
    ["an error without text", { ...RIGHT, error: { code: "ERR_USAGE" } }],
  ];
  it.each(damaged)("is refused with %s (R-DB-05)", (_, value) => {
    expect(parseJobRecord(value)).toBeUndefined();
  });

  it("answers any JSON without throwing", () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        expect(parseJobRecord(value)).toBeUndefined();
      }),
    );
    const keys = Object.keys(RIGHT);
    fc.assert(
      fc.property(records, fc.constantFrom(...keys), fc.jsonValue(), (record, key, value) => {
        const parsed = roundTrip({ ...record, [key]: value });
        expect(parsed === undefined || roundTrip(parsed) !== undefined).toBe(true);
      }),
      { numRuns: 500 },
    );
  });
});

function tooManyFiles(): object {
  const count = LIMITS.filesPerJobMax + 1;
  const flags = Array.from({ length: count }, () => false);
  const files = flags.map((_, i) => ({ destination: `/data/${i}`, url: "https://example.org/" }));
  return { ...RIGHT, files, transferred: flags, published: flags };
}

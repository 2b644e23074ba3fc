/** Stored jobs: what is written comes back, and nothing else is let in (R-DB-05). */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { contentIdFromDigest } from "../../src/content/content-id.ts";
import { hex } from "../../src/hash/digest.ts";
import type { JobFileSpec } from "../../src/job/file-spec.ts";
import { ANY_NETWORK_COST } from "../../src/job/network.ts";
import { JOB_PRIORITIES, parseJobRecord } from "../../src/job/record.ts";
import type { JobFileRecord, JobRecord } from "../../src/job/record.ts";
import { TLS_TOLERANCES } from "../../src/ports/origin-port.ts";
import { errorInfo } from "../../src/registry/errors.ts";
import { LIMITS } from "../../src/registry/limits.ts";
import { Job } from "../../src/schedule/job.ts";

const STORED_STATES = [
  "queued",
  "suspended",
  "error",
  "transientError",
  "transferred",
  "acknowledged",
  "cancelled",
] as const;

const digest = fc.uint8Array({ minLength: 32, maxLength: 32 }).map(hex);
const url = fc.webUrl();
const name = fc.string({ maxLength: 20 });
const count = fc.nat();
const instant = fc.nat(2 ** 31);
const headers = fc.array(
  fc.tuple(fc.stringMatching(/^X-[a-z]{1,5}$/), fc.stringMatching(/^\w*$/)),
  {
    maxLength: 3,
  },
);
const where = fc.oneof(
  fc.stringMatching(/^\/[a-z]{1,9}\/[a-z]{1,9}$/).map((destination) => ({ destination })),
  fc.constant({ toStream: true }),
  fc.constant({}),
);
const what = fc.oneof(
  fc.record(
    {
      contentId: fc.uint8Array({ minLength: 32, maxLength: 32 }).map(contentIdFromDigest),
      mandatoryIntegrity: fc.boolean(),
      pieceHashes: fc.record({ url, sha256: digest, hashOfHashes: digest }),
    },
    { requiredKeys: [] },
  ),
  fc.nat(9).map((at) => ({ ranges: [{ offset: at, length: 5 }, { offset: at + 5 }] })),
);
const request = fc.record(
  {
    headers,
    challengeHeaders: headers,
    allowInsecureRedirect: fc.boolean(),
    tlsTolerance: fc.subarray([...TLS_TOLERANCES]),
    clientCertificate: name,
  },
  { requiredKeys: [] },
);
const rest = fc.record(
  { fileId: name, url, sha256: digest, declaredLength: count, request },
  { requiredKeys: [] },
);
const spec: fc.Arbitrary<JobFileSpec> = fc
  .tuple(where, what, rest)
  .map((parts) => Object.assign({}, ...parts) as JobFileSpec);
const file: fc.Arbitrary<JobFileRecord> = fc.record(
  {
    spec,
    isTransferred: fc.boolean(),
    isPublished: fc.boolean(),
    originBytes: count,
    peerBytes: count,
    wastedBytes: count,
    modifiedAt: instant,
    remoteLength: count,
  },
  {
    requiredKeys: [
      "spec",
      "isTransferred",
      "isPublished",
      "originBytes",
      "peerBytes",
      "wastedBytes",
    ],
  },
);
const attribute = fc.oneof(fc.string(), fc.boolean(), fc.integer());
const records: fc.Arbitrary<JobRecord> = fc
  .tuple(
    fc.record({
      jobId: fc.uuid(),
      owner: name,
      sequence: count,
      displayName: fc.string({ maxLength: 40 }),
      priority: fc.constantFrom(...JOB_PRIORITIES),
      overwrite: fc.boolean(),
      allowsCellular: fc.boolean(),
      isVolatile: fc.boolean(),
      attributes: fc.dictionary(fc.stringMatching(/^[a-z]{1,5}$/), attribute, { maxKeys: 3 }),
      state: fc.constantFrom(...STORED_STATES),
      hasStarted: fc.boolean(),
      createdAt: instant,
      modifiedAt: instant,
      files: fc.array(file, { maxLength: 3 }),
    }),
    fc.record(
      {
        noProgressTimeoutMs: count,
        networkCosts: fc.nat(ANY_NETWORK_COST),
        transferredAt: instant,
        endedAt: instant,
        error: fc.constant({ ...errorInfo("ERR_DISK_FULL", "/data"), fileIndex: 1 }),
        idempotency: fc.record({ key: name, fingerprint: name }),
      },
      { requiredKeys: [] },
    ),
  )
  .map(([needed, optional]) => ({ ...needed, ...optional }));

const RIGHT: JobRecord = {
  jobId: "123e4567-e89b-42d3-a456-426614174000",
  owner: "me",
  sequence: 1,
  displayName: "a job",
  priority: "normal",
  overwrite: false,
  allowsCellular: true,
  isVolatile: false,
  attributes: {},
  state: "queued",
  hasStarted: true,
  createdAt: 1,
  modifiedAt: 1,
  files: [fileRecord({})],
};
const roundTrip = (record: unknown): JobRecord | undefined =>
  parseJobRecord(JSON.parse(JSON.stringify(record)));
const withFile = (changes: object): object => ({ ...RIGHT, files: [fileRecord(changes)] });

describe("a stored job", () => {
  it("comes back as it was written", () => {
    fc.assert(
      fc.property(records, (record) => {
        expect(roundTrip(record)).toEqual(record);
      }),
    );
  });

  it("is written by the job it makes as it was read", () => {
    fc.assert(
      fc.property(records, (record) => {
        expect(new Job(record).toRecord()).toEqual(record);
      }),
    );
  });

  const long = (length: number): string => "a".repeat(length + 1);
  const damaged: ReadonlyArray<readonly [string, unknown]> = [
    ["nothing", null],
    ["a list", [RIGHT]],
    ["text", "job"],
    ["no id", { ...RIGHT, jobId: undefined }],
    ["an id that is a path", { ...RIGHT, jobId: "../../../../../../etc/passwd-123456789" }],
    ["a field of another version", { ...RIGHT, extra: 1 }],
    ["a file's field of another version", withFile({ mode: 0o4755 })],
    ["an endless owner", { ...RIGHT, owner: long(LIMITS.nameLengthMax) }],
    ["a sequence that is no number", { ...RIGHT, sequence: "1" }],
    ["a negative sequence", { ...RIGHT, sequence: -1 }],
    ["an instant that no date has", { ...RIGHT, createdAt: 8.65e15 }],
    ["half a millisecond", { ...RIGHT, modifiedAt: 0.5 }],
    ["a long name", { ...RIGHT, displayName: long(LIMITS.displayNameLengthMax) }],
    ["an unknown priority", { ...RIGHT, priority: "highest" }],
    ["a priority of the prototype", { ...RIGHT, priority: "toString" }],
    ["an overwrite that is text", { ...RIGHT, overwrite: "yes" }],
    ["costs that are no set", { ...RIGHT, networkCosts: ANY_NETWORK_COST + 1 }],
    ["an attribute that is an object", { ...RIGHT, attributes: { a: {} } }],
    ["too many attributes", { ...RIGHT, attributes: attributes(LIMITS.attributesPerJobMax + 1) }],
    ["an unknown state", { ...RIGHT, state: "done" }],
    ["a state of a running transfer", { ...RIGHT, state: "transferring" }],
    ["a state of a connection", { ...RIGHT, state: "connecting" }],
    ["files that are no list", { ...RIGHT, files: {} }],
    ["too many files", { ...RIGHT, files: many(LIMITS.filesPerJobMax + 1) }],
    ["a relative destination", withFile({ destination: "a" })],
    ["a destination outside", withFile({ destination: "/data/../etc/passwd" })],
    ["a destination and a stream", withFile({ toStream: true })],
    ["a URL that is a number", withFile({ url: 1 })],
    ["a URL of another scheme", withFile({ url: "file:///etc/passwd" })],
    ["an endless URL", withFile({ url: `http://a/${long(LIMITS.urlLengthMax)}` })],
    ["a broken content id", withFile({ contentId: "bafy" })],
    ["a broken SHA-256", withFile({ sha256: "abc" })],
    ["a SHA-256 that is null", withFile({ sha256: null })],
    ["ranges that overlap", withFile({ ranges: [{ offset: 0 }, { offset: 1 }] })],
    [
      "ranges that nothing can verify",
      withFile({ ranges: [{ offset: 0 }], mandatoryIntegrity: true }),
    ],
    ["piece hashes without a digest", withFile({ pieceHashes: { url: "http://a/" } })],
    ["a header that splits", withFile({ request: { headers: [["A", "b\r\nc"]] } })],
    ["a header that is no pair", withFile({ request: { headers: [["A"]] } })],
    ["an unknown tolerance", withFile({ request: { tlsTolerance: ["all"] } })],
    ["a flag that is a number", { ...RIGHT, files: [{ ...fileRecord({}), isPublished: 0 }] }],
    ["bytes below zero", { ...RIGHT, files: [{ ...fileRecord({}), peerBytes: -1 }] }],
    ["an unknown error", { ...RIGHT, error: { code: "ERR_NONE", message: "" } }],
    ["an error of the prototype", { ...RIGHT, error: { code: "toString", message: "" } }],
    ["an error without text", { ...RIGHT, error: { code: "ERR_USAGE" } }],
  ];
  it.each(damaged)("is refused with %s (R-DB-05)", (_, value) => {
    expect(parseJobRecord(value)).toBeUndefined();
  });

  it("is refused without any of the fields it needs", () => {
    expect(parseJobRecord(RIGHT)).toEqual(RIGHT);
    for (const key of Object.keys(RIGHT)) {
      const { [key]: _, ...others } = RIGHT as unknown as Record<string, unknown>;
      expect([key, parseJobRecord(others)]).toEqual([key, undefined]);
    }
  });

  it("answers any JSON without throwing", () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        expect(parseJobRecord(value)).toBeUndefined();
      }),
    );
  });

  it("with any part replaced by anything is read or refused, and what is read can be used", () => {
    fc.assert(
      fc.property(
        records,
        fc.infiniteStream(fc.nat()),
        fc.jsonValue(),
        (record, choices, value) => {
          const mutated = replaceSomewhere(JSON.parse(JSON.stringify(record)), choices, value);
          const parsed = parseJobRecord(mutated);
          if (parsed === undefined) return;
          expect(roundTrip(new Job(parsed).toRecord())).toEqual(roundTrip(parsed));
        },
      ),
      { numRuns: 1_000 },
    );
  });
});

/** Walks down by chance and puts `value` in the place it comes to. */
function replaceSomewhere(from: unknown, choices: Iterator<number>, value: unknown): unknown {
  if (typeof from !== "object" || from === null) return value;
  const keys = Object.keys(from);
  const choice = Number(choices.next().value) % (keys.length + 1);
  const key = keys[choice];
  if (key === undefined) return value;
  const replaced = replaceSomewhere((from as Record<string, unknown>)[key], choices, value);
  return Array.isArray(from) ? from.with(Number(key), replaced) : { ...from, [key]: replaced };
}

function fileRecord(changes: object): JobFileRecord {
  return {
    spec: { destination: "/data/a", url: "https://example.org/a", ...changes },
    isTransferred: false,
    isPublished: false,
    originBytes: 0,
    peerBytes: 0,
    wastedBytes: 0,
  };
}

function many(fileCount: number): JobFileRecord[] {
  return Array.from({ length: fileCount }, (_, i) => fileRecord({ destination: `/data/${i}` }));
}

function attributes(attributeCount: number): Record<string, number> {
  return Object.fromEntries(Array.from({ length: attributeCount }, (_, i) => [`a${i}`, i]));
}

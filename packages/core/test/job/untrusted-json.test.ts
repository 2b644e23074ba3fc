/**
 * Records, requests and changes come from disks and sockets: whatever JSON they are, they are
 * refused or accepted, and checking them never throws (R-DB-05, R-API-09).
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { checkOriginRequest } from "../../src/job/origin-request.ts";
import { parseJobRecord } from "../../src/job/record.ts";
import { checkJobRequest, isJobChangeShape } from "../../src/job/request.ts";
import type { JobChange, JobRequest } from "../../src/job/request.ts";
import { checkFileSpec, isFileSpecShape } from "../../src/job/file-spec.ts";
import type { JobFileSpec } from "../../src/job/file-spec.ts";
import { LIMITS } from "../../src/registry/limits.ts";
import { resolveSettings } from "../../src/registry/settings.ts";
import { prepareChange } from "../../src/schedule/job-changes.ts";
import { Job } from "../../src/schedule/job.ts";

const SETTINGS = resolveSettings();
const SHA256 = "ab".repeat(32);
const FILE: JobFileSpec = {
  fileId: "file",
  url: "https://example.org/a",
  destination: "/data/a",
  declaredLength: 5,
  ranges: [{ offset: 5, length: 6 }, { offset: 20 }],
  pieceHashes: { url: "https://example.org/p", sha256: SHA256, hashOfHashes: SHA256 },
  mandatoryIntegrity: false,
  request: {
    headers: [["X-Token", "secret"]],
    challengeHeaders: [["Authorization", "Basic eDp5"]],
    allowInsecureRedirect: false,
    tlsTolerance: ["wrongName"],
    clientCertificate: "PEM",
  },
};
const VALUES = {
  displayName: "a job",
  priority: "normal",
  overwrite: false,
  noProgressTimeoutMs: 5_000,
  networkCosts: 0x67,
  allowsCellular: true,
  isVolatile: false,
  attributes: { colour: "red", count: 3, isSmall: true },
} as const;
const RECORD = {
  ...VALUES,
  jobId: "123e4567-e89b-42d3-a456-426614174000",
  owner: "somebody",
  sequence: 7,
  state: "suspended",
  hasStarted: true,
  createdAt: 1,
  modifiedAt: 2,
  transferredAt: 3,
  endedAt: 4,
  files: [
    {
      spec: FILE,
      isTransferred: true,
      isPublished: false,
      modifiedAt: 5,
      remoteLength: 100,
      originBytes: 1,
      peerBytes: 2,
      wastedBytes: 3,
    },
  ],
  error: { code: "ERR_DISK_FULL", message: "full", fileIndex: 0, originStatus: 403 },
  idempotency: { key: "k", fingerprint: SHA256 },
} as const;
const REQUEST = {
  ...VALUES,
  jobId: RECORD.jobId,
  owner: "somebody",
  isAdministrator: false,
  startSuspended: false,
  idempotencyKey: "k",
  files: [FILE],
} as const;
const CHANGES: readonly JobChange[] = [
  { type: "addFiles", files: [{ ...FILE, destination: "/data/b" }] },
  { type: "setJob", values: { ...VALUES, attributes: { colour: null, size: 4 } } },
  { type: "setFile", fileIndex: 0, values: { url: "https://example.org/b" } },
  { type: "addRanges", fileIndex: 0, ranges: [{ offset: 1, length: 2 }] },
];

/** Every place in a value that has something in it, as a path of keys. */
function placesOf(value: unknown, path: readonly string[] = []): string[][] {
  if (typeof value !== "object" || value === null) return [[...path]];
  const inner = Object.entries(value).flatMap(([key, item]) => placesOf(item, [...path, key]));
  return [[...path], ...inner];
}

/** A deep copy with one place changed, or taken away. */
function withPlace(
  value: unknown,
  path: readonly string[],
  put: (at: unknown) => unknown,
): unknown {
  const [key, ...rest] = path;
  if (key === undefined) return put(value);
  if (Array.isArray(value))
    return value.map((v, i) => (String(i) === key ? withPlace(v, rest, put) : v));
  const entries = Object.entries(value as object).flatMap(([name, item]) => {
    if (name !== key) return [[name, item] as const];
    const next = withPlace(item, rest, put);
    return next === undefined ? [] : [[name, next] as const];
  });
  return Object.fromEntries(entries);
}

/** JSON that is almost `value`: one or two of its places hold something else. */
function nearly(value: unknown): fc.Arbitrary<unknown> {
  const places = placesOf(value);
  const other = fc.oneof(
    fc.jsonValue({ maxDepth: 2 }),
    fc.constantFrom(undefined, null, -1, 1e300, "", "__proto__", "constructor", [], [[]], {}),
    fc.string({ unit: "binary", maxLength: 8 }),
    fc.constant("x".repeat(70_000)),
  );
  const edit = fc.tuple(fc.constantFrom(...places), other);
  return fc.array(edit, { minLength: 1, maxLength: 2 }).map((edits) => {
    let edited: unknown = structuredClone(value);
    for (const [path, put] of edits) {
      try {
        edited = withPlace(edited, path, () => put);
      } catch {
        // The first edit has taken the place away.
      }
    }
    return JSON.parse(JSON.stringify(edited) ?? "null") as unknown;
  });
}

const NUM_RUNS = 1_500;

describe("JSON from elsewhere", () => {
  it("is the right thing to begin with", () => {
    expect(parseJobRecord(RECORD)).toEqual(RECORD);
    expect(checkJobRequest(REQUEST as unknown as JobRequest, SETTINGS)).toBeUndefined();
    for (const change of CHANGES) {
      expect(isJobChangeShape(change)).toBe(true);
      expect(prepareChange(jobOf(RECORD), change, SETTINGS)).not.toHaveProperty("code");
    }
  });

  it("is a job record that can be used, or none (R-DB-05)", () => {
    fc.assert(
      fc.property(fc.oneof(nearly(RECORD), fc.jsonValue()), (value) => {
        const record = parseJobRecord(value);
        if (record === undefined) return;
        expect(parseJobRecord(JSON.parse(JSON.stringify(record)))).toEqual(record);
        const job = new Job(record);
        expect(job.toRecord()).toEqual(record);
        expect(job.snapshot(SETTINGS, 0).fileCount).toBe(record.files.length);
      }),
      { numRuns: NUM_RUNS },
    );
  });

  it("is a request that can be created and read back, or is refused with a code", () => {
    fc.assert(
      fc.property(fc.oneof(nearly(REQUEST), fc.jsonValue()), (value) => {
        const refusal = checkJobRequest(value as JobRequest, SETTINGS);
        const { code, message } = refusal ?? { code: "ERR_", message: "" };
        expect(code).toMatch(/^ERR_/);
        expect(message.length).toBeLessThan(LIMITS.urlLengthMax);
        const files = refusal === undefined ? (value as JobRequest).files : [];
        const isSound = (file: JobRequest["files"][number]): boolean =>
          isFileSpecShape(file) && checkFileSpec(file) === undefined;
        expect(files.every(isSound)).toBe(true);
      }),
      { numRuns: NUM_RUNS },
    );
  });

  it("is a change after which the job can still be stored, or is refused and changes nothing", () => {
    const changes = fc.oneof(...CHANGES.map((change) => nearly(change)), fc.jsonValue());
    fc.assert(
      fc.property(changes, (value) => {
        const job = jobOf(RECORD);
        const before = JSON.stringify(job.toRecord());
        const prepared = prepareChange(job, value as JobChange, SETTINGS);
        expect(JSON.stringify(job.toRecord())).toBe(before);
        if ("code" in prepared) return;
        prepared.apply();
        const record: unknown = JSON.parse(JSON.stringify(job.toRecord()));
        expect(parseJobRecord(record)).toEqual(record);
      }),
      { numRuns: NUM_RUNS },
    );
  });

  it("cannot reach a prototype by the names of attributes", () => {
    const text = '{"type":"setJob","values":{"attributes":{"__proto__":{"isAdministrator":true}}}}';
    const job = jobOf(RECORD);
    const prepared = prepareChange(job, JSON.parse(text) as JobChange, SETTINGS);
    expect(prepared).toMatchObject({ code: "ERR_USAGE" });
    expect(Object.getPrototypeOf(job.values.attributes)).toBe(Object.prototype);
  });
});

describe("what a job may say to its origins", () => {
  const codeOf = (name: string, value: string): string | undefined =>
    checkOriginRequest({ headers: [[name, value]] })?.code;

  it.each(["X-Token", "authorization", "Cookie", "User-Agent", "Accept"])(
    "%s may be set",
    (name) => {
      expect(codeOf(name, "some value; with=\tparts")).toBeUndefined();
    },
  );

  it.each(["Host", "range", "If-Range", "TRANSFER-ENCODING", "content-length", "Connection", "TE"])(
    "%s is the agent's own, in any spelling",
    (name) => {
      expect(codeOf(name, "x")).toBe("ERR_USAGE");
      expect(checkOriginRequest({ challengeHeaders: [[name, "x"]] })?.code).toBe("ERR_USAGE");
    },
  );

  it.each(["", " ", "a b", "a:b", "a\r\nHost", "é", "a\u0000", "host ", "(x)"])(
    "a field name that is no token is refused: %j",
    (name) => {
      expect(codeOf(name, "x")).toBe("ERR_USAGE");
    },
  );

  it("no value can end its line or carry a control character, and none is repeated", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 20 }), (text) => {
        const problem = checkOriginRequest({ headers: [["X-Token", text]] });
        // oxlint-disable-next-line no-control-regex
        const isHarmless = /^[\t\u0020-\u007e\u0080-\u00ff]*$/.test(text);
        expect(problem === undefined).toBe(isHarmless);
        const isRepeated = text.length > 3 && (problem?.message ?? "").includes(text);
        expect(isRepeated).toBe(false);
      }),
      { numRuns: 500 },
    );
    for (const value of ["a\r\nHost: b", "a\nb", "a\rb", "a\u0000b", "a\u0100"]) {
      expect(codeOf("X-Token", value)).toBe("ERR_USAGE");
    }
  });

  it("has bounds on its number of fields, their length and the certificate", () => {
    const fields = Array.from({ length: LIMITS.requestFieldsMax + 1 }, () => ["x", "y"] as const);
    expect(checkOriginRequest({ headers: fields })?.code).toBe("ERR_USAGE");
    expect(checkOriginRequest({ headers: fields.slice(1) })).toBeUndefined();
    expect(codeOf("x", "y".repeat(LIMITS.requestHeaderLengthMax))).toBe("ERR_USAGE");
    const clientCertificate = "x".repeat(LIMITS.clientCertificateLengthMax + 1);
    expect(checkOriginRequest({ clientCertificate })?.code).toBe("ERR_USAGE");
  });
});

/** A job that was stored so. */
function jobOf(record: unknown): Job {
  const parsed = parseJobRecord(structuredClone(record));
  if (parsed === undefined) throw new Error("the record is not one");
  return new Job({
    ...parsed,
    files: parsed.files.map((file) => ({ ...file, isTransferred: false })),
  });
}

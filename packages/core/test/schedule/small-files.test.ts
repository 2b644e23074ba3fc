/** Files of one job side by side: which may be, how many, and what follows when one fails. */
import { describe, expect, test } from "vitest";
import { LIMITS, PieceSet } from "@shoal/core";
import { Harness, JOB_ID, request, URL_TEXT } from "./harness.ts";

const LARGE = LIMITS.smallFileLengthMax + 1;

function jobOf(count: number): Harness {
  const h = new Harness();
  const indexes = Array.from({ length: count }, (_, i) => i);
  const files = indexes.map((i) => ({ url: `${URL_TEXT}-${i}`, destination: `/tmp/${i}` }));
  h.create({ ...request(), files });
  return h;
}

/** Answers every probe there is with a file of `length` bytes; returns how many there were. */
function probeAll(h: Harness, length: number): number {
  const probes = h.take("probeOrigin");
  for (const { requestId, transferId } of probes) {
    const found = { length, validator: {}, acceptsRanges: true } as const;
    h.send({ type: "originProbed", requestId, transferId, ...found });
  }
  return probes.length;
}

/** Opens every part file that is asked for, with all pieces, and verifies it. */
function finishAll(h: Harness): void {
  for (const { transferId, spec } of h.take("openContent")) {
    const have = PieceSet.full(spec.layout.pieceCount).toBytes();
    h.send({ type: "contentOpened", transferId, have });
  }
  for (const { transferId } of h.take("verifyContent")) {
    h.send({ type: "contentVerified", transferId });
  }
}

/** A job of so many files that is being acknowledged; returns the transfers that are published. */
function publishing(count: number): { h: Harness; ids: readonly number[] } {
  const h = jobOf(count);
  while (probeAll(h, 0) > 0) finishAll(h);
  expect(h.verb("acknowledge")).toBeUndefined();
  return { h, ids: publishedNow(h) };
}

const publishedNow = (h: Harness): number[] =>
  h.take("publishContent").map(({ transferId }) => transferId);

const phases = (h: Harness): string[] | undefined => h.job?.files.map(({ phase }) => phase);

describe("the files of a job", () => {
  test("run side by side once they are known to be small, within the limit", () => {
    const h = jobOf(LIMITS.smallFilesUnderWayMax * 2);
    const asked: number[] = [];
    for (let count = probeAll(h, 10); count > 0; count = probeAll(h, 10)) asked.push(count);
    expect(asked.slice(0, 3)).toEqual([1, 1, 2]);
    const underWay = phases(h)?.filter((phase) => phase !== "waiting");
    expect(underWay).toHaveLength(LIMITS.smallFilesUnderWayMax);
  });

  test("run alone while they are large", () => {
    const h = jobOf(3);
    expect(probeAll(h, LARGE)).toBe(1);
    expect(h.take("probeOrigin")).toEqual([]);
    finishAll(h);
    expect(h.take("probeOrigin")).toHaveLength(1);
  });

  test("are joined by none after a large one", () => {
    const h = jobOf(4);
    expect(probeAll(h, 10)).toBe(1);
    expect(probeAll(h, LARGE)).toBe(1);
    expect(h.take("probeOrigin")).toEqual([]);
  });

  test("all come to be transferred, and are published within the limit", () => {
    const count = LIMITS.smallFilesUnderWayMax + 1;
    const h = jobOf(count);
    while (probeAll(h, 0) > 0) finishAll(h);
    expect(h.job).toMatchObject({ state: "transferred", transferredFileCount: count });
    h.verb("acknowledge");
    const first = h.take("publishContent");
    expect(first).toHaveLength(LIMITS.smallFilesUnderWayMax);
    h.send({ type: "contentPublished", transferId: first[3]?.transferId ?? NaN });
    expect(h.take("publishContent")).toHaveLength(1);
  });
});

describe("a small file that fails beside an earlier one", () => {
  const error = { code: "ERR_ORIGIN_NOT_FOUND", message: "404" } as const;

  function failSecond(h: Harness): void {
    const { requestId, transferId } = h.takeOne("probeOrigin");
    h.send({ type: "originFailed", requestId, transferId, failure: { kind: "fatal", error } });
  }

  test("waits for its turn, and then fails the job", () => {
    const h = jobOf(3);
    probeAll(h, 0);
    failSecond(h);
    expect(h.job?.state).toBe("connecting");
    expect(h.take("probeOrigin")).toEqual([]);
    finishAll(h);
    expect(phases(h)).toEqual(["transferred", "resolving", "waiting"]);
    failSecond(h);
    expect(h.job).toMatchObject({ state: "error", error: { ...error, fileIndex: 1 } });
  });

  test("does not fail a job that is cancelled meanwhile", () => {
    const h = jobOf(2);
    probeAll(h, 0);
    failSecond(h);
    h.verb("cancel");
    expect(h.takeOne("endJob").job).toMatchObject({ jobId: JOB_ID, state: "cancelled" });
  });
});

describe("a small file that cannot be published", () => {
  const error = { code: "ERR_DESTINATION_EXISTS", message: "there" } as const;
  const done = (h: Harness, transferId: number | undefined): void =>
    h.send({ type: "contentPublished", transferId: transferId ?? NaN });
  const fail = (h: Harness, transferId: number | undefined): void =>
    h.send({ type: "publishFailed", transferId: transferId ?? NaN, error });

  test("fails the verb when those beside it have ended, which keep their places", () => {
    const { h, ids } = publishing(3);
    const before = h.settled.length;
    fail(h, ids[1]);
    done(h, ids[0]);
    expect(h.settled).toHaveLength(before);
    expect(h.verb("acknowledge")).toBe("ERR_JOB_STATE");
    done(h, ids[2]);
    expect(h.settled.at(-1)).toMatchObject({ error });
    expect(h.settled).toHaveLength(before + 1);
    expect(h.job?.state).toBe("transferred");
    expect(phases(h)).toEqual(["published", "transferred", "published"]);
    expect(h.verb("acknowledge")).toBeUndefined();
    expect(publishedNow(h)).toEqual([ids[1]]);
  });

  test("lets none begin after it", () => {
    const { h, ids } = publishing(LIMITS.smallFilesUnderWayMax + 1);
    fail(h, ids[0]);
    for (const id of ids.slice(1)) done(h, id);
    expect(publishedNow(h)).toEqual([]);
    expect(h.settled.at(-1)).toMatchObject({ error });
  });

  test("is told of, where several cannot, if it is the first", () => {
    const { h, ids } = publishing(2);
    fail(h, ids[1]);
    const other = { code: "ERR_DISK_FULL", message: "full" } as const;
    h.send({ type: "publishFailed", transferId: ids[0] ?? NaN, error: other });
    expect(h.settled.at(-1)).toMatchObject({ error });
  });

  test("waits for no other where the store is lost", () => {
    const { h, ids } = publishing(2);
    fail(h, ids[0]);
    const lost = { code: "ERR_DISK_IO", message: "gone" } as const;
    h.send({ type: "stateFailed", error: lost });
    expect(h.settled.at(-1)).toMatchObject({ error: lost });
  });
});

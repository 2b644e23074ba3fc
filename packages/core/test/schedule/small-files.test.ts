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

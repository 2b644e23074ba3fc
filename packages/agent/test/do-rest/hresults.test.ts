import { constants } from "node:os";
import { errorInfo, HRESULTS } from "@shoal/core";
import { describe, expect, test } from "vitest";
import { retryDelayMs } from "../../src/do-rest/fetch.ts";
import {
  hresultOfError,
  hresultOfStatus,
  isFatal,
  systemError,
} from "../../src/do-rest/hresults.ts";
import { NoProgress } from "../../src/do-rest/no-progress.ts";
import { DO_REST_TIMES } from "../../src/do-rest/start-do-rest.ts";

describe("a status of the origin", () => {
  test.for([
    [[300, 500, 503], 0x801901f4],
    [[301, 302, 303], 0x80190003],
    [[404, 410], 0x80190194],
    [[305, 502, 504], 0x801901f6],
    [[400, 405, 409, 411, 412, 414, 415], 0x80190190],
    [[401], 0x80190191],
    [[403], 0x80190193],
    [[406], 0x80190196],
    [[407], 0x80190197],
    [[408], 0x80190198],
    [[413], 0x8019019d],
    [[501, 505], 0x801901f5],
    [[304, 402, 416, 418, 429, 451, 506, 599], 0x80190001],
  ] as const)("%o is %i", ([statuses, hresult]) => {
    for (const status of statuses) expect(hresultOfStatus(status)).toBe(hresult);
  });

  test("ends the download when it is a 4xx, and no other does", () => {
    const info = (originStatus: number) =>
      ({ ...errorInfo("ERR_ORIGIN_UNAVAILABLE"), originStatus }) as const;
    for (const status of [400, 404, 408, 425, 429]) expect(isFatal(info(status))).toBe(true);
    for (const status of [300, 304, 305, 500, 503, 505]) expect(isFatal(info(status))).toBe(false);
  });
});

test.for([
  ["ERR_URL_INVALID", 0x800c0002, true],
  ["ERR_ORIGIN_UNRESOLVED", 0x80072ee7, false],
  ["ERR_ORIGIN_UNREACHABLE", 0x80072efd, false],
  ["ERR_ORIGIN_TIMEOUT", 0x80072ee2, false],
  ["ERR_RANGES_UNSUPPORTED", 0x80d05011, true],
  ["ERR_REMOTE_CHANGING", 0x80d05011, true],
  ["ERR_DISK_FULL", 0xc0d0001c, true],
  ["ERR_NETWORK_DOWN", 0x80d03805, false],
] as const)("%s is %i, and fatal: %s", ([code, hresult, fatal]) => {
  expect(hresultOfError(errorInfo(code))).toBe(hresult);
  expect(isFatal(errorInfo(code))).toBe(fatal);
});

test("a system error is its number in the agent's zone", () => {
  const error = Object.assign(new Error("no"), { errno: -constants.errno.ENOENT });
  expect(systemError(error)?.hresult).toBe(HRESULTS.ENOENT);
  expect(systemError(new Error("other"))).toBeUndefined();
});

test("failures are followed by waits of 2, 4, 8, 16, 30 and 30 s", () => {
  const waits = [1, 2, 3, 4, 5, 6, 1_000].map((n) => retryDelayMs(n, DO_REST_TIMES.retryDelays));
  expect(waits).toEqual([2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000]);
  expect(DO_REST_TIMES).toMatchObject({ noProgressTickMs: 10_000, configRefreshMs: 60_000 });
});

describe("a download without progress", () => {
  const stuckAfterSec = (progress: NoProgress): number => {
    let seconds = 0;
    while (!progress.isStuck(7, seconds * 1_000)) seconds++;
    return seconds;
  };

  test("is stuck after 300 s", () => {
    expect(stuckAfterSec(new NoProgress(10_000))).toBe(300);
  });

  test.for([
    ["10", 10],
    ["14", 10],
    ["15", 20],
    ["3600", 3_600],
  ] as const)("is stuck after the %s s that are set, rounded to tens", ([text, seconds]) => {
    const progress = new NoProgress(10_000);
    progress.setTimeoutSec(text);
    expect(progress.timeoutSec).toBe(seconds);
    expect(stuckAfterSec(progress)).toBe(seconds);
  });

  test.for(["", "9", "0", "-10", "1e3", "10.5", "ten", "99999999999999999999"])(
    "is not given %o to be patient for",
    (text) => {
      const progress = new NoProgress(10_000);
      expect(() => progress.setTimeoutSec(text)).toThrow(/E_INVALIDARG/);
      expect(progress.timeoutSec).toBe(0);
    },
  );

  test("is given all its time again by any progress", () => {
    const progress = new NoProgress(10_000);
    for (let second = 0; second < 295; second++) progress.isStuck(7, second * 1_000);
    expect(progress.isStuck(8, 295_000)).toBe(false);
    expect(progress.isStuck(8, 580_000)).toBe(false);
    expect(progress.isStuck(8, 590_000)).toBe(true);
  });
});

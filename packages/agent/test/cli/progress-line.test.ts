import type { FileSnapshot, JobSnapshot } from "@shoal/core";
import { MiB } from "@shoal/core";
import stringWidth from "string-width";
import { describe, expect, test } from "vitest";
import { renderProgress, renderProgressLine, SlidingRate } from "../../src/cli/progress-line.ts";
import type { ProgressView } from "../../src/cli/progress-line.ts";

function view(file: Partial<FileSnapshot>, rest: Partial<ProgressView> = {}): ProgressView {
  const complete: FileSnapshot = {
    url: "http://origin.test/disk.iso",
    destination: "/downloads/disk.iso",
    toStream: false,
    phase: "fetching",
    transferredBytes: 0,
    originBytes: 0,
    cacheServerBytes: 0,
    peerBytes: 0,
    wastedBytes: 0,
    reusedBytes: 0,
    receivedBytes: { linkLocal: 0, lan: 0, group: 0, internet: 0 },
    sentBytes: { linkLocal: 0, lan: 0, group: 0, internet: 0 },
    originRequests: 0,
    integrity: "pieces",
    peers: 0,
    activeMs: 0,
    ...file,
  };
  const snapshot: JobSnapshot = {
    ...complete,
    jobId: "job",
    owner: "local",
    displayName: "disk.iso",
    priority: "normal",
    overwrite: false,
    state: "transferring",
    stateChanges: 2,
    hasStarted: true,
    isVolatile: false,
    createdAt: 0,
    modifiedAt: 0,
    noProgressTimeoutMs: 0,
    networkCosts: 0,
    rateBytesPerSec: 0,
    allowsCellular: true,
    attributes: {},
    fileCount: 1,
    transferredFileCount: 0,
    files: [complete],
  };
  return { name: "disk.iso", snapshot, rateBytesPerSec: 0, ...rest };
}

const half = {
  length: 256 * MiB,
  transferredBytes: 107.5 * MiB,
  originBytes: 40 * MiB,
  peerBytes: 67.5 * MiB,
};
const moving = view({ ...half, peers: 3 }, { rateBytesPerSec: 81 * MiB });

test("shows part, bytes, rate, time left and bytes by source", () => {
  expect(renderProgressLine(moving)).toBe(
    "disk.iso  41 %  107.5 MiB of 256.0 MiB  81.0 MiB/s  1.8 s left  " +
      "origin 40.0 MiB, 3 peers 67.5 MiB",
  );
});

test("says what it is doing while no bytes come", () => {
  const activity = (file: Partial<FileSnapshot>): string => renderProgressLine(view(file));
  const { url: _url, ...fromPeers } = view({ phase: "resolving" }).snapshot.files[0] ?? {};
  expect(activity({ phase: "waiting" })).toBe("disk.iso  waiting");
  expect(activity({ phase: "resolving" })).toBe("disk.iso  finding out what the file is");
  const { snapshot } = view({});
  const alone = { ...snapshot, files: [fromPeers as FileSnapshot] };
  expect(renderProgressLine({ ...view({}), snapshot: alone })).toContain("looking for a peer");
  expect(activity({ phase: "opening", length: 1 })).toContain("preparing");
  expect(activity({ length: 1 })).toContain("waiting for data");
  expect(activity({ phase: "verifying", length: 1 })).toContain("checking the file");
});

describe("on a narrow terminal", () => {
  test.each([
    [
      100,
      "disk.iso  41 %  107.5 MiB of 256.0 MiB  81.0 MiB/s  1.8 s left  origin 40.0 MiB, 3 peers 67.5 MiB",
    ],
    [80, "disk.iso  41 %  107.5 MiB of 256.0 MiB  81.0 MiB/s  1.8 s left"],
    [60, "41 %  107.5 MiB of 256.0 MiB  81.0 MiB/s  1.8 s left"],
    [40, "41 %  81.0 MiB/s  1.8 s left"],
    [10, "41 %"],
    [3, "41…"],
    [0, ""],
  ])("of %i columns keeps what matters most", (width, line) => {
    expect(renderProgress(moving, width)).toBe(line);
  });

  test("never exceeds the width, wide characters included", () => {
    const wide = { ...moving, name: "文件".repeat(20) };
    for (let width = 0; width <= 120; width++) {
      expect(stringWidth(renderProgress(wide, width))).toBeLessThanOrEqual(width);
    }
  });
});

test("shows a hostile name as text, on one line (R-API-07)", () => {
  const line = renderProgressLine({ ...moving, name: "a\u001b[2J\nb\u202E" });
  expect(line).toContain("a\\u001b[2J\\u000ab\\u202e");
});

describe("the rate", () => {
  test("is that of the last seconds", () => {
    const rate = new SlidingRate();
    expect(rate.bytesPerSec(0)).toBe(0);
    for (let at = 0; at <= 20_000; at += 100) rate.add(at < 10_000 ? 0 : at - 10_000, at);
    expect(rate.bytesPerSec(20_000)).toBeCloseTo(1_000, 0);
  });

  test("falls while nothing comes", () => {
    const rate = new SlidingRate();
    rate.add(0, 0);
    rate.add(1_000, 1_000);
    expect(rate.bytesPerSec(1_000)).toBe(1_000);
    expect(rate.bytesPerSec(10_000)).toBe(100);
  });
});

/** `DOSwarmStats` by what a snapshot shows (job-API reference, sections 4.10, 4.11 and 11). */
import type { FileSnapshot, JobSnapshot } from "@shoal/core";
import { expect, test } from "vitest";
import { DownloadMode, SwarmStatus } from "../../src/compat.ts";
import { swarmStats } from "../../src/compat/bits/shown-values.ts";

const FILE: FileSnapshot = {
  toStream: false,
  phase: "fetching",
  transferredBytes: 5,
  originBytes: 7,
  cacheServerBytes: 5,
  peerBytes: 11,
  wastedBytes: 13,
  reusedBytes: 0,
  receivedBytes: { linkLocal: 1, lan: 2, group: 3, internet: 4 },
  sentBytes: { linkLocal: 5, lan: 6, group: 7, internet: 8 },
  originRequests: 2,
  integrity: "pieces",
  peers: 3,
  activeMs: 1_234.4,
};
const JOB = { state: "transferring", priority: "foreground" } as JobSnapshot;

test("bytes add up, and what nobody told is not made up", () => {
  const { status: _status, downloadMode: _mode, ...stats } = swarmStats(JOB, FILE);
  expect(stats).toEqual({
    fileId: "",
    sourceURL: "",
    fileSize: 2n ** 64n - 1n,
    totalBytesDownloaded: 23n,
    bytesFromLanPeers: 4n,
    bytesFromGroupPeers: 3n,
    bytesFromInternetPeers: 4n,
    bytesFromHttp: 7n,
    bytesFromDoinc: 5n,
    bytesToLanPeers: 11n,
    bytesToGroupPeers: 7n,
    bytesToInternetPeers: 8n,
    httpConnectionCount: 2,
    doincConnectionCount: 0,
    lanConnectionCount: 3,
    groupConnectionCount: 0,
    internetConnectionCount: 0,
    downloadDuration: 1_234,
    isBackground: false,
  });
});

test.each([
  ["transferring", "fetching", "pieces", "SwarmStatus_Downloading"],
  ["transientError", "fetching", "pieces", "SwarmStatus_Downloading"],
  ["suspended", "fetching", "pieces", "SwarmStatus_Paused"],
  ["error", "waiting", "none", "SwarmStatus_Paused"],
  ["transferred", "transferred", "pieces", "SwarmStatus_Caching"],
  ["acknowledged", "published", "pieces", "SwarmStatus_Caching"],
  ["transferred", "transferred", "none", "SwarmStatus_Complete"],
  ["cancelled", "transferred", "pieces", "SwarmStatus_Complete"],
] as const)(
  "a job that is %s, its file %s, checked by %s: %s",
  (state, phase, integrity, status) => {
    const job = { ...JOB, state } as JobSnapshot;
    expect(swarmStats(job, { ...FILE, phase, integrity }).status).toBe(SwarmStatus[status]);
  },
);

test("only what is checked piece by piece has peers", () => {
  const mode = (integrity: FileSnapshot["integrity"]): number =>
    swarmStats(JOB, { ...FILE, integrity }).downloadMode;
  expect(mode("pieces")).toBe(DownloadMode.DownloadMode_Lan);
  expect(mode("digest")).toBe(DownloadMode.DownloadMode_CdnOnly);
  expect(mode("none")).toBe(DownloadMode.DownloadMode_CdnOnly);
});

test("the statistics show the mode of each file, without peers where nothing is verified by pieces", () => {
  const modeOf = (file: Partial<typeof FILE>) => swarmStats(JOB, { ...FILE, ...file }).downloadMode;
  expect([0, 1, 2, 3, 99, 100].map((downloadMode) => modeOf({ downloadMode }))).toEqual([
    0, 1, 2, 3, 99, 100,
  ]);
  expect([2, 99].map((downloadMode) => modeOf({ downloadMode, integrity: "none" }))).toEqual([
    0, 99,
  ]);
});

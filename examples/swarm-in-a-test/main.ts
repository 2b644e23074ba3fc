/** A test of a swarm: the shipped scheduler and engine in virtual time, the same on every run. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { runFlashCrowd } from "@shoal/sim";

const MiB = 1024 * 1024;
const office = {
  peers: 30,
  seed: 42,
  lengthBytes: 256 * MiB,
  pieceLengthBytes: MiB,
  originRateBytesPerSec: 10 * MiB, // The office's line.
  upRateBytesPerSec: 100 * MiB, // Its LAN.
  downRateBytesPerSec: 100 * MiB,
};

await test("30 machines update at once over one slow line", () => {
  const report = runFlashCrowd(office);
  assert.equal(report.completed, office.peers);
  assert.ok(report.originCopies < 1.5, `${report.originCopies} copies crossed the line`);
  assert.ok(report.p50Ratio < 1.5, `${report.p50Ratio} of the lower bound`);
});

await test("a machine that sends corrupt pieces does no harm", () => {
  const report = runFlashCrowd({ ...office, behaviours: { 3: { corruptShare: 1 } } });
  assert.equal(report.completed, office.peers);
  assert.ok(report.bans > 0);
});

await test("the same seed gives the same run", () => {
  const [first, second] = [runFlashCrowd(office), runFlashCrowd(office)];
  assert.equal(first.traceHash, second.traceHash);
});

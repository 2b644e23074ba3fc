/**
 * Foreground and background jobs of one agent on a link that is too slow for both, as numbers with
 * tolerances in virtual time (job-API reference, sections 4.2 and 12).
 */
import { MiB } from "@shoal/core";
import { describe, expect, it } from "vitest";
import { scale } from "../long.ts";
import { Workload } from "./workload.ts";
import type { WatchedJob } from "./workload.ts";

const LENGTH = 128 * MiB;
const ORIGIN_RATE = 10 * MiB;
/** Of the link, for a background job beside a foreground job. */
const BACKGROUND_SHARE_MAX = 0.3;

interface Shares {
  /** Of all bytes that came while the foreground job ran. */
  readonly background: number;
  /** What the background job had of the link afterwards. */
  readonly afterwards: number;
}

/** Runs both jobs, `first` for `headStartMs` alone, until the foreground job is done. */
function shareLink(seed: number, first: "foreground" | "normal", headStartMs: number): Shares {
  const load = new Workload({ seed, originRateBytesPerSec: ORIGIN_RATE });
  const agent = load.startAgent();
  const jobs = new Map<string, WatchedJob>();
  const second = first === "foreground" ? "normal" : "foreground";
  // Longer than all of the run, so that it never lacks something to fetch.
  const lengths = { foreground: LENGTH, normal: 4 * LENGTH };
  jobs.set(first, load.download(agent, load.addFile(lengths[first]), first));
  load.pass(headStartMs);
  jobs.set(second, load.download(agent, load.addFile(lengths[second]), second));
  const [foreground, background] = [jobs.get("foreground"), jobs.get("normal")];
  if (foreground === undefined || background === undefined) throw new Error("both were created");
  const before = foreground.snapshot.originBytes + background.snapshot.originBytes;
  const backgroundBefore = background.snapshot.originBytes;
  load.untilDone([foreground]);
  const backgroundBytes = background.snapshot.originBytes - backgroundBefore;
  const allBytes = foreground.snapshot.originBytes + background.snapshot.originBytes - before;
  const [sentBefore, afterMs] = [load.world.server.sentBytes, 10_000];
  const storedBefore = background.snapshot.transferredBytes;
  load.pass(afterMs);
  const sent = load.world.server.sentBytes - sentBefore;
  expect(sent, `seed ${seed}`).toBeGreaterThan(0.95 * (ORIGIN_RATE / 1_000) * afterMs);
  const stored = background.snapshot.transferredBytes - storedBefore;
  return {
    background: backgroundBytes / allBytes,
    afterwards: stored / ((ORIGIN_RATE / 1_000) * afterMs),
  };
}

describe("foreground and background on one slow origin link", () => {
  it.each([
    ["both begin together", "foreground", 0],
    ["the foreground job comes later", "normal", 3_000],
    ["the background job comes later", "foreground", 3_000],
  ] as const)(
    "gives the background at most 30 per cent of it, and then all, when %s",
    (_, first, headStartMs) => {
      for (let seed = 1; seed <= scale(3, 50); seed++) {
        const { background, afterwards } = shareLink(seed, first, headStartMs);
        const figures = `seed ${seed}: ${(100 * background).toFixed(1)} % of the link`;
        expect(background, `${figures}: at most 30 %`).toBeLessThanOrEqual(BACKGROUND_SHARE_MAX);
        expect(background, `${figures}: it trickles`).toBeGreaterThan(0.01);
        expect(afterwards, `seed ${seed}: all of the link afterwards`).toBeGreaterThan(0.9);
      }
    },
  );

  it("goes on with the background job while the foreground job waits for its origin", () => {
    const load = new Workload({ seed: 1, originRateBytesPerSec: ORIGIN_RATE });
    const agent = load.startAgent();
    const lost = load.addFile(LENGTH);
    const file = { length: LENGTH, validator: { etag: '"0"' } };
    load.world.server.setFile(lost.url, { ...file, trouble: { kind: "silent" } });
    const foreground = load.download(agent, lost, "foreground");
    const background = load.download(agent, load.addFile(LENGTH));
    load.untilDone([background], (2_000 * LENGTH) / ORIGIN_RATE);
    expect(foreground.isDone).toBe(false);
  });
});

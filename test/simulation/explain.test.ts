/**
 * What agents of a swarm say of where their bytes came from, against what the origin has sent: the
 * account is of every byte, and its reasons are those of the situation. Times are virtual.
 */
import { MiB } from "@shoal/core";
import type { ExplainedFile, ReasonCode } from "@shoal/core";
import { isTransferred, makeSimContent, SimWorld } from "@shoal/sim";
import type { AddAgentOptions } from "@shoal/sim";
import { expect, it } from "vitest";
import { scale } from "../long.ts";

const MB = 1_000_000;
const URL_TEXT = "http://origin.example/content.bin";
const RATES = { upRateBytesPerSec: 12 * MB, downRateBytesPerSec: 100 * MB };

interface Crowd {
  readonly files: readonly ExplainedFile[];
  readonly originBytes: number;
  readonly lengthBytes: number;
}

/** Agents that all begin at once and know each other; what each says at the end. */
function runCrowd(seed: number, agents: readonly Partial<AddAgentOptions>[]): Crowd {
  const lengthBytes = 32 * MiB;
  const world = new SimWorld({ seed, origin: { rateBytesPerSec: 12 * MB } });
  const content = makeSimContent({ lengthBytes, pieceLengthBytes: MiB, seed });
  const manifest = content.manifestBytes;
  const validator = { etag: '"1"' };
  world.server.setFile(URL_TEXT, { length: lengthBytes, validator, manifest });
  let readyCount = 0;
  const all = agents.map((options) => world.addAgent({ ...RATES, ...options }));
  for (const agent of all) {
    agent.onNotice(({ type }) => {
      if (type === "ready") readyCount++;
    });
    agent.start();
  }
  world.clock.runUntil(() => readyCount === all.length, 1_000);
  for (const { peerId } of all) {
    world.network.introduce(peerId, { count: all.length - 1, withinMs: 100 });
  }
  const jobs = all.map((agent) => ({
    agent,
    jobId: world.download(agent, { content, url: URL_TEXT }),
  }));
  const isDone = (): boolean =>
    jobs.every(({ agent, jobId }) => isTransferred(agent.jobSnapshot(jobId)));
  world.clock.runUntil(isDone, 600_000);
  expect(isDone(), `seed ${seed}`).toBe(true);
  world.checkInvariants();
  const files = jobs.flatMap(({ agent, jobId }) => agent.explain(jobId)?.files ?? []);
  let originBytes = 0;
  for (const { agent } of jobs) originBytes += agent.counter("shoal_origin_received_bytes_total");
  return { files, originBytes, lengthBytes };
}

const FROM_ORIGIN = new Set<ReasonCode>([
  "noPeers",
  "owned",
  "ownerSilent",
  "idleSteal",
  "peersSlow",
  "peersSilent",
  "corruptRetry",
]);

/** Every byte has one source and a reason that goes with it; returns bytes by reason. */
function checkAccount({ files, originBytes, lengthBytes }: Crowd): Map<ReasonCode, number> {
  const byCode = new Map<ReasonCode, number>();
  let explainedOriginBytes = 0;
  for (const { shares } of files) {
    expect(shares.reduce((sum, { bytes }) => sum + bytes, 0)).toBe(lengthBytes);
    for (const { source, code, bytes } of shares) {
      byCode.set(code, (byCode.get(code) ?? 0) + bytes);
      expect(FROM_ORIGIN.has(code)).toBe(source.kind === "origin");
      if (source.kind === "origin") explainedOriginBytes += bytes;
    }
  }
  // What was received twice is waste, and no share of the file.
  expect(explainedOriginBytes).toBeLessThanOrEqual(originBytes);
  return byCode;
}

it("a cold start of several: what they say came from the origin is about one copy, mostly owned", () => {
  for (let seed = 1; seed <= scale(3, 60); seed++) {
    const crowd = runCrowd(seed, Array(6).fill({}));
    const byCode = checkAccount(crowd);
    const owned = byCode.get("owned") ?? 0;
    const offered = (byCode.get("offered") ?? 0) + (byCode.get("endgame") ?? 0);
    const figures = `seed ${seed}: ${JSON.stringify([...byCode])}`;
    expect(owned, `${figures}`).toBeGreaterThan(0.4 * crowd.lengthBytes);
    expect(offered, `${figures}`).toBeGreaterThan(4 * crowd.lengthBytes);
  }
});

it("among peers that stall and corrupt every byte is accounted for, and the banned are named", () => {
  for (let seed = 1; seed <= scale(3, 60); seed++) {
    const behaviours = [
      { stalls: true, claimsAll: true },
      { corruptShare: 1, claimsAll: true },
    ];
    const bad = behaviours.map((behaviour) => ({ behaviour }));
    const crowd = runCrowd(seed, [{}, {}, ...bad]);
    checkAccount(crowd);
    const seen = new Set(crowd.files.flatMap(({ peers }) => peers.map(({ code }) => code)));
    expect(seen.has("banned") || seen.has("addressBanned"), `${[...seen].join()}`).toBe(true);
  }
});

it("alone there is one reason: no peer takes part", () => {
  const byCode = checkAccount(runCrowd(1, [{}]));
  expect([...byCode.keys()]).toEqual(["noPeers"]);
});

/**
 * Jobs whose peers are all bad, or honest until they die in the middle: what each costs beside HTTP
 * alone; what it costs to have none is `no-peers.test.ts`'s. Honest peers are agents in processes of their own, so that they can be ended
 * as machines end: killed, or frozen with their connections open.
 */
import { MiB } from "@shoal/core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { scale } from "../long.ts";
import {
  Booty,
  ClaimSpam,
  CorruptPieces,
  Intruder,
  RefusesEverything,
  SilentSeed,
  SlowDrip,
  TruncatedPieces,
  WrongPieces,
} from "./attackers.ts";
import type { Attack } from "./attackers.ts";
import { TestSite, until } from "./harness.ts";
import type { AgentProcess, TestContent, TestOrigin } from "./harness.ts";
import { Siege } from "./siege.ts";
import type { Outcome, SiegeOptions } from "./siege.ts";

const LENGTH = scale(16, 32) * MiB;
const ORIGIN_BYTES_PER_SEC = 16 * MiB;

let site: TestSite;
let content: TestContent;
let siege: Siege;
let aloneMs: number;

beforeAll(async () => {
  site = await TestSite.create();
  content = await site.publish("file.bin", LENGTH);
  siege = site.use(new Siege(site));
  await download();
  aloneMs = (await download()).elapsedMs;
});
afterAll(() => site[Symbol.asyncDispose]());

function serve(): Promise<TestOrigin> {
  return site.serve(content, { rateBytesPerSec: ORIGIN_BYTES_PER_SEC });
}

/** One download by a new agent; without options there are no peers, and no way to find any. */
async function download(options: SiegeOptions = { listen: [] }): Promise<Outcome> {
  await siege.start(options);
  const outcome = await siege.download(content, await serve());
  await siege.stop();
  expect(outcome.isRight).toBe(true);
  return outcome;
}

function tell({ elapsedMs, snapshot }: Outcome): void {
  const { wastedBytes, originBytes } = snapshot;
  const name = expect.getState().currentTestName;
  console.log(
    `${name}: ${(elapsedMs / aloneMs).toFixed(2)} × HTTP alone,`,
    `${(originBytes / LENGTH).toFixed(2)} copies, ${(wastedBytes / LENGTH).toFixed(3)} wasted`,
  );
}

test("a mob of liars and idlers hides neither an honest peer nor the end", async () => {
  await using people = new AsyncDisposableStack();
  const booty = await Booty.of(content);
  const honest = people.use(site.startAgent("honest"));
  const { addresses } = await honest.next("ready");
  honest.send({ type: "share", path: content.path });
  await honest.next("shared");
  await siege.start({ honest: addresses });
  const attacks: Attack[] = [
    new CorruptPieces(),
    new WrongPieces(),
    new RefusesEverything(),
    new TruncatedPieces(),
    new SlowDrip(),
    new SilentSeed(),
    new ClaimSpam(),
  ];
  for (const attack of attacks) {
    const intruder = people.use(await Intruder.create(attack, booty));
    await intruder.enter(siege.address);
  }
  const outcome = await siege.download(content, undefined);
  const { wastedBytes } = outcome.snapshot;
  tell(outcome);
  await siege.stop();
  expect(outcome.isRight).toBe(true);
  expect(outcome.elapsedMs).toBeLessThan(1.2 * aloneMs + 30_000);
  // R-SCH-07, and R-SCH-05 for pieces asked of two sources at the end.
  expect(wastedBytes).toBeLessThan((5 + 16) * booty.layout.pieceLengthMax + 0.05 * LENGTH);
});

describe("when all peers end in the middle of a job, the origin finishes it", () => {
  test.each<[string, NodeJS.Signals]>([
    ["killed", "SIGKILL"],
    ["frozen, with their connections open (R-SCH-02, R-SCH-03)", "SIGSTOP"],
  ])("%s", async (_, signal) => {
    await using people = new AsyncDisposableStack();
    // Slow enough that they can be ended in the middle.
    const settings = { uploadRateBytesPerSec: 2 * MiB };
    const peers: AgentProcess[] = [];
    for (const name of [`${signal}-1`, `${signal}-2`]) {
      peers.push(people.use(site.startAgent(name, { settings })));
    }
    const addresses: string[] = [];
    for (const peer of peers) {
      addresses.push(...(await peer.next("ready")).addresses);
      peer.send({ type: "share", path: content.path });
      await peer.next("shared");
    }
    await siege.start({ honest: addresses });
    const downloaded = siege.download(content, await serve());
    await until(async () => {
      const { counters } = await siege.look();
      return counters.shoal_peer_received_bytes_total >= MiB;
    }, "the first pieces of peers");
    for (const { pid } of peers) process.kill(pid ?? 0, signal);
    const outcome = await downloaded;
    const { counters } = await siege.look();
    tell(outcome);
    await siege.stop();
    for (const peer of peers) await peer.kill();
    expect(outcome.isRight).toBe(true);
    expect(outcome.snapshot.originBytes).toBeGreaterThan(LENGTH / 4);
    expect(outcome.elapsedMs).toBeLessThan(1.2 * aloneMs + 30_000);
    expect(counters.shoal_peer_bans_total).toBe(0);
  });
});

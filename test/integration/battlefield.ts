/**
 * Where an agent is attacked: an origin, an agent under siege and what its download costs when
 * nobody is about. One attacker of a kind comes several times over; afterwards all that holds after
 * every attack is checked: the time, memory and descriptors, and what was wasted.
 *
 * Knows no attack. Called by `hostile-peers.test.ts` and `silent-peers.test.ts`.
 */
import { LIMITS, MiB } from "@shoal/core";
import type { Offence } from "@shoal/core";
import { expect } from "vitest";
import { scale } from "../long.ts";
import { Booty, Intruder } from "./attackers.ts";
import type { Attack } from "./attackers.ts";
import type { BesiegedLook } from "./besieged-agent.ts";
import { TestSite } from "./harness.ts";
import type { TestContent, TestOrigin } from "./harness.ts";
import { Siege } from "./siege.ts";
import type { Outcome, SiegeOptions } from "./siege.ts";

/** Of the content. */
export const LENGTH = scale(8, 64) * MiB;
/** How often an attacker comes. */
export const ATTACKERS = 4;
const ORIGIN_BYTES_PER_SEC = 16 * MiB;
/** What an agent and a download of this length need, and room for what four peers may pin. */
const MEMORY_BYTES_MAX = 128 * MiB;
/** About forty are open at a time without any attack. */
const DESCRIPTORS_MAX = 64;

/** What came of an attack. */
export interface Endured {
  readonly outcome: Outcome;
  readonly look: BesiegedLook;
  readonly intruders: readonly Intruder[];
}

export class Battlefield implements AsyncDisposable {
  readonly siege: Siege;
  readonly booty: Booty;
  readonly #site: TestSite;
  readonly #content: TestContent;
  /** HTTP alone, with nobody about. */
  aloneMs = 0;
  /** What the process has open when no agent runs. */
  descriptorsAtRest = 0;

  private constructor(site: TestSite, content: TestContent, booty: Booty) {
    this.#site = site;
    this.#content = content;
    this.booty = booty;
    this.siege = site.use(new Siege(site));
  }

  static async create(): Promise<Battlefield> {
    const site = await TestSite.create();
    const content = await site.publish("file.bin", LENGTH);
    const field = new Battlefield(site, content, await Booty.of(content));
    // The first run reads the program; the second one is what is compared with.
    for (let run = 0; run < 2; run++) {
      await field.siege.start();
      field.aloneMs = (await field.download()).elapsedMs;
      field.descriptorsAtRest = (await field.siege.stop()).descriptors;
    }
    return field;
  }

  /** By the agent that runs, from an origin of its own. */
  async download(): Promise<Outcome> {
    return this.siege.download(this.#content, await this.#serve());
  }

  /** Downloads while attackers, one after the other, come in and do their worst. */
  async endure(
    name: string,
    make: () => Attack,
    { count = ATTACKERS, ...options }: SiegeOptions & { readonly count?: number } = {},
  ): Promise<Endured> {
    await this.siege.start(options);
    await using attackers = new AsyncDisposableStack();
    const intruders: Intruder[] = [];
    for (let i = 0; i < count; i++) {
      const intruder = attackers.use(await Intruder.create(make(), this.booty));
      intruders.push(intruder);
      await intruder.enter(this.siege.address);
    }
    const outcome = await this.download();
    const look = await this.siege.look();
    const identities = new Set(intruders.map(({ peerId }) => peerId));
    await expectSound(this, name, { outcome, look, identityCount: identities.size });
    return { outcome, look, intruders };
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#site[Symbol.asyncDispose]();
  }

  #serve(): Promise<TestOrigin> {
    return this.#site.serve(this.#content, { rateBytesPerSec: ORIGIN_BYTES_PER_SEC });
  }
}

/** What holds after every attack; ends the agent. */
export async function expectSound(
  field: Battlefield,
  name: string,
  { outcome, look, identityCount }: Pick<Endured, "outcome" | "look"> & { identityCount: number },
): Promise<void> {
  const { elapsedMs, isRight, snapshot } = outcome;
  const { memoryBytesPeak, descriptorsPeak, counters } = look;
  const { pieceLengthMax } = field.booty.layout;
  console.log(
    `${name}: ${(elapsedMs / field.aloneMs).toFixed(2)} × HTTP alone,`,
    `${Math.round(memoryBytesPeak / MiB)} MiB, ${descriptorsPeak} descriptors,`,
    `${(snapshot.wastedBytes / pieceLengthMax).toFixed(1)} pieces wasted`,
  );
  expect(isRight).toBe(true);
  expect(elapsedMs).toBeLessThan(1.2 * field.aloneMs + 30_000);
  expect(memoryBytesPeak).toBeLessThan(MEMORY_BYTES_MAX);
  expect(descriptorsPeak).toBeLessThan(DESCRIPTORS_MAX);
  // R-SCH-07, of one address, and R-SCH-05 for pieces asked of two sources at the end.
  const piecesMax = Math.min(5, 2 * identityCount) + LIMITS.endgamePiecesMax;
  const wastedBytesMax = piecesMax * pieceLengthMax + 0.05 * LENGTH;
  expect(snapshot.wastedBytes).toBeLessThanOrEqual(wastedBytesMax);
  expect(counters.shoal_wasted_bytes_total).toBe(snapshot.wastedBytes);
  const rest = await field.siege.stop();
  expect(rest.descriptors).toBeLessThanOrEqual(field.descriptorsAtRest + 2);
  expect(rest.memoryBytes).toBeLessThan(MEMORY_BYTES_MAX / 2);
}

/** How often each offence was told of. */
export function offences({ notices }: BesiegedLook): Partial<Record<Offence, number>> {
  const counts: Partial<Record<Offence, number>> = {};
  for (const notice of notices) {
    if (notice.type !== "peerOffended") continue;
    counts[notice.offence] = (counts[notice.offence] ?? 0) + 1;
  }
  return counts;
}

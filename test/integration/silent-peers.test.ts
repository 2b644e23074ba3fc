/**
 * Peers that deliver nothing, over real connections: the agent waits for each as long as it may, and
 * goes on. Waiting is most of what these tests do, so each has an agent of its own and they wait
 * together.
 */
import { describe, expect, test } from "vitest";
import { ClaimSpam, SilentOwner, SilentSeed, SlowDrip, TruncatedPieces } from "./attackers.ts";
import type { Attack } from "./attackers.ts";
import { ATTACKERS, Battlefield, LENGTH, offences } from "./battlefield.ts";
import type { SiegeOptions } from "./siege.ts";

/** A piece of this length is late after 2 s then, instead of 10 s. */
const IMPATIENT: SiegeOptions = { settings: { pieceTimeoutMsMin: 1_000 } };

describe.concurrent("peers that deliver nothing hold nobody up", () => {
  test.each<[string, () => Attack]>([
    ["half of every piece (R-SCH-02)", () => new TruncatedPieces()],
    ["a byte a second (R-SCH-02)", () => new SlowDrip()],
    ["silence of those that claim everything (R-SCH-02, R-SCH-03)", () => new SilentSeed()],
  ])("%s", async (name, make) => {
    await using field = await Battlefield.create();
    const { look, intruders } = await field.endure(name, make, IMPATIENT);
    expect(offences(look).stall).toBeGreaterThan(0);
    expect(look.counters.shoal_peer_timeouts_total).toBe(offences(look).stall);
    for (const { requestedCount } of intruders) expect(requestedCount).toBeLessThanOrEqual(2);
  });

  test.each<[string, () => Attack, number]>([
    ["claims of everything, again and again (R-SCH-03)", () => new ClaimSpam(), ATTACKERS],
    ["silence of seven of eight owners (R-SCH-03)", () => new SilentOwner(), 7],
  ])("%s", async (name, make, count) => {
    await using field = await Battlefield.create();
    const { outcome, look } = await field.endure(name, make, { count });
    expect(outcome.snapshot.originBytes).toBe(LENGTH);
    // Slow is not the same as hostile: nobody is blamed for what may be the network's doing.
    expect(offences(look)).toEqual({});
  });
});

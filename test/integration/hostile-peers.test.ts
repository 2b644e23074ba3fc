/**
 * Whole agents against malicious peers, over real connections: one attacker of each kind four times
 * over, beside an origin. The job comes through in the time that HTTP alone would have taken and
 * the bound of the threat model (section 22, fault 19); memory and descriptors stay bounded and
 * come back; what was wasted is counted; and the agent says what was done to it.
 */
import type { Offence } from "@shoal/core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { FRAME } from "../../packages/swarm/test/stranger.ts";
import {
  CorruptPieces,
  EndlessData,
  GiantFrame,
  HalfOpen,
  HaveBeyondTheEnd,
  HaveMapSpam,
  HaveSpam,
  Intruder,
  RefusesEverything,
  RequestFlood,
  SpareBits,
  UnsolicitedData,
  WrongHaveMap,
  WrongPieces,
} from "./attackers.ts";
import type { Attack } from "./attackers.ts";
import { ATTACKERS, Battlefield, expectSound, offences } from "./battlefield.ts";

let field: Battlefield;
beforeAll(async () => void (field = await Battlefield.create()));
afterAll(() => field[Symbol.asyncDispose]());

describe("peers that break the protocol are dropped, each for what it did", () => {
  test.each<[string, () => Attack, Offence, string]>([
    ["data that nobody asked for", () => new UnsolicitedData(), "surplusBytes", "is not open"],
    ["data without end (R-PEER-15)", () => new EndlessData(), "surplusBytes", "is not open"],
    [
      "a piece frame of 4 GiB (R-PEER-12)",
      () => new GiantFrame(FRAME.pieceData),
      "malformedFrame",
      "4294967295 bytes",
    ],
    [
      "a control frame of 4 GiB (R-PEER-11)",
      () => new GiantFrame(FRAME.have),
      "malformedFrame",
      "4294967295 bytes",
    ],
    ["bits behind the end (R-PEER-13)", () => new SpareBits(), "malformedFrame", "spare bits"],
    [
      "a have-map too long (R-PEER-13)",
      () => new WrongHaveMap(),
      "malformedFrame",
      "cannot be true",
    ],
    ["a piece beyond the end", () => new HaveBeyondTheEnd(), "malformedFrame", "cannot be true"],
    ["HAVEs without end", () => new HaveSpam(), "requestFlood", "control frames"],
    [
      "requests without end (R-PEER-17, R-PEER-23)",
      () => new RequestFlood("known"),
      "requestFlood",
      "control frames",
    ],
    [
      "requests for what nobody has (R-PEER-17)",
      () => new RequestFlood("unknown"),
      "requestFlood",
      "control frames",
    ],
  ])("%s", async (name, make, offence, reason) => {
    const { look, intruders } = await field.endure(name, make);
    expect(offences(look)[offence]).toBeGreaterThanOrEqual(ATTACKERS);
    expect(look.connectedPeers).toEqual([]);
    for (const { peerId } of intruders) {
      const said = { type: "peerDisconnected", peerId, reason: expect.stringContaining(reason) };
      expect(look.notices).toContainEqual(said);
    }
  });
});

describe("peers that lie are banned, and so is where they come from", () => {
  test.each<[string, () => Attack]>([
    ["corrupt pieces (R-BAN-01, R-BAN-02, R-SCH-07)", () => new CorruptPieces()],
    ["another piece's bytes (R-SCH-01, R-SCH-07)", () => new WrongPieces()],
  ])("%s", async (name, make) => {
    const { look, outcome, intruders } = await field.endure(name, make);
    const corruptCount = look.counters.shoal_corrupt_pieces_total;
    expect(corruptCount).toBeGreaterThan(0);
    // Three cost the address; one more may have been under way, at another identity.
    expect(corruptCount).toBeLessThanOrEqual(4);
    expect(offences(look)).toEqual({ corruptPiece: corruptCount });
    for (const { requestedCount } of intruders) expect(requestedCount).toBeLessThanOrEqual(2);
    expect(outcome.snapshot.wastedBytes).toBeGreaterThanOrEqual(
      corruptCount * field.booty.layout.pieceLengthMax,
    );
    expect(look.bans).toContainEqual(
      expect.objectContaining({ subject: "127.0.0.1", offence: "corruptPiece" }),
    );
    expect(look.connectedPeers).toEqual([]);
  });

  test("pieces that are claimed and never there (R-SCH-04)", async ({ task }) => {
    const { look } = await field.endure(task.name, () => new RefusesEverything());
    expect(look.bans.map(({ offence }) => offence)).toContain("notFound");
    expect(look.connectedPeers).toEqual([]);
  });

  test("have-maps without end (R-PEER-13)", async ({ task }) => {
    const { look } = await field.endure(task.name, () => new HaveMapSpam());
    // Twenty of them are a ban; the job may be over before.
    expect(offences(look).requestFlood).toBeGreaterThan(0);
  });
});

describe("connections that lead to nothing", () => {
  test("half-open ones, and streams by the hundred, take no more than their places (R-PEER-02, R-PEER-04, R-PEER-05, R-PEER-08, R-PEER-25)", async ({
    task,
  }) => {
    await field.siege.start();
    await using halfOpen = new HalfOpen();
    const pressed = halfOpen.press(field.siege.address, 200);
    const outcome = await field.download();
    await pressed;
    const look = await field.siege.look();
    expect(look.connectedPeers).toEqual([]);
    await expect.poll(() => halfOpen.openSockets, { timeout: 10_000 }).toBe(0);
    await expectSound(field, task.name, { outcome, look, identityCount: 1 });
  });

  test("fifty identities of one address are refused after the third offence (R-BAN-02, R-BAN-05)", async ({
    task,
  }) => {
    await field.siege.start();
    await using attackers = new AsyncDisposableStack();
    const downloaded = field.download();
    let admittedCount = 0;
    let requestedCount = 0;
    for (let i = 0; i < 50; i++) {
      const intruder = await Intruder.create(new CorruptPieces(), field.booty);
      attackers.use(intruder);
      if (await intruder.enter(field.siege.address)) admittedCount++;
      requestedCount += intruder.requestedCount;
    }
    const outcome = await downloaded;
    const look = await field.siege.look();
    expect(admittedCount).toBeLessThan(20);
    expect(requestedCount).toBeLessThanOrEqual(5);
    expect(look.bans.map(({ subject }) => subject)).toContain("127.0.0.1");
    await expectSound(field, task.name, { outcome, look, identityCount: 50 });
  });
});

/** The peers heard of lately, against a plain list from which entries are taken and put back. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { RecentPeers } from "../../src/schedule/recent-peers.ts";

/** The same rules by a list in the order of turns. Each answers whether the peer was known. */
class PlainRecent {
  readonly #turns: Array<{ readonly peerId: string; isHeardAgain: boolean }> = [];
  readonly #max: number;

  constructor(max: number) {
    this.#max = max;
  }

  get size(): number {
    return this.#turns.length;
  }

  heard(peerId: string): boolean {
    const known = this.#turns.find((turn) => turn.peerId === peerId);
    if (known !== undefined) {
      known.isHeardAgain = true;
      return true;
    }
    this.#turns.push({ peerId, isHeardAgain: false });
    while (this.#turns.length > this.#max) {
      const first = this.#turns.shift()!;
      if (first.isHeardAgain) this.#turns.push({ ...first, isHeardAgain: false });
    }
    return false;
  }

  delete(peerId: string): boolean {
    const at = this.#turns.findIndex((turn) => turn.peerId === peerId);
    return at >= 0 && this.#turns.splice(at, 1).length === 1;
  }
}

function tell(recent: RecentPeers, peerId: string): boolean {
  if (recent.heard(peerId) !== undefined) return true;
  recent.add(peerId);
  return false;
}

describe("the peers heard of lately", () => {
  it("are those of the plain version, whatever is heard", () => {
    const word = fc.tuple(fc.boolean(), fc.integer({ min: 0, max: 12 }));
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 8 }),
        fc.array(word, { maxLength: 200 }),
        (max, all) => {
          const [tuned, plain] = [new RecentPeers(max), new PlainRecent(max)];
          for (const [isGone, number] of all) {
            const peerId = `peer ${number}`;
            const isDelete = isGone && number % 4 === 0;
            const told = isDelete ? tuned.delete(peerId) : tell(tuned, peerId);
            expect(told).toBe(isDelete ? plain.delete(peerId) : plain.heard(peerId));
            expect(tuned.size).toBe(plain.size);
          }
        },
      ),
    );
  });

  it("cost a few steps each, however many are forgotten, heard again, or gone and come again", () => {
    for (const peerCount of [10, 512, 1_024]) {
      const recent = new RecentPeers(512);
      for (let i = 0; i < 20_000; i++) {
        tell(recent, `peer ${i % peerCount}`);
        if (i % 3 === 0) recent.delete(`peer ${(7 * i) % peerCount}`);
      }
      expect(recent.steps / 20_000).toBeLessThan(3);
    }
  });
});

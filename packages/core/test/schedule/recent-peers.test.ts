/** The peers heard of last, against a plain set that is put in order by deleting and adding. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { RecentPeers } from "../../src/schedule/recent-peers.ts";

/** The same rules by a set in the order of hearing. */
class PlainRecent {
  readonly #known = new Set<string>();
  readonly #max: number;

  constructor(max: number) {
    this.#max = max;
  }

  get size(): number {
    return this.#known.size;
  }

  add(peerId: string): boolean {
    const isNew = !this.#known.delete(peerId);
    this.#known.add(peerId);
    const [oldest] = this.#known;
    if (this.#known.size > this.#max && oldest !== undefined) this.#known.delete(oldest);
    return isNew;
  }

  delete(peerId: string): boolean {
    return this.#known.delete(peerId);
  }
}

describe("the peers heard of last", () => {
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
            const tell = (peers: RecentPeers | PlainRecent): readonly [boolean, number] => {
              const isDelete = isGone && number % 4 === 0;
              return [isDelete ? peers.delete(peerId) : peers.add(peerId), peers.size];
            };
            expect(tell(tuned)).toEqual(tell(plain));
          }
        },
      ),
    );
  });

  it("cost a few steps each, whether one in two is forgotten or the same are heard again", () => {
    for (const peerCount of [10, 512, 1_024]) {
      const recent = new RecentPeers(512);
      for (let i = 0; i < 20_000; i++) recent.add(`peer ${i % peerCount}`);
      expect(recent.steps / 20_000).toBeLessThan(2);
    }
  });
});

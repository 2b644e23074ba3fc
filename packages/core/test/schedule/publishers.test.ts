/** Which signed manifests a job may start with: rollback, freeze, other files, other clocks. */
import { describe, expect, test } from "vitest";
import { parsePublisher } from "@shoal/core";
import type { AcceptedManifest, Publisher, Statement, StoredContent } from "@shoal/core";
import { Outbox } from "../../src/schedule/outbox.ts";
import { Publishers } from "../../src/schedule/publishers.ts";
import { WallClock } from "../../src/schedule/wall-clock.ts";
import { makeKey, signedBy } from "../content/signing.ts";
import type { TestKey } from "../content/signing.ts";
import { manifestOf } from "./harness.ts";

const [ALICE, BOB] = [makeKey(), makeKey()] as const;
const { bytes: MANIFEST, contentId: CONTENT_ID } = manifestOf(2);
const URL_TEXT = "http://origin.test/some/file";
const NOW_SEC = 1_800_000_000;

/** An agent's memory of publishers over several starts. */
class World {
  wallSec = NOW_SEC;
  saved: AcceptedManifest[] = [];
  /** What peers may have after the start, of the one content that is there. */
  offered: readonly StoredContent[] = [];
  #publishers = this.#start([]);

  constructor(...trusted: readonly string[]) {
    this.restart(...trusted);
  }

  restart(...trusted: readonly string[]): void {
    const publishers = trusted.map((text) => parsePublisher(text));
    this.#publishers = this.#start(publishers.filter((one) => one !== undefined));
    const stored = { contentId: CONTENT_ID, manifestBytes: MANIFEST, path: "/file" };
    this.offered = this.#publishers.load({ accepted: this.saved, contents: [stored] });
  }

  /** The code of the refusal; `undefined` when it is accepted. */
  accept(change: Partial<Statement>, key: TestKey = ALICE, url = URL_TEXT): string | undefined {
    const issuedAtSec = NOW_SEC - 10;
    const statement = { product: "p", sequence: 1, issuedAtSec, expiresAtSec: NOW_SEC + 100 };
    const bytes = signedBy({ ...statement, manifestBytes: MANIFEST, ...change }, key);
    const result = this.#publishers.accept(bytes, url, 0);
    return result.ok ? undefined : result.error.code;
  }

  mayContinue(mayBeTls: boolean): boolean {
    return this.#publishers.mayContinue(CONTENT_ID, mayBeTls);
  }

  #start(trusted: readonly Publisher[]): Publishers {
    const outbox = new Outbox();
    const wallClock = new WallClock();
    wallClock.tell(this.wallSec * 1_000, 0);
    outbox.store = (command) => {
      if (command.type === "saveAccepted") this.saved.push(...command.accepted);
    };
    return new Publishers({ outbox, wallClock }, trusted);
  }
}

describe("rollback (R-MAN-06)", () => {
  test("refuses a lower sequence, also after a restart, and takes the same one again", () => {
    const world = new World(ALICE.text);
    expect(world.accept({ sequence: 5 })).toBeUndefined();
    expect(world.accept({ sequence: 4 })).toBe("ERR_MANIFEST_ROLLBACK");
    world.restart(ALICE.text);
    expect(world.accept({ sequence: 4 })).toBe("ERR_MANIFEST_ROLLBACK");
    expect(world.accept({ sequence: 5 })).toBeUndefined();
    expect(world.accept({ sequence: 6 })).toBeUndefined();
  });

  test("refuses a sequence more than 2^40 ahead, which leaves no room for others", () => {
    const world = new World(ALICE.text);
    expect(world.accept({ sequence: 2 ** 40 + 1 })).toBe("ERR_MANIFEST_ROLLBACK");
    expect(world.accept({ sequence: 2 ** 40 })).toBeUndefined();
    expect(world.accept({ sequence: 2 ** 41 + 1 })).toBe("ERR_MANIFEST_ROLLBACK");
    expect(world.accept({ sequence: 2 ** 41 })).toBeUndefined();
  });

  test("compares within one product, and within one publisher", () => {
    const world = new World(ALICE.text, BOB.text);
    expect(world.accept({ sequence: 5 })).toBeUndefined();
    expect(world.accept({ sequence: 1, product: "other" })).toBeUndefined();
    expect(world.accept({ sequence: 1 }, BOB)).toBeUndefined();
  });

  test("is not forgotten when keys are replaced one after the other", () => {
    const world = new World(ALICE.text);
    expect(world.accept({ sequence: 5 })).toBeUndefined();
    world.restart(`${ALICE.text},${BOB.text}`);
    expect(world.accept({ sequence: 4 }, BOB)).toBe("ERR_MANIFEST_ROLLBACK");
    expect(world.accept({ sequence: 6 }, BOB)).toBeUndefined();
    expect(world.accept({ sequence: 5 }, ALICE)).toBe("ERR_MANIFEST_ROLLBACK");
    world.restart(BOB.text);
    expect(world.accept({ sequence: 5 }, BOB)).toBe("ERR_MANIFEST_ROLLBACK");
  });

  test("what was refused leaves no trace", () => {
    const world = new World(ALICE.text);
    expect(world.accept({ sequence: 9 }, BOB)).toBe("ERR_MANIFEST_UNTRUSTED");
    expect(world.accept({ sequence: 9 }, ALICE, "http://a.test/x")).toBe("ERR_MANIFEST_MISMATCH");
    const isOver = { expiresAtSec: NOW_SEC - 1 };
    expect(world.accept({ sequence: 9, ...isOver })).toBe("ERR_MANIFEST_EXPIRED");
    expect(world.saved).toEqual([]);
    expect(world.accept({ sequence: 1 })).toBeUndefined();
  });
});

describe("freeze (R-MAN-07)", () => {
  test("refuses what has expired, to the second", () => {
    const world = new World(ALICE.text);
    expect(world.accept({ expiresAtSec: NOW_SEC })).toBe("ERR_MANIFEST_EXPIRED");
    expect(world.accept({ expiresAtSec: NOW_SEC + 1 })).toBeUndefined();
  });

  test("a clock that is set back does not revive what has expired (R-TIME-04)", () => {
    const world = new World(ALICE.text);
    expect(world.accept({})).toBeUndefined();
    world.wallSec = 0;
    world.restart(ALICE.text);
    const old = { issuedAtSec: NOW_SEC - 100, expiresAtSec: NOW_SEC - 11 };
    expect(world.accept({ product: "file", ...old })).toBe("ERR_MANIFEST_EXPIRED");
  });

  test("one publisher's idea of the time does not end what another says", () => {
    const world = new World(ALICE.text, BOB.text);
    const far = { issuedAtSec: NOW_SEC + 1_000, expiresAtSec: NOW_SEC + 2_000 };
    expect(world.accept(far)).toBeUndefined();
    expect(world.accept({})).toBe("ERR_MANIFEST_EXPIRED");
    expect(world.accept({}, BOB)).toBeUndefined();
  });
});

describe("another file", () => {
  test.each([
    ["http://origin.test/file", undefined],
    ["http://origin.test/a/b/f%69le?version=2", undefined],
    ["http://origin.test/latest", undefined],
    ["http://origin.test/other", "ERR_MANIFEST_MISMATCH"],
    ["http://origin.test/file/", "ERR_MANIFEST_MISMATCH"],
    ["http://origin.test/", "ERR_MANIFEST_MISMATCH"],
    ["http://origin.test/%ff", "ERR_MANIFEST_MISMATCH"],
  ])("is not taken for %s (R-MAN-08)", (url, code) => {
    expect(new World(ALICE.text).accept({ product: "latest" }, ALICE, url)).toBe(code);
  });
});

test("peers get no content for which only keys have vouched that are not trusted any more (R-MAN-13)", () => {
  const world = new World(ALICE.text);
  expect(world.offered).toHaveLength(1);
  expect(world.accept({})).toBeUndefined();
  world.restart(ALICE.text);
  expect(world.offered).toHaveLength(1);
  world.restart(BOB.text);
  expect(world.offered).toEqual([]);
});

describe("a job that an earlier run began", () => {
  test("does not go on with what a key said that is not trusted any more (R-MAN-13)", () => {
    const world = new World(`${ALICE.text},${BOB.text}`);
    expect(world.accept({})).toBeUndefined();
    expect(world.mayContinue(false)).toBe(true);
    world.restart(ALICE.text);
    expect(world.mayContinue(false)).toBe(true);
    for (const others of [BOB.text, `2/${ALICE.text},${BOB.text}`]) {
      world.restart(others);
      expect(world.mayContinue(false)).toBe(false);
    }
    world.restart();
    expect(world.mayContinue(false)).toBe(false);
    expect(world.mayContinue(true)).toBe(false);
  });

  test("goes on with what has expired meanwhile (R-MAN-07), and without signature by TLS alone", () => {
    const world = new World(ALICE.text);
    expect([world.mayContinue(false), world.mayContinue(true)]).toEqual([false, true]);
    expect(world.accept({})).toBeUndefined();
    world.wallSec += 1_000;
    world.restart(ALICE.text);
    expect(world.accept({})).toBe("ERR_MANIFEST_EXPIRED");
    expect(world.mayContinue(false)).toBe(true);
  });
});

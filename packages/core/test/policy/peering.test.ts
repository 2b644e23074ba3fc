import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { groupKeyOf } from "../../src/policy/group-key.ts";
import { monthAt, parseMonthUsage } from "../../src/policy/month-usage.ts";
import { peerClassOf } from "../../src/policy/peer-class.ts";
import { decidePeering } from "../../src/policy/peering.ts";
import type { MachineFacts, Peering } from "../../src/policy/peering.ts";
import { resolveSettings } from "../../src/registry/settings.ts";
import type { Settings } from "../../src/registry/settings.ts";

const GiB = 2 ** 30;
const OPEN = { partners: "all", mayServe: true, reasons: [] } as const;
const OFF = { partners: "none", mayServe: false } as const;

function decide(settings: Partial<Settings>, facts: MachineFacts = {}, hasGroupKey = false) {
  return decidePeering(resolveSettings(settings), facts, { hasGroupKey });
}

describe("taking part in peering", () => {
  it.each<[string, Partial<Settings>, MachineFacts, Partial<Peering>]>([
    ["LAN", {}, {}, OPEN],
    ["Internet", { downloadMode: 3 }, {}, OPEN],
    ["HTTP only", { downloadMode: 0 }, {}, { ...OFF, reasons: ["modeHttpOnly"] }],
    [
      "simple",
      { downloadMode: 99 },
      {},
      { ...OFF, mayUseManifests: false, mayUseCacheServers: true },
    ],
    ["bypass", { downloadMode: 100 }, {}, { ...OFF, mayUseCacheServers: false }],
    ["group without a key", { downloadMode: 2 }, {}, { ...OFF, reasons: ["groupKeyMissing"] }],
    ["enough memory", { peerRamBytesMin: 4 * GiB }, { ramBytes: 4 * GiB }, OPEN],
    [
      "little memory",
      { peerRamBytesMin: 4 * GiB },
      { ramBytes: 4 * GiB - 1 },
      { ...OFF, reasons: ["ramTooSmall"] },
    ],
    ["unknown memory", { peerRamBytesMin: 4 * GiB }, {}, OPEN],
    [
      "a small disk",
      { peerDiskBytesMin: 32 * GiB },
      { diskBytes: 31 * GiB },
      { ...OFF, reasons: ["diskTooSmall"] },
    ],
    ["a VPN that may be", {}, { hasVpn: true }, OPEN],
    [
      "a VPN",
      { vpnPeers: 0, vpnCacheServers: 0 },
      { hasVpn: true },
      { partners: "local", mayServe: true, mayUseCacheServers: false },
    ],
    ["no VPN", { vpnPeers: 0, vpnCacheServers: 0 }, { hasVpn: false }, OPEN],
    [
      "local discovery alone",
      { peerRestriction: 2 },
      {},
      { partners: "local", mayServe: true, reasons: ["localDiscoveryOnly"] },
    ],
    ["battery where nobody minds", {}, { isOnBattery: true, batteryPercent: 1 }, OPEN],
    [
      "battery where nothing is uploaded on it",
      { batteryUploadPercentMin: 101 },
      { isOnBattery: true, batteryPercent: 100 },
      { partners: "all", mayServe: false, reasons: ["onBattery"] },
    ],
    [
      "a low battery",
      { batteryUploadPercentMin: 40 },
      { isOnBattery: true, batteryPercent: 39 },
      { partners: "all", mayServe: false },
    ],
    [
      "enough charge",
      { batteryUploadPercentMin: 40 },
      { isOnBattery: true, batteryPercent: 40 },
      OPEN,
    ],
    ["mains", { batteryUploadPercentMin: 101 }, { isOnBattery: false, batteryPercent: 5 }, OPEN],
    [
      "a metered network",
      { meteredUploads: 0 },
      { isMetered: true },
      { partners: "all", mayServe: false, reasons: ["metered"] },
    ],
  ])("is as policy says: %s (R-GRP-01)", (_, settings, facts, expected) => {
    expect(decide(settings, facts)).toMatchObject(expected);
  });

  it("is open in mode 2 to who has the group's key (R-GRP-01)", () => {
    expect(decide({ downloadMode: 2 }, {}, true)).toMatchObject(OPEN);
  });

  it("gives every reason there is against peers, and none that does not matter then", () => {
    const settings = { peerRamBytesMin: 8, peerDiskBytesMin: 8, meteredUploads: 0, vpnPeers: 0 };
    const facts = { ramBytes: 1, diskBytes: 1, isMetered: true, hasVpn: true };
    expect(decide(settings, facts).reasons).toEqual(["ramTooSmall", "diskTooSmall"]);
  });
});

describe("classes of peers", () => {
  it.each([
    [true, "private", 1, "linkLocal"],
    [false, "subnet", 1, "lan"],
    [false, "private", 1, "lan"],
    [false, "public", 1, "internet"],
    [false, "subnet", 2, "lan"],
    [false, "private", 2, "group"],
    [false, "public", 2, "group"],
    [false, "private", 3, "lan"],
    [false, "public", 3, "internet"],
  ] as const)("local %s, %s, mode %i: %s", (isLocal, reach, mode, expected) => {
    expect(peerClassOf({ isLocal, reach }, mode)).toBe(expected);
  });
});

describe("the key of a named group", () => {
  const GUID = "6F9619FF-8B86-D011-B42D-00CF4FC964FF";

  it("is the same however the GUID is written, and has 32 bytes", () => {
    expect(groupKeyOf(GUID)).toHaveLength(32);
    expect(groupKeyOf(`{${GUID.toLowerCase()}}`)).toEqual(groupKeyOf(GUID));
  });

  it("is another for another name", () => {
    expect(groupKeyOf("dns:example.org")).not.toEqual(groupKeyOf("dns:example.com"));
  });
});

describe("a month's usage", () => {
  it("is counted by months of UTC", () => {
    expect(monthAt(Date.UTC(2026, 0, 31, 23, 59, 59))).toBe("2026-01");
    expect(monthAt(Date.UTC(2026, 1, 1))).toBe("2026-02");
  });

  it("agrees with the calendar on any day", () => {
    const first = Date.UTC(1970, 0, 1);
    fc.assert(
      fc.property(fc.integer({ min: first, max: Date.UTC(2500, 0, 1) }), (at) => {
        expect(monthAt(at)).toBe(new Date(at).toISOString().slice(0, 7));
      }),
      { numRuns: 1_000 },
    );
  });

  it.each([
    [{ month: "2026-01", internetSentBytes: 5 }, true],
    [{ month: "2026-13", internetSentBytes: 5 }, false],
    [{ month: "2026-01", internetSentBytes: 5, totals: { originBytes: 1 } }, false],
    [{ month: "2026-01", internetSentBytes: -1 }, false],
    [{ month: "2026-01" }, false],
    [undefined, false],
  ])("is read back only as it is written: %o (R-DB-05)", (value, isRight) => {
    expect(parseMonthUsage(value) !== undefined).toBe(isRight);
  });
});

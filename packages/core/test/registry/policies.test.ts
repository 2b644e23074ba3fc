import { describe, expect, it } from "vitest";
import { ShoalError } from "../../src/registry/errors.ts";
import {
  checkPolicyValue,
  isPolicyName,
  parsePolicyValue,
  POLICIES,
} from "../../src/registry/policies.ts";
import type { Policies, PolicyName, PolicyRow } from "../../src/registry/policies.ts";
import { POLICY_REASONS } from "../../src/registry/policy-reasons.ts";
import { resolvePolicies } from "../../src/registry/resolve-policies.ts";
import { resolveSettings, SETTINGS } from "../../src/registry/settings.ts";
import type { SettingRow } from "../../src/registry/settings.ts";

const rows = Object.entries<PolicyRow>(POLICIES);
const GiB = 2 ** 30;
const inForce = (policies: Policies) => resolvePolicies({ policies }).settings;

describe("the table of policies", () => {
  it("has every policy of the reference", () => {
    expect(rows).toHaveLength(32);
    expect(rows.every(([name]) => name.startsWith("DO"))).toBe(true);
  });

  it.each(rows)("gives %s a default that is in its range", (name, { doDefault }) => {
    if (doDefault === undefined) return;
    expect(checkPolicyValue(name as PolicyName, doDefault)).toBeUndefined();
  });

  it.each(rows)("makes of each end of the range of %s settings that can be", (_, row) => {
    const { range } = row;
    if ("pattern" in range) return;
    const ends = "values" in range ? range.values : [range.min, range.max];
    for (const value of ends)
      expect(() => resolveSettings(row.effect(value).settings)).not.toThrow();
  });

  it.each(Object.entries<SettingRow>(SETTINGS).filter(([, { doPolicy }]) => doPolicy))(
    "knows the policy that the setting %s names, and sets it",
    (name, { doPolicy = "" }) => {
      expect(isPolicyName(doPolicy)).toBe(true);
      expect(POLICIES[doPolicy as PolicyName].sets).toContain(name);
    },
  );

  it("names policies of the table as reasons", () => {
    const named = Object.values<{ policy: string }>(POLICY_REASONS).map(({ policy }) => policy);
    expect(named.filter((policy) => policy !== "" && !isPolicyName(policy))).toEqual([]);
  });
});

describe("what a policy comes to", () => {
  it.each<[Policies, object]>([
    [{ DODownloadMode: 99 }, { downloadMode: 99 }],
    [{ DOMinRAMAllowedToPeer: 4 }, { peerRamBytesMin: 4 * GiB }],
    [{ DOMinDiskSizeAllowedToPeer: 32 }, { peerDiskBytesMin: 32 * GiB }],
    [{ DOMinFileSizeToCache: 50 }, { peerFileBytesMin: 50 * 2 ** 20 }],
    [{ DOMinBatteryPercentageAllowedToUpload: 0 }, { batteryUploadPercentMin: 101 }],
    [{ DOMinBatteryPercentageAllowedToUpload: 40 }, { batteryUploadPercentMin: 40 }],
    [{ DOAllowVPNPeerCaching: 0 }, { vpnPeers: 0 }],
    [{ DODisallowCacheServerDownloadsOnVPN: 1 }, { vpnCacheServers: 0 }],
    [{ DOMaxCacheAge: 259_200 }, { cacheAgeMs: 259_200_000 }],
    [{ DOMaxCacheAge: 4_294_967_295 }, { cacheAgeMs: SETTINGS.cacheAgeMs.max }],
    [{ DOMaxCacheSize: 20 }, { cachePercentMax: 20, cacheBytesMax: SETTINGS.cacheBytesMax.max }],
    [
      { DOAbsoluteMaxCacheSize: 10, DOMaxCacheSize: 5 },
      { cacheBytesMax: 10 * GiB, cachePercentMax: 100 },
    ],
    [{ DOAbsoluteMaxCacheSize: 0 }, { cacheBytesMax: SETTINGS.cacheBytesMax.max }],
    [{ DOMonthlyUploadDataCap: 20 }, { internetUploadMonthBytesMax: 20 * GiB }],
    [{ DOMinBackgroundQos: 2_500 }, { backgroundQosBytesPerSec: 2_560_000 }],
    [{ DOMaxForegroundDownloadBandwidth: 100 }, { foregroundRateBytesPerSec: 102_400 }],
    [{ DOPercentageMaxBackgroundBandwidth: 45 }, { backgroundPercent: 45 }],
    [{ DODelayForegroundDownloadFromHttp: 60 }, { p2pDelayForegroundMs: 60_000 }],
    [
      { DODelayCacheServerFallbackBackground: 2_592_000 },
      { cacheFallbackBackgroundMs: 2_592_000_000 },
    ],
    [
      { DOSetHoursToLimitBackgroundDownloadBandwidth: "8,17,20,60" },
      {
        backgroundWindowFromHour: 8,
        backgroundWindowToHour: 17,
        backgroundWindowInsidePercent: 20,
        backgroundWindowOutsidePercent: 60,
      },
    ],
  ])("is a setting in our unit: %o", (policies, settings) => {
    expect(inForce(policies)).toMatchObject(settings);
  });

  it("is an option where it is no number", () => {
    const { options } = resolvePolicies({
      policies: { DOVpnKeywords: "Contoso, Fabrikam", DOCacheHost: "a,b:8080", DOGroupIdSource: 4 },
    });
    expect(options).toEqual({
      vpnKeywords: ["Contoso", "Fabrikam"],
      cacheHosts: ["a", "b:8080"],
      groupIdSource: 4,
    });
  });

  it.each<[Policies, RegExp]>([
    [{ DOModifyCacheDrive: "D:\\" }, /state directory/],
    [{ DOPercentageMaxDownloadBandwidth: 50 }, /retired/],
    [{ DOGroupIdSource: 1 }, /not available here/],
    [{ DOGroupIdSource: 5 }, /not available here/],
    [{ DOCacheHostSource: 0 }, /DNS-SD/],
  ])("is taken and says why it has no effect: %o", (policies, reason) => {
    const [policy] = resolvePolicies({ policies }).policies;
    expect(policy).toMatchObject({ effect: "none", provider: "policy" });
    expect(policy?.reason).toMatch(reason);
  });

  it.each<[string, unknown]>([
    ["DODownloadMode", 4],
    ["DODownloadMode", "1"],
    ["DOMinRAMAllowedToPeer", 0],
    ["DOMinRAMAllowedToPeer", 1.5],
    ["DOMaxCacheSize", 101],
    ["DOGroupId", "my group"],
    ["DOSetHoursToLimitForegroundDownloadBandwidth", "24,1,2,3"],
    ["DOVpnKeywords", "a\u0000b"],
    ["DOUnknown", 1],
    ["__proto__", 1],
    ["toString", 1],
  ])("is refused when it is %s = %o", (name, value) => {
    const policies = JSON.parse(`{${JSON.stringify(name)}: ${JSON.stringify(value)}}`) as Policies;
    expect(() => resolvePolicies({ policies })).toThrow(ShoalError);
    expect(() => resolvePolicies({ policies })).toThrow(
      expect.objectContaining({ code: "ERR_POLICY_INVALID" }) as Error,
    );
  });

  it("is read from text as a number only where numbers are meant", () => {
    expect(parsePolicyValue("DODownloadMode", "2")).toBe(2);
    expect(parsePolicyValue("DOCacheHost", "10")).toBe("10");
    expect(parsePolicyValue("DODownloadMode", "two")).toBe("two");
  });
});

describe("what is in force", () => {
  it("is ours by default, which asks nothing of the machine", () => {
    const { settings, policies } = resolvePolicies({});
    expect(settings).toEqual(resolveSettings());
    expect(settings).toMatchObject({ peerRamBytesMin: 0, peerFileBytesMin: 0, vpnPeers: 1 });
    expect(policies).toEqual([]);
  });

  it("is what Delivery Optimization asks for with its preset", () => {
    expect(resolvePolicies({ preset: "do" }).settings).toMatchObject({
      downloadMode: 1,
      peerRestriction: 1,
      peerRamBytesMin: 4 * GiB,
      peerDiskBytesMin: 32 * GiB,
      peerFileBytesMin: 50 * 2 ** 20,
      batteryUploadPercentMin: 101,
      vpnPeers: 0,
      vpnCacheServers: 1,
      cachePercentMax: 20,
      internetUploadMonthBytesMax: 20 * GiB,
      backgroundQosBytesPerSec: 2_500 * 1024,
    });
  });

  it("comes from the setting before the policy before the preset, each with its provider", () => {
    const { effective, policies } = resolvePolicies({
      settings: { downloadMode: 0 },
      policies: { DODownloadMode: 3, DOMinFileSizeToCache: 10 },
      preset: "do",
    });
    const of = (wanted: string) => effective.find(({ name }) => name === wanted);
    expect(of("downloadMode")).toEqual({
      name: "downloadMode",
      value: 0,
      provider: "setting",
      policy: "DODownloadMode",
    });
    expect(of("peerFileBytesMin")).toMatchObject({ value: 10 * 2 ** 20, provider: "policy" });
    expect(of("peerRamBytesMin")).toMatchObject({ value: 4 * GiB, provider: "preset" });
    expect(of("uploadsMax")).toMatchObject({ provider: "default" });
    expect(policies.find(({ name }) => name === "DODownloadMode")).toMatchObject({
      effect: "overridden",
    });
    expect(policies.find(({ name }) => name === "DOMinFileSizeToCache")).toMatchObject({
      effect: "applied",
      provider: "policy",
    });
  });

  it("never show the id of a group, which is what its members know (R-API-13)", () => {
    const id = "0f8fad5b-d9cb-469f-a165-70867728950e";
    const { policies, options } = resolvePolicies({ policies: { DOGroupId: id } });
    expect(options.groupId).toBe(id);
    expect(policies).toEqual([expect.objectContaining({ name: "DOGroupId", value: "(hidden)" })]);
  });
});

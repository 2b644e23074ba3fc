/**
 * The one table of Delivery Optimization's policies, by the names that administrators know: what
 * each asks of our settings and options, in which unit, and which of them can do nothing here. The
 * page `docs/policies.md` is made from it. A GB is 2^30 bytes, an MB 2^20 and a KB 2^10, as there.
 *
 * Knows names and units. How policies, settings and defaults go together is `resolve-policies.ts`'.
 */
import { KiB, MiB } from "../units.ts";
import { NEVER_ON_BATTERY } from "./policy-settings.ts";
import { SETTINGS } from "./settings.ts";
import type { SettingName, Settings } from "./settings.ts";

/** Texts are lists where the policy is one: `a,b`. */
export type PolicyValue = number | string;

/** What policies ask for that is no number: options of an agent. */
export interface PolicyOptions {
  readonly groupId?: string;
  /** 1 AD site, 2 domain SID, 3 DHCP option 234, 4 DNS suffix, 5 Entra tenant. */
  readonly groupIdSource?: number;
  readonly vpnKeywords?: readonly string[];
  readonly cacheHosts?: readonly string[];
  /** 0 as named, 1 DHCP option 235 where nothing is named, 2 the option before what is named. */
  readonly cacheHostSource?: number;
}

/** What one policy comes to. */
export interface PolicyEffect {
  readonly settings?: Partial<Settings>;
  readonly options?: PolicyOptions;
  /** Why it changes nothing on this agent. */
  readonly noEffect?: string;
}

export interface PolicyRow {
  /** The reference's own default; absent: not set. */
  readonly doDefault?: PolicyValue;
  readonly unit: string;
  readonly range:
    | { readonly min: number; readonly max: number }
    | { readonly values: readonly number[] }
    | { readonly pattern: RegExp; readonly form: string };
  /** Settings and options it sets, for the page. */
  readonly sets: readonly string[];
  readonly help: string;
  /** Whoever knows the value has what it protects, so it is never shown (R-API-13). */
  readonly isSecret?: boolean;
  /** Called with a value in range. */
  effect(value: PolicyValue): PolicyEffect;
}

const GiB = 1024 * MiB;
const U32_MAX = 2 ** 32 - 1;
const DELAY_SEC_MAX = 2_592_000;
const DISCOVERY_WORDS = "no cache server is looked for by DNS-SD: name them, or use DHCP";
const WINDOWS_WORDS = "not available here: it needs Windows and a directory";

interface NumberPolicy {
  readonly setting: SettingName;
  readonly unit: string;
  /** What one unit is in the setting's. */
  readonly factor: number;
  readonly min?: number;
  readonly max: number;
  readonly doDefault?: number;
  readonly help: string;
}

/** A number that is a setting in another unit; what the setting cannot hold is its most. */
function numeric(row: NumberPolicy): PolicyRow {
  const { setting, unit, factor, min = 0, max, help } = row;
  return {
    ...(row.doDefault !== undefined && { doDefault: row.doDefault }),
    unit,
    range: { min, max },
    sets: [setting],
    help,
    effect: (value) => ({
      settings: { [setting]: Math.min(Number(value) * factor, SETTINGS[setting].max) },
    }),
  };
}

function delay(setting: SettingName, max: number, help: string): PolicyRow {
  return numeric({ setting, unit: "s", factor: 1_000, max, doDefault: 0, help });
}

function bandwidth(setting: SettingName, help: string): PolicyRow {
  return numeric({ setting, unit: "KB/s", factor: KiB, max: U32_MAX, doDefault: 0, help });
}

function percentage(setting: SettingName, help: string): PolicyRow {
  return numeric({ setting, unit: "%", factor: 1, max: 100, doDefault: 0, help });
}

const HOUR = "(?:[01]?\\d|2[0-3])";
const PERCENT = "(?:100|[1-9]?\\d)";
const HOURS = new RegExp(`^${HOUR},${HOUR},${PERCENT},${PERCENT}$`);

function hours(name: "foreground" | "background"): PolicyRow {
  const fields = ["FromHour", "ToHour", "InsidePercent", "OutsidePercent"] as const;
  const names = fields.map((field) => `${name}Window${field}` as const);
  return {
    unit: "hours, %",
    range: { pattern: HOURS, form: "`FROM,TO,INSIDE,OUTSIDE` such as `8,17,20,60`" },
    sets: names,
    help: `Shares of the link for ${name} downloads inside and outside of a window of local hours.`,
    effect: (value) => {
      const numbers = String(value).split(",").map(Number);
      return { settings: Object.fromEntries(names.map((key, index) => [key, numbers[index]])) };
    },
  };
}

function listOf(value: PolicyValue): string[] {
  return String(value)
    .split(",")
    .map((item) => item.trim())
    .filter((item) => item !== "");
}

const ANY_TEXT = /^[^\p{Cc}]{0,4096}$/u;
const GUID = /^\{?[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\}?$/i;

const PEERING_POLICIES = {
  DODownloadMode: {
    doDefault: 1,
    unit: "enum",
    range: { values: SETTINGS.downloadMode.values },
    sets: ["downloadMode"],
    help: "Where bytes may come from; see the modes above.",
    effect: (value) => ({ settings: { downloadMode: Number(value) } }),
  },
  DOGroupId: {
    unit: "GUID",
    range: { pattern: GUID, form: "a GUID" },
    sets: ["group key"],
    help: "The peer group in mode 2. Whoever knows the GUID is a member: it is weaker than a key file.",
    isSecret: true,
    effect: (value) => ({ options: { groupId: String(value) } }),
  },
  DOGroupIdSource: {
    doDefault: 0,
    unit: "enum",
    range: { values: [0, 1, 2, 3, 4, 5] },
    sets: ["group key"],
    help: "Where the group comes from in mode 2 without DOGroupId: 3 DHCP option 234, 4 DNS suffix.",
    effect: (value) => {
      const isHere = value === 0 || value === 3 || value === 4;
      const options = { groupIdSource: Number(value) };
      return isHere ? { options } : { options, noEffect: WINDOWS_WORDS };
    },
  },
  DORestrictPeerSelectionBy: {
    doDefault: 1,
    unit: "enum",
    range: { values: SETTINGS.peerRestriction.values },
    sets: ["peerRestriction"],
    help: "Narrows the choice of peers in modes 1, 2 and 3: 0 not, 1 to the subnet, 2 to local discovery.",
    effect: (value) => ({ settings: { peerRestriction: Number(value) } }),
  },
  DOMinRAMAllowedToPeer: numeric({
    setting: "peerRamBytesMin",
    unit: "GB",
    factor: GiB,
    min: 1,
    max: 100_000,
    doDefault: 4,
    help: "Memory that a machine must have to take part in peering.",
  }),
  DOMinDiskSizeAllowedToPeer: numeric({
    setting: "peerDiskBytesMin",
    unit: "GB",
    factor: GiB,
    min: 1,
    max: 100_000,
    doDefault: 32,
    help: "Capacity of the file system of the state directory, to take part in peering.",
  }),
  DOMinFileSizeToCache: numeric({
    setting: "peerFileBytesMin",
    unit: "MB",
    factor: MiB,
    min: 1,
    max: 100_000,
    doDefault: 50,
    help: "Length of the smallest file that peers are asked for and given.",
  }),
  DOMinBatteryPercentageAllowedToUpload: {
    doDefault: 0,
    unit: "%",
    range: { min: 0, max: 100 },
    sets: ["batteryUploadPercentMin"],
    help: "Charge below which a machine on battery uploads nothing; 0: nothing at all on battery.",
    effect: (value) => ({
      settings: { batteryUploadPercentMin: value === 0 ? NEVER_ON_BATTERY : Number(value) },
    }),
  },
  DOAllowVPNPeerCaching: {
    doDefault: 0,
    unit: "bool",
    range: { values: [0, 1] },
    sets: ["vpnPeers"],
    help: "Whether peering goes on while a VPN is up.",
    effect: (value) => ({ settings: { vpnPeers: Number(value) } }),
  },
  DOVpnKeywords: {
    unit: "list",
    range: { pattern: ANY_TEXT, form: "`word,word`" },
    sets: ["vpnKeywords"],
    help: "Words in the name of an interface that make it a VPN, beside those that are known.",
    effect: (value) => ({ options: { vpnKeywords: listOf(value) } }),
  },
  DODisallowCacheServerDownloadsOnVPN: {
    doDefault: 0,
    unit: "bool",
    range: { values: [0, 1] },
    sets: ["vpnCacheServers"],
    help: "Whether cache servers are left out while a VPN is up.",
    effect: (value) => ({ settings: { vpnCacheServers: 1 - Number(value) } }),
  },
} as const satisfies Record<string, PolicyRow>;

const CACHE_POLICIES = {
  DOMaxCacheAge: numeric({
    setting: "cacheAgeMs",
    unit: "s",
    factor: 1_000,
    max: U32_MAX,
    doDefault: 259_200,
    help: "Time for which a content stays on offer; 0 is no limit.",
  }),
  DOMaxCacheSize: {
    doDefault: 20,
    unit: "%",
    range: { min: 1, max: 100 },
    sets: ["cachePercentMax", "cacheBytesMax"],
    help: "Share of the whole file system, not of its free space, for copies in the cache.",
    effect: (value) => ({
      settings: { cachePercentMax: Number(value), cacheBytesMax: SETTINGS.cacheBytesMax.max },
    }),
  },
  DOAbsoluteMaxCacheSize: {
    unit: "GB",
    range: { min: 0, max: U32_MAX },
    sets: ["cacheBytesMax", "cachePercentMax"],
    help: "Bytes of copies in the cache, instead of a share; 0 is no limit but the disk.",
    effect: (value) => {
      const { max } = SETTINGS.cacheBytesMax;
      const bytes = value === 0 ? max : Math.min(Number(value) * GiB, max);
      return { settings: { cacheBytesMax: bytes, cachePercentMax: 100 } };
    },
  },
  DOModifyCacheDrive: {
    unit: "path",
    range: { pattern: ANY_TEXT, form: "a path" },
    sets: [],
    help: "The cache lies in the state directory, which whoever starts the agent names.",
    effect: () => ({
      noEffect: "the cache lies in the state directory: start with another (--state)",
    }),
  },
  DOMonthlyUploadDataCap: numeric({
    setting: "internetUploadMonthBytesMax",
    unit: "GB",
    factor: GiB,
    max: U32_MAX,
    doDefault: 20,
    help: "Bytes sent to peers of the Internet in a calendar month (UTC); 0 is no limit.",
  }),
  DOCacheHost: {
    unit: "list",
    range: { pattern: ANY_TEXT, form: "`host,host`" },
    sets: ["cacheHosts"],
    help: "Cache servers, asked before the origin.",
    effect: (value) => ({ options: { cacheHosts: listOf(value) } }),
  },
  DOCacheHostSource: {
    unit: "enum",
    range: { values: [0, 1, 2] },
    sets: ["cacheHosts"],
    help: "Cache servers by DHCP option 235: 1 where DOCacheHost names none, 2 before what it names.",
    effect: (value) => ({
      options: { cacheHostSource: Number(value) },
      ...(value === 0 && { noEffect: DISCOVERY_WORDS }),
    }),
  },
  DODelayForegroundDownloadFromHttp: delay(
    "p2pDelayForegroundMs",
    U32_MAX,
    "Time in which a foreground file is fetched from peers only.",
  ),
  DODelayBackgroundDownloadFromHttp: delay(
    "p2pDelayBackgroundMs",
    U32_MAX,
    "Time in which a background file is fetched from peers only.",
  ),
  DODelayCacheServerFallbackForeground: delay(
    "cacheFallbackForegroundMs",
    DELAY_SEC_MAX,
    "Time in which a foreground file stays with the cache servers.",
  ),
  DODelayCacheServerFallbackBackground: delay(
    "cacheFallbackBackgroundMs",
    DELAY_SEC_MAX,
    "Time in which a background file stays with the cache servers.",
  ),
} as const satisfies Record<string, PolicyRow>;

const BANDWIDTH_POLICIES = {
  DOMinBackgroundQos: numeric({
    setting: "backgroundQosBytesPerSec",
    unit: "KB/s",
    factor: KiB,
    min: 1,
    max: U32_MAX,
    doDefault: 2_500,
    help: "Rate below which a background file takes more from the origin.",
  }),
  DOMaxForegroundDownloadBandwidth: bandwidth(
    "foregroundRateBytesPerSec",
    "Rate of all foreground downloads together; 0 is no limit.",
  ),
  DOMaxBackgroundDownloadBandwidth: bandwidth(
    "backgroundRateBytesPerSec",
    "Rate of all background downloads together; 0 is no limit.",
  ),
  DOPercentageMaxForegroundBandwidth: percentage(
    "foregroundPercent",
    "Share of the link that foreground downloads take from origins; 0 is no limit.",
  ),
  DOPercentageMaxBackgroundBandwidth: percentage(
    "backgroundPercent",
    "Share of the link that background downloads take from origins; 0 is no limit.",
  ),
  DOSetHoursToLimitForegroundDownloadBandwidth: hours("foreground"),
  DOSetHoursToLimitBackgroundDownloadBandwidth: hours("background"),
  DOMaxDownloadBandwidth: bandwidth(
    "downloadRateBytesPerSec",
    "Rate of all downloads together; retired in Windows, in force here.",
  ),
  DOPercentageMaxDownloadBandwidth: {
    doDefault: 0,
    unit: "%",
    range: { min: 0, max: 100 },
    sets: [],
    help: "Retired: there is one percentage for the foreground and one for the background.",
    effect: () => ({
      noEffect: "retired: set the percentages of foreground and background downloads",
    }),
  },
  DOMaxUploadBandwidth: bandwidth(
    "uploadRateBytesPerSec",
    "Rate of all uploads together; retired in Windows, in force here.",
  ),
} as const satisfies Record<string, PolicyRow>;

export const POLICIES = { ...PEERING_POLICIES, ...CACHE_POLICIES, ...BANDWIDTH_POLICIES };

export type PolicyName = keyof typeof POLICIES;
/** Policies as an administrator sets them. */
export type Policies = { readonly [Name in PolicyName]?: PolicyValue };

/** Whether there is a policy of this name. */
export function isPolicyName(name: string): name is PolicyName {
  return Object.hasOwn(POLICIES, name);
}

/** What is wrong with the value, in words; `undefined` when nothing is. */
export function checkPolicyValue(name: PolicyName, value: unknown): string | undefined {
  const { range, unit }: PolicyRow = POLICIES[name];
  if ("pattern" in range) {
    if (typeof value === "string" && range.pattern.test(value)) return undefined;
    return `${name} takes ${range.form}`;
  }
  const isWhole = Number.isSafeInteger(value);
  const number = Number(value);
  if ("values" in range) {
    if (isWhole && range.values.includes(number)) return undefined;
    return `${name} takes one of ${range.values.join(", ")}`;
  }
  if (isWhole && number >= range.min && number <= range.max) return undefined;
  return `${name} takes whole numbers from ${range.min} to ${range.max}, in ${unit}`;
}

/** The value that a text stands for: numbers where the policy takes numbers. */
export function parsePolicyValue(name: PolicyName, text: string): PolicyValue {
  const { range }: PolicyRow = POLICIES[name];
  return !("pattern" in range) && /^\d{1,10}$/.test(text) ? Number(text) : text;
}

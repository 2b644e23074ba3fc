/**
 * The one table of settings. Flags, configuration keys and `docs/settings.md` are made from it, and
 * `test/tidy` checks that every setting has a reader. Settings are resolved once, at the edge, into
 * a complete frozen object; zero is a value.
 */
import { KiB, MiB } from "../units.ts";
import { CONTENT_CACHE_SETTINGS } from "./content-cache-settings.ts";
import { ShoalError } from "./errors.ts";
import { CONNECTION_SETTINGS } from "./connection-settings.ts";
import { PACE_SETTINGS } from "./pace-settings.ts";
import { POLICY_SETTINGS } from "./policy-settings.ts";

export interface SettingRow {
  readonly default: number;
  readonly min: number;
  readonly max: number;
  readonly unit: "ms" | "bytes" | "count" | "bytes/s" | "boolean" | "percent" | "hour" | "choice";
  /** Of a choice: what there is to choose from. */
  readonly values?: readonly number[];
  /** One sentence for help texts and docs. */
  readonly help: string;
  /** The Delivery Optimization policy of the same meaning, where there is one. */
  readonly doPolicy?: string;
}

const HOUR_MS = 3_600_000;

export const SETTINGS = {
  activeJobsMax: {
    default: 8,
    min: 1,
    max: 1_000,
    unit: "count",
    help: "Jobs that transfer at a time; further ones stay queued.",
  },
  inFlightBytesMax: {
    default: 32 * MiB,
    min: MiB,
    max: 1024 * MiB,
    unit: "bytes",
    help: "Bytes of one transfer that may be asked for or waiting for the disk at a time.",
  },
  inFlightPerPeerMax: {
    default: 8,
    min: 1,
    max: 8,
    unit: "count",
    help: "Pieces asked of one peer at a time.",
  },
  originConnectionsMax: {
    default: 4,
    min: 1,
    max: 16,
    unit: "count",
    help: "Connections to the origin for one transfer (R-HTTP-09).",
  },
  originRunBytes: {
    default: 8 * MiB,
    min: 256 * KiB,
    max: 64 * MiB,
    unit: "bytes",
    help: "Length of one range request to the origin.",
  },
  originExtentBytes: {
    default: 4 * MiB,
    min: 64 * KiB,
    max: 64 * MiB,
    unit: "bytes",
    help: "Length of the runs that members of a swarm divide among themselves for fetching from the origin.",
  },
  p2pDelayForegroundMs: {
    default: 0,
    min: 0,
    max: 30 * 24 * HOUR_MS,
    unit: "ms",
    help: "Time from its start in which a foreground file with a manifest is fetched from peers only.",
    doPolicy: "DODelayForegroundDownloadFromHttp",
  },
  p2pDelayBackgroundMs: {
    default: 0,
    min: 0,
    max: 30 * 24 * HOUR_MS,
    unit: "ms",
    help: "Time from its start in which a background file with a manifest is fetched from peers only.",
    doPolicy: "DODelayBackgroundDownloadFromHttp",
  },
  cacheFallbackForegroundMs: {
    default: 0,
    min: 0,
    max: 30 * 24 * HOUR_MS,
    unit: "ms",
    help: "Time in which a foreground file stays with the cache servers when they fail; 0 goes to the origin at once.",
    doPolicy: "DODelayCacheServerFallbackForeground",
  },
  cacheFallbackBackgroundMs: {
    default: 0,
    min: 0,
    max: 30 * 24 * HOUR_MS,
    unit: "ms",
    help: "Time in which a background file stays with the cache servers when they fail; 0 goes to the origin at once.",
    doPolicy: "DODelayCacheServerFallbackBackground",
  },
  originFailuresMax: {
    default: 6,
    min: 1,
    max: 100,
    unit: "count",
    help: "Failures without a verified byte after which the job waits in transientError (R-TIME-05).",
  },
  retryDelayMsMin: {
    default: 1_000,
    min: 1,
    max: HOUR_MS,
    unit: "ms",
    help: "First wait after a failure inside a transfer; it doubles with each failure.",
  },
  retryDelayMsMax: {
    default: 30_000,
    min: 1,
    max: HOUR_MS,
    unit: "ms",
    help: "Longest wait after a failure inside a transfer.",
  },
  jobRetryDelayMs: {
    default: 600_000,
    min: 5_000,
    max: 24 * HOUR_MS,
    unit: "ms",
    help: "Wait in transientError before the job is queued again.",
  },
  noProgressForegroundMs: {
    default: HOUR_MS,
    min: 0,
    max: 14 * 24 * HOUR_MS,
    unit: "ms",
    help: "Time without a verified byte after which a foreground job fails, where the job names none.",
  },
  noProgressBackgroundMs: {
    default: 24 * HOUR_MS,
    min: 0,
    max: 14 * 24 * HOUR_MS,
    unit: "ms",
    help: "Time without a verified byte after which a background job fails, where the job names none.",
  },
  jobsMax: {
    default: 300,
    min: 1,
    max: 5_000,
    unit: "count",
    help: "Jobs that are not over, of all owners together.",
  },
  jobsPerOwnerMax: {
    default: 60,
    min: 1,
    max: 5_000,
    unit: "count",
    help: "Jobs that are not over, of one owner who is not an administrator.",
  },
  filesPerJobMax: {
    default: 200,
    min: 1,
    max: 1_000,
    unit: "count",
    help: "Files in one job.",
  },
  rangesPerFileMax: {
    default: 500,
    min: 1,
    max: 2_000,
    unit: "count",
    help: "Byte ranges of one file.",
  },
  jobAgeMsMax: {
    default: 30 * 24 * HOUR_MS,
    min: HOUR_MS,
    max: 365 * 24 * HOUR_MS,
    unit: "ms",
    help: "Age, counted from its creation, at which a job that is not over is cancelled.",
  },
  endedJobAgeMsMax: {
    default: 30 * 24 * HOUR_MS,
    min: 0,
    max: 365 * 24 * HOUR_MS,
    unit: "ms",
    help: "Time for which a job that is over is remembered (R-DB-06).",
  },
  expiryGraceMs: {
    default: 600_000,
    min: 0,
    max: 24 * HOUR_MS,
    unit: "ms",
    help: "Time after a start in which no job expires, because the clock may not be set yet (R-TIME-03).",
  },
  idempotencyMs: {
    default: 24 * HOUR_MS,
    min: 0,
    max: 30 * 24 * HOUR_MS,
    unit: "ms",
    help: "Time for which an idempotency key names the job it created (R-API-14).",
  },
  stallTimeoutMs: {
    default: 2_000,
    min: 100,
    max: 60_000,
    unit: "ms",
    help: "Silence after which a claim, an owner or the peers as a whole no longer hold back the origin.",
  },
  peerSilenceMs: {
    default: 5_000,
    min: 100,
    max: 60_000,
    unit: "ms",
    help: "Time without a verified piece from peers after which the origin is asked for pieces that peers have (R-SCH-03).",
  },
  stealDelayMs: {
    default: 500,
    min: 0,
    max: 60_000,
    unit: "ms",
    help: "Idle time after which a member fetches from the origin what another member owns but has not begun.",
  },
  announceFirstMax: {
    default: 3,
    min: 1,
    max: 64,
    unit: "count",
    help: "Members that are told of a new piece at once; it spreads through them, and the rest hear of it later.",
  },
  announceDelayMs: {
    default: 2_000,
    min: 0,
    max: 60_000,
    unit: "ms",
    help: "Time after which the rest of the members are told of new pieces.",
  },
  pieceTimeoutMsMin: {
    default: 10_000,
    min: 100,
    max: 60_000,
    unit: "ms",
    help: "Shortest time a peer has to deliver a piece (R-SCH-02).",
  },
  manifestTimeoutMs: {
    default: 10_000,
    min: 100,
    max: 600_000,
    unit: "ms",
    help: "Time to find the manifest of a named content before the job fails.",
  },
  announcementTimeoutMs: {
    default: 500,
    min: 0,
    max: 60_000,
    unit: "ms",
    help: "Time that connected peers have to answer with a trusted publisher's announcement of the file, and then with its manifest, before it comes from the origin alone.",
  },
  syncDelayMs: {
    default: 2_000,
    min: 0,
    max: 60_000,
    unit: "ms",
    help: "Longest time a verified piece waits for a sync when no peer wants it.",
  },
  syncBytesMax: {
    default: 64 * MiB,
    min: MiB,
    max: 64 * MiB,
    unit: "bytes",
    help: "Verified bytes that may wait for a sync (R-DB-03).",
  },
  sharedSyncDelayMs: {
    default: 50,
    min: 0,
    max: 60_000,
    unit: "ms",
    help: "Longest time a verified piece waits for a sync when peers wait for its announcement.",
  },
  sharedSyncBytesMax: {
    default: 8 * MiB,
    min: 64 * KiB,
    max: 64 * MiB,
    unit: "bytes",
    help: "Verified bytes that may wait for a sync when peers wait for their announcement.",
  },
  uploadsMax: {
    default: 4,
    min: 0,
    max: 16,
    unit: "count",
    help: "Pieces sent to peers at a time; further requests wait in a fair queue (R-PEER-27).",
  },
  uploadsPerPeerMax: {
    default: 2,
    min: 1,
    max: 4,
    unit: "count",
    help: "Pieces sent to one peer at a time (R-PEER-27).",
  },
  ...PACE_SETTINGS,
  coldStartMs: {
    default: 1_000,
    min: 0,
    max: 60_000,
    unit: "ms",
    help: "Time at the start of a transfer in which the origin is asked for little at a time, when peers are in sight but have not spoken yet.",
  },
  firstWordsMs: {
    default: 150,
    min: 0,
    max: 60_000,
    unit: "ms",
    help: "Time at the start of a transfer in which members that are connected already can say what they fetch, before anything is asked of the origin.",
  },
  ...CONNECTION_SETTINGS,
  banMs: {
    default: 24 * HOUR_MS,
    min: 0,
    max: 7 * 24 * HOUR_MS,
    unit: "ms",
    help: "Length of a peer's first ban (R-BAN-01).",
  },
  ...CONTENT_CACHE_SETTINGS,
  ...POLICY_SETTINGS,
  trustTlsManifest: {
    default: 1,
    min: 0,
    max: 1,
    unit: "boolean",
    help: "Accept a manifest that lies beside the file on an https: origin (trust level T4).",
  },
  verifyOnComplete: {
    default: 0,
    min: 0,
    max: 1,
    unit: "boolean",
    help: "Read every file back and verify it before it is published, even after a clean run (R-MAN-14).",
  },
} as const satisfies Record<string, SettingRow>;

export type SettingName = keyof typeof SETTINGS;
/** A complete set of settings. Booleans are 0 or 1. */
export type Settings = { readonly [Name in SettingName]: number };

/**
 * Completes `overrides` with defaults. Throws `ERR_SETTING_INVALID` for an unknown name, a value
 * that is not a whole number, or one out of range.
 */
export function resolveSettings(overrides: Partial<Settings> = {}): Settings {
  const resolved: Record<string, number> = {};
  for (const [name, setting] of Object.entries(SETTINGS)) resolved[name] = setting.default;
  for (const [name, value] of Object.entries(overrides)) {
    const setting: SettingRow | undefined = Object.hasOwn(SETTINGS, name)
      ? SETTINGS[name as SettingName]
      : undefined;
    if (setting === undefined) throw new ShoalError("ERR_SETTING_INVALID", `unknown ${name}`);
    if (value === undefined) continue;
    if (!isSettingValue(setting, value)) {
      const allowed = setting.values?.join(", ") ?? `${setting.min} to ${setting.max}`;
      const text = `${name} = ${String(value)}, allowed ${allowed} ${setting.unit}`;
      throw new ShoalError("ERR_SETTING_INVALID", text);
    }
    resolved[name] = value;
  }
  return Object.freeze(resolved) as Settings;
}

/** Whether the setting can have the value. */
export function isSettingValue({ min, max, values }: SettingRow, value: number): boolean {
  if (!Number.isSafeInteger(value) || value < min || value > max) return false;
  return values === undefined || values.includes(value);
}

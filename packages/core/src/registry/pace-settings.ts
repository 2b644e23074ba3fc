/**
 * The settings of bandwidth: rates, shares of the link and windows. They are part of the table in
 * `settings.ts`, and the only ones that an agent takes while it runs (`Scheduler.applySettings`).
 * Everywhere 0 means no limit.
 */
import { MiB } from "../units.ts";
import type { SettingRow } from "./settings.ts";

/** 1 TiB/s: more than any link has. */
const RATE_BYTES_PER_SEC_MAX = 1024 * 1024 * MiB;

function rate(help: string, doPolicy?: string): SettingRow {
  return {
    default: 0,
    min: 0,
    max: RATE_BYTES_PER_SEC_MAX,
    unit: "bytes/s",
    help,
    ...(doPolicy && { doPolicy }),
  };
}

function percent(help: string, doPolicy?: string): SettingRow {
  return { default: 0, min: 0, max: 100, unit: "percent", help, ...(doPolicy && { doPolicy }) };
}

function hour(help: string, doPolicy: string): SettingRow {
  return { default: 0, min: 0, max: 24, unit: "hour", help, doPolicy };
}

const FOREGROUND_WINDOW = "DOSetHoursToLimitForegroundDownloadBandwidth";
const BACKGROUND_WINDOW = "DOSetHoursToLimitBackgroundDownloadBandwidth";

export const PACE_SETTINGS = {
  downloadRateBytesPerSec: rate(
    "Rate of all downloads together; 0 is no limit.",
    "DOMaxDownloadBandwidth",
  ),
  foregroundRateBytesPerSec: rate(
    "Rate of all foreground downloads together; 0 is no limit.",
    "DOMaxForegroundDownloadBandwidth",
  ),
  backgroundRateBytesPerSec: rate(
    "Rate of all background downloads together; 0 is no limit.",
    "DOMaxBackgroundDownloadBandwidth",
  ),
  originHostRateBytesPerSec: rate(
    "Rate of all downloads from one origin host together; 0 is no limit.",
  ),
  uploadRateBytesPerSec: rate(
    "Rate of all uploads to peers together; 0 is no limit.",
    "DOMaxUploadBandwidth",
  ),
  lanUploadRateBytesPerSec: rate(
    "Rate of all uploads to peers of the LAN together; 0 is no limit but that of all uploads.",
  ),
  foregroundPercent: percent(
    "Share of the measured capacity of the link that foreground downloads may take from origins; 0 is no limit.",
    "DOPercentageMaxForegroundBandwidth",
  ),
  backgroundPercent: percent(
    "Share of the measured capacity of the link that background downloads may take from origins; 0 is no limit.",
    "DOPercentageMaxBackgroundBandwidth",
  ),
  foregroundWindowFromHour: hour(
    "Local hour at which the window of foreground downloads begins; none where it equals the hour it ends at.",
    FOREGROUND_WINDOW,
  ),
  foregroundWindowToHour: hour(
    "Local hour at which the window of foreground downloads ends, on the next day where it is the smaller.",
    FOREGROUND_WINDOW,
  ),
  foregroundWindowInsidePercent: percent(
    "Like foregroundPercent, inside the window only.",
    FOREGROUND_WINDOW,
  ),
  foregroundWindowOutsidePercent: percent(
    "Like foregroundPercent, outside the window only.",
    FOREGROUND_WINDOW,
  ),
  foregroundWindowInsideRateBytesPerSec: rate(
    "Like foregroundRateBytesPerSec, inside the window only.",
  ),
  foregroundWindowOutsideRateBytesPerSec: rate(
    "Like foregroundRateBytesPerSec, outside the window only.",
  ),
  backgroundWindowFromHour: hour(
    "Local hour at which the window of background downloads begins; none where it equals the hour it ends at.",
    BACKGROUND_WINDOW,
  ),
  backgroundWindowToHour: hour(
    "Local hour at which the window of background downloads ends, on the next day where it is the smaller.",
    BACKGROUND_WINDOW,
  ),
  backgroundWindowInsidePercent: percent(
    "Like backgroundPercent, inside the window only.",
    BACKGROUND_WINDOW,
  ),
  backgroundWindowOutsidePercent: percent(
    "Like backgroundPercent, outside the window only.",
    BACKGROUND_WINDOW,
  ),
  backgroundWindowInsideRateBytesPerSec: rate(
    "Like backgroundRateBytesPerSec, inside the window only.",
  ),
  backgroundWindowOutsideRateBytesPerSec: rate(
    "Like backgroundRateBytesPerSec, outside the window only.",
  ),
  backgroundSharePercent: {
    default: 30,
    min: 1,
    max: 100,
    unit: "percent",
    help: "Share of all that comes which background downloads get at most while foreground downloads are coming too; 100 is no limit.",
  },
} as const satisfies Record<string, SettingRow>;

export type PaceSettingName = keyof typeof PACE_SETTINGS;
/** The settings that can change while an agent runs. */
export type PaceSettings = { readonly [Name in PaceSettingName]: number };

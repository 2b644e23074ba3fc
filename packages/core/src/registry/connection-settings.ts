/**
 * The settings of connections with peers: how many, and when they are dialled. They are part of the
 * table in `settings.ts`.
 */
import type { SettingRow } from "./settings.ts";

const HOUR_MS = 3_600_000;

export const CONNECTION_SETTINGS = {
  connectionsMax: {
    default: 64,
    min: 1,
    max: 1_000,
    unit: "count",
    help: "Connected peers (R-PEER-01).",
  },
  connectionsWanted: {
    default: 12,
    min: 1,
    max: 1_000,
    unit: "count",
    help: "Connected peers from which on no further ones are looked for; others may still connect.",
  },
  connectionsIdle: {
    default: 4,
    min: 0,
    max: 64,
    unit: "count",
    help: "Neighbours found by local discovery that are kept connected while nothing is being fetched.",
  },
  dialsMax: {
    default: 8,
    min: 1,
    max: 64,
    unit: "count",
    help: "Dials under way at a time (R-PEER-29).",
  },
  dialBackoffMsMin: {
    default: 5_000,
    min: 1,
    max: HOUR_MS,
    unit: "ms",
    help: "First wait before a failed peer is dialled again; it doubles (R-PEER-29).",
  },
  dialBackoffMsMax: {
    default: 600_000,
    min: 1,
    max: 24 * HOUR_MS,
    unit: "ms",
    help: "Longest wait before a failed peer is dialled again (R-PEER-29).",
  },
} as const satisfies Record<string, SettingRow>;

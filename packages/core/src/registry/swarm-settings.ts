/**
 * Settings of the swarm: how members of a content work together, with how many peers an agent is
 * connected, and how much it gives at a time. Part of `SETTINGS`.
 */
import type { SettingRow } from "./settings.ts";

const HOUR_MS = 3_600_000;

export const SWARM_SETTINGS = {
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
  banMs: {
    default: 24 * HOUR_MS,
    min: 0,
    max: 7 * 24 * HOUR_MS,
    unit: "ms",
    help: "Length of a peer's first ban (R-BAN-01).",
  },
  peerTls: {
    default: 1,
    min: 0,
    max: 1,
    unit: "boolean",
    help: "Encrypt connections by TLS 1.3 with peers that can; without it, and with all others, by Noise, which costs more.",
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
} as const satisfies Record<string, SettingRow>;

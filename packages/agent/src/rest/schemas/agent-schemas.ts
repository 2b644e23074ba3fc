/** Schemas of what the agent says of itself: contents, peers, figures, settings, log. */
import { LIMITS, SETTINGS } from "@shoal/core";
import type { Ban } from "@shoal/core";
import type { CacheEntry } from "@shoal/store";
import { z } from "zod";
import { CHECK_RESULTS } from "../../service/agent-service.ts";
import type {
  AgentFacts,
  CacheChange,
  CheckReport,
  ContentStatus,
  LogRecord,
  MonthSnapshot,
  PeerStatus,
  PerformanceSnapshot,
  TrafficPoint,
} from "../../service/agent-service.ts";
import { byPeerClass, contentId, count, instant, optional, text } from "./basic-schemas.ts";

const rate = z.number().min(0);

export const agentFacts: z.ZodType<AgentFacts> = z
  .strictObject({
    version: z.string(),
    nodeVersion: z.string(),
    platform: z.string(),
    processId: count,
    instanceId: z.string(),
    startedAt: instant,
    peerId: z.string(),
    addresses: z.array(z.string()),
    stateDirectory: z.string(),
    isSafeMode: z.boolean(),
    groupName: optional(z.string()),
  })
  .meta({ id: "AgentFacts" });

export const contentStatus: z.ZodType<ContentStatus> = z
  .strictObject({
    contentId: optional(contentId),
    jobId: optional(z.string()),
    fileIndex: optional(count),
    displayName: optional(z.string()),
    url: optional(z.string()),
    cacheHost: optional(z.string()),
    path: optional(z.string()),
    length: optional(count),
    heldBytes: count,
    status: z.enum(["downloading", "complete", "caching", "paused", "failed"]),
    priority: optional(z.enum(["foreground", "high", "normal", "low"])),
    downloadMode: optional(count),
    downloadedBytes: count,
    httpBytes: count,
    cacheServerBytes: count,
    peerBytes: count,
    receivedBytes: byPeerClass,
    sentBytes: byPeerClass,
    peerPercent: z.number().min(0).max(100),
    downloadMs: z.number(),
    originConnections: count,
    peerConnections: byPeerClass,
    peerCount: count,
    expiresAt: optional(instant),
    isPinned: z.boolean(),
    isOffered: z.boolean(),
  })
  .meta({ id: "ContentStatus" });

export const peerStatus: z.ZodType<PeerStatus> = z
  .strictObject({
    peerId: z.string(),
    addresses: z.array(z.string()),
    host: optional(z.string()),
    peerClass: optional(z.enum(["linkLocal", "lan", "group", "internet"])),
    state: z.enum(["connected", "dialling", "known", "refused"]),
    foundBy: optional(z.string()),
    transport: optional(z.string()),
    sentBytes: count,
    receivedBytes: count,
    sentBytesPerSec: rate,
    receivedBytesPerSec: rate,
    connectedAt: optional(instant),
    reason: optional(
      z.strictObject({ code: z.string(), words: z.string(), remedy: optional(z.string()) }),
    ),
  })
  .meta({ id: "PeerStatus" });

export const ban: z.ZodType<Ban> = z
  .strictObject({
    kind: z.enum(["peer", "address"]),
    subject: z.string(),
    offence: z.string() as z.ZodType<Ban["offence"]>,
    bannedAt: instant,
    until: instant,
  })
  .meta({ id: "Ban" });

export const performanceSnapshot: z.ZodType<PerformanceSnapshot> = z
  .strictObject({
    filesDownloaded: count,
    filesUploaded: count,
    files: count,
    downloadedBytes: count,
    uploadedBytes: count,
    averageDownloadBytes: rate,
    averageUploadBytes: rate,
    downloadMode: count,
    cacheBytes: count,
    totalDiskBytes: optional(count),
    availableDiskBytes: optional(count),
    processorPercent: rate,
    memoryBytes: count,
    peerCount: count,
    originConnections: count,
    cacheServerConnections: count,
    peerConnections: byPeerClass,
    downloadBytesPerSec: rate,
    uploadBytesPerSec: rate,
    foregroundRateBytesPerSec: rate,
    backgroundRateBytesPerSec: rate,
    uploadRateBytesPerSec: rate,
    uploadCount: count,
    foregroundDownloads: count,
    foregroundDownloadsPending: count,
    backgroundDownloads: count,
    backgroundDownloadsPending: count,
    originBytes: count,
    cacheServerBytes: count,
    receivedBytes: byPeerClass,
    sentBytes: byPeerClass,
  })
  .meta({ id: "PerformanceSnapshot" });

export const monthSnapshot: z.ZodType<MonthSnapshot> = z
  .strictObject({
    month: z.string(),
    originBytes: count,
    cacheServerBytes: count,
    receivedBytes: byPeerClass,
    sentBytes: byPeerClass,
    averageForegroundBytesPerSec: rate,
    averageBackgroundBytesPerSec: rate,
    isUploadLimitReached: z.boolean(),
  })
  .meta({ id: "MonthSnapshot" });

export const trafficPoint: z.ZodType<TrafficPoint> = z
  .strictObject({
    at: instant,
    originBytesPerSec: rate,
    peerReceivedBytesPerSec: rate,
    peerSentBytesPerSec: rate,
    connectedPeers: count,
  })
  .meta({ id: "TrafficPoint" });

export const cacheEntry: z.ZodType<CacheEntry> = z
  .strictObject({
    contentId,
    path: z.string(),
    length: count,
    isCopy: z.boolean(),
    isPinned: z.boolean(),
    completedAt: instant,
    usedAt: instant,
    expiresAt: optional(instant),
  })
  .meta({ id: "CacheEntry" });

export const cacheChange: z.ZodType<CacheChange> = z
  .discriminatedUnion("verb", [
    z.strictObject({ verb: z.literal("pin"), contentId, until: optional(instant) }),
    z.strictObject({ verb: z.literal("unpin"), contentId }),
    z.strictObject({
      verb: z.literal("expire"),
      contentId: optional(contentId),
      at: optional(instant),
    }),
    z.strictObject({ verb: z.literal("clear"), includePinned: z.boolean() }),
  ])
  .meta({ id: "CacheChange", examples: [{ verb: "clear", includePinned: false }] });

export const configuration = z
  .looseObject({
    settings: z.array(
      z.looseObject({
        name: z.string(),
        value: z.union([z.number(), z.string(), z.boolean()]),
        provider: z.string().meta({ description: "Who provided the value." }),
      }),
    ),
    policies: z.array(z.looseObject({ name: z.string(), provider: z.string() })),
    peering: z.looseObject({ partners: z.string(), mayServe: z.boolean() }),
  })
  .meta({ id: "AgentConfiguration" });

const settingNames = Object.keys(SETTINGS) as [string, ...string[]];

export const settingChanges = z.record(z.string().max(LIMITS.nameLengthMax), z.number()).meta({
  id: "SettingChanges",
  description: `Those of docs/settings.md, such as ${settingNames[0]}.`,
  examples: [{}],
});

export const logRecord: z.ZodType<LogRecord> = z
  .strictObject({
    sequence: count,
    at: instant,
    level: z.enum(["debug", "info", "warn", "error"]),
    message: z.string(),
    fields: z.record(z.string(), z.union([z.string(), z.number()])),
  })
  .meta({ id: "LogRecord" });

export const checkReport: z.ZodType<CheckReport> = z
  .strictObject({
    id: z.string(),
    title: z.string(),
    result: z.enum(CHECK_RESULTS),
    finding: z.string(),
    remedy: optional(z.string()),
    facts: optional(z.record(z.string(), z.union([z.string(), z.number(), z.boolean()]))),
  })
  .meta({ id: "CheckReport" });

export const shareBody = z
  .strictObject({ path: text(LIMITS.pathBytesMax).meta({ description: "Absolute." }) })
  .meta({ examples: [{ path: "/tmp/shared.bin" }] });

export const announceBody = z
  .strictObject({
    signed: text(2 * LIMITS.announcementBytesMax).meta({ description: "In base64." }),
    path: optional(text(LIMITS.pathBytesMax)).meta({
      description: "A complete file of this machine to share with it, by its absolute path.",
    }),
  })
  .meta({ examples: [{ signed: "" }] });

export const addPeerBody = z
  .strictObject({ multiaddr: text(LIMITS.jsonTextLengthMax) })
  .meta({ examples: [{ multiaddr: "/ip4/192.0.2.1/tcp/4001/p2p/12D3KooW" }] });

/**
 * What an agent answers and does for those who manage it, as plain values: the shape that the REST
 * API serves, the remote client speaks, and the `shoal` command uses. `LocalAgentService` answers in
 * the agent's own process, `connectAgent` over the REST API; one contract suite tests both.
 *
 * Everything given and returned is JSON. Failures are `ShoalError`s with the codes of docs/errors.md.
 * Fields follow Delivery Optimization's monitoring, under our words; each says its cmdlet's name.
 */
import type { CacheEntry } from "@shoal/store";
import type {
  Ban,
  ByPeerClass,
  ContentId,
  CounterName,
  JobId,
  JobPriority,
  Millis,
  PeerClass,
  PeerId,
  UnixMillis,
} from "@shoal/core";
import type { JobService } from "@shoal/jobs";
import type { AgentConfiguration } from "../agent-policies.ts";

export type { ByPeerClass } from "@shoal/core";

/** The agent itself. */
export interface AgentFacts {
  readonly version: string;
  readonly nodeVersion: string;
  readonly platform: string;
  readonly processId: number;
  /** Another one at every start. */
  readonly instanceId: string;
  readonly startedAt: UnixMillis;
  readonly peerId: PeerId;
  /** Where peers reach it, each with `/p2p/` and its id. */
  readonly addresses: readonly string[];
  readonly stateDirectory: string;
  /** Safe mode after crashes (R-PROC-04), no peers, and jobs do not start by themselves. */
  readonly isSafeMode: boolean;
  /** Public part of the group's key in use, or absent: no group. */
  readonly groupName?: string;
}

/** `Get-DeliveryOptimizationStatus`: a content that is being fetched or is on offer. */
export interface ContentStatus {
  /** Absent while it is not known what the file will be. */
  readonly contentId?: ContentId;
  /** The job's file, while there is a job (`FileId` is the content id, or this). */
  readonly jobId?: JobId;
  readonly fileIndex?: number;
  readonly displayName?: string;
  /** `SourceURL`, without user information and query (R-LOG-01). */
  readonly url?: string;
  /** `CacheHost`: the cache server that has delivered last. */
  readonly cacheHost?: string;
  readonly path?: string;
  /** `FileSize`. */
  readonly length?: number;
  /** `FileSizeInCache`: verified bytes held. */
  readonly heldBytes: number;
  /** `Status`. `complete`: done, and not on offer. */
  readonly status: "downloading" | "complete" | "caching" | "paused" | "failed";
  readonly priority?: JobPriority;
  /** `DownloadMode`, by Delivery Optimization's number. */
  readonly downloadMode?: number;
  /** `TotalBytesDownloaded`. */
  readonly downloadedBytes: number;
  /** `BytesFromHttp`: including cache servers. */
  readonly httpBytes: number;
  readonly cacheServerBytes: number;
  /** `BytesFromPeers`, in all. */
  readonly peerBytes: number;
  readonly receivedBytes: ByPeerClass;
  readonly sentBytes: ByPeerClass;
  /** `PercentPeerCaching`: 0 to 100. */
  readonly peerPercent: number;
  /** `DownloadDuration`. */
  readonly downloadMs: Millis;
  /** Connections now: `HttpConnectionCount` and by class. */
  readonly originConnections: number;
  readonly peerConnections: ByPeerClass;
  /** `NumPeers`: known to take part in this content. */
  readonly peerCount: number;
  /** `ExpireOn`. */
  readonly expiresAt?: UnixMillis;
  readonly isPinned: boolean;
  /** Whether peers may have it now. */
  readonly isOffered: boolean;
}

/** `Get-DeliveryOptimizationStatus -PeerInfo`, and those refused. */
export interface PeerStatus {
  readonly peerId: PeerId;
  readonly addresses: readonly string[];
  /** IP address of a connected peer; of IPv6, its network. */
  readonly host?: string;
  readonly peerClass?: PeerClass;
  readonly state: "connected" | "dialling" | "known" | "refused";
  /** How it was found: `mdns`, `static`, `presence`, `inbound`, `memory` and such. */
  readonly foundBy?: string;
  /** The handshake that protects the connection: `tls` or `noise`. */
  readonly transport?: string;
  readonly sentBytes: number;
  readonly receivedBytes: number;
  /** Means over the last 20 s. */
  readonly sentBytesPerSec: number;
  readonly receivedBytesPerSec: number;
  readonly connectedAt?: UnixMillis;
  /** Why it is not connected or not used, by docs/reasons.md. */
  readonly reason?: { readonly code: string; readonly words: string; readonly remedy?: string };
}

/** `Get-DeliveryOptimizationPerfSnap -Verbose`. */
export interface PerformanceSnapshot {
  readonly filesDownloaded: number;
  readonly filesUploaded: number;
  /** On offer or in the cache. */
  readonly files: number;
  readonly downloadedBytes: number;
  readonly uploadedBytes: number;
  readonly averageDownloadBytes: number;
  readonly averageUploadBytes: number;
  readonly downloadMode: number;
  readonly cacheBytes: number;
  readonly totalDiskBytes?: number;
  readonly availableDiskBytes?: number;
  /** Mean of the process since its start. */
  readonly processorPercent: number;
  readonly memoryBytes: number;
  readonly peerCount: number;
  readonly originConnections: number;
  readonly cacheServerConnections: number;
  readonly peerConnections: ByPeerClass;
  /** Means over the last 20 s. */
  readonly downloadBytesPerSec: number;
  readonly uploadBytesPerSec: number;
  /** Limits in force; 0 is no limit. */
  readonly foregroundRateBytesPerSec: number;
  readonly backgroundRateBytesPerSec: number;
  readonly uploadRateBytesPerSec: number;
  /** Contents that peers may have now. */
  readonly uploadCount: number;
  readonly foregroundDownloads: number;
  readonly foregroundDownloadsPending: number;
  readonly backgroundDownloads: number;
  readonly backgroundDownloadsPending: number;
  readonly originBytes: number;
  readonly cacheServerBytes: number;
  readonly receivedBytes: ByPeerClass;
  readonly sentBytes: ByPeerClass;
}

/** `Get-DeliveryOptimizationPerfSnapThisMonth`: since the first of the calendar month, UTC. */
export interface MonthSnapshot {
  /** Such as `2026-01`. */
  readonly month: string;
  readonly originBytes: number;
  readonly cacheServerBytes: number;
  readonly receivedBytes: ByPeerClass;
  readonly sentBytes: ByPeerClass;
  readonly averageForegroundBytesPerSec: number;
  readonly averageBackgroundBytesPerSec: number;
  readonly isUploadLimitReached: boolean;
}

/** A line of the agent's log, as it keeps the latest of them. */
export interface LogRecord {
  /** Rises by one with each record of this run. */
  readonly sequence: number;
  readonly at: UnixMillis;
  readonly level: "debug" | "info" | "warn" | "error";
  readonly message: string;
  readonly fields: Readonly<Record<string, string | number>>;
}

export const CHECK_RESULTS = ["pass", "warn", "fail", "notApplicable", "notRun"] as const;

/** One thing that `shoal doctor` has looked at. */
export interface CheckReport {
  /** Such as `disk.space`: stable. */
  readonly id: string;
  readonly title: string;
  readonly result: (typeof CHECK_RESULTS)[number];
  /** What was found, in a sentence. */
  readonly finding: string;
  /** What to do next; of all that are not `pass`. */
  readonly remedy?: string;
  readonly facts?: Readonly<Record<string, string | number | boolean>>;
}

/** What is kept of the traffic, a point for every 10 s, for charts; at most an hour. */
export interface TrafficPoint {
  readonly at: UnixMillis;
  /** Including cache servers. */
  readonly originBytesPerSec: number;
  readonly peerReceivedBytesPerSec: number;
  readonly peerSentBytesPerSec: number;
  readonly connectedPeers: number;
}

export type CacheChange =
  | { readonly verb: "pin"; readonly contentId: ContentId; readonly until?: UnixMillis }
  | { readonly verb: "unpin"; readonly contentId: ContentId }
  | { readonly verb: "expire"; readonly contentId?: ContentId; readonly at?: UnixMillis }
  | { readonly verb: "clear"; readonly includePinned: boolean };

/** What a watcher of an agent hears, in order; `sequence` rises with each. */
export interface AgentEvent {
  readonly sequence: number;
  readonly at: UnixMillis;
  /** The notice's type (docs/rest-api.md lists them) and its fields, without secrets. */
  readonly type: string;
  readonly [field: string]: unknown;
}

export interface AgentWatcher {
  happened(event: AgentEvent): void;
  /** Nothing more will be heard. */
  closed(error: Error): void;
}

export interface AgentService {
  readonly jobs: JobService;
  facts(): Promise<AgentFacts>;
  /** Contents that are fetched, then those on offer. */
  contents(): Promise<readonly ContentStatus[]>;
  /** Those that take part in one content, or all that are known; connected ones first. */
  peers(contentId?: ContentId): Promise<readonly PeerStatus[]>;
  /** Makes a peer known, to stay connected with. `ERR_PEER_ADDRESS_INVALID`. */
  addPeer(multiaddr: string): Promise<void>;
  bans(): Promise<readonly Ban[]>;
  /** False: nobody is banned by that name. */
  removeBan(subject: string): Promise<boolean>;
  performance(): Promise<PerformanceSnapshot>;
  month(): Promise<MonthSnapshot>;
  /** At most an hour, the oldest first. */
  traffic(): Promise<readonly TrafficPoint[]>;
  counters(): Promise<Readonly<Record<CounterName, number>>>;
  cache(): Promise<readonly CacheEntry[]>;
  /** Returns what is there afterwards. `ERR_CONTENT_NOT_CACHED`. */
  changeCache(change: CacheChange): Promise<readonly CacheEntry[]>;
  /** Offers a file of this machine, by its absolute path, to peers. */
  share(path: string): Promise<ContentId>;
  /** Passes on a publisher's signed announcement, in base64. */
  announce(signed: string): Promise<void>;
  /** Settings and policies in force, and who provided each. */
  configuration(): Promise<AgentConfiguration>;
  /** Changes settings that may change while it runs, until it stops. `ERR_SETTING_INVALID`. */
  changeSettings(changes: Readonly<Record<string, number>>): Promise<AgentConfiguration>;
  /** Reads the configuration files again. */
  reload(): Promise<AgentConfiguration>;
  /** The latest records after `after`, at most 1,000. */
  log(after?: number): Promise<readonly LogRecord[]>;
  /** Looks at everything, within 15 s. */
  diagnose(): Promise<readonly CheckReport[]>;
  /** Until the returned function is called. */
  watch(watcher: AgentWatcher): () => void;
  close(): void;
}

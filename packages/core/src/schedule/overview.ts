/**
 * What an administrator sees of a running agent: every content that is fetched or on offer, every
 * peer that is known, and sums over all. Plain values, valid at one instant.
 *
 * Looks, and changes nothing; costs nothing while nobody asks. Made by the scheduler, asked by the
 * agent's service.
 */
import { isActiveState, isFinalState } from "../job/states.ts";
import type { JobState } from "../job/states.ts";
import { JOB_STATES } from "../job/states.ts";
import type { JobPriority } from "../job/record.ts";
import { addByClass, noneByClass } from "../policy/peer-class.ts";
import type { ByPeerClass, PeerClass } from "../policy/peer-class.ts";
import type { ContentId, JobId, Millis, PeerId, UnixMillis } from "../units.ts";
import { contactOf, memberStanding } from "./explain-peers.ts";
import type { PeerStanding } from "./explain-peers.ts";
import type { JobFile } from "./job-file.ts";
import type { JobTable } from "./job-table.ts";
import type { Job } from "./job.ts";
import type { FoundBy, Peer } from "./known-peer.ts";
import type { MachineDeps } from "./machine-deps.ts";
import type { MonthCount } from "./month-meter.ts";
import type { Membership } from "./membership.ts";
import type { Link } from "./peer-link.ts";
import type { FileSnapshot } from "./snapshot.ts";
import type { TransferTable } from "./transfer-table.ts";
import type { Transfer } from "./transfer.ts";
import type { UploadQueue } from "./upload-queue.ts";

export interface OverviewDeps extends MachineDeps {
  readonly jobs: JobTable;
  readonly transfers: TransferTable;
  readonly membership: Membership;
  readonly uploads: Pick<UploadQueue, "month">;
}

/** A content that is being fetched, waits to be, or is on offer. */
export interface ContentOverview {
  readonly contentId?: ContentId;
  /** What it is a file of; absent: it is on offer for its own sake. */
  readonly job?: {
    readonly jobId: JobId;
    readonly fileIndex: number;
    readonly displayName: string;
    readonly state: JobState;
    readonly priority: JobPriority;
    readonly file: FileSnapshot;
  };
  readonly length?: number;
  readonly heldBytes: number;
  readonly receivedBytes: ByPeerClass;
  readonly sentBytes: ByPeerClass;
  /** Requests under way. */
  readonly originConnections: number;
  readonly cacheServerConnections: number;
  /** Connected peers that take part. */
  readonly peerConnections: ByPeerClass;
  /** Those, and others that have said that they take part. */
  readonly peerCount: number;
  /** The last bytes came from a cache server. */
  readonly isFromCacheServer: boolean;
  /** Whether peers may have it now. */
  readonly isOffered: boolean;
}

/** A peer that is known. */
export interface PeerOverview {
  readonly peerId: PeerId;
  readonly addresses: readonly string[];
  /** IP address; of IPv6, a network. Absent: it is not connected. */
  readonly host?: string;
  readonly peerClass?: PeerClass;
  /** The handshake that protects the connection, such as `tls`. */
  readonly transport?: string;
  readonly state: "connected" | "dialling" | "known" | "refused";
  readonly foundBy: FoundBy;
  readonly sentBytes: number;
  readonly receivedBytes: number;
  /** Means over the last 20 s. */
  readonly sentBytesPerSec: number;
  readonly receivedBytesPerSec: number;
  readonly connectedAt?: UnixMillis;
  /** Why it is not connected; of one content, how the peer stands to it. */
  readonly standing?: PeerStanding;
}

/** Sums over all contents and peers. */
export interface AgentTotals {
  readonly jobsByState: Readonly<Record<JobState, number>>;
  /** Files that are being fetched, and that wait; by class of job. */
  readonly foregroundDownloads: number;
  readonly foregroundDownloadsPending: number;
  readonly backgroundDownloads: number;
  readonly backgroundDownloadsPending: number;
  readonly originConnections: number;
  readonly cacheServerConnections: number;
  readonly peerConnections: ByPeerClass;
  readonly peersByState: Readonly<Record<PeerOverview["state"], number>>;
  /** Contents on offer. */
  readonly offeredCount: number;
  /** Means over the last 20 s. */
  readonly downloadBytesPerSec: number;
  readonly uploadBytesPerSec: number;
}

export class Overview {
  readonly #deps: OverviewDeps;

  constructor(deps: OverviewDeps) {
    this.#deps = deps;
  }

  /** Those of jobs that are not over, the oldest first, then all others that are on offer. */
  contents(now: Millis): ContentOverview[] {
    const contents: ContentOverview[] = [];
    const shown = new Set<ContentId>();
    for (const { job, file, fileIndex } of this.#files()) {
      const content = this.#ofFile({ job, file, fileIndex }, now);
      if (isFinalState(job.state) && !(content.isOffered && isNew(content.contentId, shown))) {
        continue;
      }
      contents.push(content);
      if (content.contentId !== undefined) shown.add(content.contentId);
    }
    for (const transfer of this.#deps.transfers.all()) {
      if (transfer.served() === undefined || !isNew(transfer.contentId, shown)) continue;
      contents.push(this.#ofTransfer(transfer));
      if (transfer.contentId !== undefined) shown.add(transfer.contentId);
    }
    return contents;
  }

  /** All that are known, or those connected ones that take part in the content; connected ones first. */
  peers(contentId: ContentId | undefined, now: Millis): PeerOverview[] {
    const { peers, membership } = this.#deps;
    const known = [...peers.parts.peers.values()];
    const linked = known.filter(({ peerId }) => {
      const isMember =
        contentId === undefined || membership.standingOf(peerId, contentId) === "member";
      return peers.links.has(peerId) && isMember;
    });
    const others =
      contentId === undefined ? known.filter((peer) => !peers.links.has(peer.peerId)) : [];
    return [...linked, ...others].map((peer) => this.#peer(peer, contentId, now));
  }

  totals(now: Millis): AgentTotals {
    const { peers, transfers } = this.#deps;
    const peerConnections = noneByClass();
    for (const { peerClass } of peers.links.values()) peerConnections[peerClass]++;
    const peersByState = { connected: 0, dialling: 0, known: 0, refused: 0 };
    for (const peer of peers.parts.peers.values()) peersByState[this.#stateOf(peer, now)]++;
    let [originConnections, cacheServerConnections] = [0, 0];
    for (const transfer of transfers.working()) {
      const requests = requestsOf(transfer);
      originConnections += requests.originConnections;
      cacheServerConnections += requests.cacheServerConnections;
    }
    return {
      ...this.#jobTotals(),
      originConnections,
      cacheServerConnections,
      peerConnections,
      peersByState,
      offeredCount: transfers.servedContents().length,
      downloadBytesPerSec: this.#deps.pacer.downloads.rateBytesPerSec(now),
      uploadBytesPerSec: this.#deps.pacer.sent.rateBytesPerSec(now),
    };
  }

  /** The month so far, over all runs. */
  month(now: Millis): MonthCount {
    return this.#deps.uploads.month.count(now);
  }

  /** Has the month's counts stored, where they have moved; to be called now and then. */
  saveMonth(now: Millis): void {
    this.#deps.uploads.month.note(now);
  }

  /** How much there is to do. */
  work(): { readonly transfers: number; readonly jobs: number } {
    return {
      transfers: [...this.#deps.transfers.working()].length,
      jobs: [...this.#deps.jobs.all()].filter(({ state }) => isActiveState(state)).length,
    };
  }

  #jobTotals() {
    const zeros = JOB_STATES.map((state) => [state, 0]);
    const jobsByState = Object.fromEntries(zeros) as Record<JobState, number>;
    const running = { foreground: 0, background: 0 };
    const pending = { foreground: 0, background: 0 };
    for (const job of this.#deps.jobs.all()) {
      jobsByState[job.state]++;
      const isActive = isActiveState(job.state);
      if (!isActive && job.state !== "queued" && job.state !== "transientError") continue;
      for (const { isTransferred, transfer } of job.files) {
        const counts = isActive && transfer !== undefined ? running : pending;
        if (!isTransferred) counts[job.isForeground ? "foreground" : "background"]++;
      }
    }
    return {
      jobsByState,
      foregroundDownloads: running.foreground,
      foregroundDownloadsPending: pending.foreground,
      backgroundDownloads: running.background,
      backgroundDownloadsPending: pending.background,
    };
  }

  *#files(): Generator<{ readonly job: Job; readonly file: JobFile; readonly fileIndex: number }> {
    for (const job of this.#deps.jobs.all()) {
      for (const [fileIndex, file] of job.files.entries()) yield { job, file, fileIndex };
    }
  }

  #ofFile(
    { job, file, fileIndex }: { job: Job; file: JobFile; fileIndex: number },
    now: Millis,
  ): ContentOverview {
    const snapshot = file.snapshot(now);
    const { contentId, length, transferredBytes, receivedBytes, deliveredBy } = snapshot;
    const { jobId, state } = job;
    const { displayName, priority } = job.values;
    const sentBytes = { ...snapshot.sentBytes };
    const offers = contentId === undefined ? [] : this.#offersOf(contentId);
    for (const offer of offers) {
      if (offer !== file.transfer && offer.jobId === undefined) {
        addByClass(sentBytes, offer.facts.sentBytes);
      }
    }
    const cacheServers = file.transfer?.sources.deliveredBy?.kind === "cacheServer";
    return {
      ...(contentId !== undefined && { contentId }),
      job: { jobId, fileIndex, displayName, state, priority, file: snapshot },
      ...(length !== undefined && { length }),
      heldBytes: transferredBytes,
      receivedBytes,
      sentBytes,
      ...requestsOf(file.transfer),
      ...this.#membersOf(contentId, snapshot.peers),
      isFromCacheServer: deliveredBy !== undefined && cacheServers,
      isOffered: offers.length > 0,
    };
  }

  /** Of a content that is on offer for its own sake. */
  #ofTransfer(transfer: Transfer): ContentOverview {
    const { contentId, resolution, facts } = transfer;
    const length = resolution?.layout.contentLength;
    return {
      ...(contentId !== undefined && { contentId }),
      ...(length !== undefined && { length }),
      heldBytes: transfer.storedBytes,
      receivedBytes: { ...facts.receivedBytes },
      sentBytes: { ...facts.sentBytes },
      ...requestsOf(transfer),
      ...this.#membersOf(contentId, 0),
      isFromCacheServer: false,
      isOffered: transfer.served() !== undefined,
    };
  }

  #offersOf(contentId: ContentId): Transfer[] {
    const all = [...this.#deps.transfers.of(contentId)];
    return all.filter((transfer) => (transfer.served()?.size ?? 0) > 0);
  }

  #membersOf(
    contentId: ContentId | undefined,
    count: number,
  ): Pick<ContentOverview, "peerConnections" | "peerCount"> {
    const { membership, peers } = this.#deps;
    const peerConnections = noneByClass();
    let connected = 0;
    if (contentId !== undefined) {
      for (const [peerId, { peerClass }] of peers.links) {
        if (membership.standingOf(peerId, contentId) !== "member") continue;
        peerConnections[peerClass]++;
        connected++;
      }
    }
    const heard = contentId === undefined ? 0 : membership.heardCount(contentId);
    return { peerConnections, peerCount: Math.max(count, connected, heard) };
  }

  #stateOf(peer: Peer, now: Millis): PeerOverview["state"] {
    const { name } = peer.state;
    if (name === "banned") return "refused";
    if (name !== "known") return name;
    return this.#contactOf(peer, now).code === "addressBanned" ? "refused" : "known";
  }

  #contactOf(peer: Peer, now: Millis): PeerStanding {
    return contactOf(peer, this.#deps, now);
  }

  #peer(peer: Peer, contentId: ContentId | undefined, now: Millis): PeerOverview {
    const { peerId, addresses, foundBy } = peer;
    const link = this.#deps.peers.links.get(peerId);
    const standing =
      link === undefined || peer.state.name === "banned"
        ? this.#contactOf(peer, now)
        : contentId && this.#standingOf(link, contentId, now);
    return {
      peerId,
      addresses,
      ...(link && { host: link.address, peerClass: link.peerClass }),
      ...(link?.transport !== undefined && { transport: link.transport }),
      state: this.#stateOf(peer, now),
      foundBy,
      sentBytes: link?.traffic.sent.bytes ?? 0,
      receivedBytes: link?.traffic.received.bytes ?? 0,
      sentBytesPerSec: link?.traffic.sent.rateBytesPerSec(now) ?? 0,
      receivedBytesPerSec: link?.traffic.received.rateBytesPerSec(now) ?? 0,
      ...(link && { connectedAt: this.#deps.wallClock.at(link.connectedAt) }),
      ...(standing && { standing }),
    };
  }

  #standingOf(link: Link, contentId: ContentId, now: Millis): PeerStanding {
    const transfers = [...this.#deps.transfers.of(contentId)];
    const fetching = transfers.find(({ fetcher }) => fetcher !== undefined);
    const requests = fetching?.fetcher?.parts.peers;
    const isComplete = fetching === undefined && !transfers.some(({ wantsPeers }) => wantsPeers);
    const explained = { contentId, requests, shares: [], isComplete, now };
    return memberStanding(link, this.#deps, explained);
  }
}

function isNew(contentId: ContentId | undefined, shown: ReadonlySet<ContentId>): boolean {
  return contentId !== undefined && !shown.has(contentId);
}

/** Requests under way for the transfer, by what they are made to. */
function requestsOf(
  transfer: Transfer | undefined,
): Pick<ContentOverview, "originConnections" | "cacheServerConnections"> {
  let [originConnections, cacheServerConnections] = [0, 0];
  for (const { source } of transfer?.fetcher?.parts.origin.work.runs.all() ?? []) {
    if (source.kind === "cacheServer") cacheServerConnections++;
    else originConnections++;
  }
  return { originConnections, cacheServerConnections };
}

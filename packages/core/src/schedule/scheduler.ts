/**
 * The top machine: all jobs, transfers, peers and uploads of one agent. Everything that happens
 * enters through `handle`, everything wanted leaves through `pollCommand` and `pollNotice`, and
 * waits are deadlines that the caller turns into one timer. It never throws on remote input.
 *
 *   events ─▶ handle ─▶ ┌ JobTable ─── TransferTable ─── Transfer … ┐ ─▶ pollCommand ─▶ ports
 *   verbs  ─▶ create…   └ PeerTable    UploadQueue                  ┘ ─▶ pollNotice ─▶ watchers
 *
 * Its one caller is `engine/loop.ts`, in production and in simulation.
 */
import type { JobRequest } from "../job/request.ts";
import type { JobVerb } from "../job/states.ts";
import type { SchedulerCommand, SchedulerEvent } from "../ports/events.ts";
import type { StoreEvent } from "../ports/store-port.ts";
import type { SwarmEvent } from "../ports/swarm-port.ts";
import type { Random } from "../random.ts";
import { Counters } from "../registry/counters.ts";
import type { Settings } from "../registry/settings.ts";
import type { ContentId, JobId, Millis, PeerId } from "../units.ts";
import { FlowGate } from "./flow-gate.ts";
import { JobTable } from "./job-table.ts";
import type { MachineDeps } from "./machine-deps.ts";
import { Membership } from "./membership.ts";
import type { Notice } from "./notice.ts";
import { Outbox } from "./outbox.ts";
import { PeerTable } from "./peer-table.ts";
import type { JobSnapshot, VerbResult } from "./snapshot.ts";
import type { PeerEvent } from "./stage.ts";
import { TransferTable } from "./transfer-table.ts";
import type { Transfer } from "./transfer.ts";
import { UploadQueue } from "./upload-queue.ts";

export interface SchedulerDeps {
  readonly random: Random;
  readonly settings: Settings;
  /** This agent's own peer id. */
  readonly selfId: PeerId;
}

export class Scheduler {
  readonly counters = new Counters();
  readonly #outbox = new Outbox();
  readonly #deps: MachineDeps;
  readonly #peers: PeerTable;
  readonly #transfers: TransferTable;
  readonly #jobs: JobTable;
  readonly #uploads: UploadQueue;
  readonly #membership: Membership;

  constructor({ random, settings, selfId }: SchedulerDeps) {
    const base = { outbox: this.#outbox, random, settings, counters: this.counters };
    this.#peers = new PeerTable(base);
    const flowGate = new FlowGate(this.#outbox, { closeAtBytes: settings.inFlightBytesMax });
    this.#deps = { ...base, flowGate, peers: this.#peers, selfId };
    this.#transfers = new TransferTable(this.#deps);
    this.#membership = new Membership(this.#deps, this.#transfers);
    this.#jobs = new JobTable(this.#deps, this.#transfers);
    this.#uploads = new UploadQueue(base);
  }

  /** Asks the store for the state of earlier runs. Call once, first; `ready` follows. */
  start(): void {
    this.#outbox.store({ type: "loadState" });
  }

  /** Refused with ERR_USAGE, ERR_URL_INVALID, ERR_DESTINATION_INVALID, ERR_JOB_LIMIT and others. */
  createJob(request: JobRequest, now: Millis): VerbResult {
    const result = this.#jobs.create(request, now);
    this.#settle(now);
    return result;
  }

  /** Refused with ERR_JOB_NOT_FOUND or ERR_JOB_STATE; the table says what each state allows. */
  applyVerb(jobId: JobId, verb: JobVerb, now: Millis): VerbResult {
    const result = this.#jobs.verb(jobId, verb, now);
    this.#settle(now);
    return result;
  }

  jobIds(): JobId[] {
    return this.#jobs.ids();
  }

  jobSnapshot(jobId: JobId): JobSnapshot | undefined {
    return this.#jobs.snapshot(jobId);
  }

  /** Connected peers. */
  get connectedPeers(): readonly PeerId[] {
    return [...this.#peers.links.keys()];
  }

  /** Contents that peers can have from us, whole or in part. */
  get servedContents(): readonly ContentId[] {
    const served = new Set<ContentId>();
    for (const transfer of this.#transfers.all()) {
      const { contentId } = transfer;
      if (contentId !== undefined && transfer.served() !== undefined) served.add(contentId);
    }
    return [...served];
  }

  handle(event: SchedulerEvent, now: Millis): void {
    switch (event.type) {
      case "originProbed":
      case "manifestFetched":
      case "rangePiece":
      case "rangeProgress":
      case "rangeFinished":
      case "originFailed": {
        const transfer = this.#transfers.get(event.transferId);
        if (transfer !== undefined) transfer.originEvent(event, now);
        else if (event.type === "rangePiece") this.#outbox.release(event.bufferId);
        break;
      }
      case "peerDiscovered":
      case "peerConnected":
      case "dialFailed":
      case "peerDisconnected":
      case "peerOffended":
        this.#handleLink(event, now);
        break;
      case "peerJoined":
      case "peerLeft":
      case "peerBitfield":
      case "peerHave":
      case "peerClaimed":
      case "peerPiece":
      case "peerManifest":
      case "requestRefused":
        this.#handlePeer(event, now);
        break;
      case "pieceRequested":
      case "manifestRequested":
      case "requestCancelled":
      case "uploadFinished":
        this.#handleUpload(event);
        break;
      default:
        this.#handleStore(event, now);
    }
    this.#settle(now);
  }

  pollCommand(): SchedulerCommand | undefined {
    return this.#outbox.pollCommand();
  }

  pollNotice(): Notice | undefined {
    return this.#outbox.pollNotice();
  }

  /** The next instant at which `handleTimeout` has something to do; `Infinity` when none is known. */
  pollDeadline(): Millis {
    return Math.min(
      this.#peers.pollDeadline(),
      this.#transfers.pollDeadline(),
      this.#jobs.pollDeadline(),
    );
  }

  handleTimeout(now: Millis): void {
    if (this.#peers.pollDeadline() <= now) this.#peers.handleTimeout(now);
    this.#transfers.handleTimeout(now);
    if (this.#jobs.pollDeadline() <= now) this.#jobs.handleTimeout(now);
    this.#settle(now);
  }

  checkInvariants(): void {
    this.#transfers.checkInvariants();
  }

  #handleLink(
    event: Extract<
      SwarmEvent,
      {
        type:
          | "peerDiscovered"
          | "peerConnected"
          | "dialFailed"
          | "peerDisconnected"
          | "peerOffended";
      }
    >,
    now: Millis,
  ): void {
    switch (event.type) {
      case "peerDiscovered":
        if (event.peerId !== this.#deps.selfId) this.#peers.discovered(event, now);
        break;
      case "peerConnected":
        if (this.#peers.connected(event, now) === undefined) break;
        this.#uploads.connected(event.peerId);
        this.#membership.connected(event.peerId);
        break;
      case "dialFailed":
        this.#peers.dialFailed(event.peerId, now);
        this.#transfers.handleTimeout(now);
        break;
      case "peerDisconnected":
        this.#uploads.disconnected(event.peerId);
        this.#membership.disconnected(event.peerId);
        this.#peers.disconnected(event.peerId, event.reason, now);
        for (const transfer of this.#transfers.all()) transfer.peerGone(event.peerId, now);
        break;
      case "peerOffended":
        this.#peers.offended(event.peerId, event.offence, now);
        break;
    }
  }

  #handlePeer(event: PeerEvent, now: Millis): void {
    const link = this.#peers.links.get(event.peerId);
    if (link === undefined) {
      if (event.type === "peerPiece") this.#outbox.release(event.bufferId);
      return;
    }
    if ("requestId" in event) {
      const transfer = this.#transfers.ownerOf(event.requestId);
      if (transfer !== undefined) transfer.peerEvent(event, link, now);
      else if (event.type === "peerPiece") this.#outbox.release(event.bufferId);
      return;
    }
    if (event.type === "peerJoined") this.#membership.joined(event.peerId, event.contentId);
    if (event.type === "peerLeft") this.#membership.left(event.peerId, event.contentId);
    for (const transfer of this.#transfers.of(event.contentId)) {
      if (transfer.peerEvent(event, link, now)) continue;
      this.#peers.offended(event.peerId, "malformedFrame", now);
    }
  }

  #handleUpload(
    event: Extract<
      SwarmEvent,
      {
        type: "pieceRequested" | "manifestRequested" | "requestCancelled" | "uploadFinished";
      }
    >,
  ): void {
    const { peerId, requestId } = event;
    switch (event.type) {
      case "pieceRequested":
        this.#uploads.request(event, this.#serverOf(event.contentId, event.piece)?.transferId);
        break;
      case "manifestRequested": {
        const bytes = this.#serverOf(event.contentId)?.manifestBytes;
        if (bytes !== undefined) {
          this.#outbox.swarm({ type: "sendManifest", peerId, requestId, bytes });
        } else {
          const reason = "notFound";
          this.#outbox.swarm({ type: "refuseRequest", peerId, requestId, reason });
        }
        break;
      }
      case "requestCancelled":
        this.#uploads.cancel(peerId, requestId);
        break;
      case "uploadFinished":
        this.#uploads.finished(peerId, requestId, event.sentBytes);
        break;
    }
  }

  #handleStore(event: StoreEvent, now: Millis): void {
    switch (event.type) {
      case "stateLoaded":
        this.#jobs.load(event.jobs, event.resumable, now);
        for (const stored of event.contents) this.#transfers.open({ stored }, now);
        this.#outbox.notice({ type: "ready" });
        return;
      case "stateFailed":
        this.#outbox.notice({ type: "unusable", error: event.error });
        return;
      case "contentShared":
        this.#transfers.open({ stored: event.content }, now);
        return;
      case "jobSaved":
      case "jobDeleted":
        this.#jobs.storeEvent(event);
        return;
      case "pieceRead":
        if (!this.#uploads.read(event.requestId, event.bufferId)) {
          this.#outbox.release(event.bufferId);
        }
        return;
      case "pieceLost":
        this.#uploads.lost(event.requestId);
        break;
      default:
    }
    const transfer = this.#transfers.get(event.transferId);
    if (transfer === undefined) return;
    const before = transfer.served() !== undefined;
    transfer.storeEvent(event, now);
    if (event.type === "pieceStored") this.#jobs.moved(transfer);
    this.#transfers.noteState(transfer);
    if (!before && transfer.served() !== undefined) this.#membership.beginServing(transfer);
  }

  #serverOf(contentId: ContentId, piece?: number): Transfer | undefined {
    for (const transfer of this.#transfers.of(contentId)) {
      const pieces = transfer.served();
      if (pieces === undefined) continue;
      if (piece === undefined || (piece < pieces.pieceCount && pieces.has(piece))) return transfer;
    }
    return undefined;
  }

  /** After any change: take reports until there are none, join and leave contents, tell watchers. */
  #settle(now: Millis): void {
    let reports = this.#transfers.takeReports();
    while (reports.length > 0) {
      for (const { transfer, report } of reports) {
        const isOver = report.type === "closed" || report.type === "failed";
        if (isOver) this.#uploads.drop(transfer.transferId);
        if (report.type === "closed") this.#transfers.remove(transfer);
        else if (isOver && transfer.jobId === undefined) transfer.close("keep");
        this.#jobs.report(transfer, report, now);
        this.#transfers.noteState(transfer);
      }
      reports = this.#transfers.takeReports();
    }
    this.#membership.settle(now);
    for (const jobId of this.#jobs.takeChanged()) {
      this.#outbox.notice({ type: "jobChanged", jobId });
    }
  }
}

/**
 * The top machine: all jobs, transfers, peers and uploads of one agent. Everything that happens
 * enters through `handle`, everything wanted leaves through `pollCommand` and `pollNotice`, and
 * waits are deadlines that the caller turns into one timer. It never throws on remote input. Its
 * one caller is `engine/loop.ts`, in production and in simulation.
 *
 *   events ─▶ handle ─▶ ┌ JobTable ─── TransferTable ─── Transfer … ┐ ─▶ pollCommand ─▶ ports
 *   verbs  ─▶ create…   └ PeerTable    UploadQueue                  ┘ ─▶ pollNotice ─▶ watchers
 */
import type { JobFileSpec } from "../job/file-spec.ts";
import type { NetworkState } from "../job/network.ts";
import type { JobChange, JobRequest, VerbGuard } from "../job/request.ts";
import type { JobState, PlainVerb } from "../job/states.ts";
import type { SchedulerCommand, SchedulerEvent } from "../ports/events.ts";
import type { OriginResponse } from "../ports/origin-port.ts";
import type { StoreEvent } from "../ports/store-port.ts";
import { Counters } from "../registry/counters.ts";
import type { ErrorInfo } from "../registry/errors.ts";
import type { MachineFacts, Peering } from "../policy/peering.ts";
import type { PaceSettings } from "../registry/pace-settings.ts";
import type { ContentId, JobId, Millis, PeerId, UnixMillis } from "../units.ts";
import type { Announcements } from "./announcements.ts";
import type { CacheHosts } from "./cache-hosts.ts";
import { explainJob } from "./explain-job.ts";
import type { JobExplanation } from "./explanation.ts";
import { JobTable } from "./job-table.ts";
import { LinkEvents } from "./link-events.ts";
import type { MachineDeps } from "./machine-deps.ts";
import { Membership } from "./membership.ts";
import type { Notice } from "./notice.ts";
import { Overview } from "./overview.ts";
import { Outbox } from "./outbox.ts";
import type { BanList } from "./conduct.ts";
import { PeerEvents } from "./peer-events.ts";
import type { PeerTable } from "./peer-table.ts";
import { createMachineDeps } from "./scheduler-deps.ts";
import type { SchedulerDeps } from "./scheduler-deps.ts";
import { countFailure, countNotice } from "./security-counts.ts";
import { Serving } from "./serving.ts";
import type { JobSnapshot, JobSummary, VerbResult } from "./snapshot.ts";
import { TransferTable } from "./transfer-table.ts";
import { UploadQueue } from "./upload-queue.ts";
import { WallClock } from "./wall-clock.ts";

export class Scheduler {
  readonly counters = new Counters();
  /** What there is to see of it all. */
  readonly overview: Overview;
  readonly #outbox = new Outbox();
  readonly #wallClock = new WallClock();
  readonly #deps: MachineDeps;
  readonly #peers: PeerTable;
  readonly #transfers: TransferTable;
  readonly #jobs: JobTable;
  readonly #uploads: UploadQueue;
  readonly #serving: Serving;
  readonly #membership: Membership;
  readonly #linkEvents: LinkEvents;
  readonly #peerEvents: PeerEvents;

  constructor(options: SchedulerDeps) {
    const own = { outbox: this.#outbox, wallClock: this.#wallClock, counters: this.counters };
    this.#deps = createMachineDeps(options, own);
    this.#peers = this.#deps.peers;
    this.#transfers = new TransferTable(this.#deps);
    this.#membership = new Membership(this.#deps, this.#transfers);
    this.#jobs = new JobTable(this.#deps, this.#transfers);
    this.#uploads = new UploadQueue(this.#deps);
    const [uploads, transfers] = [this.#uploads, this.#transfers];
    const [membership, jobs] = [this.#membership, this.#jobs];
    const all = { ...this.#deps, uploads, transfers, membership, jobs };
    this.overview = new Overview(all);
    this.#serving = new Serving(all);
    this.#linkEvents = new LinkEvents(all);
    this.#peerEvents = new PeerEvents(all);
  }

  /** Asks the store for the state of earlier runs. Call once, first; `ready` follows. */
  start(): void {
    this.#outbox.store({ type: "loadState" });
  }

  /**
   * It is `wallAt` at `now`, and local time is ahead of UTC by `utcOffsetMs`; to be told before
   * anything else that happens at `now`.
   */
  tellWallTime(wallAt: UnixMillis, now: Millis, utcOffsetMs?: number): void {
    this.#wallClock.tell(wallAt, now, utcOffsetMs);
  }

  /**
   * Changes limits and windows, at once and for this run. Throws `ERR_SETTING_INVALID`, having
   * changed nothing, for a value out of range or a setting that only a start can change.
   */
  applySettings(changes: Partial<PaceSettings>, now: Millis): void {
    this.#deps.pacer.apply(changes, now);
    this.#uploads.rateChanged();
    this.#settle(now);
  }

  /** The limits and windows in force. */
  get paceSettings(): PaceSettings {
    return this.#deps.pacer.settings;
  }

  /** Refused with ERR_USAGE, ERR_URL_INVALID, ERR_DESTINATION_INVALID, ERR_JOB_LIMIT and others. */
  createJob(request: JobRequest, now: Millis): VerbResult {
    const result = this.#jobs.create(request, now);
    this.#settle(now);
    return result;
  }

  /** Refused with ERR_JOB_NOT_FOUND or ERR_JOB_STATE; the table says what each state allows. */
  applyVerb(jobId: JobId, verb: PlainVerb, now: Millis, guard?: VerbGuard): VerbResult {
    const result = this.#jobs.verb(jobId, verb, now, guard);
    this.#settle(now);
    return result;
  }

  /** Adds files or changes values. All of it happens or, when it is refused, none. */
  changeJob(jobId: JobId, change: JobChange, now: Millis, guard?: VerbGuard): VerbResult {
    const result = this.#jobs.change(jobId, change, now, guard);
    this.#deps.pacer.divide(now);
    this.#settle(now);
    return result;
  }

  /** What the network is like from now on; jobs that may not use it wait in `transientError`. */
  setNetwork(network: NetworkState, now: Millis): void {
    this.#jobs.setNetwork(network, now);
    this.#settle(now);
  }

  /** What is known of the machine from now on; peers, uploads and offers follow at once. */
  setMachine(facts: MachineFacts, now: Millis): void {
    const offered = this.#transfers.servedContents();
    if (!this.#deps.gate.setMachine(facts)) return;
    this.#outbox.notice({ type: "policyChanged", peering: this.peering });
    this.#peers.gateMoved(now);
    for (const transfer of this.#transfers.all()) {
      if (transfer.served() === undefined) this.#uploads.drop(transfer.transferId, now, "busy");
    }
    this.#membership.offersMoved(offered, now);
    this.#settle(now);
  }

  /** Cache servers, to be told which to ask from now on. */
  get cacheHosts(): Pick<CacheHosts, "set"> {
    return this.#deps.cacheHosts;
  }

  /** How far policy lets this agent take part in peering now, and why not further. */
  get peering(): Peering {
    return this.#deps.gate.peering;
  }

  /**
   * A stream takes the file's pieces from now on, by `deliverPiece`, from the first. Refused with
   * ERR_JOB_NOT_FOUND, ERR_JOB_STATE or ERR_SINK_TAKEN.
   */
  attachSink(jobId: JobId, fileIndex: number, now: Millis): ErrorInfo | undefined {
    const problem = this.#jobs.attachSink(jobId, fileIndex, now);
    this.#settle(now);
    return problem;
  }

  /** The stream has taken the piece it was given, and may be given the next. */
  sinkTaken(jobId: JobId, fileIndex: number, now: Millis): void {
    const job = this.#jobs.get(jobId);
    if (job !== undefined) this.#jobs.sinks.taken(job, fileIndex, now);
    this.#settle(now);
  }

  /** The stream is gone, or failed; `reason` in words. */
  sinkFailed(jobId: JobId, fileIndex: number, reason: string, now: Millis): void {
    const job = this.#jobs.get(jobId);
    if (job !== undefined) this.#jobs.sinks.failed(job, fileIndex, reason, now);
    this.#settle(now);
  }

  jobIds(): JobId[] {
    return this.#jobs.ids();
  }

  /** Whose job it is and how it stands; `undefined` when there is no such job. */
  jobBrief(jobId: JobId): { readonly owner: string; readonly state: JobState } | undefined {
    const job = this.#jobs.get(jobId);
    return job && { owner: job.owner, state: job.state };
  }

  /** All jobs without their files, the oldest first. */
  jobSummaries(): JobSummary[] {
    return this.#jobs.summaries();
  }

  jobSnapshot(jobId: JobId, now: Millis): JobSnapshot | undefined {
    return this.#jobs.snapshot(jobId, now);
  }

  /** Why the job is as it is: sources, peers, waits. Without secrets. */
  explain(jobId: JobId, now: Millis): JobExplanation | undefined {
    const deps = { ...this.#deps, membership: this.#membership };
    return explainJob(deps, this.#jobs.get(jobId), now);
  }

  /** What was asked for, secrets included: for the job's owner alone (R-API-13). */
  fileSpec(jobId: JobId, fileIndex: number): JobFileSpec | undefined {
    return this.#jobs.fileSpec(jobId, fileIndex);
  }

  /** What an origin answered last for the file, in this run. May hold cookies (R-LOG-01). */
  fileResponse(jobId: JobId, fileIndex: number): OriginResponse | undefined {
    return this.#jobs.response(jobId, fileIndex);
  }

  /** Connected peers. */
  get connectedPeers(): readonly PeerId[] {
    return [...this.#peers.links.keys()];
  }

  /** Contents that peers can have from us, whole or in part. */
  get servedContents(): readonly ContentId[] {
    return this.#transfers.servedContents();
  }

  /** What trusted publishers have announced, to add to. */
  get announcements(): Announcements {
    return this.#deps.publishers.announcements;
  }

  /** Peers and addresses that are refused. */
  get bans(): BanList {
    return this.#peers;
  }

  /** False: nothing came of it, no output and no other deadline. So it is with most words of members. */
  handle(event: SchedulerEvent, now: Millis): boolean {
    countFailure(this.counters, event);
    switch (event.type) {
      case "originAnswered":
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
        this.#linkEvents.handle(event, now);
        break;
      case "presenceHeard":
        if (!this.#membership.presenceHeard(event, now)) return false;
        break;
      case "peerJoined":
      case "peerLeft":
      case "peerBitfield":
      case "peerHave":
      case "peerClaimed":
      case "peerPiece":
      case "peerManifest":
      case "peerAnnouncement":
      case "requestRefused":
        if (!this.#peerEvents.handle(event, now)) return false;
        break;
      case "pieceRequested":
      case "manifestRequested":
      case "announcementRequested":
      case "requestCancelled":
      case "uploadFinished":
        this.#serving.handle(event, now);
        break;
      default:
        this.#handleStore(event, now);
    }
    this.#settle(now);
    return true;
  }

  pollCommand(): SchedulerCommand | undefined {
    return this.#outbox.pollCommand();
  }

  pollNotice(): Notice | undefined {
    return countNotice(this.counters, this.#outbox.pollNotice());
  }

  /** The next instant at which `handleTimeout` has something to do; `Infinity` when none is known. */
  pollDeadline(): Millis {
    return Math.min(
      this.#peers.pollDeadline(),
      this.#transfers.pollDeadline(),
      this.#membership.pollDeadline(),
      this.#jobs.pollDeadline(),
      this.#deps.pacer.pollDeadline(),
      this.#uploads.pollDeadline(),
    );
  }

  handleTimeout(now: Millis): void {
    if (this.#peers.pollDeadline() <= now) this.#peers.handleTimeout(now);
    this.#deps.pacer.handleTimeout(now);
    this.#uploads.month.handleTimeout(now);
    this.#transfers.handleTimeout(now);
    this.#membership.handleTimeout(now);
    if (this.#jobs.pollDeadline() <= now) this.#jobs.handleTimeout(now);
    this.#settle(now);
  }

  checkInvariants(): void {
    this.#transfers.checkInvariants();
  }

  #handleStore(event: StoreEvent, now: Millis): void {
    switch (event.type) {
      case "stateLoaded":
        const offered = this.#deps.publishers.load(event);
        this.#peers.load(event, now);
        this.#jobs.load(event.jobs, event.resumable, now);
        if (event.usage !== undefined) this.#uploads.month.load(event.usage);
        for (const stored of offered) {
          if (stored.isPrivate !== true) this.#transfers.open({ stored }, now);
        }
        this.#outbox.notice({ type: "ready" });
        return;
      case "stateFailed":
        this.#jobs.storeFailed(event.error, now);
        this.#outbox.notice({ type: "unusable", error: event.error });
        return;
      case "contentShared":
        return void this.#transfers.open({ stored: event.content }, now);
      case "contentEvicted":
        return this.#transfers.withdraw(event.contentId);
      case "jobSaved":
      case "jobEnded":
        this.#jobs.storeEvent(event);
        return;
      case "pieceRead":
        if (this.#uploads.read(event.requestId, event.bufferId, now)) return;
        if (this.#jobs.sinks.pieceRead(event.requestId, event.bufferId)) return;
        this.#outbox.release(event.bufferId);
        return;
      case "pieceLost":
        this.#uploads.lost(event.requestId, now);
        this.#jobs.sinks.pieceLost(event.requestId, now);
        break;
      default:
    }
    const transfer = this.#transfers.get(event.transferId);
    if (transfer === undefined) return;
    const before = transfer.served() !== undefined;
    transfer.storeEvent(event, now);
    if (event.type === "pieceStored") this.#jobs.storeMoved(transfer, true, now);
    else if (event.type === "piecesCommitted") this.#jobs.storeMoved(transfer, false, now);
    this.#transfers.noteState(transfer);
    if (!before && transfer.served() !== undefined) this.#membership.beginServing(transfer, now);
    else if (event.type === "contentOpened") this.#membership.withhold(transfer);
  }

  /** After any change: take reports until there are none, join and leave contents, tell watchers. */
  #settle(now: Millis): void {
    let reports = this.#transfers.takeReports();
    while (reports.length > 0) {
      for (const { transfer, report } of reports) {
        const isOver = report.type === "closed" || report.type === "failed";
        if (isOver) this.#uploads.drop(transfer.transferId, now);
        if (report.type === "closed") this.#transfers.remove(transfer);
        else if (isOver && transfer.jobId === undefined) transfer.close("keep");
        this.#jobs.report(transfer, report, now);
        this.#transfers.noteState(transfer);
      }
      reports = this.#transfers.takeReports();
    }
    this.#membership.settle(now);
    this.#uploads.serve(now);
    for (const jobId of this.#jobs.takeChanged()) {
      this.#outbox.notice({ type: "jobChanged", jobId });
    }
  }
}

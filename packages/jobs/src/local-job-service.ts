/**
 * The job service in the agent's own process: verbs go straight to the scheduler, and their answers
 * come with the notice that settles their tickets. Decides who may see which job.
 *
 * Knows tickets, notices and owners; knows neither disk nor network. Made by the agent, for itself
 * and for every connection it serves.
 */
import { ShoalError } from "@shoal/core";
import type {
  Ban,
  ErrorInfo,
  JobChange,
  JobExplanation,
  JobFileSpec,
  JobId,
  JobSnapshot,
  JobSummary,
  Notice,
  OriginResponse,
  PieceBytes,
  PlainVerb,
  Scheduler,
  VerbGuard,
  VerbOutcome,
} from "@shoal/core";
import type { JobHost } from "./job-host.ts";
import type {
  FileKey,
  JobCaller,
  JobService,
  ServiceAnnouncement,
  ServiceJobRequest,
  ServiceWatcher,
  StreamTaker,
} from "./job-service.ts";
import { announceTo } from "./announce-to.ts";
import { VerbTickets } from "./verb-tickets.ts";

interface AttachedStream {
  readonly taker: StreamTaker;
  /** The file fails with the reason, unless all of it was taken. Idempotent. */
  readonly end: (reason?: string) => void;
}

export class LocalJobService implements JobService {
  readonly #host: JobHost;
  readonly #caller: JobCaller;
  readonly #tickets: VerbTickets;
  readonly #watchers = new Set<ServiceWatcher>();
  readonly #streams = new Set<AttachedStream>();
  readonly #unsubscribe: () => void;
  #closedWith: ShoalError | undefined;

  constructor(host: JobHost, caller: JobCaller) {
    this.#host = host;
    this.#caller = caller;
    this.#tickets = new VerbTickets(host);
    this.#unsubscribe = host.onNotice((notice) => this.#take(notice));
  }

  async createJob(request: ServiceJobRequest): Promise<JobId> {
    const { name: owner, isAdministrator } = this.#caller;
    const { jobId } = await this.#tickets.run((scheduler, now) =>
      scheduler.createJob({ ...request, owner, isAdministrator }, now),
    );
    return jobId;
  }

  async list(): Promise<readonly JobSummary[]> {
    this.#checkOpen();
    const all = this.#host.act((scheduler) => scheduler.jobSummaries());
    return all.filter((job) => this.#mayTouch(job));
  }

  async snapshot(jobId: JobId): Promise<JobSnapshot | undefined> {
    this.#checkOpen();
    const snapshot = this.#host.act((scheduler, now) => scheduler.jobSnapshot(jobId, now));
    if (snapshot !== undefined && !this.#mayTouch(snapshot)) {
      throw new ShoalError("ERR_ACCESS_DENIED", jobId);
    }
    return snapshot;
  }

  async explain(jobId: JobId): Promise<JobExplanation | undefined> {
    this.#checkOwner(jobId);
    return this.#host.act((scheduler, now) => scheduler.explain(jobId, now));
  }

  async applyVerb(jobId: JobId, verb: PlainVerb, guard?: VerbGuard): Promise<VerbOutcome> {
    this.#checkOwner(jobId);
    const { outcome } = await this.#tickets.run((scheduler, now) =>
      scheduler.applyVerb(jobId, verb, now, guard),
    );
    return outcome;
  }

  async changeJob(jobId: JobId, change: JobChange, guard?: VerbGuard): Promise<void> {
    this.#checkOwner(jobId);
    await this.#tickets.run((scheduler, now) => scheduler.changeJob(jobId, change, now, guard));
  }

  async fileSpec({ jobId, fileIndex }: FileKey): Promise<JobFileSpec | undefined> {
    this.#checkOwner(jobId);
    return this.#host.act((scheduler) => scheduler.fileSpec(jobId, fileIndex));
  }

  async fileResponse({ jobId, fileIndex }: FileKey): Promise<OriginResponse | undefined> {
    this.#checkOwner(jobId);
    return this.#host.act((scheduler) => scheduler.fileResponse(jobId, fileIndex));
  }

  async attachStream(file: FileKey, taker: StreamTaker): Promise<() => void> {
    const { jobId, fileIndex } = file;
    this.#checkOwner(jobId);
    let detach: (() => void) | ErrorInfo = () => {};
    const stream: AttachedStream = {
      taker,
      // Once only: another stream may have the file by then.
      end: (reason = "its stream was taken away") => {
        if (!this.#streams.delete(stream)) return;
        if (typeof detach === "function") detach();
        this.#fail(file, reason);
      },
    };
    this.#streams.add(stream);
    const deliver = (piece: PieceBytes): void => void this.#deliver(file, stream, piece);
    detach = this.#host.attachSink(jobId, fileIndex, deliver);
    if (typeof detach === "function") return () => stream.end();
    this.#streams.delete(stream);
    throw ShoalError.from(detach);
  }

  async announce({ path, signed }: ServiceAnnouncement): Promise<void> {
    this.#checkOpen();
    if (!this.#caller.isAdministrator) throw new ShoalError("ERR_ACCESS_DENIED", path);
    if (this.#host.share === undefined) throw new ShoalError("ERR_FEATURE_UNSUPPORTED", "announce");
    announceTo(this.#host, Buffer.from(signed, "base64"));
    await this.#host.share(path);
  }

  async bans(): Promise<readonly Ban[]> {
    this.#checkAdministrator();
    return this.#host.act((scheduler, now) => scheduler.bans.bans(now));
  }

  async removeBan(subject: string): Promise<boolean> {
    this.#checkAdministrator();
    return this.#host.act((scheduler, now) => scheduler.bans.removeBan(subject, now));
  }

  watch(watcher: ServiceWatcher): () => void {
    if (this.#closedWith !== undefined) {
      watcher.closed(this.#closedWith);
      return () => {};
    }
    this.#watchers.add(watcher);
    return () => void this.#watchers.delete(watcher);
  }

  close(): void {
    if (this.#closedWith !== undefined) return;
    this.#closedWith = new ShoalError("ERR_AGENT_CLOSED");
    for (const stream of this.#streams) stream.end();
    this.#unsubscribe();
    this.#tickets.close(this.#closedWith);
    for (const watcher of this.#watchers) watcher.closed(this.#closedWith);
    this.#watchers.clear();
  }

  async #deliver(file: FileKey, stream: AttachedStream, piece: PieceBytes): Promise<void> {
    const { jobId, fileIndex } = file;
    try {
      await Promise.try(() => stream.taker.write(piece.bytes));
    } catch (error) {
      stream.end(error instanceof Error ? error.message : String(error));
      return;
    } finally {
      piece.release();
    }
    if (!this.#streams.has(stream)) return;
    this.#host.act((scheduler, now) => scheduler.sinkTaken(jobId, fileIndex, now));
  }

  #fail({ jobId, fileIndex }: FileKey, reason: string): void {
    this.#host.act((scheduler, now) => scheduler.sinkFailed(jobId, fileIndex, reason, now));
  }

  #take(notice: Notice): void {
    if (notice.type === "ticketSettled") this.#tickets.take(notice);
    if (notice.type !== "jobChanged" || this.#watchers.size === 0) return;
    const { jobId } = notice;
    const brief = this.#brief(jobId);
    if (brief === undefined || !this.#mayTouch(brief)) return;
    for (const watcher of this.#watchers) watcher.changed(jobId, brief.state);
  }

  #checkOpen(): void {
    if (this.#closedWith !== undefined) throw this.#closedWith;
  }

  #checkAdministrator(): void {
    this.#checkOpen();
    if (!this.#caller.isAdministrator) throw new ShoalError("ERR_ACCESS_DENIED", "bans");
  }

  /** Whether the job exists is the verb's to say. */
  #checkOwner(jobId: JobId): void {
    this.#checkOpen();
    const brief = this.#brief(jobId);
    if (brief !== undefined && !this.#mayTouch(brief)) {
      throw new ShoalError("ERR_ACCESS_DENIED", jobId);
    }
  }

  #brief(jobId: JobId): ReturnType<Scheduler["jobBrief"]> {
    return this.#host.act((scheduler) => scheduler.jobBrief(jobId));
  }

  #mayTouch({ owner }: { readonly owner: string }): boolean {
    return this.#caller.isAdministrator || owner === this.#caller.name;
  }
}

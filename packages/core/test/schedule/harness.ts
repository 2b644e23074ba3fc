/** Drives a scheduler by hand: events in, commands out, a clock that moves when told to. */
import {
  contentIdOf,
  encodeManifest,
  NO_BUFFER,
  PieceLayout,
  PieceSet,
  Random,
  resolveSettings,
  Scheduler,
} from "@shoal/core";
import type {
  ConductRecord,
  RememberedPeer,
  AcceptedManifest,
  ContentId,
  EngineCommand,
  ErrorCode,
  JobChange,
  JobFileSpec,
  JobRecord,
  JobRequest,
  NetworkState,
  Notice,
  OriginCommand,
  OriginFailureKind,
  PlainVerb,
  Publisher,
  ResumableContent,
  SchedulerCommand,
  SchedulerEvent,
  Settings,
  StoredAnnouncement,
  StoreCommand,
  SwarmCommand,
  VerbGuard,
  VerbResult,
} from "@shoal/core";

export const JOB_ID = "00000000-0000-4000-8000-000000000001";
export const URL_TEXT = "http://origin.test/file";
export const PIECE_LENGTH = 65_536;
/** The wall clock when the monotonic one shows 0. */
export const WALL_AT = Date.UTC(2026, 0, 1);

/** A manifest of `pieceCount` pieces; digests are made up, since nothing here hashes pieces. */
export function manifestOf(pieceCount: number): {
  bytes: Uint8Array;
  contentId: ContentId;
  length: number;
} {
  const length = pieceCount * PIECE_LENGTH;
  const bytes = encodeManifest({
    layout: PieceLayout.fixed(length, PIECE_LENGTH),
    pieceDigests: new Uint8Array(pieceCount * 32).fill(1),
    contentDigest: new Uint8Array(32).fill(2),
    files: [{ name: "file", length, digest: new Uint8Array(32).fill(2) }],
    hints: {},
  });
  return { bytes, contentId: contentIdOf(bytes), length };
}

export function request(file: Partial<JobFileSpec> = {}): JobRequest {
  return {
    jobId: JOB_ID,
    owner: "tester",
    isAdministrator: false,
    displayName: "test",
    priority: "normal",
    overwrite: false,
    allowsCellular: true,
    isVolatile: false,
    attributes: {},
    startSuspended: false,
    files: [{ url: URL_TEXT, destination: "/tmp/file", ...file }],
  };
}

/** A picture such as `"1.1."` as a set of pieces. */
export function pieces(drawn: string): PieceSet {
  const set = new PieceSet(drawn.length);
  for (let i = 0; i < drawn.length; i++) if (drawn[i] === "1") set.add(i);
  return set;
}

type CommandOf<Type extends string> = Extract<
  StoreCommand | OriginCommand | SwarmCommand | EngineCommand,
  { type: Type }
>;

export interface HarnessOptions {
  readonly settings?: Partial<Settings>;
  readonly selfId?: string;
  readonly seed?: number;
  /** What an earlier run has left. */
  readonly jobs?: readonly JobRecord[];
  readonly resumable?: readonly ResumableContent[];
  readonly conduct?: readonly ConductRecord[];
  readonly peers?: readonly RememberedPeer[];
  /** The wall clock when the monotonic one shows 0. */
  readonly wallAt?: number;
  readonly cacheHosts?: readonly string[];
  readonly publishers?: readonly Publisher[];
  /** Whether jobs of the earlier run wait to be resumed. */
  readonly holdsJobs?: boolean;
  /** What earlier runs accepted of them. */
  readonly accepted?: readonly AcceptedManifest[];
  readonly announcements?: readonly StoredAnnouncement[];
}

export class Harness {
  readonly scheduler: Scheduler;
  readonly notices: Notice[] = [];
  now = 0;
  /** Tests set it to set the clock. */
  wallAt: number;
  #pending: SchedulerCommand[] = [];
  /** Outputs of the last step. */
  #collected = 0;

  constructor(options: HarnessOptions = {}) {
    const { settings, selfId = "self", seed = 1, jobs = [], resumable = [] } = options;
    this.wallAt = options.wallAt ?? WALL_AT;
    this.scheduler = new Scheduler({
      random: new Random(seed),
      settings: resolveSettings({ firstWordsMs: 0, ...settings }),
      selfId,
      ...(options.cacheHosts && { cacheHosts: options.cacheHosts }),
      ...(options.publishers && { publishers: options.publishers }),
      ...(options.holdsJobs && { holdsJobs: true }),
    });
    this.#act(() => this.scheduler.start());
    const loaded = {
      ...(options.conduct && { conduct: options.conduct }),
      ...(options.peers && { peers: options.peers }),
    };
    const { accepted = [], announcements = [] } = options;
    const kept = { contents: [], accepted, announcements, ...loaded };
    this.send({ type: "stateLoaded", jobs, resumable, ...kept });
    this.take("loadState");
  }

  /** Sends the event; where nothing is said to come of it, nothing must. */
  send(event: SchedulerEvent): void {
    const deadline = this.scheduler.pollDeadline();
    const isMoved = this.#act(() => this.scheduler.handle(event, this.now));
    if (isMoved) return;
    const outputs = this.#collected;
    if (outputs > 0) throw new Error(`${outputs} outputs came of a ${event.type} after all`);
    if (this.scheduler.pollDeadline() !== deadline)
      throw new Error(`${event.type} moves a deadline`);
  }

  /** Lets the scheduler do something, and takes what it wants. */
  run<Result>(action: (scheduler: Scheduler) => Result): Result {
    return this.#act(() => action(this.scheduler));
  }

  /** Moves the clock to `at`, stopping at every deadline on the way. */
  advanceTo(at: number): void {
    for (;;) {
      const deadline = this.scheduler.pollDeadline();
      if (deadline > at) break;
      this.now = Math.max(this.now, deadline);
      this.#act(() => this.scheduler.handleTimeout(this.now));
    }
    this.now = at;
  }

  create(job: JobRequest): void {
    const code = this.refusal(job);
    if (code !== undefined) throw new Error(code);
  }

  /** Why the job was not created; `undefined` when it was. */
  refusal(job: JobRequest): string | undefined {
    return codeOf(this.#act(() => this.scheduler.createJob(job, this.now)));
  }

  verb(verb: PlainVerb, jobId = JOB_ID, guard?: VerbGuard): string | undefined {
    return codeOf(this.#act(() => this.scheduler.applyVerb(jobId, verb, this.now, guard)));
  }

  change(change: JobChange, jobId = JOB_ID, guard?: VerbGuard): string | undefined {
    return codeOf(this.#act(() => this.scheduler.changeJob(jobId, change, this.now, guard)));
  }

  setNetwork(network: NetworkState): void {
    this.#act(() => this.scheduler.setNetwork(network, this.now));
  }

  attachSink(fileIndex = 0, jobId = JOB_ID): string | undefined {
    return this.#act(() => this.scheduler.attachSink(jobId, fileIndex, this.now))?.code;
  }

  sinkTaken(fileIndex = 0): void {
    this.#act(() => this.scheduler.sinkTaken(JOB_ID, fileIndex, this.now));
  }

  sinkFailed(reason: string, fileIndex = 0): void {
    this.#act(() => this.scheduler.sinkFailed(JOB_ID, fileIndex, reason, this.now));
  }

  get job(): ReturnType<Scheduler["jobSnapshot"]> {
    return this.jobOf(JOB_ID);
  }

  jobOf(jobId: string): ReturnType<Scheduler["jobSnapshot"]> {
    return this.scheduler.jobSnapshot(jobId, this.now);
  }

  /** All tickets that have settled, in order. */
  get settled(): ReadonlyArray<Extract<Notice, { type: "ticketSettled" }>> {
    return this.notices.filter((notice) => notice.type === "ticketSettled");
  }

  /** Removes and returns all pending commands of a type, oldest first. */
  take<Type extends string>(type: Type): CommandOf<Type>[] {
    const taken = this.#pending.filter(({ command }) => command.type === type);
    this.#pending = this.#pending.filter(({ command }) => command.type !== type);
    return taken.map(({ command }) => command as CommandOf<Type>);
  }

  /** The one pending command of a type; fails when there are none or several. */
  takeOne<Type extends string>(type: Type): CommandOf<Type> {
    const [command, ...rest] = this.take(type);
    if (command === undefined || rest.length > 0) {
      const found = this.#pending.map(({ command: { type: name } }) => name).join();
      throw new Error(`expected one ${type}, got ${rest.length + (command ? 1 : 0)} of ${found}`);
    }
    return command;
  }

  /** Connects a peer that takes part in the content and holds the drawn pieces. */
  peer(peerId: string, contentId: ContentId, have?: PieceSet): void {
    this.send({ type: "peerConnected", peerId, host: "10.0.0.1", requestsMax: 8 });
    this.send({ type: "peerJoined", peerId, contentId });
    if (have !== undefined) this.bitfield(peerId, contentId, have);
  }

  bitfield(peerId: string, contentId: ContentId, have: PieceSet): void {
    const { pieceCount } = have;
    this.send({ type: "peerBitfield", peerId, contentId, pieceCount, bits: have.toBytes() });
  }

  /** Answers a piece request and lets the store take the piece. */
  deliver(command: CommandOf<"requestPiece">, verdict: "stored" | "corrupt" = "stored"): void {
    const { peerId, requestId } = command;
    this.send({ type: "peerPiece", peerId, requestId, bufferId: 7 });
    this.storeAll(verdict);
  }

  storeAll(verdict: "stored" | "corrupt" = "stored"): void {
    for (const { transferId, piece } of this.take("storePiece")) {
      const type = verdict === "stored" ? "pieceStored" : "pieceCorrupt";
      this.send({ type, transferId, piece });
    }
  }

  /** Answers the one probe with a file of `length` bytes. */
  probe(length: number, answer: { etag?: string; acceptsRanges?: boolean } = {}): void {
    const { etag, acceptsRanges = true } = answer;
    const { requestId, transferId } = this.takeOne("probeOrigin");
    const validator = etag === undefined ? {} : { etag };
    const probed = { length, validator, acceptsRanges };
    this.send({ type: "originProbed", requestId, transferId, ...probed });
  }

  /** Fails the one request of the type. */
  failOrigin(
    type: "probeOrigin" | "fetchManifest" | "fetchRange",
    kind: OriginFailureKind,
    code: ErrorCode = "ERR_ORIGIN_UNREACHABLE",
  ): void {
    const { requestId, transferId } = this.takeOne(type);
    const failure = { kind, error: { code, message: kind } };
    this.send({ type: "originFailed", requestId, transferId, failure });
  }

  /** Tells that contents which are to be closed are. */
  close(): void {
    for (const { transferId } of this.take("closeContent")) {
      this.send({ type: "contentClosed", transferId });
    }
  }

  /** Passes the last check that is asked for. */
  verify(): void {
    const check = this.take("verifyContent").at(-1);
    if (check === undefined) throw new Error("no check is asked for");
    this.send({ type: "contentVerified", transferId: check.transferId });
  }

  /** The record of a job as it was saved last. */
  savedRecord(jobId = JOB_ID): JobRecord {
    const saved = this.take("saveJob").findLast(({ job }) => job.jobId === jobId);
    if (saved === undefined) throw new Error("nothing was saved");
    return saved.job;
  }

  /** Delivers every piece of a range request and ends it. */
  deliverRange(command: CommandOf<"fetchRange">): void {
    const { requestId, transferId, firstPiece, pieceCount } = command;
    for (let piece = firstPiece; piece < firstPiece + pieceCount; piece++) {
      this.send({ type: "rangePiece", requestId, transferId, piece, bufferId: NO_BUFFER });
    }
    this.send({ type: "rangeFinished", requestId, transferId, validator: {} });
    this.storeAll();
  }

  /** Commits what the scheduler asks to commit; `stored` are the pieces stored so far. */
  commit(stored: readonly number[]): void {
    for (const { transferId } of this.take("commitPieces")) {
      this.send({ type: "piecesCommitted", transferId, pieces: stored });
    }
  }

  /** Answers what the store is asked about jobs, and closes and publishes what it is asked to. */
  answerStore(): void {
    for (const { job, revision } of this.take("saveJob")) {
      this.send({ type: "jobSaved", jobId: job.jobId, revision });
    }
    for (const { transferId } of this.take("closeContent")) {
      this.send({ type: "contentClosed", transferId });
    }
    for (const { transferId } of this.take("publishContent")) {
      this.send({ type: "contentPublished", transferId });
    }
    for (const { job } of this.take("endJob")) {
      this.send({ type: "jobEnded", jobId: job.jobId, undeletedCount: 0 });
    }
  }

  /** How the ticket was settled, once for each time. */
  settlements(ticket: number): Notice[] {
    return this.notices.filter((n) => n.type === "ticketSettled" && n.ticket === ticket);
  }

  /** Opens the part file the scheduler asks for, holding the drawn pieces. */
  open(have: PieceSet): void {
    const { transferId } = this.takeOne("openContent");
    this.send({ type: "contentOpened", transferId, have: have.toBytes() });
  }

  /** Does something as the engine does: the wall clock first, the outputs afterwards. */
  #act<T>(step: () => T): T {
    this.scheduler.tellWallTime(this.wallAt + this.now, this.now);
    const result = step();
    this.scheduler.checkInvariants();
    this.#collect();
    return result;
  }

  #collect(): void {
    const before = this.#pending.length + this.notices.length;
    for (let c = this.scheduler.pollCommand(); c; c = this.scheduler.pollCommand()) {
      this.#pending.push(c);
    }
    for (let n = this.scheduler.pollNotice(); n; n = this.scheduler.pollNotice()) {
      this.notices.push(n);
    }
    this.#collected = this.#pending.length + this.notices.length - before;
  }
}

function codeOf(result: VerbResult): string | undefined {
  return result.ok ? undefined : result.error.code;
}

export type FetchingOptions = HarnessOptions & {
  /** `undefined`: no origin, the manifest comes from a peer called "giver" that has no pieces. */
  readonly url?: string | undefined;
  /** Peers that take part before the part file is open, holding nothing. */
  readonly members?: readonly string[];
};

/** A harness with a job for a content of the drawn size, its part file open. */
export function fetching(
  have: PieceSet,
  options: FetchingOptions = {},
): { h: Harness; contentId: ContentId; manifestBytes: Uint8Array } {
  const h = new Harness(options);
  const { bytes, contentId } = manifestOf(have.pieceCount);
  const { files, ...rest } = request({ contentId });
  const file = { ...files[0], destination: "/tmp/file" };
  if ("url" in options && options.url === undefined) delete (file as { url?: string }).url;
  h.create({ ...rest, files: [file] });
  for (const member of options.members ?? []) h.peer(member, contentId);
  if (file.url === undefined) {
    h.peer("giver", contentId, new PieceSet(have.pieceCount));
    const { requestId } = h.takeOne("requestManifest");
    h.send({ type: "peerManifest", peerId: "giver", requestId, bytes });
  } else {
    const { requestId, transferId } = h.takeOne("fetchManifest");
    h.send({ type: "manifestFetched", requestId, transferId, bytes, overTls: false });
  }
  h.open(have);
  return { h, contentId, manifestBytes: bytes };
}

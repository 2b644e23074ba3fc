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
  ContentId,
  JobFileSpec,
  JobRequest,
  Notice,
  OriginCommand,
  SchedulerCommand,
  SchedulerEvent,
  Settings,
  StoreCommand,
  SwarmCommand,
} from "@shoal/core";

export const JOB_ID = "00000000-0000-4000-8000-000000000001";
export const URL_TEXT = "http://origin.test/file";
export const PIECE_LENGTH = 65_536;

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
    displayName: "test",
    priority: "normal",
    overwrite: false,
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
  StoreCommand | OriginCommand | SwarmCommand,
  { type: Type }
>;

export class Harness {
  readonly scheduler: Scheduler;
  readonly notices: Notice[] = [];
  now = 0;
  #pending: SchedulerCommand[] = [];

  constructor(options: { settings?: Partial<Settings>; selfId?: string; seed?: number } = {}) {
    this.scheduler = new Scheduler({
      random: new Random(options.seed ?? 1),
      settings: resolveSettings(options.settings),
      selfId: options.selfId ?? "self",
    });
    this.scheduler.start();
    this.send({ type: "stateLoaded", jobs: [], resumable: [], contents: [] });
    this.take("loadState");
  }

  send(event: SchedulerEvent): void {
    this.scheduler.handle(event, this.now);
    this.scheduler.checkInvariants();
    this.#collect();
  }

  /** Moves the clock to `at`, stopping at every deadline on the way. */
  advanceTo(at: number): void {
    for (;;) {
      const deadline = this.scheduler.pollDeadline();
      if (deadline > at) break;
      this.now = Math.max(this.now, deadline);
      this.scheduler.handleTimeout(this.now);
      this.scheduler.checkInvariants();
      this.#collect();
    }
    this.now = at;
  }

  create(job: JobRequest): void {
    const result = this.scheduler.createJob(job, this.now);
    if (!result.ok) throw new Error(result.error.message);
    this.#collect();
  }

  verb(verb: "resume" | "suspend" | "cancel" | "acknowledge", jobId = JOB_ID): string | undefined {
    const result = this.scheduler.applyVerb(jobId, verb, this.now);
    this.#collect();
    return result.ok ? undefined : result.error.code;
  }

  get job(): ReturnType<Scheduler["jobSnapshot"]> {
    return this.scheduler.jobSnapshot(JOB_ID);
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

  /** Opens the part file the scheduler asks for, holding the drawn pieces. */
  open(have: PieceSet): void {
    const { transferId } = this.takeOne("openContent");
    this.send({ type: "contentOpened", transferId, have: have.toBytes() });
  }

  #collect(): void {
    for (let c = this.scheduler.pollCommand(); c; c = this.scheduler.pollCommand()) {
      this.#pending.push(c);
    }
    for (let n = this.scheduler.pollNotice(); n; n = this.scheduler.pollNotice()) {
      this.notices.push(n);
    }
  }
}

export type FetchingOptions = NonNullable<ConstructorParameters<typeof Harness>[0]> & {
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

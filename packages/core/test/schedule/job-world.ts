/**
 * A world around a scheduler for random runs: a store, an origin and streams that answer later, in
 * any order their ports allow, and sometimes fail. They keep what a real one would keep, so that
 * wrong bytes, lost buffers and commands to closed contents are noticed where they happen.
 */
import { Random, resolveSettings, Scheduler } from "@shoal/core";
import type {
  EngineCommand,
  ErrorInfo,
  JobRecord,
  OriginCommand,
  OriginFailureKind,
  PieceLayout,
  SchedulerCommand,
  SchedulerEvent,
  Settings,
  StoreCommand,
  Validator,
} from "@shoal/core";
import { WALL_AT } from "./harness.ts";

/** What the bytes of one piece are: which version of which URL, and where they lie in it. */
interface Bytes {
  readonly version: string;
  readonly start: number;
  readonly length: number;
}

interface OpenPart {
  readonly key: string;
  readonly layout: PieceLayout;
  readonly stored: Map<number, Bytes>;
}

/** What a part file holds after it was closed, and of what. */
interface Kept {
  readonly validatorKey: string;
  readonly layout: PieceLayout;
  readonly stored: Map<number, Bytes>;
}

interface Remote {
  length: number;
  version: number;
}

type Fetch = Extract<OriginCommand, { type: "fetchRange" }>;
/** Something a port owes, by who owes it; those of one queue come in order. */
interface Owed {
  readonly queue: string;
  readonly requestId?: number;
  readonly answer: (calm: boolean) => void;
}

const FAILURES: readonly OriginFailureKind[] = [
  "transient",
  "transient",
  "timeout",
  "fatal",
  "rangeBroken",
  "rangeUnsupported",
];
const FAILED: ErrorInfo = { code: "ERR_ORIGIN_UNREACHABLE", message: "as drawn" };
const DISK_ERRORS = ["ERR_DISK_FULL", "ERR_DISK_IO", "ERR_STATE_INVALID"] as const;

export class JobWorld {
  readonly scheduler: Scheduler;
  readonly random: Random;
  now = 0;
  /** What every accepted verb came to, by ticket. */
  readonly settled = new Map<number, number>();
  readonly accepted: number[] = [];
  readonly remotes = new Map<string, Remote>();
  /** Jobs as the store has them. */
  readonly saved = new Map<string, JobRecord>();
  /** What each attached stream has been given. */
  readonly streams = new Map<string, Bytes[]>();
  readonly #owed: Owed[] = [];
  readonly #open = new Map<number, OpenPart>();
  readonly #kept = new Map<string, Kept>();
  readonly #over = new Set<string>();
  readonly #buffers = new Map<number, Bytes>();
  #lastBuffer = 0;

  constructor(seed: number, settings: Partial<Settings> = {}) {
    this.random = new Random(seed);
    const random = new Random(seed + 1);
    this.scheduler = new Scheduler({
      random,
      settings: resolveSettings(settings),
      selfId: "self",
      cacheHosts: this.chance(3) ? ["cache.test", "other-cache.test"] : [],
    });
    this.scheduler.tellWallTime(WALL_AT, 0);
    this.scheduler.start();
    this.drain();
    this.#send({ type: "stateLoaded", jobs: [], resumable: [], contents: [] });
  }

  chance(of: number): boolean {
    return this.random.below(of) === 0;
  }

  pick<T>(from: readonly T[]): T {
    return from[this.random.below(from.length)]!;
  }

  /** Answers that the ports owe. */
  get owedCount(): number {
    return this.#owed.length;
  }

  get openBuffers(): number {
    return this.#buffers.size;
  }

  /** One thing that is owed is answered: the first of some queue. Calm ports do not fail. */
  answerOne(calm: boolean): void {
    const { queue } = this.pick(this.#owed);
    const index = this.#owed.findIndex((owed) => owed.queue === queue);
    const [owed] = this.#owed.splice(index, 1);
    owed?.answer(calm);
    this.drain();
  }

  answerAll(): void {
    for (let i = 0; this.#owed.length > 0; i++) {
      if (i > 100_000) throw new Error("the ports are never done");
      this.answerOne(true);
    }
  }

  /** Moves the clock on, past at most a few deadlines, each of which is kept. */
  advance(byMs: number): void {
    const at = this.now + byMs;
    for (let deadline = this.scheduler.pollDeadline(); deadline <= at;) {
      this.now = Math.max(this.now, deadline);
      this.scheduler.handleTimeout(this.now);
      this.drain();
      const next = this.scheduler.pollDeadline();
      if (next <= this.now && next === deadline) throw new Error(`deadline ${next} stays`);
      deadline = next;
    }
    this.now = Math.max(this.now, at);
  }

  drain(): void {
    this.scheduler.checkInvariants();
    for (let c = this.scheduler.pollCommand(); c; c = this.scheduler.pollCommand()) this.#take(c);
    for (let n = this.scheduler.pollNotice(); n; n = this.scheduler.pollNotice()) {
      if (n.type !== "ticketSettled") continue;
      this.settled.set(n.ticket, (this.settled.get(n.ticket) ?? 0) + 1);
    }
  }

  #send(event: SchedulerEvent): void {
    this.scheduler.handle(event, this.now);
    this.drain();
  }

  #owe(queue: string, answer: (calm: boolean) => void, requestId?: number): void {
    this.#owed.push({ queue, answer, ...(requestId === undefined ? {} : { requestId }) });
  }

  #take({ port, command }: SchedulerCommand): void {
    if (port === "store") this.#store(command);
    else if (port === "origin") this.#origin(command);
    else if (port === "engine") this.#engine(command);
  }

  #engine(command: EngineCommand): void {
    const bytes = this.#spend(command.bufferId);
    if (command.type === "releaseBuffer") return;
    const { jobId, fileIndex } = command;
    const key = `${jobId} ${fileIndex}`;
    const stream = this.streams.get(key);
    this.#owe(`stream ${key}`, (calm) => {
      if (stream === undefined || (!calm && this.chance(20))) {
        this.streams.delete(key);
        this.scheduler.sinkFailed(jobId, fileIndex, "as drawn", this.now);
      } else if (this.streams.get(key) === stream) {
        stream.push(bytes);
        const first = stream[0]!;
        if (first.version !== bytes.version) throw new Error(`${key} was given two files in one`);
        this.scheduler.sinkTaken(jobId, fileIndex, this.now);
      }
    });
  }

  #buffer(bytes: Bytes): number {
    this.#buffers.set(++this.#lastBuffer, bytes);
    return this.#lastBuffer;
  }

  #spend(bufferId: number): Bytes {
    const bytes = this.#buffers.get(bufferId);
    if (bytes === undefined) throw new Error(`buffer ${bufferId} was given away twice`);
    this.#buffers.delete(bufferId);
    return bytes;
  }

  #store(command: StoreCommand): void {
    switch (command.type) {
      case "loadState":
        return;
      case "saveJob": {
        const { job, revision } = command;
        if (this.#over.has(job.jobId)) throw new Error(`${job.jobId} is saved after its end`);
        this.#owe("jobs", () => {
          this.saved.set(job.jobId, job);
          this.#send({ type: "jobSaved", jobId: job.jobId, revision });
        });
        return;
      }
      case "endJob": {
        const { job } = command;
        if (this.#over.has(job.jobId)) throw new Error(`${job.jobId} ends twice`);
        this.#over.add(job.jobId);
        this.#owe("jobs", (calm) => {
          this.saved.set(job.jobId, job);
          const undeletedCount = !calm && this.chance(5) ? 1 : 0;
          this.#send({ type: "jobEnded", jobId: job.jobId, undeletedCount });
        });
        return;
      }
      case "forgetJob":
        this.saved.delete(command.jobId);
        return;
      case "openShared":
      case "saveAccepted":
      case "saveAnnouncement":
      case "saveConduct":
      case "savePeers":
      case "saveUsage":
        return;
      default: {
        // What a piece is must be looked at while its buffer is known.
        const bytes = command.type === "storePiece" ? this.#spend(command.bufferId) : undefined;
        if (command.type !== "openContent" && !this.#isExpected(command.transferId)) {
          throw new Error(`${command.type} for a content that is closed`);
        }
        if (command.type === "openContent") this.#expected.add(command.transferId);
        if (command.type === "closeContent") this.#expected.delete(command.transferId);
        this.#owe(`content ${command.transferId}`, (calm) => this.#content(command, calm, bytes));
      }
    }
  }

  /** Contents that were opened and not yet closed, by the order of commands. */
  readonly #expected = new Set<number>();

  #isExpected(transferId: number): boolean {
    return this.#expected.has(transferId);
  }

  #content(
    command: Extract<StoreCommand, { transferId: number }>,
    calm: boolean,
    bytes: Bytes | undefined,
  ): void {
    const { transferId } = command;
    if (command.type === "openContent") return this.#openPart(command, calm);
    const part = this.#open.get(transferId);
    if (command.type === "closeContent") {
      this.#open.delete(transferId);
      if (command.outcome === "discard" && part !== undefined) this.#kept.delete(part.key);
      return this.#send({ type: "contentClosed", transferId });
    }
    if (part === undefined) {
      if (command.type !== "readPiece") return;
      const { piece, requestId } = command;
      return this.#send({ type: "pieceLost", transferId, piece, requestId });
    }
    if (!calm && command.type !== "readPiece" && this.chance(60)) {
      const error = { code: this.pick(DISK_ERRORS), message: "as drawn" };
      this.#open.delete(transferId);
      return this.#send({ type: "contentFailed", transferId, error });
    }
    this.#partCommand(command, part, calm, bytes);
  }

  #partCommand(
    command: Extract<StoreCommand, { transferId: number }>,
    { layout, stored, key }: OpenPart,
    calm: boolean,
    bytes: Bytes | undefined,
  ): void {
    const { transferId } = command;
    switch (command.type) {
      case "storePiece":
        if (bytes === undefined || bytes.length !== layout.length(command.piece)) {
          throw new Error(`piece ${command.piece} of ${key} has another length`);
        }
        stored.set(command.piece, bytes);
        return this.#send({ type: "pieceStored", transferId, piece: command.piece });
      case "commitPieces":
        return this.#send({ type: "piecesCommitted", transferId, pieces: [...stored.keys()] });
      case "readPiece": {
        const { piece, requestId } = command;
        const found = stored.get(piece);
        if (found === undefined || (!calm && this.chance(30))) {
          stored.delete(piece);
          return this.#send({ type: "pieceLost", transferId, piece, requestId });
        }
        const bufferId = this.#buffer(found);
        return this.#send({ type: "pieceRead", transferId, requestId, bufferId });
      }
      case "verifyContent": {
        const versions = new Set([...stored.values()].map(({ version }) => version));
        if (versions.size > 1) throw new Error(`${key} is made of two files`);
        if (stored.size !== layout.pieceCount) throw new Error(`${key} has gaps`);
        this.#checkPlaces(key, layout, stored);
        if (!calm && this.chance(15)) {
          stored.delete(0);
          return this.#send({ type: "contentMismatch", transferId, pieces: [0] });
        }
        return this.#send({ type: "contentVerified", transferId });
      }
      case "publishContent":
        if (calm || !this.chance(5)) return this.#send({ type: "contentPublished", transferId });
        return this.#send({
          type: "publishFailed",
          transferId,
          error: {
            code: this.pick(["ERR_DESTINATION_EXISTS", "ERR_CONTENT_MISMATCH"]),
            message: "as drawn",
          },
        });
      default:
    }
  }

  /** Every piece lies where the ranges, written one after the other, would have it. */
  #checkPlaces(key: string, layout: PieceLayout, stored: ReadonlyMap<number, Bytes>): void {
    const [jobId = "", fileIndex] = key.split(" ");
    const ranges = this.scheduler.fileSpec(jobId, Number(fileIndex))?.ranges;
    for (const [piece, bytes] of stored) {
      let at = layout.start(piece);
      if (ranges !== undefined) {
        const range = ranges.find(({ length = Infinity }) => {
          if (at < length) return true;
          at -= length;
          return false;
        });
        at += range?.offset ?? NaN;
      }
      if (bytes.start !== at) throw new Error(`${key}: piece ${piece} is of ${bytes.start}`);
    }
  }

  #openPart(
    { transferId, spec }: Extract<StoreCommand, { type: "openContent" }>,
    calm: boolean,
  ): void {
    const { jobId, fileIndex, layout, validatorKey } = spec;
    const key = `${jobId} ${fileIndex}`;
    if (!calm && this.chance(30)) {
      const error = { code: this.pick(DISK_ERRORS), message: "as drawn" };
      return this.#send({ type: "contentFailed", transferId, error });
    }
    const before = this.#kept.get(key);
    const isSame = validatorKey !== undefined && before?.validatorKey === validatorKey;
    const isKept = isSame && isBeginning(before.layout, layout);
    const stored = isKept ? before.stored : new Map<number, Bytes>();
    this.#kept.set(key, { validatorKey: validatorKey ?? "", layout, stored });
    this.#open.set(transferId, { key, layout, stored });
    const have = new Uint8Array(Math.ceil(layout.pieceCount / 8));
    for (const piece of stored.keys()) {
      have[piece >> 3]! |= 0x80 >> (piece & 7);
    }
    this.#send({ type: "contentOpened", transferId, have });
  }

  #origin(command: OriginCommand): void {
    if (command.type === "setFlow" || command.type === "setPace") return;
    const { requestId } = command;
    if (command.type === "cancelOrigin") {
      const index = this.#owed.findIndex((owed) => owed.requestId === requestId);
      if (index >= 0) this.#owed.splice(index, 1);
      return;
    }
    this.#owe(`origin ${requestId}`, (calm) => this.#fetch(command, calm), requestId);
  }

  #fetch(
    command: Exclude<
      OriginCommand,
      { type: "cancelOrigin" } | { type: "setFlow" } | { type: "setPace" }
    >,
    calm: boolean,
  ): void {
    const { requestId, transferId, url } = command;
    // One cache server has what the origin has, under its own name; the other has nothing.
    const at = url.replace("//cache.test/", "//origin.test/").replace(/\?cacheHostOrigin=.*/, "");
    const remote = this.remotes.get(url) ?? this.remotes.get(at);
    const fail = (kind: OriginFailureKind): void =>
      this.#send({
        type: "originFailed",
        requestId,
        transferId,
        failure: {
          kind,
          error: kind === "changed" ? { ...FAILED, code: "ERR_REMOTE_CHANGING" } : FAILED,
        },
      });
    if (remote === undefined || command.type === "fetchManifest") return fail("fatal");
    if (!calm && this.chance(8)) return fail(this.pick(FAILURES));
    const validator: Validator = { etag: `"${remote.version}"` };
    if (command.type === "probeOrigin") {
      const acceptsRanges = calm || !this.chance(30);
      const { length } = remote;
      return this.#send({
        type: "originProbed",
        requestId,
        transferId,
        length,
        validator,
        acceptsRanges,
      });
    }
    if (command.validator?.etag !== undefined && command.validator.etag !== validator.etag) {
      return fail("changed");
    }
    this.#range(command, { ...remote }, command.firstPiece);
  }

  /** One piece, and the rest later; the answer is of the version there was when it began. */
  #range(command: Fetch, remote: Remote, piece: number): void {
    const { requestId, transferId, layout, firstPiece, pieceCount, url } = command;
    if (piece >= firstPiece + pieceCount) {
      const validator = { etag: `"${remote.version}"` };
      return this.#send({ type: "rangeFinished", requestId, transferId, validator });
    }
    const begin = command.remote?.start ?? layout.start(firstPiece);
    const start = begin + layout.start(piece) - layout.start(firstPiece);
    const length = layout.length(piece);
    const fileLength = command.remote?.length ?? layout.contentLength;
    if (fileLength !== remote.length)
      throw new Error(`${url} is believed to be ${fileLength} long`);
    if (start + length > remote.length) throw new Error(`${url} has no bytes ${start}+${length}`);
    const bufferId = this.#buffer({ version: `${url} ${remote.version}`, start, length });
    const answer = (calm: boolean): void => {
      if (!calm && this.chance(25)) {
        const failure = { kind: "transient", error: FAILED } as const;
        return this.#send({ type: "originFailed", requestId, transferId, failure });
      }
      this.#range(command, remote, piece + 1);
    };
    this.#owe(`origin ${requestId}`, answer, requestId);
    this.#send({ type: "rangePiece", requestId, transferId, piece, bufferId });
  }
}

function isBeginning(before: PieceLayout, now: PieceLayout): boolean {
  if (before.pieceCount > now.pieceCount) return false;
  for (let piece = 0; piece < before.pieceCount; piece++) {
    if (before.length(piece) !== now.length(piece)) return false;
  }
  return true;
}

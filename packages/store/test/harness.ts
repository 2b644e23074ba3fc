/**
 * What the store's tests share: temporary directories, contents with their manifests, and a store
 * whose events can be awaited.
 */
import { randomBytes } from "node:crypto";
import fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  contentIdOf,
  decodeManifest,
  DIGEST_LENGTH,
  encodeManifest,
  KiB,
  NO_BUFFER,
  PieceBufferPool,
  PieceLayout,
  sha256,
} from "@shoal/core";
import type {
  ContentId,
  EventSink,
  JobRecord,
  OpenContent,
  PieceBytes,
  StoreCommand,
  StoreEvent,
} from "@shoal/core";
import { onTestFinished } from "vitest";
import type { Disk } from "../src/disk.ts";
import type { DiskStore } from "../src/disk-store.ts";
import { openDiskStore } from "../src/open-disk-store.ts";
import type { StartReport } from "../src/open-disk-store.ts";
import { openStore } from "../src/open-store.ts";
import type { Store } from "../src/open-store.ts";

/** Time after which a test that waits for an event gives up. */
const EVENT_TIMEOUT_MS = 10_000;
export const JOB_ID = "0b5c7a10-1111-4222-8333-444455556666";

/** A directory that is removed when the test is over. */
export function temporaryDirectory(): string {
  const path = fs.mkdtempSync(join(tmpdir(), "shoal-store-"));
  onTestFinished(() => fs.rmSync(path, { recursive: true, force: true }));
  return path;
}

/** A content made up for a test. */
export interface TestContent {
  readonly bytes: Uint8Array;
  readonly layout: PieceLayout;
  readonly manifestBytes: Uint8Array;
  readonly contentId: ContentId;
  readonly contentDigest: Uint8Array;
}

export function makeContent(
  layout: PieceLayout = PieceLayout.fixed(300 * KiB, 64 * KiB),
  change: (bytes: Uint8Array) => void = () => {},
) {
  const bytes = new Uint8Array(randomBytes(layout.contentLength));
  change(bytes);
  const pieceDigests = new Uint8Array(layout.pieceCount * DIGEST_LENGTH);
  for (let piece = 0; piece < layout.pieceCount; piece++) {
    const chunk = bytes.subarray(layout.start(piece), layout.end(piece));
    pieceDigests.set(sha256(chunk), piece * DIGEST_LENGTH);
  }
  const contentDigest = sha256(bytes);
  const files = [{ name: "file.bin", length: bytes.length, digest: contentDigest }];
  const manifestBytes = encodeManifest({ layout, pieceDigests, contentDigest, files, hints: {} });
  return { bytes, layout, manifestBytes, contentId: contentIdOf(manifestBytes), contentDigest };
}

/** The same content under a manifest that has the digests of its pieces and no other. */
export function withPieceDigestsOnly(content: TestContent): TestContent {
  const decoded = decodeManifest(content.manifestBytes);
  if (!decoded.ok) throw new Error(decoded.reason);
  const { layout, pieceDigests } = decoded.manifest;
  const manifestBytes = encodeManifest({ layout, pieceDigests, files: [], hints: {} });
  return { ...content, manifestBytes, contentId: contentIdOf(manifestBytes) };
}

export function pieceOf({ bytes, layout }: TestContent, piece: number): Uint8Array {
  return bytes.subarray(layout.start(piece), layout.end(piece));
}

/** The question that opens a content of `JOB_ID`. */
export function specOf(content: TestContent, destination: string, fileIndex = 0): OpenContent {
  const { contentId, layout, manifestBytes } = content;
  const manifest = { contentId, bytes: manifestBytes };
  return { jobId: JOB_ID, fileIndex, layout, manifest, destination };
}

/** The same for a content without a manifest, which `validatorKey` identifies. */
export function plainSpecOf(
  content: TestContent,
  destination: string,
  extra: Partial<OpenContent> = {},
): OpenContent {
  const { layout } = content;
  return { jobId: JOB_ID, fileIndex: 0, layout, destination, validatorKey: "1 a", ...extra };
}

export function jobRecord(destination: string, changes: Partial<JobRecord> = {}): JobRecord {
  return {
    jobId: JOB_ID,
    owner: "somebody",
    sequence: 1,
    displayName: "test",
    priority: "normal",
    overwrite: false,
    allowsCellular: true,
    isVolatile: false,
    attributes: { colour: "red" },
    state: "queued",
    hasStarted: true,
    createdAt: 1_700_000_000_000,
    modifiedAt: 1_700_000_000_001,
    files: [
      {
        spec: { url: "http://127.0.0.1/f", destination },
        isTransferred: false,
        isPublished: false,
        originBytes: 1,
        peerBytes: 2,
        wastedBytes: 3,
      },
    ],
    ...changes,
  };
}

/** The same job when it is over. */
export function endedRecord(destination: string): JobRecord {
  return { ...jobRecord(destination), state: "cancelled", endedAt: 1_700_000_000_002 };
}

type EventOf<Type extends StoreEvent["type"]> = Extract<StoreEvent, { type: Type }>;

/** Keeps events in order and hands them out one by one. */
export class EventLog {
  readonly all: StoreEvent[] = [];
  #next = 0;
  #wake: (() => void) | undefined;

  push(event: StoreEvent): void {
    this.all.push(event);
    this.#wake?.();
  }

  /** The next event that has not been handed out; fails when it is of another type. */
  async next<Type extends StoreEvent["type"]>(type: Type): Promise<EventOf<Type>> {
    const event = await this.any();
    if (event.type !== type) throw new Error(`expected ${type}, got ${JSON.stringify(event)}`);
    return event as EventOf<Type>;
  }

  /** The next event that has not been handed out. */
  async any(): Promise<StoreEvent> {
    for (;;) {
      const event = this.all[this.#next];
      if (event === undefined) await this.#arrival("event");
      else {
        this.#next++;
        return event;
      }
    }
  }

  /** The next event of the type, past whatever comes before it. */
  async skipTo<Type extends StoreEvent["type"]>(type: Type): Promise<EventOf<Type>> {
    while (this.all[this.#next]?.type !== type) {
      if (this.#next < this.all.length) this.#next++;
      else await this.#arrival(type);
    }
    return this.next(type);
  }

  async #arrival(type: string): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const timer = setTimeout(
      () => reject(new Error(`no ${type}; events: ${JSON.stringify(this.all.slice(-3))}`)),
      EVENT_TIMEOUT_MS,
    );
    this.#wake = resolve;
    await promise.finally(() => clearTimeout(timer));
  }
}

/** A store on the test's own thread. */
export interface TestStore {
  readonly store: DiskStore;
  readonly events: EventLog;
  readonly report: StartReport;
  readonly do: (command: StoreCommand, bytes?: Uint8Array) => Promise<void>;
  /** Stores all pieces in `pieces` and commits them. */
  readonly fill: (
    transferId: number,
    content: TestContent,
    pieces?: Iterable<number>,
  ) => Promise<void>;
  /** Opens, and returns which pieces the store says it has. */
  readonly open: (transferId: number, spec: OpenContent) => Promise<Uint8Array>;
  readonly close: () => Promise<void>;
}

export async function openTestStore(stateDirectory: string, disk?: Disk): Promise<TestStore> {
  const events = new EventLog();
  const opened = await openDiskStore({
    stateDirectory,
    emit: (event) => events.push(event),
    ...(disk === undefined ? {} : { disk }),
  });
  const { store, report } = opened;
  let closed: Promise<void> | undefined;
  const close = (): Promise<void> => (closed ??= opened.close());
  onTestFinished(close);
  const run = (command: StoreCommand, bytes?: Uint8Array) => store.execute(command, bytes);
  return {
    store,
    events,
    report,
    do: run,
    close,
    open: async (transferId, spec) => {
      await run({ type: "openContent", transferId, spec });
      return (await events.next("contentOpened")).have;
    },
    fill: async (transferId, content, pieces = allPieces(content)) => {
      for (const piece of pieces) {
        const command = { type: "storePiece", transferId, piece, bufferId: NO_BUFFER } as const;
        await run(command, pieceOf(content, piece));
        await events.next("pieceStored");
      }
      await run({ type: "commitPieces", transferId });
      // Equal pieces may have been copied meanwhile.
      await events.skipTo("piecesCommitted");
      store.checkInvariants();
    },
  };
}

/** A store on its worker thread, as the engine has it. */
export interface ThreadedStore {
  readonly store: Store;
  readonly events: EventLog;
  readonly pool: PieceBufferPool;
  /** Payloads of `pieceRead`, by request id. */
  readonly payloads: Map<number, PieceBytes>;
  /** Sends a piece in a buffer of the pool. */
  readonly send: (transferId: number, piece: number, bytes: Uint8Array) => void;
}

export async function openThreadedStore(stateDirectory: string): Promise<ThreadedStore> {
  const events = new EventLog();
  const pool = new PieceBufferPool();
  const payloads = new Map<number, PieceBytes>();
  const sink: EventSink<PieceBytes> = (event, payload) => {
    if (event.type === "pieceRead" && payload !== undefined) {
      payloads.set(event.requestId, payload);
    }
    events.push(event as StoreEvent);
  };
  const store = await openStore({ pool, sink }, { stateDirectory });
  onTestFinished(() => store.close());
  const send = (transferId: number, piece: number, bytes: Uint8Array): void => {
    const payload = pool.take(bytes.length);
    payload.bytes.set(bytes);
    store.execute({ type: "storePiece", transferId, piece, bufferId: NO_BUFFER }, payload);
  };
  return { store, events, pool, payloads, send };
}

/** Names in a directory that look like part files. */
export function partNames(directory: string): string[] {
  return fs.readdirSync(directory).filter((name) => name.startsWith(".shoal-"));
}

export function allPieces({ layout }: TestContent): number[] {
  return Array.from({ length: layout.pieceCount }, (_, piece) => piece);
}

/**
 * The store port's contract (core `ports/store-port.ts`), as tests that every adapter passes. The
 * harness provides a store over a disk that outlives it.
 */
import { NO_BUFFER, PieceLayout, PieceSet } from "@shoal/core";
import type {
  ConductRecord,
  RememberedPeer,
  ContentId,
  JobRecord,
  OpenContent,
  PieceIndex,
  Port,
  StoreCommand,
  StoreEvent,
  TransferId,
} from "@shoal/core";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { EventLog } from "./event-log.ts";

/** One run of a store. */
export interface StoreRun<Payload> {
  readonly port: Port<StoreCommand, Payload>;
  readonly log: EventLog<StoreEvent, Payload>;
}

export interface StoreHarness<Payload> {
  /** Begins a run over the state of the runs before; they must be closed. */
  open(): Promise<StoreRun<Payload>>;
  /** At least eight pieces, the last of them shorter. */
  readonly layout: PieceLayout;
  readonly manifest: { readonly contentId: ContentId; readonly bytes: Uint8Array };
  readonly contentDigest: Uint8Array;
  /** An existing directory for destinations. */
  readonly directory: string;
  /** Names of part files that lie anywhere on the disk. */
  partNames(): readonly string[];
  /** Of a file, in milliseconds since 1970. */
  modifiedAtOf(path: string): number | undefined;
  /** The bytes of a piece, or wrong ones of the same length. */
  take(piece: PieceIndex, isCorrupt?: boolean): Payload;
  release(payload: Payload): void;
  byteLength(payload: Payload): number;
  /** Payloads that are out. */
  borrowed(): number;
  close(): Promise<void>;
}

const JOB_ID = "00000000-0000-4000-8000-000000000001";
const OTHER_JOB_ID = "00000000-0000-4000-8000-000000000002";

export function describeStoreContract<Payload>(
  name: string,
  open: () => Promise<StoreHarness<Payload>>,
): void {
  describe(`store port, ${name}`, () => {
    let harness: StoreHarness<Payload>;
    let run: StoreRun<Payload>;

    beforeEach(async () => {
      harness = await open();
      run = await harness.open();
    });

    afterEach(async () => {
      await run.port.close();
      for (const payload of run.log.takeAll()) harness.release(payload);
      const borrowed = harness.borrowed();
      await harness.close();
      expect(borrowed, "payloads nobody owns").toBe(0);
    });

    const say = (command: StoreCommand, payload?: Payload): void =>
      run.port.execute(command, payload);
    /** Ends the run in order and begins another over the same disk. */
    const restart = async (): Promise<void> => {
      await run.port.close();
      for (const payload of run.log.takeAll()) harness.release(payload);
      run = await harness.open();
    };
    const load = async () => {
      say({ type: "loadState" });
      return run.log.until("stateLoaded");
    };
    const jobOf = (jobId = JOB_ID, changes: Partial<JobRecord> = {}): JobRecord => ({
      jobId,
      owner: "somebody",
      sequence: 1,
      displayName: "contract",
      priority: "normal",
      overwrite: false,
      allowsCellular: true,
      isVolatile: false,
      attributes: {},
      state: "queued",
      hasStarted: true,
      createdAt: 1_700_000_000_000,
      modifiedAt: 1_700_000_000_000,
      files: [
        {
          spec: { destination: `${harness.directory}/file.bin`, url: "http://origin/file.bin" },
          isTransferred: false,
          isPublished: false,
          originBytes: 0,
          peerBytes: 0,
          wastedBytes: 0,
        },
      ],
      ...changes,
    });
    const endedOf = (jobId = JOB_ID): JobRecord => jobOf(jobId, { state: "cancelled", endedAt: 7 });
    const endJob = async (jobId = JOB_ID): Promise<void> => {
      say({ type: "endJob", job: endedOf(jobId) });
      const { undeletedCount } = await run.log.until("jobEnded", { jobId });
      expect(undeletedCount).toBe(0);
    };
    const saveJob = async (job = jobOf(), revision = 1): Promise<void> => {
      say({ type: "saveJob", revision, job });
      await run.log.until("jobSaved", { jobId: job.jobId, revision });
    };
    const specOf = (options: Partial<OpenContent> = {}): OpenContent => ({
      jobId: JOB_ID,
      fileIndex: 0,
      layout: harness.layout,
      manifest: harness.manifest,
      destination: `${harness.directory}/file.bin`,
      ...options,
    });
    const openContent = async (transferId: TransferId, spec = specOf()): Promise<PieceSet> => {
      const { length } = run.log.all("contentOpened");
      say({ type: "openContent", transferId, spec });
      const { have } = await run.log.until("contentOpened", {}, length + 1);
      const pieces = PieceSet.fromBytes(spec.layout.pieceCount, have);
      if (pieces === undefined) throw new Error("the bit map has another length");
      return pieces;
    };
    const begin = async (spec = specOf()): Promise<PieceSet> => {
      await load();
      await saveJob(jobOf(spec.jobId));
      return openContent(1, spec);
    };
    const store = (piece: PieceIndex, isCorrupt = false): void =>
      say(
        { type: "storePiece", transferId: 1, piece, bufferId: NO_BUFFER },
        harness.take(piece, isCorrupt),
      );
    const commit = async (pieces: readonly PieceIndex[]): Promise<void> => {
      const { length } = run.log.all("piecesCommitted");
      for (const piece of pieces) store(piece);
      say({ type: "commitPieces", transferId: 1 });
      await run.log.until("piecesCommitted", {}, length + 1);
    };
    const everyPiece = (): PieceIndex[] => [...PieceSet.full(harness.layout.pieceCount)];
    const read = (piece: PieceIndex, requestId: number, transferId = 1): void =>
      say({ type: "readPiece", transferId, piece, requestId });
    const closeContent = async (outcome: "keep" | "discard"): Promise<void> => {
      say({ type: "closeContent", transferId: 1, outcome });
      await run.log.until("contentClosed", { transferId: 1 });
    };
    const publish = async (): Promise<void> => {
      await commit(everyPiece());
      say({ type: "verifyContent", transferId: 1, readBack: true });
      await run.log.until("contentVerified", { transferId: 1 });
      say({ type: "publishContent", transferId: 1, overwrite: false });
      await run.log.until("contentPublished", { transferId: 1 });
    };

    it("keeps announcements over a restart, one for each tag, the one saved last at the end", async () => {
      await load();
      const save = (tag: string, value: number): void => {
        const bytes = Uint8Array.of(value);
        say({ type: "saveAnnouncement", announcement: { tag, bytes } });
      };
      save("a", 1);
      save("b", 2);
      save("a", 3);
      await saveJob();
      await restart();
      const { announcements = [] } = await load();
      const found = announcements.map(({ tag, bytes }) => [tag, ...bytes]);
      expect(found).toEqual([
        ["b", 2],
        ["a", 3],
      ]);
    });

    it("remembers accepted manifests over a restart, the one saved last at the end (R-MAN-06)", async () => {
      await load();
      const terms = {
        product: "p",
        sequence: 1,
        issuedAt: 5,
        contentId: harness.manifest.contentId,
      };
      const [first, second] = [
        { ...terms, keyId: "a", hasSigned: true },
        { ...terms, keyId: "b", hasSigned: false },
      ];
      const newer = { ...first, sequence: 2 };
      say({ type: "saveAccepted", accepted: [first, second] });
      say({ type: "saveAccepted", accepted: [newer] });
      await saveJob();
      await restart();
      expect((await load()).accepted).toEqual([second, newer]);
    });

    it("begins with nothing", async () => {
      expect(await load()).toMatchObject({ jobs: [], resumable: [], contents: [] });
    });

    it("keeps the peers that were saved last over a restart, in their order", async () => {
      const peerOf = (peerId: string): RememberedPeer => ({
        peerId,
        addresses: ["/ip4/192.0.2.1/tcp/4001"],
        seenAt: 1_700_000_000_000,
      });
      await load();
      say({ type: "savePeers", peers: [peerOf("a"), peerOf("b")] });
      say({ type: "savePeers", peers: [peerOf("c"), peerOf("a")] });
      await saveJob();
      await restart();
      expect((await load()).peers).toEqual([peerOf("c"), peerOf("a")]);
    });

    it("keeps the usage of the last month over a restart", async () => {
      expect((await load()).usage).toBeUndefined();
      say({ type: "saveUsage", usage: { month: "2026-01", internetSentBytes: 5 } });
      say({ type: "saveUsage", usage: { month: "2026-02", internetSentBytes: 1 } });
      say({ type: "saveUsage", usage: { month: "2026-02", internetSentBytes: 7 } });
      await saveJob();
      await restart();
      expect((await load()).usage).toEqual({ month: "2026-02", internetSentBytes: 7 });
    });

    it("keeps all that the month has counted over a restart", async () => {
      const none = { linkLocal: 0, lan: 0, group: 0, internet: 0 };
      const totals = {
        originBytes: 1,
        cacheServerBytes: 2,
        receivedBytes: { ...none, lan: 3 },
        sentBytes: { ...none, internet: 9 },
        foregroundBytes: 4,
        foregroundMs: 5,
        backgroundBytes: 6,
        backgroundMs: 7,
      };
      const usage = { month: "2026-02", internetSentBytes: 9, totals };
      say({ type: "saveUsage", usage });
      await saveJob();
      await restart();
      expect((await load()).usage).toEqual(usage);
    });

    it("keeps the conduct of peers over a restart, in the order in which it was saved", async () => {
      const recordOf = (subject: string, banCount = 0): ConductRecord => ({
        kind: "peer",
        subject,
        score: -25,
        changedAt: 1_700_000_000_000,
        corruptAt: [],
        bannedPeersAt: [],
        banCount,
      });
      await load();
      const records = ["a", "b", "c"].map((subject) => recordOf(subject));
      say({ type: "saveConduct", records, forgotten: [] });
      const forgotten = [{ kind: "peer", subject: "b" }] as const;
      say({ type: "saveConduct", records: [recordOf("a", 1)], forgotten });
      await saveJob();
      await restart();
      expect((await load()).conduct).toEqual([recordOf("c"), recordOf("a", 1)]);
    });

    it("keeps jobs over a restart in their last revision, until they are forgotten", async () => {
      await load();
      await saveJob();
      await saveJob(jobOf(JOB_ID, { state: "suspended" }), 2);
      await restart();
      expect((await load()).jobs).toEqual([jobOf(JOB_ID, { state: "suspended" })]);
      await endJob();
      await restart();
      expect((await load()).jobs).toEqual([endedOf()]);
      say({ type: "forgetJob", jobId: JOB_ID });
      await saveJob(jobOf(OTHER_JOB_ID));
      await restart();
      expect((await load()).jobs).toEqual([jobOf(OTHER_JOB_ID)]);
    });

    it("lists jobs in the order of their sequence, whenever they were saved", async () => {
      await load();
      const ids = [3, 1, 2].map((n) => `00000000-0000-4000-8000-00000000000${n}`);
      const jobs = ids.map((jobId, index) => jobOf(jobId, { sequence: [30, 10, 20][index]! }));
      for (const job of jobs) await saveJob(job);
      await saveJob(jobs[1], 2);
      await restart();
      expect((await load()).jobs.map(({ sequence }) => sequence)).toEqual([10, 20, 30]);
    });

    it("answers every save of a burst, and keeps the last of each job", async () => {
      await load();
      const revisions = [1, 2, 3, 4, 5];
      for (const revision of revisions) {
        for (const jobId of [JOB_ID, OTHER_JOB_ID]) {
          const job = jobOf(jobId, { displayName: `revision ${revision}` });
          say({ type: "saveJob", revision, job });
        }
      }
      for (const jobId of [JOB_ID, OTHER_JOB_ID]) {
        await run.log.until("jobSaved", { jobId }, revisions.length);
        const answers = run.log.all("jobSaved").filter((event) => event.jobId === jobId);
        expect(answers.map(({ revision }) => revision)).toEqual(revisions);
      }
      await restart();
      const names = (await load()).jobs.map(({ displayName }) => displayName);
      expect(names).toEqual(["revision 5", "revision 5"]);
    });

    it("does what is said about one job in the order in which it is said", async () => {
      await load();
      say({ type: "saveJob", revision: 1, job: jobOf() });
      say({ type: "endJob", job: endedOf() });
      say({ type: "forgetJob", jobId: JOB_ID });
      say({ type: "saveJob", revision: 1, job: jobOf(OTHER_JOB_ID) });
      say({ type: "endJob", job: endedOf(OTHER_JOB_ID) });
      await run.log.until("jobEnded", { jobId: OTHER_JOB_ID });
      const about = run.log.events.filter((event) => "jobId" in event && event.jobId === JOB_ID);
      expect(about.map(({ type }) => type)).toEqual(["jobSaved", "jobEnded"]);
      await restart();
      expect((await load()).jobs).toEqual([endedOf(OTHER_JOB_ID)]);
    });

    it("stores pieces, and claims them only when they are committed", async () => {
      expect((await begin()).size).toBe(0);
      store(3);
      await run.log.until("pieceStored", { transferId: 1, piece: 3 });
      expect(run.log.all("piecesCommitted")).toEqual([]);
      store(harness.layout.pieceCount - 1);
      say({ type: "commitPieces", transferId: 1 });
      const { pieces } = await run.log.until("piecesCommitted", { transferId: 1 });
      expect(pieces.toSorted((a, b) => a - b)).toEqual([3, harness.layout.pieceCount - 1]);
      expect(run.log.all("pieceStored")).toHaveLength(2);
    });

    it("answers every commit, also one that has nothing to do", async () => {
      await begin();
      await commit([2]);
      say({ type: "commitPieces", transferId: 1 });
      const { pieces } = await run.log.until("piecesCommitted", {}, 2);
      expect(pieces).toEqual([]);
    });

    it("refuses a corrupt piece and takes the right one afterwards", async () => {
      await begin();
      store(2, true);
      await run.log.until("pieceCorrupt", { transferId: 1, piece: 2 });
      say({ type: "commitPieces", transferId: 1 });
      const { pieces } = await run.log.until("piecesCommitted");
      expect(pieces).toEqual([]);
      store(2);
      await run.log.until("pieceStored", { piece: 2 });
    });

    it("answers the pieces of one transfer in the order in which they were given", async () => {
      await begin();
      const order = [5, 1, 4, 0];
      for (const piece of order) store(piece);
      await run.log.until("pieceStored", {}, order.length);
      expect(run.log.all("pieceStored").map(({ piece }) => piece)).toEqual(order);
    });

    it("reads what is committed, and says so when it cannot", async () => {
      await begin();
      await commit([4]);
      read(4, 91);
      const event = await run.log.until("pieceRead", { requestId: 91 });
      const payload = run.log.take(event);
      expect(event.bufferId).toBe(NO_BUFFER);
      expect(harness.byteLength(payload)).toBe(harness.layout.length(4));
      harness.release(payload);
      read(5, 92);
      await run.log.until("pieceLost", { requestId: 92, piece: 5 });
      read(5, 93, 77);
      await run.log.until("pieceLost", { requestId: 93, transferId: 77 });
    });

    it("lists what can be resumed, and resumes it after a restart", async () => {
      await begin();
      await commit([1, 2]);
      await restart();
      const { resumable } = await load();
      expect(resumable).toHaveLength(1);
      const { length, manifest } = resumable[0]!;
      expect(resumable[0]).toMatchObject({ jobId: JOB_ID, fileIndex: 0 });
      expect(length).toBe(harness.layout.contentLength);
      expect(manifest?.contentId).toBe(harness.manifest.contentId);
      const have = await openContent(1);
      expect([...have]).toEqual([1, 2]);
    });

    it("keeps the progress of a closed content, or discards it", async () => {
      await begin();
      await commit([1, 2]);
      await closeContent("keep");
      expect([...(await openContent(1))]).toEqual([1, 2]);
      say({ type: "closeContent", transferId: 1, outcome: "discard" });
      await run.log.until("contentClosed", { transferId: 1 }, 2);
      expect((await openContent(1)).size).toBe(0);
    });

    it("drops progress without a manifest when the validator is another", async () => {
      const { manifest: _, ...bare } = specOf();
      const spec = { ...bare, validatorKey: "one" };
      await begin(spec);
      await commit([1, 2]);
      await closeContent("keep");
      expect([...(await openContent(2, spec))]).toEqual([1, 2]);
      say({ type: "closeContent", transferId: 2, outcome: "keep" });
      await run.log.until("contentClosed", { transferId: 2 });
      expect((await openContent(3, { ...bare, validatorKey: "two" })).size).toBe(0);
    });

    it("verifies, publishes and goes on serving a complete content", async () => {
      await begin();
      await publish();
      read(0, 94);
      const event = await run.log.until("pieceRead", { requestId: 94 });
      harness.release(run.log.take(event));
      await restart();
      const { contents, resumable } = await load();
      expect(contents.map(({ contentId }) => contentId)).toEqual([harness.manifest.contentId]);
      expect(contents[0]?.path).toBe(`${harness.directory}/file.bin`);
      expect(resumable.length).toBeLessThanOrEqual(1);
      const { contentId } = harness.manifest;
      say({ type: "openShared", transferId: 9, contentId });
      const { have } = await run.log.until("contentOpened", { transferId: 9 });
      expect(PieceSet.fromBytes(harness.layout.pieceCount, have)?.isFull).toBe(true);
      read(1, 95, 9);
      harness.release(run.log.take(await run.log.until("pieceRead", { requestId: 95 })));
    });

    it("finds a wrong whole-file digest where there is nothing else to go by", async () => {
      const { manifest: _, ...bare } = specOf({ contentDigest: harness.contentDigest });
      await begin(bare);
      for (const piece of everyPiece()) store(piece, piece === 3);
      say({ type: "commitPieces", transferId: 1 });
      await run.log.until("piecesCommitted");
      say({ type: "verifyContent", transferId: 1, readBack: false });
      const { pieces } = await run.log.until("contentMismatch", { transferId: 1 });
      expect(pieces).toEqual([]);
    });

    it("does not replace a destination unless it is told to", async () => {
      await begin();
      await publish();
      await closeContent("keep");
      const spec = specOf({ jobId: OTHER_JOB_ID });
      await saveJob(jobOf(OTHER_JOB_ID));
      await openContent(1, spec);
      for (const piece of everyPiece()) store(piece);
      say({ type: "commitPieces", transferId: 1 });
      say({ type: "verifyContent", transferId: 1, readBack: false });
      await run.log.until("contentVerified", {}, 2);
      say({ type: "publishContent", transferId: 1, overwrite: false });
      const { error } = await run.log.until("publishFailed", { transferId: 1 });
      expect(error.code).toBe("ERR_DESTINATION_EXISTS");
      say({ type: "publishContent", transferId: 1, overwrite: true });
      await run.log.until("contentPublished", {}, 2);
    });

    it("forgets everything of a job that is over, except its record", async () => {
      await begin();
      await commit([1, 2]);
      await endJob();
      store(3);
      say({ type: "closeContent", transferId: 1, outcome: "keep" });
      await run.log.until("contentClosed", { transferId: 1 });
      await restart();
      expect(await load()).toMatchObject({ jobs: [endedOf()], resumable: [], contents: [] });
      expect(harness.partNames()).toEqual([]);
    });

    it("serves what a job has published when the job is over and forgotten", async () => {
      await begin();
      await publish();
      await endJob();
      read(0, 96);
      harness.release(run.log.take(await run.log.until("pieceRead", { requestId: 96 })));
      say({ type: "forgetJob", jobId: JOB_ID });
      await saveJob(jobOf(OTHER_JOB_ID));
      await restart();
      const { jobs, contents } = await load();
      expect(jobs).toEqual([jobOf(OTHER_JOB_ID)]);
      expect(contents.map(({ contentId }) => contentId)).toEqual([harness.manifest.contentId]);
    });

    it.each(["with", "without"])(
      "reads a content that has no destination %s a manifest, and never publishes it",
      async (kind) => {
        const { destination: _, manifest, ...bare } = specOf({ validatorKey: "one" });
        const spec = kind === "with" && manifest !== undefined ? { ...bare, manifest } : bare;
        await begin(spec);
        await commit([2]);
        read(2, 97);
        const payload = run.log.take(await run.log.until("pieceRead", { requestId: 97 }));
        expect(harness.byteLength(payload)).toBe(harness.layout.length(2));
        harness.release(payload);
        read(3, 98);
        await run.log.until("pieceLost", { requestId: 98 });
        await restart();
        expect([...(await openContent(1, spec))]).toEqual([2]);
        await commit(everyPiece());
        say({ type: "verifyContent", transferId: 1, readBack: false });
        await run.log.until("contentVerified", { transferId: 1 });
        read(8, 99);
        harness.release(run.log.take(await run.log.until("pieceRead", { requestId: 99 })));
        say({ type: "publishContent", transferId: 1, overwrite: true });
        const { error } = await run.log.until("publishFailed", { transferId: 1 });
        expect(error.code).toBe("ERR_JOB_STATE");
        await endJob();
        expect(harness.partNames()).toEqual([]);
      },
    );

    it("keeps progress when ranges are added, and only then", async () => {
      const lengths = Uint32Array.from(everyPiece(), (piece) => harness.layout.length(piece));
      const { manifest: _, ...bare } = specOf({ validatorKey: "one" });
      const first = (count: number): OpenContent => ({
        ...bare,
        layout: PieceLayout.explicit(lengths.slice(0, count)),
      });
      await begin(first(3));
      await commit([0, 2]);
      await closeContent("keep");
      expect([...(await openContent(1, first(9)))]).toEqual([0, 2]);
      await commit([8]);
      await restart();
      expect([...(await openContent(1, first(9)))]).toEqual([0, 2, 8]);
      await closeContent("keep");
      const other = { ...first(9), validatorKey: "two" };
      expect((await openContent(1, other)).size).toBe(0);
      await commit([1]);
      say({ type: "closeContent", transferId: 1, outcome: "keep" });
      const swapped = PieceLayout.explicit(lengths.toReversed());
      expect((await openContent(1, { ...other, layout: swapped })).size).toBe(0);
      say({ type: "closeContent", transferId: 1, outcome: "keep" });
      expect((await openContent(1, { ...other, layout: harness.layout })).size).toBe(0);
    });

    it("gives a published file the modification time it is told", async () => {
      await begin();
      await commit(everyPiece());
      const modifiedAt = Date.UTC(2001, 1, 3, 4, 5, 6);
      say({ type: "publishContent", transferId: 1, overwrite: false, modifiedAt });
      await run.log.until("contentPublished", { transferId: 1 });
      expect(harness.modifiedAtOf(`${harness.directory}/file.bin`)).toBe(modifiedAt);
    });

    it("says when a shared content is not there", async () => {
      await load();
      const { contentId } = harness.manifest;
      say({ type: "openShared", transferId: 4, contentId });
      const { error } = await run.log.until("contentFailed", { transferId: 4 });
      expect(error.code).toBe("ERR_FILE_UNREADABLE");
    });

    it("emits nothing after it was closed, closes twice, and takes late payloads", async () => {
      await begin();
      store(1);
      const closing = run.port.close();
      const { length } = run.log.events;
      await closing;
      await run.port.close();
      store(2);
      say({ type: "loadState" });
      expect(run.log.events).toHaveLength(length);
    });
  });
}

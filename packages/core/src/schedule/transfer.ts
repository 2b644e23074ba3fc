/**
 * The scheduler's work on one content, from finding out what it is to serving it to others.
 *
 *   resolving ─▶ opening ─▶ fetching ─▶ verifying ─▶ complete ─▶ publishing ─▶ published
 *       │           │           │  ▲        │ mismatch              │ failed: back to complete
 *       └───────────┴───────────┴──┼────────┴──▶ failed
 *       ▲                          └─ the remote file changed: resetting ─▶ resolving
 *   any state ──close──▶ closing ──▶ closed
 *
 * A transfer without a job serves a content that is complete on this machine. Knows one content;
 * the job's other files and states are `Job`'s. Called by the scheduler, which reads
 * `takeReport()` after each call.
 */
import { PieceSet } from "../content/piece-set.ts";
import type { JobFileSpec } from "../job/file-spec.ts";
import type { OriginEvent } from "../ports/origin-port.ts";
import type { OpenedPieces, StoreEvent } from "../ports/store-port.ts";
import { ERRORS, errorInfo } from "../registry/errors.ts";
import type { ErrorInfo } from "../registry/errors.ts";
import type { ContentId, JobId, Millis, PeerId } from "../units.ts";
import type { PieceIndex, RequestId, TransferId, UnixMillis } from "../units.ts";
import { AnnouncedResolver } from "./announced-resolver.ts";
import { countBytes } from "./count-bytes.ts";
import { EarlyWords } from "./early-words.ts";
import { Fetcher } from "./fetcher.ts";
import type { Link } from "./peer-table.ts";
import { FileSources } from "./file-sources.ts";
import { fetcherOptions, openSpec, resolutionOf } from "./resolution.ts";
import type { Resolution } from "./resolution.ts";
import { PeerTerms } from "./peer-terms.ts";
import type { FilePhase } from "./snapshot.ts";
import type { PeerEvent, WordOutcome } from "./stage.ts";
import { TransferFacts } from "./transfer-facts.ts";
import { isIncomplete, MISMATCHES_MAX, phaseOf, stageOf } from "./transfer-state.ts";
import type { EndState, TransferDeps, TransferJob, TransferOptions } from "./transfer-state.ts";
import type { TransferReport, TransferState } from "./transfer-state.ts";

export class Transfer {
  readonly transferId: TransferId;
  readonly facts = new TransferFacts();
  readonly sources: FileSources;
  readonly jobId: JobId | undefined;
  readonly fileIndex: number;
  readonly terms: PeerTerms;
  readonly #deps: TransferDeps;
  readonly #job: TransferJob | undefined;
  #state: TransferState = { name: "opening" };
  #resolution: Resolution | undefined;
  #contentId: ContentId | undefined;
  readonly #early = new EarlyWords();
  #mismatches = 0;
  /** The store knows this transfer. */
  #isOpen = false;
  #lastStoredBytes = 0;
  #report: TransferReport | undefined;

  constructor(deps: TransferDeps, options: TransferOptions, now: Millis) {
    this.#deps = deps;
    this.transferId = options.transferId;
    this.#job = options.job;
    this.jobId = options.job?.jobId;
    this.fileIndex = options.job?.fileIndex ?? 0;
    this.terms = new PeerTerms(deps.gate, { file: options.job?.file, known: this });
    const isForeground = options.job?.urgency.isForeground === true;
    this.sources = new FileSources(deps, { file: options.job?.file, isForeground }, now);
    const { transferId, stored } = options;
    this.#resolution =
      options.resolution ?? (stored && resolutionOf({ ...stored, bytes: stored.manifestBytes }));
    this.#contentId = this.#resolution?.manifest?.contentId ?? this.#file?.contentId;
    if (stored !== undefined) {
      this.#isOpen = true;
      deps.outbox.store({ type: "openShared", transferId, contentId: stored.contentId });
    } else if (this.#resolution !== undefined) this.#open(now);
    else if (this.#file !== undefined) this.#resolve(this.#file, now);
  }

  get #file(): JobFileSpec | undefined {
    return this.#job?.file;
  }

  /** What fetches the pieces, while something does. */
  get fetcher(): Fetcher | undefined {
    return this.#state.name === "fetching" ? this.#state.fetcher : undefined;
  }

  /** Pieces that are synced and recorded, whether or not peers may have them. */
  get committed(): PieceSet | undefined {
    if (this.#state.name === "fetching") return this.#state.fetcher.committed;
    return "have" in this.#state ? this.#state.have : undefined;
  }

  /** The content, once its name is known. Peers can be asked about it from then on. */
  get contentId(): ContentId | undefined {
    return this.#contentId;
  }

  get resolution(): Resolution | undefined {
    return this.#resolution;
  }

  /** Whether peers could still help: the agent looks for them as long as some transfer says so. */
  get wantsPeers(): boolean {
    return this.terms.mayPeer && isIncomplete(this.#state) && this.#contentId !== undefined;
  }

  get phase(): FilePhase {
    return phaseOf(this.#state);
  }

  /** Verified bytes on disk; of an ended transfer, what it left there. */
  get storedBytes(): number {
    if (this.#state.name === "fetching") return this.#state.fetcher.storedBytes;
    if (!("have" in this.#state)) return this.#lastStoredBytes;
    return this.#resolution?.layout.contentLength ?? 0;
  }

  /** The store has been told to put the file in its place, and has not answered. */
  get isPublishing(): boolean {
    return this.#state.name === "publishing";
  }

  /** All there, nothing to report: only peers' requests and verbs concern it. */
  get isIdle(): boolean {
    const { name } = this.#state;
    return (name === "complete" || name === "published") && this.#report === undefined;
  }

  get memberCount(): number {
    return this.#state.name === "fetching" ? this.#state.fetcher.memberCount : this.#early.size;
  }

  takeReport(): TransferReport | undefined {
    const report = this.#report;
    this.#report = undefined;
    return report;
  }

  /** The committed pieces that peers may have; `undefined` when there are none to speak of. */
  served(): PieceSet | undefined {
    return this.terms.mayServe ? this.committed : undefined;
  }

  /** The manifest's bytes, to pass on. */
  get manifestBytes(): Uint8Array | undefined {
    return this.#resolution?.manifest?.bytes;
  }

  /** complete -> publishing */
  publish(options: { readonly overwrite: boolean; readonly modifiedAt?: UnixMillis }): void {
    if (this.#state.name !== "complete") return;
    this.#enter({ name: "publishing", have: this.#state.have });
    this.#deps.outbox.store({ type: "publishContent", transferId: this.transferId, ...options });
  }

  /** any state -> closing. Requests are withdrawn; what is stored is kept or discarded. */
  close(outcome: "keep" | "discard"): void {
    const { name } = this.#state;
    if (name === "closing" || name === "closed") return;
    this.#stopWork();
    this.#enter({ name: "closing" });
    if (name === "resetting") return; // The store is closing it already.
    if (this.#isOpen) {
      this.#deps.outbox.store({ type: "closeContent", transferId: this.transferId, outcome });
    } else {
      this.#enter({ name: "closed" });
      this.#report = { type: "closed" };
    }
  }

  peerEvent(event: PeerEvent, link: Link, now: Millis): WordOutcome {
    // Announcements are many, and a fetcher keeps them itself.
    const isKept = event.type === "peerHave" && this.#state.name === "fetching";
    if (event.type === "peerLeft" || (this.#isListening && !isKept)) {
      this.#early.remember(event, link);
    }
    const stage = stageOf(this.#state);
    if (stage === undefined) {
      if (event.type === "peerPiece") this.#deps.outbox.release(event.bufferId);
      return "moved";
    }
    const outcome = stage.peerEvent(event, link, now);
    if (outcome !== "idle") this.#advance(now);
    return outcome;
  }

  /** Takes over what another transfer of the content was told; false when it does not listen. */
  learnFrom(other: Transfer, now: Millis): boolean {
    if (!other.#isListening) return false;
    other.#early.takeOver(other.fetcher);
    this.#early.learnFrom(other.#early);
    const stage = stageOf(this.#state);
    if (stage !== undefined) this.#early.tell(stage, this.#deps.peers, now);
    this.#advance(now);
    return true;
  }

  peerGone(peerId: PeerId, now: Millis): void {
    this.#early.forget(peerId);
    stageOf(this.#state)?.peerGone(peerId, now);
    this.#advance(now);
  }

  /** Whether the request was one of this transfer's and still waits for its answer. */
  owns(requestId: RequestId): boolean {
    return stageOf(this.#state)?.owns(requestId) === true;
  }

  originEvent(event: OriginEvent, now: Millis): void {
    this.facts.note(event);
    if (event.type === "originAnswered") return;
    const stage = stageOf(this.#state);
    if (stage !== undefined) stage.originEvent(event, now);
    else if (event.type === "rangePiece") this.#deps.outbox.release(event.bufferId);
    this.#advance(now);
  }

  storeEvent(event: StoreEvent, now: Millis): void {
    switch (event.type) {
      case "contentOpened":
        return this.#opened(event, now);
      case "contentVerified":
        return this.#step("verifying", "complete", { type: "transferred" });
      case "contentMismatch":
        return this.#mismatch(event.pieces, now);
      case "contentPublished":
        return this.#step("publishing", "published", { type: "published" });
      case "publishFailed":
        return this.#step("publishing", "complete", event);
      case "contentClosed":
        return this.#wasClosed(now);
      case "contentFailed":
        if (this.#state.name === "closing" || this.#state.name === "closed") return;
        return this.#fail(event.error, ERRORS[event.error.code].transient);
      default:
        return this.#pieceEvent(event, now);
    }
  }

  /** `from` -> `to`, and the report of it; nothing in any other state. */
  #step(from: "verifying" | "publishing", to: EndState, report: TransferReport): void {
    if (this.#state.name !== from) return;
    this.#enter({ name: to, have: this.#state.have });
    this.#report = report;
  }

  pollDeadline(): Millis {
    return stageOf(this.#state)?.pollDeadline() ?? Infinity;
  }

  handleTimeout(now: Millis): void {
    stageOf(this.#state)?.handleTimeout(now);
    this.#advance(now);
  }

  checkInvariants(): void {
    this.fetcher?.checkInvariants();
  }

  #pieceEvent(event: StoreEvent, now: Millis): void {
    if (event.type === "pieceLost" && "have" in this.#state) {
      this.#state.have.delete(event.piece);
      return;
    }
    this.fetcher?.storeEvent(event, now);
    this.#advance(now);
  }

  /** Whether a stage is at work or may yet begin that wants to know what peers say. */
  get #isListening(): boolean {
    return this.wantsPeers || this.#state.name === "verifying" || this.#state.name === "resetting";
  }

  /** Takes the step that the working stage has reached. */
  #advance(now: Millis): void {
    if (this.#state.name === "resolving") this.#afterResolver(this.#state.resolver, now);
    else if (this.#state.name === "fetching") this.#afterFetcher(this.#state.fetcher, now);
  }

  /** resolving -> opening, or failed */
  #afterResolver({ outcome, contentId }: AnnouncedResolver, now: Millis): void {
    if (outcome?.name === "failed") return this.#fail(outcome.error, outcome.transient);
    if (outcome === undefined && contentId === undefined) return;
    if (contentId !== this.#contentId) this.#early.clear();
    this.#contentId = contentId;
    this.#resolution = outcome?.resolution;
    this.#deps.transferMoved(this);
    if (outcome !== undefined) this.#open(now);
  }

  #enter(state: TransferState): void {
    this.#early.takeOver(this.fetcher);
    this.#state = state;
    this.#deps.transferMoved(this);
  }

  #open(now: Millis): void {
    if (this.#resolution === undefined || this.#job === undefined) return;
    this.#enter({ name: "opening" });
    this.#report = { type: "resolved" };
    this.#isOpen = true;
    const onceKey = `once ${this.#deps.wallClock.at(now)} ${this.transferId}`;
    const spec = openSpec(this.#resolution, { ...this.#job, onceKey });
    this.#deps.outbox.store({ type: "openContent", transferId: this.transferId, spec });
  }

  /** opening -> fetching, or published for a content that is only served */
  #opened({ have: bits, reusable }: OpenedPieces, now: Millis): void {
    const layout = this.#resolution?.layout;
    if (this.#state.name !== "opening" || layout === undefined) return;
    const have = PieceSet.fromBytes(layout.pieceCount, bits);
    if (have === undefined) return this.#fail(errorInfo("ERR_STATE_INVALID", "piece map"), false);
    if (this.#file !== undefined) this.#fetch(have, now, reusable);
    else this.#enter({ name: "published", have });
  }

  #fetch(have: PieceSet, now: Millis, reusable?: Uint8Array): void {
    const { transferId, sources, facts } = this;
    const [resolution, job] = [this.#resolution, this.#job];
    if (resolution === undefined || job === undefined) return;
    const pieces = { ...facts.toCount(resolution.layout, have), ...(reusable && { reusable }) };
    const own = { urgency: job.urgency, isStreamed: job.file.toStream === true, transferId };
    const base = { ...fetcherOptions(resolution, sources), mayServe: () => this.terms.mayServe };
    const fetcher = new Fetcher(this.#deps, { ...base, ...own, ...pieces }, now);
    this.#enter({ name: "fetching", fetcher });
    if (!this.terms.hasPeers) sources.waivePeers();
    if (this.terms.mayPeer) this.#early.tell(fetcher, this.#deps.peers, now);
    fetcher.start(now);
    this.#advance(now);
  }

  /** fetching -> verifying, resetting or failed */
  #afterFetcher(fetcher: Fetcher, now: Millis): void {
    const { status } = fetcher;
    if (status.name === "complete") {
      fetcher.stop();
      this.#enter({ name: "verifying", have: fetcher.committed });
      const readBack = this.#deps.settings.verifyOnComplete === 1;
      this.#deps.outbox.store({ type: "verifyContent", transferId: this.transferId, readBack });
    } else if (status.name === "changed") this.#beginAnew(status.because, now);
    else if (status.name === "failed") this.#fail(status.error, status.transient);
  }

  /** any state with a part file -> resetting: it cannot be continued (R-HTTP-11); or failed */
  #beginAnew(because: ErrorInfo, now: Millis): void {
    stageOf(this.#state)?.stop();
    countBytes({ ...this.#deps, bytes: this.facts.bytes }, "wasted", this.storedBytes);
    if (!this.sources.mayBeginAnew(this.#resolution?.sourceUrl, because, now)) {
      return this.#fail(because, ERRORS[because.code].transient);
    }
    this.#enter({ name: "resetting" });
    const { transferId } = this;
    this.#deps.outbox.store({ type: "closeContent", transferId, outcome: "discard" });
  }

  /** closing -> closed, or resetting -> resolving once the old part file is gone */
  #wasClosed(now: Millis): void {
    this.#isOpen = false;
    if (this.#state.name === "resetting" && this.#file !== undefined) {
      this.#resolution = undefined;
      this.#resolve(this.#file, now);
      return;
    }
    this.#enter({ name: "closed" });
    this.#report = { type: "closed" };
  }

  #resolve(file: JobFileSpec, now: Millis): void {
    const options = { transferId: this.transferId, file, sources: this.sources };
    this.#enter({ name: "resolving", resolver: new AnnouncedResolver(this.#deps, options, now) });
    this.#advance(now);
  }

  /** verifying -> fetching what was found wrong, resetting where there is another place, or failed */
  #mismatch(pieces: readonly PieceIndex[], now: Millis): void {
    if (this.#state.name !== "verifying") return;
    const { have } = this.#state;
    if (++this.#mismatches > MISMATCHES_MAX || pieces.length === 0) {
      const error = errorInfo("ERR_CONTENT_MISMATCH");
      const isOneOfMany = this.sources.giveUp(this.#resolution?.sourceUrl, error, now);
      this.#mismatches = 0;
      return isOneOfMany ? this.#beginAnew(error, now) : this.#fail(error, false);
    }
    for (const piece of pieces) have.delete(piece);
    this.#fetch(have, now);
  }

  #fail(error: ErrorInfo, transient: boolean): void {
    this.#stopWork();
    this.#enter({ name: "failed" });
    this.#report = { type: "failed", error, transient };
  }

  #stopWork(): void {
    stageOf(this.#state)?.stop();
    this.#lastStoredBytes = this.storedBytes;
  }
}

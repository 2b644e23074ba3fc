/**
 * Finds out what a file consists of before any piece is fetched: the manifest if it can be had at a
 * trust level that allows peers (threat model section 6), otherwise length and validator from the
 * origin.
 *
 *   manifest in job    that one, checked against the id beside it (T2)
 *   content id named   manifest from the origin's sidecar or any peer, checked against the id (T2)
 *   any URL            sidecar signed by a trusted publisher (T3), where there is one; else
 *   https: URL         sidecar over TLS (T4), else the origin alone
 *   http: URL          the origin alone (T0, or T1 with a SHA-256)
 *
 * Each question goes to the file's places in turn (`FileSources`), those about manifests never to
 * cache servers, which are nobody's word. A job that names a content id never falls back to unverified bytes: without the manifest it
 * fails. Called by `Transfer`, which reads `outcome` after each call.
 */
import { contentIdOf } from "../content/content-id.ts";
import { decodeManifest } from "../content/manifest.ts";
import { parsePieceHashFile } from "../content/piece-hash-file.ts";
import type { Manifest } from "../content/manifest.ts";
import { signedSidecarUrl } from "../content/signed-manifest.ts";
import { hex, parseSha256Hex } from "../hash/digest.ts";
import { inlineManifestBytes } from "../job/file-spec.ts";
import type { JobFileSpec } from "../job/file-spec.ts";
import { RangeMap } from "../job/ranges.ts";
import { errorInfo } from "../registry/errors.ts";
import type { ErrorInfo } from "../registry/errors.ts";
import type { OriginEvent } from "../ports/origin-port.ts";
import type { ContentId, Millis, PeerId, RequestId, TransferId } from "../units.ts";
import type { FileSource, FileSources } from "./file-sources.ts";
import { ManifestPeers } from "./manifest-peers.ts";
import type { MachineDeps } from "./machine-deps.ts";
import { backoffMs } from "./pace.ts";
import type { Link } from "./peer-table.ts";
import { probedResolution } from "./resolution.ts";
import type { Resolution } from "./resolution.ts";
import { firstQuestion, SIGNED_TRIES } from "./resolver-steps.ts";
import type { OriginProblem, OriginStep, Question, ResolveOutcome } from "./resolver-steps.ts";
import type { PeerEvent, Stage, WordOutcome } from "./stage.ts";

export class Resolver implements Stage {
  readonly #deps: MachineDeps;
  readonly #transferId: TransferId;
  readonly #file: JobFileSpec;
  readonly #sources: FileSources;
  /** Places that have no sidecar of the kind that is asked for now, or a wrong one. */
  readonly #withoutSidecar = new Set<FileSource>();
  #origin: OriginStep = { name: "none" };
  readonly #peers: ManifestPeers;
  #failures = 0;
  #signedFailures = 0;
  #originError: { readonly error: ErrorInfo; readonly transient: boolean } | undefined;
  #giveUpAt: Millis;
  outcome: ResolveOutcome | undefined;

  constructor(
    deps: MachineDeps,
    options: { transferId: TransferId; file: JobFileSpec; sources: FileSources },
    now: Millis,
  ) {
    this.#deps = deps;
    this.#transferId = options.transferId;
    this.#file = options.file;
    this.#sources = options.sources;
    this.#peers = new ManifestPeers(deps, options.file.contentId);
    this.#giveUpAt = now + deps.settings.manifestTimeoutMs;
    const { url, manifest } = options.file;
    const bytes = manifest === undefined ? undefined : inlineManifestBytes(manifest);
    if (bytes !== undefined) this.#acceptPinned(bytes);
    else if (url !== undefined) this.#askOrigin(this.#firstQuestion(), now);
    this.#checkHopeless(now);
  }

  peerEvent(event: PeerEvent, link: Link, now: Millis): WordOutcome {
    if (event.type === "peerBitfield") {
      this.#peers.offered(link);
      this.#askPeer(now);
    } else if (event.type === "peerManifest") {
      this.#peerManifest(event.requestId, event.bytes, now);
    } else if (event.type === "requestRefused") {
      this.#peers.refused(event, now);
      this.#askPeer(now);
      this.#checkHopeless(now);
    }
    return "moved";
  }

  peerGone(peerId: PeerId, now: Millis): void {
    this.#peers.gone(peerId);
    this.#askPeer(now);
    this.#checkHopeless(now);
  }

  owns(requestId: RequestId): boolean {
    return this.#peers.owns(requestId);
  }

  originEvent(event: OriginEvent, now: Millis): void {
    if (event.type === "rangePiece") return this.#deps.outbox.release(event.bufferId);
    const step = this.#origin;
    if (!("requestId" in step) || step.requestId !== event.requestId) return;
    this.#origin = { name: "none" };
    const { source } = step;
    if (event.type === "originProbed" && source !== undefined) this.#probed(event, source, now);
    else if (event.type === "manifestFetched") {
      if (source === undefined) this.#pieceHashes(event.bytes, now);
      else if (step.name === "signed") this.#signed(event.bytes, source, now);
      else this.#sidecar(event, source, now);
    } else if (event.type === "originFailed") {
      const { kind, error, retryAfterMs } = event.failure;
      const transient = kind === "transient" || kind === "timeout";
      const problem = { error, transient, retryAfterMs };
      if (source === undefined) this.#pieceHashesFailed(problem, now);
      else this.#originFailed(step.name, source, problem, now);
    }
    this.#checkHopeless(now);
  }

  /** Withdraws every question. */
  stop(): void {
    const { outbox } = this.#deps;
    if ("requestId" in this.#origin) {
      outbox.origin({ type: "cancelOrigin", requestId: this.#origin.requestId });
    }
    this.#peers.cancelAll();
    this.#origin = { name: "none" };
  }

  pollDeadline(): Millis {
    if (this.outcome !== undefined) return Infinity;
    const askAt = this.#peers.pollDeadline();
    if (this.#origin.name === "waiting") return Math.min(askAt, this.#origin.retryAt);
    // A question to the origin has a timeout of its own; patience is for what comes after it.
    const isAnswered = this.#origin.name === "none" && this.#file.contentId !== undefined;
    return isAnswered ? Math.min(askAt, this.#giveUpAt) : askAt;
  }

  handleTimeout(now: Millis): void {
    if (this.#origin.name === "waiting" && this.#origin.retryAt <= now) {
      this.#askOrigin(this.#origin.what, now);
    }
    this.#askPeer(now);
    if (this.#origin.name === "none" && now >= this.#giveUpAt) this.#fail();
  }

  #peerManifest(requestId: RequestId, bytes: Uint8Array, now: Millis): void {
    const peerId = this.#peers.answered(requestId);
    if (peerId === undefined || this.outcome !== undefined) return;
    if (!this.#acceptPinned(bytes)) this.#deps.peers.offended(peerId, "corruptManifest", now);
    this.#askPeer(now);
    this.#checkHopeless(now);
  }

  #firstQuestion(): Question {
    const { gate, publishers } = this.#deps;
    const { mayUseManifests } = gate.peering;
    const known = { unsigned: this.#unsignedQuestion, isSigned: !publishers.isEmpty };
    return firstQuestion(this.#file, { mayUseManifests, ...known });
  }

  get #unsignedQuestion(): Question {
    return this.#deps.settings.trustTlsManifest === 1 ? "sidecar" : "probe";
  }

  /** Asks the place whose turn it is, waits for one, or goes on to what can be asked. */
  #askOrigin(what: Question, now: Millis): void {
    if (what === "pieceHashes") return this.#askPieceHashes();
    if (what === "sidecar" || what === "signed") return this.#askSidecar(what, now);
    const source = this.#sources.next(now);
    const retryAt = this.#sources.retryAt(now);
    if (source !== undefined) this.#ask(what, source);
    else if (retryAt !== Infinity) this.#origin = { name: "waiting", retryAt, what };
  }

  /** The first place that may have one and need not wait; other questions need not wait for it. */
  #askSidecar(what: "sidecar" | "signed", now: Millis): void {
    const all = this.#sources.manifestPlaces;
    const places = all.filter((source) => this.#mayHaveSidecar(what, source));
    const ready = places.find((source) => this.#sources.readyAt(source) <= now);
    if (ready !== undefined) return this.#ask(what, ready);
    if (this.#file.contentId === undefined) {
      if (places.length === 0 || this.#sources.next(now)) {
        if (what === "sidecar") return this.#askOrigin("probe", now);
        this.#withoutSidecar.clear();
        return this.#askOrigin(this.#unsignedQuestion, now);
      }
    } else if (places.length === 0) return;
    const retryAt = Math.min(...places.map((source) => this.#sources.readyAt(source)));
    this.#origin = { name: "waiting", retryAt, what };
  }

  #ask(what: "sidecar" | "signed" | "probe", source: FileSource): void {
    const { request } = source;
    const url = what === "signed" ? signedSidecarUrl(source.url) : source.url;
    const requestId = this.#deps.outbox.nextRequestId();
    this.#origin = { name: what, requestId, source };
    const question = { requestId, transferId: this.#transferId, url, ...(request && { request }) };
    const place = what === "signed" ? "exact" : "sidecar";
    if (what === "probe") this.#deps.outbox.origin({ type: "probeOrigin", ...question });
    else this.#deps.outbox.origin({ type: "fetchManifest", place, ...question });
  }

  #askPieceHashes(): void {
    const { url: fileUrl, pieceHashes, request } = this.#file;
    if (pieceHashes === undefined) return;
    const { url } = pieceHashes;
    const requestId = this.#deps.outbox.nextRequestId();
    this.#origin = { name: "pieceHashes", requestId, source: undefined };
    // Header fields and certificates are for the file's origin, and for nobody else.
    const isOwn =
      request !== undefined && URL.parse(url)?.origin === URL.parse(fileUrl ?? "")?.origin;
    const question = { requestId, transferId: this.#transferId, url, ...(isOwn && { request }) };
    this.#deps.outbox.origin({ type: "fetchManifest", place: "exact", ...question });
  }

  /** Without content id or signature TLS must vouch for it (T4), as for the file's own URL. */
  #mayHaveSidecar(what: "sidecar" | "signed", source: FileSource): boolean {
    if (this.#withoutSidecar.has(source)) return false;
    if (what === "signed") return true;
    const isTls = isHttps(this.#file.url) && isHttps(source.url);
    return this.#file.contentId !== undefined || isTls;
  }

  /** R-MAN-01: piece hashes that are not there cost the peers, not the job, unless it says so. */
  #pieceHashes(bytes: Uint8Array, now: Millis): void {
    const { sha256, hashOfHashes } = this.#file.pieceHashes ?? {};
    const digest = sha256 === undefined ? undefined : parseSha256Hex(sha256);
    const all = hashOfHashes === undefined ? undefined : parseSha256Hex(hashOfHashes);
    const parsed = parsePieceHashFile(bytes, {
      ...(digest && { digest }),
      ...(all && { hashOfHashes: all }),
    });
    if (parsed.ok) {
      const { contentId, bytes: manifestBytes } = parsed;
      this.#resolve({ contentId, bytes: manifestBytes }, parsed.manifest);
    } else if (this.#file.mandatoryIntegrity === true) {
      this.#finish(errorInfo(parsed.code, parsed.reason), false);
    } else this.#askOrigin("probe", now);
  }

  /** R-MAN-01: they may lie on another server than the file, which is then asked alone. */
  #pieceHashesFailed({ error, transient, retryAfterMs }: OriginProblem, now: Millis): void {
    const { settings, random } = this.#deps;
    this.#originError = { error, transient };
    this.#failures++;
    if (transient && this.#failures < settings.originFailuresMax) {
      const bounds = { min: settings.retryDelayMsMin, max: settings.retryDelayMsMax };
      const waitMs = retryAfterMs ?? backoffMs(this.#failures, bounds, random);
      this.#origin = { name: "waiting", retryAt: now + waitMs, what: "pieceHashes" };
    } else if (this.#file.mandatoryIntegrity !== true) this.#askOrigin("probe", now);
    else if (!transient) {
      this.#finish(errorInfo("ERR_INTEGRITY_UNAVAILABLE", error.message), false);
    }
  }

  #askPeer(now: Millis): void {
    if (this.outcome === undefined) this.#peers.ask(now);
  }

  /** A manifest for a named content: its digest first, its contents afterwards (R-MAN-02). */
  #acceptPinned(bytes: Uint8Array): boolean {
    const { contentId } = this.#file;
    if (contentId === undefined || contentIdOf(bytes) !== contentId) return false;
    const decoded = decodeManifest(bytes);
    if (decoded.ok) this.#resolve({ contentId, bytes }, decoded.manifest);
    else this.#finish(errorInfo("ERR_MANIFEST_MALFORMED", decoded.reason), false);
    return true;
  }

  #sidecar(
    { bytes, overTls }: Extract<OriginEvent, { type: "manifestFetched" }>,
    source: FileSource,
    now: Millis,
  ): void {
    const { contentId } = this.#file;
    const decoded = decodeManifest(bytes);
    if (contentId !== undefined) {
      if (this.#acceptPinned(bytes)) return;
      const error = decoded.ok
        ? errorInfo("ERR_MANIFEST_MISMATCH", `it is ${contentIdOf(bytes)}`)
        : errorInfo("ERR_MANIFEST_MALFORMED", decoded.reason);
      this.#originError = { error, transient: false };
    } else if (decoded.ok && overTls) {
      return this.#resolve({ contentId: contentIdOf(bytes), bytes }, decoded.manifest);
    }
    // R-MAN-01: a bad manifest costs the peers, not the job.
    this.#noSidecar("sidecar", source, now);
  }

  /** T3: signature and age first, whoever passed it on (R-MAN-04, R-MAN-06, R-MAN-07). */
  #signed(bytes: Uint8Array, source: FileSource, now: Millis): void {
    const { publishers, outbox } = this.#deps;
    const result = publishers.accept(bytes, this.#file.url ?? source.url, now);
    if (!result.ok) {
      this.#sources.manifestRefused = result.error;
      outbox.notice({ type: "manifestRefused", transferId: this.#transferId, error: result.error });
      return this.#noSidecar("signed", source, now);
    }
    const { contentId, statement, manifest } = result.opened;
    this.#resolve({ contentId, bytes: statement.manifestBytes.slice() }, manifest);
  }

  #noSidecar(what: "sidecar" | "signed", source: FileSource, now: Millis): void {
    this.#withoutSidecar.add(source);
    const isLast = what === "sidecar" && this.#file.contentId === undefined;
    this.#askOrigin(isLast ? "probe" : what, now);
  }

  #resolve(
    manifest: { readonly contentId: ContentId; readonly bytes: Uint8Array },
    decoded: Manifest,
  ): void {
    const { sha256 } = this.#file;
    const expected = sha256 === undefined ? undefined : parseSha256Hex(sha256);
    const found = decoded.contentDigest === undefined ? undefined : hex(decoded.contentDigest);
    // Without a digest of the whole there is nothing to compare yet; the store checks at the end.
    if (expected !== undefined && found !== undefined && hex(expected) !== found) {
      this.#finish(errorInfo("ERR_CONTENT_MISMATCH", `the manifest says ${found}`), false);
      return;
    }
    this.stop();
    const resolution: Resolution = { layout: decoded.layout, manifest, acceptsRanges: true };
    this.outcome = { name: "resolved", resolution };
  }

  #probed(
    event: Extract<OriginEvent, { type: "originProbed" }>,
    source: FileSource,
    now: Millis,
  ): void {
    const { ranges } = this.#file;
    if (ranges !== undefined && !event.acceptsRanges) {
      const error = errorInfo("ERR_RANGES_UNSUPPORTED");
      return this.#originFailed("probe", source, { error, transient: false }, now);
    }
    const rangeMap = ranges && RangeMap.of(ranges, event.length);
    if (rangeMap !== undefined && "code" in rangeMap) return this.#finish(rangeMap, false);
    const resolution = probedResolution(event, source, rangeMap);
    this.outcome = { name: "resolved", resolution };
  }

  #originFailed(
    what: Question,
    source: FileSource,
    { error, transient, retryAfterMs }: OriginProblem,
    now: Millis,
  ): void {
    this.#originError = { error, transient };
    if (!transient) {
      if (what === "sidecar" || what === "signed") return this.#noSidecar(what, source, now);
      this.#sources.failedForGood(source, error, now);
    } else {
      const wait = retryAfterMs === undefined ? {} : { retryAfterMs };
      this.#sources.failed(source, { error, hasDelivered: false, ...wait }, now);
      const isNamed = what === "sidecar" && this.#file.contentId !== undefined;
      if (isNamed ? this.#sources.isManifestExhausted : this.#sources.isExhausted) return;
      // R-MAN-01: an origin that fails at this alone does not hold the job up.
      const isEnough = what === "signed" && ++this.#signedFailures >= SIGNED_TRIES;
      if (isEnough) return this.#noSidecar(what, source, now);
    }
    this.#askOrigin(what, now);
  }

  /**
   * Nobody is left to ask. Unnamed content fails at once; for a named one peers may still turn up:
   * for the rest of the patience, or briefly when the origin has answered and no peer is in sight.
   */
  #checkHopeless(now: Millis): void {
    if (this.outcome !== undefined || this.#origin.name !== "none") return;
    if (!this.#peers.isEmpty) return;
    const { peers, settings } = this.#deps;
    if (this.#file.contentId === undefined) return this.#fail();
    const isAlone = !peers.dialler.hopeful && peers.links.size === 0;
    if (isAlone && this.#originError !== undefined) {
      this.#giveUpAt = Math.min(this.#giveUpAt, now + settings.stallTimeoutMs);
    }
    if (now >= this.#giveUpAt) this.#fail();
  }

  #fail(): void {
    const fallback = { error: errorInfo("ERR_MANIFEST_UNAVAILABLE"), transient: false };
    const failure = this.#sources.failure;
    const { error, transient } = failure
      ? { error: failure.error, transient: !failure.fatal }
      : (this.#originError ?? fallback);
    this.#finish(error, transient);
  }

  #finish(error: ErrorInfo, transient: boolean): void {
    this.stop();
    this.outcome = { name: "failed", error, transient };
  }
}

function isHttps(url: string | undefined): boolean {
  return url?.startsWith("https:") === true;
}

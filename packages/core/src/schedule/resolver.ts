/**
 * Finds out what a file consists of before any piece is fetched: the manifest if it can be had at a
 * trust level that allows peers (threat model section 6), otherwise length and validator from the
 * origin.
 *
 *   content id named   manifest from the origin's sidecar or any peer, checked against the id (T2)
 *   https: URL         sidecar over TLS (T4), else the origin alone
 *   http: URL          the origin alone (T0, or T1 with a SHA-256)
 *
 * A job that names a content id never falls back to unverified bytes: without the manifest it
 * fails. Called by `Transfer`, which reads `outcome` after each call.
 */
import { contentIdOf } from "../content/content-id.ts";
import { decodeManifest } from "../content/manifest.ts";
import { parsePieceHashFile } from "../content/piece-hash-file.ts";
import type { Manifest } from "../content/manifest.ts";
import { hex, parseSha256Hex } from "../hash/digest.ts";
import type { JobFileSpec } from "../job/file-spec.ts";
import { RangeMap } from "../job/ranges.ts";
import { errorInfo } from "../registry/errors.ts";
import type { ErrorInfo } from "../registry/errors.ts";
import type { OriginEvent } from "../ports/origin-port.ts";
import { validatorKey } from "../ports/origin-port.ts";
import type { ContentId, Millis, PeerId, RequestId, TransferId } from "../units.ts";
import type { MachineDeps } from "./machine-deps.ts";
import { backoffMs } from "./pace.ts";
import type { Link } from "./peer-table.ts";
import { unverifiedLayout } from "./resolution.ts";
import type { Resolution } from "./resolution.ts";
import type { PeerEvent, Stage } from "./stage.ts";

export type ResolveOutcome =
  | { readonly name: "resolved"; readonly resolution: Resolution }
  | { readonly name: "failed"; readonly error: ErrorInfo; readonly transient: boolean };

/** The manifest beside the file, the piece hashes the job names, or length and validator. */
type Question = "sidecar" | "pieceHashes" | "probe";

type OriginStep =
  | { readonly name: "none" }
  | { readonly name: Question; readonly requestId: RequestId }
  | { readonly name: "waiting"; readonly retryAt: Millis; readonly what: Question };

interface OriginProblem {
  readonly error: ErrorInfo;
  readonly transient: boolean;
  readonly retryAfterMs: Millis | undefined;
}

/** Peers asked for one manifest at a time; beyond it the one asked first is given up. */
const ASKED_MAX = 4;

export class Resolver implements Stage {
  readonly #deps: MachineDeps;
  readonly #transferId: TransferId;
  readonly #file: JobFileSpec;
  #origin: OriginStep = { name: "none" };
  /** The peers asked for the manifest now, by request, the latest last. */
  readonly #asked = new Map<RequestId, PeerId>();
  /** Who has it and has not been asked; and when the next is asked though others still owe it. */
  readonly #candidates = new Set<PeerId>();
  #askAgainAt: Millis = Infinity;
  #failures = 0;
  #originError: { readonly error: ErrorInfo; readonly transient: boolean } | undefined;
  #giveUpAt: Millis;
  outcome: ResolveOutcome | undefined;

  constructor(
    deps: MachineDeps,
    options: { transferId: TransferId; file: JobFileSpec },
    now: Millis,
  ) {
    this.#deps = deps;
    this.#transferId = options.transferId;
    this.#file = options.file;
    this.#giveUpAt = now + deps.settings.manifestTimeoutMs;
    if (options.file.url !== undefined) this.#askOrigin(this.#firstQuestion());
    this.#checkHopeless(now);
  }

  peerEvent(event: PeerEvent, link: Link, now: Millis): boolean {
    if (event.type === "peerBitfield") {
      // Who holds some of the content has its manifest.
      const { peerId } = link;
      if (![...this.#asked.values()].includes(peerId)) this.#candidates.add(peerId);
      this.#askPeer(now);
    } else if (event.type === "peerManifest") {
      this.#peerManifest(event.requestId, event.bytes, now);
    } else if (event.type === "requestRefused") this.#peerRefused(event.requestId, now);
    return true;
  }

  peerGone(peerId: PeerId, now: Millis): void {
    this.#candidates.delete(peerId);
    for (const [requestId, asked] of this.#asked) {
      if (asked === peerId) this.#asked.delete(requestId);
    }
    this.#askPeer(now);
    this.#checkHopeless(now);
  }

  owns(requestId: RequestId): boolean {
    return this.#asked.has(requestId);
  }

  originEvent(event: OriginEvent, now: Millis): void {
    if (event.type === "rangePiece") return this.#deps.outbox.release(event.bufferId);
    const step = this.#origin;
    if (!("requestId" in step) || step.requestId !== event.requestId) return;
    this.#origin = { name: "none" };
    if (event.type === "originProbed") this.#probed(event);
    else if (event.type === "manifestFetched" && step.name === "pieceHashes") {
      this.#pieceHashes(event.bytes);
    } else if (event.type === "manifestFetched") this.#sidecar(event.bytes, event.overTls);
    else if (event.type === "originFailed") {
      const { kind, error, retryAfterMs } = event.failure;
      const transient = kind === "transient" || kind === "timeout";
      this.#originFailed(step.name, { error, transient, retryAfterMs }, now);
    }
    this.#checkHopeless(now);
  }

  /** Withdraws every question. */
  stop(): void {
    const { outbox } = this.#deps;
    if ("requestId" in this.#origin) {
      outbox.origin({ type: "cancelOrigin", requestId: this.#origin.requestId });
    }
    for (const [requestId, peerId] of this.#asked) {
      outbox.swarm({ type: "cancelRequest", peerId, requestId });
    }
    this.#origin = { name: "none" };
    this.#asked.clear();
  }

  pollDeadline(): Millis {
    if (this.outcome !== undefined) return Infinity;
    const askAt = this.#candidates.size > 0 ? this.#askAgainAt : Infinity;
    if (this.#origin.name === "waiting") return Math.min(askAt, this.#origin.retryAt);
    // A question to the origin has a timeout of its own; patience is for what comes after it.
    const isAnswered = this.#origin.name === "none" && this.#file.contentId !== undefined;
    return isAnswered ? Math.min(askAt, this.#giveUpAt) : askAt;
  }

  handleTimeout(now: Millis): void {
    if (this.#origin.name === "waiting" && this.#origin.retryAt <= now) {
      this.#askOrigin(this.#origin.what);
    }
    this.#askPeer(now);
    if (this.#origin.name === "none" && now >= this.#giveUpAt) this.#fail();
  }

  #peerManifest(requestId: RequestId, bytes: Uint8Array, now: Millis): void {
    const peerId = this.#asked.get(requestId);
    this.#asked.delete(requestId);
    if (peerId === undefined || this.outcome !== undefined) return;
    if (!this.#acceptPinned(bytes)) this.#deps.peers.offended(peerId, "corruptManifest", now);
    this.#askPeer(now);
    this.#checkHopeless(now);
  }

  #peerRefused(requestId: RequestId, now: Millis): void {
    this.#asked.delete(requestId);
    this.#askPeer(now);
    this.#checkHopeless(now);
  }

  /** Where to look first, by what the job names and what may be trusted. */
  #firstQuestion(): Question {
    const { url, contentId, pieceHashes, ranges } = this.#file;
    if (contentId !== undefined) return "sidecar";
    if (ranges !== undefined) return "probe";
    if (pieceHashes !== undefined) return "pieceHashes";
    const isTls = url?.startsWith("https:") === true;
    return isTls && this.#deps.settings.trustTlsManifest === 1 ? "sidecar" : "probe";
  }

  #askOrigin(what: Question): void {
    const { url: fileUrl, pieceHashes, request } = this.#file;
    const url = what === "pieceHashes" ? pieceHashes?.url : fileUrl;
    if (url === undefined) return;
    const requestId = this.#deps.outbox.nextRequestId();
    this.#origin = { name: what, requestId };
    // Header fields and certificates are for the file's origin, and for nobody else.
    const isOwn =
      request !== undefined && URL.parse(url)?.origin === URL.parse(fileUrl ?? "")?.origin;
    const question = { requestId, transferId: this.#transferId, url, ...(isOwn && { request }) };
    if (what === "probe") this.#deps.outbox.origin({ type: "probeOrigin", ...question });
    else {
      const place = what === "sidecar" ? "sidecar" : "exact";
      this.#deps.outbox.origin({ type: "fetchManifest", place, ...question });
    }
  }

  /** R-MAN-01: piece hashes that are not there cost the peers, not the job, unless it says so. */
  #pieceHashes(bytes: Uint8Array): void {
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
    } else this.#askOrigin("probe");
  }

  /** One peer at a time, and one more for every stall timeout in which none has answered. */
  #askPeer(now: Millis): void {
    const { contentId } = this.#file;
    const [peerId] = this.#candidates;
    if (contentId === undefined || peerId === undefined || this.outcome !== undefined) return;
    if (this.#asked.size > 0 && now < this.#askAgainAt) return;
    const { outbox, settings } = this.#deps;
    this.#candidates.delete(peerId);
    const [oldest] = this.#asked;
    if (oldest !== undefined && this.#asked.size >= ASKED_MAX) {
      this.#asked.delete(oldest[0]);
      outbox.swarm({ type: "cancelRequest", requestId: oldest[0], peerId: oldest[1] });
    }
    const requestId = outbox.nextRequestId();
    this.#asked.set(requestId, peerId);
    this.#askAgainAt = now + settings.stallTimeoutMs;
    outbox.swarm({ type: "requestManifest", peerId, requestId, contentId });
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

  #sidecar(bytes: Uint8Array, overTls: boolean): void {
    const { contentId } = this.#file;
    const decoded = decodeManifest(bytes);
    if (contentId !== undefined) {
      if (this.#acceptPinned(bytes)) return;
      const error = decoded.ok
        ? errorInfo("ERR_MANIFEST_MISMATCH", `it is ${contentIdOf(bytes)}`)
        : errorInfo("ERR_MANIFEST_MALFORMED", decoded.reason);
      this.#originError = { error, transient: false };
    } else if (decoded.ok && overTls) {
      this.#resolve({ contentId: contentIdOf(bytes), bytes }, decoded.manifest);
    } else {
      // R-MAN-01: a bad manifest costs the peers, not the job.
      this.#askOrigin("probe");
    }
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

  #probed(event: Extract<OriginEvent, { type: "originProbed" }>): void {
    const { length, validator, acceptsRanges } = event;
    const { ranges } = this.#file;
    if (ranges !== undefined && !acceptsRanges) {
      return this.#finish(errorInfo("ERR_RANGES_UNSUPPORTED"), false);
    }
    const rangeMap = ranges && RangeMap.of(ranges, length);
    if (rangeMap !== undefined && "code" in rangeMap) return this.#finish(rangeMap, false);
    // R-HTTP-13: only a strong ETag lets a later run continue what this one stored.
    const key = validator.etag === undefined ? undefined : validatorKey(length, validator);
    const resolution: Resolution = {
      layout: rangeMap?.layout ?? unverifiedLayout(length),
      validator,
      acceptsRanges,
      ...(rangeMap && { rangeMap }),
      ...(key === undefined ? {} : { validatorKey: key }),
    };
    this.outcome = { name: "resolved", resolution };
  }

  #originFailed(
    what: Question,
    { error, transient, retryAfterMs }: OriginProblem,
    now: Millis,
  ): void {
    const { settings, random } = this.#deps;
    this.#originError = { error, transient };
    if (!transient) {
      if (what === "pieceHashes" && this.#file.mandatoryIntegrity === true) {
        this.#finish(errorInfo("ERR_INTEGRITY_UNAVAILABLE", error.message), false);
      } else if (what !== "probe" && this.#file.contentId === undefined) this.#askOrigin("probe");
      return;
    }
    this.#failures++;
    if (this.#failures >= settings.originFailuresMax) {
      if (what !== "pieceHashes" || this.#file.mandatoryIntegrity === true) return;
      this.#failures = 0; // R-MAN-01: they may lie on another server than the file.
      return this.#askOrigin("probe");
    }
    const bounds = { min: settings.retryDelayMsMin, max: settings.retryDelayMsMax };
    const waitMs = retryAfterMs ?? backoffMs(this.#failures, bounds, random);
    this.#origin = { name: "waiting", retryAt: now + waitMs, what };
  }

  /**
   * Nobody is left to ask. Unnamed content fails at once; for a named one peers may still turn up:
   * for the rest of the patience, or briefly when the origin has answered and no peer is in sight.
   */
  #checkHopeless(now: Millis): void {
    if (this.outcome !== undefined || this.#origin.name !== "none") return;
    if (this.#asked.size > 0 || this.#candidates.size > 0) return;
    const { peers, settings } = this.#deps;
    if (this.#file.contentId === undefined) return this.#fail();
    const isAlone = !peers.hopeful && peers.links.size === 0;
    if (isAlone && this.#originError !== undefined) {
      this.#giveUpAt = Math.min(this.#giveUpAt, now + settings.stallTimeoutMs);
    }
    if (now >= this.#giveUpAt) this.#fail();
  }

  #fail(): void {
    const fallback = { error: errorInfo("ERR_MANIFEST_UNAVAILABLE"), transient: false };
    const { error, transient } = this.#originError ?? fallback;
    this.#finish(error, transient);
  }

  #finish(error: ErrorInfo, transient: boolean): void {
    this.stop();
    this.outcome = { name: "failed", error, transient };
  }
}

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
import { choosePieceLength, PieceLayout } from "../content/layout.ts";
import { decodeManifest } from "../content/manifest.ts";
import type { Manifest } from "../content/manifest.ts";
import { hex, parseSha256Hex } from "../hash/digest.ts";
import type { JobFileSpec } from "../job/record.ts";
import { errorInfo } from "../registry/errors.ts";
import type { ErrorInfo } from "../registry/errors.ts";
import type { OriginEvent, Validator } from "../ports/origin-port.ts";
import { validatorKey } from "../ports/origin-port.ts";
import type { OpenContent } from "../ports/store-port.ts";
import type { ContentId, JobId, Millis, PeerId, RequestId, TransferId } from "../units.ts";
import type { MachineDeps } from "./machine-deps.ts";
import { backoffMs } from "./pace.ts";
import type { Link } from "./peer-table.ts";
import type { PeerEvent, Stage } from "./stage.ts";

/** What a transfer needs to know to open its part file. */
export interface Resolution {
  readonly layout: PieceLayout;
  readonly manifest?: { readonly contentId: ContentId; readonly bytes: Uint8Array };
  readonly validator?: Validator;
  readonly validatorKey?: string;
  readonly acceptsRanges: boolean;
}

export type ResolveOutcome =
  | { readonly name: "resolved"; readonly resolution: Resolution }
  | { readonly name: "failed"; readonly error: ErrorInfo; readonly transient: boolean };

type OriginStep =
  | { readonly name: "none" }
  | { readonly name: "sidecar"; readonly requestId: RequestId }
  | { readonly name: "probe"; readonly requestId: RequestId }
  | { readonly name: "waiting"; readonly retryAt: Millis; readonly what: "sidecar" | "probe" };

/** Trust level T2 for what an earlier run stored: its bytes are checked against the id again. */
export function resolutionOf(manifest: {
  readonly contentId: ContentId;
  readonly bytes: Uint8Array;
}): Resolution | undefined {
  const decoded = decodeManifest(manifest.bytes);
  if (!decoded.ok || contentIdOf(manifest.bytes) !== manifest.contentId) return undefined;
  return { layout: decoded.manifest.layout, manifest, acceptsRanges: true };
}

/** A content without a manifest is cut by its length alone, so that every run cuts it the same. */
export function unverifiedLayout(length: number): PieceLayout {
  return PieceLayout.fixed(length, choosePieceLength(length));
}

/** What the store is asked to open for a file of a job. */
export function openSpec(
  { layout, manifest, validatorKey: key }: Resolution,
  { jobId, fileIndex, file }: { jobId: JobId; fileIndex: number; file: JobFileSpec },
): OpenContent {
  const digest = file.sha256 === undefined ? undefined : parseSha256Hex(file.sha256);
  return {
    jobId,
    fileIndex,
    layout,
    destination: file.destination,
    ...(manifest === undefined ? {} : { manifest }),
    ...(digest === undefined ? {} : { contentDigest: digest }),
    ...(key === undefined ? {} : { validatorKey: key }),
  };
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
    const { url, contentId } = options.file;
    const isTls = url?.startsWith("https:") === true;
    const wantsSidecar = contentId !== undefined || (isTls && deps.settings.trustTlsManifest === 1);
    if (url !== undefined) this.#askOrigin(wantsSidecar ? "sidecar" : "probe");
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
    else if (event.type === "manifestFetched") this.#sidecar(event.bytes, event.overTls);
    else if (event.type === "originFailed") {
      const { kind, error, retryAfterMs } = event.failure;
      const transient = kind === "transient" || kind === "timeout";
      this.#originFailed(
        step.name === "probe" ? "probe" : "sidecar",
        error,
        transient,
        now,
        retryAfterMs,
      );
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

  #askOrigin(what: "sidecar" | "probe"): void {
    const { url } = this.#file;
    if (url === undefined) return;
    const requestId = this.#deps.outbox.nextRequestId();
    const type = what === "sidecar" ? "fetchManifest" : "probeOrigin";
    this.#origin = { name: what, requestId };
    this.#deps.outbox.origin({ type, requestId, transferId: this.#transferId, url });
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
    if (expected !== undefined && hex(expected) !== hex(decoded.contentDigest)) {
      const found = hex(decoded.contentDigest);
      this.#finish(errorInfo("ERR_CONTENT_MISMATCH", `the manifest says ${found}`), false);
      return;
    }
    this.stop();
    const resolution: Resolution = { layout: decoded.layout, manifest, acceptsRanges: true };
    this.outcome = { name: "resolved", resolution };
  }

  #probed(event: Extract<OriginEvent, { type: "originProbed" }>): void {
    const { length, validator, acceptsRanges } = event;
    // R-HTTP-13: only a strong ETag lets a later run continue what this one stored.
    const key = validator.etag === undefined ? undefined : validatorKey(length, validator);
    const resolution: Resolution = {
      layout: unverifiedLayout(length),
      validator,
      acceptsRanges,
      ...(key === undefined ? {} : { validatorKey: key }),
    };
    this.outcome = { name: "resolved", resolution };
  }

  #originFailed(
    what: "sidecar" | "probe",
    error: ErrorInfo,
    transient: boolean,
    now: Millis,
    retryAfterMs: Millis | undefined,
  ): void {
    const { settings, random } = this.#deps;
    this.#originError = { error, transient };
    if (!transient) {
      if (what === "sidecar" && this.#file.contentId === undefined) this.#askOrigin("probe");
      return;
    }
    this.#failures++;
    if (this.#failures >= settings.originFailuresMax) return;
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

/**
 * Peers as givers of one manifest: who has it, who is asked for it, and when the next is asked
 * though others still owe theirs. One at a time, and one more for every stall timeout in which none
 * has answered. Knows nothing of what is in a manifest. Called by `Resolver`.
 */
import type { ContentId, Millis, PeerId, RequestId } from "../units.ts";
import type { MachineDeps } from "./machine-deps.ts";
import type { PeerEvent } from "./stage.ts";

/** How long nobody is asked after a peer had too many requests of ours: a few round trips. */
const BUSY_PAUSE_MS = 20;

/** Peers asked for one manifest at a time; beyond it the one asked first is given up. */
const ASKED_MAX = 4;

type Refusal = Extract<PeerEvent, { type: "requestRefused" }>;

export class ManifestPeers {
  readonly #deps: MachineDeps;
  readonly #contentId: ContentId | undefined;
  /** The peers asked now, by request, the latest last. */
  readonly #asked = new Map<RequestId, PeerId>();
  readonly #candidates = new Set<PeerId>();
  #askAgainAt: Millis = Infinity;
  #pausedUntil: Millis = 0;

  /** Without a content id nobody is asked. */
  constructor(deps: MachineDeps, contentId: ContentId | undefined) {
    this.#deps = deps;
    this.#contentId = contentId;
  }

  /** Nobody is asked, and nobody is left to ask. */
  get isEmpty(): boolean {
    return this.#asked.size === 0 && this.#candidates.size === 0;
  }

  owns(requestId: RequestId): boolean {
    return this.#asked.has(requestId);
  }

  /** The peer holds some of the content, and so has its manifest. */
  offered(peerId: PeerId): void {
    if (![...this.#asked.values()].includes(peerId)) this.#candidates.add(peerId);
  }

  gone(peerId: PeerId): void {
    this.#candidates.delete(peerId);
    for (const [requestId, asked] of this.#asked) {
      if (asked === peerId) this.#asked.delete(requestId);
    }
  }

  /** The request is over; returns who was asked. */
  answered(requestId: RequestId): PeerId | undefined {
    const peerId = this.#asked.get(requestId);
    this.#asked.delete(requestId);
    return peerId;
  }

  /** A peer that has too much to do for now is asked once more, after the others. */
  refused({ requestId, reason }: Refusal, now: Millis): void {
    const peerId = this.answered(requestId);
    if (peerId === undefined || reason !== "busy") return;
    this.#candidates.add(peerId);
    this.#pausedUntil = now + BUSY_PAUSE_MS;
  }

  /** Asks the next, if it is time. */
  ask(now: Millis): void {
    const [peerId] = this.#candidates;
    const contentId = this.#contentId;
    if (contentId === undefined || peerId === undefined) return;
    if (now < this.pollDeadline()) return;
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

  /** When `ask` may have somebody to ask. */
  pollDeadline(): Millis {
    if (this.#candidates.size === 0) return Infinity;
    const askAgainAt = this.#asked.size > 0 ? this.#askAgainAt : 0;
    return Math.max(askAgainAt, this.#pausedUntil);
  }

  cancelAll(): void {
    for (const [requestId, peerId] of this.#asked) {
      this.#deps.outbox.swarm({ type: "cancelRequest", peerId, requestId });
    }
    this.#asked.clear();
  }
}

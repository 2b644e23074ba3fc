/**
 * The search for a trusted publisher's announcement of one file: what we have kept ourselves, and
 * what connected peers answer, each asked once and all at once. It runs beside the probe of the
 * origin and is over soon, so that nothing waits long for it.
 *
 *   start ──▶ asking, and hoping for peers that are being dialled ──▶ over: nobody is left to ask,
 *                                                                     or the time is up
 *
 * Knows a tag, never the URL; compares validators, and fetches no manifest. Called by
 * `AnnouncedResolver`.
 */
import { validatorTag } from "../content/announcement.ts";
import { hex } from "../hash/digest.ts";
import type { Validator } from "../ports/origin-port.ts";
import { LIMITS } from "../registry/limits.ts";
import type { ContentId, Millis, PeerId, RequestId, TransferId } from "../units.ts";
import type { MachineDeps } from "./machine-deps.ts";
import type { Link } from "./peer-table.ts";

/** A content that a trusted publisher says the file is. */
export interface AnnouncedContent {
  readonly contentId: ContentId;
  /** Who passed it on; `undefined`: it was kept from before. */
  readonly peerId: PeerId | undefined;
}

export interface AnnouncementSearchOptions {
  readonly transferId: TransferId;
  /** `urlTag` of the file's URL. */
  readonly tag: Uint8Array;
}

export class AnnouncementSearch {
  readonly #deps: MachineDeps;
  readonly #transferId: TransferId;
  readonly #tag: Uint8Array;
  readonly #startedAt: Millis;
  readonly #asked = new Map<RequestId, PeerId>();
  readonly #tried = new Set<PeerId>();
  /** What was accepted, by the validator it is about, in hex. */
  readonly #found = new Map<string, AnnouncedContent>();
  #giveUpAt: Millis;
  #isStopped = false;

  constructor(deps: MachineDeps, options: AnnouncementSearchOptions, now: Millis) {
    this.#deps = deps;
    this.#transferId = options.transferId;
    this.#tag = options.tag;
    this.#startedAt = now;
    this.#giveUpAt = now + deps.settings.announcementTimeoutMs;
    const kept = deps.publishers.announcements.find(options.tag, now);
    if (kept !== undefined) {
      const { validator, contentId } = kept.opened.announcement;
      this.#found.set(hex(validator), { contentId, peerId: undefined });
    }
    deps.peers.dialler.startSeeking(now);
    this.ask(now);
  }

  owns(requestId: RequestId): boolean {
    return this.#asked.has(requestId);
  }

  /** Whether nothing more is waited for. */
  isOver(now: Millis): boolean {
    return this.#isStopped || this.#isIdle || now >= this.#giveUpAt;
  }

  /** What the file is, if its length and validator are those of an announcement. */
  find(length: number, validator: Validator): AnnouncedContent | undefined {
    const tag = validatorTag(length, validator);
    return tag && this.#found.get(hex(tag));
  }

  /** Asks the connected peers that have not been asked yet. */
  ask(now: Millis): void {
    const { outbox, peers, publishers, settings } = this.#deps;
    for (const [peerId, link] of peers.links) {
      if (!this.#canAsk(link)) continue;
      this.#tried.add(peerId);
      if (publishers.announcements.isSpent(peerId, now)) continue;
      const requestId = outbox.nextRequestId();
      this.#asked.set(requestId, peerId);
      publishers.announcements.asks(peerId, now);
      outbox.swarm({ type: "requestAnnouncement", peerId, requestId, tag: this.#tag });
      // Whoever connects late has its time too, once.
      const { announcementTimeoutMs: timeoutMs } = settings;
      const latestAt = this.#startedAt + 2 * timeoutMs;
      this.#giveUpAt = Math.max(this.#giveUpAt, Math.min(now + timeoutMs, latestAt));
    }
  }

  /** A peer's answer: only a forgery is its fault, since it passes on what it has checked. */
  answered(requestId: RequestId, bytes: Uint8Array, now: Millis): void {
    const peerId = this.#end(requestId);
    if (peerId === undefined) return;
    const { outbox, peers, publishers } = this.#deps;
    const result = publishers.announcements.accept(bytes, now, this.#tag);
    if (result.ok) {
      const { validator, contentId } = result.opened.announcement;
      this.#found.set(hex(validator), { contentId, peerId });
      return;
    }
    outbox.notice({ type: "manifestRefused", transferId: this.#transferId, error: result.error });
    if (result.isForged) peers.offended(peerId, "corruptManifest", now);
  }

  refused(requestId: RequestId): void {
    this.#end(requestId);
  }

  gone(peerId: PeerId): void {
    for (const [requestId, asked] of this.#asked) if (asked === peerId) this.#end(requestId);
  }

  /** When `ask` has somebody to ask: 0 for at once. */
  askAt(): Millis {
    if (this.#isStopped) return Infinity;
    for (const link of this.#deps.peers.links.values()) if (this.#canAsk(link)) return 0;
    return Infinity;
  }

  /** When `isOver` changes by itself: 0 when it has. */
  pollDeadline(): Millis {
    return this.#isStopped || this.#isIdle ? 0 : Math.min(this.askAt(), this.#giveUpAt);
  }

  /** Withdraws every question. Idempotent. */
  stop(): void {
    if (this.#isStopped) return;
    this.#isStopped = true;
    this.#deps.peers.dialler.stopSeeking();
    for (const [requestId, peerId] of this.#asked) {
      this.#deps.outbox.swarm({ type: "cancelRequest", peerId, requestId });
      this.#end(requestId);
    }
  }

  #end(requestId: RequestId): PeerId | undefined {
    const peerId = this.#asked.get(requestId);
    if (peerId === undefined) return undefined;
    this.#asked.delete(requestId);
    this.#deps.publishers.announcements.ended(peerId);
    return peerId;
  }

  /** Nobody owes an answer, and nobody can be asked who may still be. */
  get #isIdle(): boolean {
    const { peers } = this.#deps;
    if (this.#asked.size > 0 || peers.dialler.hopeful) return false;
    for (const { peerId } of peers.links.values()) if (this.#mayAsk(peerId)) return false;
    return true;
  }

  #canAsk(link: Link): boolean {
    const { announcements } = this.#deps.publishers;
    // One place is left to pieces, which do not look at what is asked here (R-PEER-16).
    const taken = link.outstanding + link.manifests.asked;
    if (taken + 1 >= link.requestsMax || announcements.isBusy(link.peerId)) return false;
    return this.#mayAsk(link.peerId);
  }

  #mayAsk(peerId: PeerId): boolean {
    return !this.#tried.has(peerId) && this.#tried.size < LIMITS.announcementPeersMax;
  }
}

/**
 * Peers as givers of one manifest: who has it, who is asked for it, and when the next is asked
 * though others still owe theirs. One at a time, and one more for every stall timeout in which none
 * has answered. Knows nothing of what is in a manifest. Called by `Resolver`.
 */
import type { ContentId, Millis, PeerId, RequestId } from "../units.ts";
import type { MachineDeps } from "./machine-deps.ts";
import type { Link } from "./peer-link.ts";
import type { PeerEvent } from "./stage.ts";

/** Peers asked for one manifest at a time; beyond it the one asked first is given up. */
const ASKED_MAX = 4;

type Refusal = Extract<PeerEvent, { type: "requestRefused" }>;

export class ManifestPeers {
  readonly #deps: MachineDeps;
  readonly #contentId: ContentId | undefined;
  /** The peers asked now, by request, the latest last. */
  readonly #asked = new Map<RequestId, Link>();
  readonly #candidates = new Set<Link>();
  #askAgainAt: Millis = Infinity;

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
  offered(link: Link): void {
    if (![...this.#asked.values()].includes(link)) this.#candidates.add(link);
  }

  gone(peerId: PeerId): void {
    for (const link of this.#candidates) if (link.peerId === peerId) this.#drop(link);
    for (const [requestId, link] of this.#asked) {
      if (link.peerId === peerId) this.#end(requestId);
    }
  }

  /** The request is over; returns who was asked. */
  answered(requestId: RequestId): PeerId | undefined {
    return this.#end(requestId)?.peerId;
  }

  /** A peer that has too much to do for now is asked once more, after the others. */
  refused({ requestId, reason }: Refusal, now: Millis): void {
    const link = this.#end(requestId);
    if (link === undefined || reason !== "busy") return;
    link.manifests.refused(now);
    this.#candidates.add(link);
  }

  /** Asks the next that has a place, if it is time. */
  ask(now: Millis): void {
    const contentId = this.#contentId;
    if (contentId === undefined || now < this.#dueAt) return;
    const candidates = [...this.#candidates];
    const link = candidates.find((each) => each.manifests.readyAt(each) <= now);
    for (const each of candidates) {
      if (link === undefined) each.manifests.wait(this);
      else each.manifests.leave(this);
    }
    if (link === undefined) return;
    const { outbox, settings } = this.#deps;
    this.#drop(link);
    const [oldest] = this.#asked.keys();
    if (oldest !== undefined && this.#asked.size >= ASKED_MAX) this.#cancel(oldest);
    const requestId = outbox.nextRequestId();
    this.#asked.set(requestId, link);
    link.manifests.begun();
    this.#askAgainAt = now + settings.stallTimeoutMs;
    outbox.swarm({ type: "requestManifest", peerId: link.peerId, requestId, contentId });
  }

  /** When `ask` has somebody to ask, unless other transfers take the places. */
  pollDeadline(): Millis {
    if (this.#contentId === undefined) return Infinity;
    const dueAt = this.#dueAt;
    let readyAt = Infinity;
    for (const link of this.#candidates) {
      readyAt = Math.min(readyAt, link.manifests.readyAt(link));
      if (readyAt <= dueAt) break;
    }
    return Math.max(dueAt, readyAt);
  }

  /** Asks nobody any more. */
  cancelAll(): void {
    for (const requestId of this.#asked.keys()) this.#cancel(requestId);
    for (const link of this.#candidates) this.#drop(link);
  }

  get #dueAt(): Millis {
    return this.#asked.size > 0 ? this.#askAgainAt : 0;
  }

  #drop(link: Link): void {
    this.#candidates.delete(link);
    link.manifests.leave(this);
  }

  #cancel(requestId: RequestId): void {
    const peerId = this.#end(requestId)?.peerId;
    if (peerId === undefined) return;
    this.#deps.outbox.swarm({ type: "cancelRequest", peerId, requestId });
  }

  #end(requestId: RequestId): Link | undefined {
    const link = this.#asked.get(requestId);
    this.#asked.delete(requestId);
    if (link === undefined) return undefined;
    link.manifests.ended();
    this.#deps.demand.placesFreed++;
    return link;
  }
}

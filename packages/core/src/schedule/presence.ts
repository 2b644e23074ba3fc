/**
 * Presence: what this agent and the other members of the group do in which contents, beyond those
 * it is connected with. So members find holders in other subnets, and all name the same crew.
 *
 *   fetching   said at the beginning, by the crew again and again, and in answer to newcomers
 *   holding    said when all is here, and by a few in answer to newcomers
 *   left       said when nothing of it is here any more
 *
 * Knows contents and peers, not pieces. Called by `Membership`.
 */
import type { PresenceRole, SwarmEvent } from "../ports/swarm-port.ts";
import { hashText32, mix32 } from "../random.ts";
import type { Random } from "../random.ts";
import { LIMITS } from "../registry/limits.ts";
import type { Settings } from "../registry/settings.ts";
import type { ContentId, Millis, PeerId } from "../units.ts";
import type { Outbox } from "./outbox.ts";
import type { PeerTable } from "./peer-table.ts";
import { newcomer, RecentPeers } from "./recent-peers.ts";
import type { RecentPeer } from "./recent-peers.ts";
import type { TransferTable } from "./transfer-table.ts";

export type PresenceEvent = Extract<SwarmEvent, { type: "presenceHeard" }>;

export interface PresenceDeps {
  readonly outbox: Outbox;
  readonly peers: PeerTable;
  readonly random: Random;
  readonly settings: Settings;
  readonly selfId: PeerId;
}

interface Part {
  role: PresenceRole;
  publishedAt: Millis;
  /** When it is said again, at the latest. */
  nextAt: Millis;
  /** Somebody new has been heard of and is to be answered. */
  isAsked: boolean;
  /** Others that have said since the last newcomer that they hold the content. */
  holdersHeard: number;
  /** Members that have been heard of. */
  readonly known: RecentPeers;
}

const MINUTE_MS = 60_000;
/** What nobody asked about is repeated: presence may be lost. */
const REPEAT_MS = 60_000;
/** Holders wait up to this much longer, so that they do not all speak at once. */
const REPEAT_SPREAD = 0.4;
/**
 * Of more members each repeats it more rarely, so that what all of them hear, and pass on, stays
 * the same (as with the reports of RTCP, RFC 3550, section 6.2).
 */
const MEMBERS_REPEATING_MAX = 100;
/** The crew says that it is there this often, in stall timeouts: twice before it loses its place. */
const BEAT_FACTOR = 1.5;
/** Many newcomers are answered together. */
const ANSWER_INTERVAL_MS = 400;
/** Holders answer at different times, and not at all once so many have. */
const HOLDERS_ANSWER_WITHIN_MS = 500;
const HOLDERS_ANSWERING_MAX = 4;

export class Presence {
  readonly #deps: PresenceDeps;
  readonly #transfers: TransferTable;
  readonly #selfHash: number;
  readonly #parts = new Map<ContentId, Part>();
  /** Those of them that are being fetched: few of many that are held. */
  readonly #fetching = new Set<ContentId>();
  #deadline: Millis = Infinity;
  #minuteBeganAt: Millis = -Infinity;
  #foundThisMinute = 0;

  constructor(deps: PresenceDeps, transfers: TransferTable) {
    this.#deps = deps;
    this.#transfers = transfers;
    this.#selfHash = hashText32(deps.selfId);
  }

  /** The contents that are being fetched; what else has been, is held now or was left. */
  settle(
    wanted: ReadonlySet<ContentId>,
    isHeld: (contentId: ContentId) => boolean,
    now: Millis,
  ): void {
    for (const contentId of wanted) {
      if (!this.#fetching.has(contentId)) this.#publish(contentId, "fetching", now);
    }
    for (const contentId of this.#fetching) {
      if (wanted.has(contentId)) continue;
      if (isHeld(contentId)) this.#publish(contentId, "holding", now);
      else this.left(contentId);
    }
  }

  /** Peers can have pieces of the content from now on. */
  serves(contentId: ContentId, now: Millis): void {
    if (!this.#parts.has(contentId)) this.#publish(contentId, "holding", now);
  }

  /** Policy keeps the content from peers, who had better not look for it here. */
  withheld(contentId: ContentId): void {
    if (!this.#fetching.has(contentId)) this.left(contentId);
  }

  left(contentId: ContentId): void {
    if (!this.#parts.delete(contentId)) return;
    this.#fetching.delete(contentId);
    this.#deadline = Infinity;
    for (const { nextAt } of this.#parts.values())
      this.#deadline = Math.min(this.#deadline, nextAt);
    this.#deps.outbox.swarm({ type: "publishPresence", contentId, role: "left" });
  }

  /** Members that have said that they take part in the content. */
  heardCount(contentId: ContentId): number {
    return this.#parts.get(contentId)?.known.size ?? 0;
  }

  /** Returns whether there is something to do, or an instant at which there will be has moved. */
  heard({ peerId, addresses, contentId, role }: PresenceEvent, now: Millis): boolean {
    const part = this.#parts.get(contentId);
    if (part === undefined || peerId === this.#deps.selfId) return false;
    const known = part.known.heard(peerId);
    // Who leaves needs no place among those that are known.
    const peer = known ?? (role === "left" ? newcomer(peerId) : part.known.add(peerId));
    let isNews = false;
    let isOfCrew = false;
    for (const { fetcher } of this.#transfers.of(contentId)) {
      if (fetcher?.presence(peer, role, now) === true) isNews = true;
      if (fetcher?.isInCrewWith(peerId, now) === true) isOfCrew = true;
    }
    if (role === "left") {
      part.known.delete(peerId);
      return true;
    }
    if (role === "holding") part.holdersHeard++;
    if (
      part.role === "fetching" &&
      (role === "holding" || isOfCrew || this.#isNeighbour(peer, part))
    ) {
      const found = { peerId, addresses, isPreferred: isOfCrew, foundBy: "presence" } as const;
      isNews = this.#discovered({ ...found, isStatic: false }, now) || isNews;
    }
    if (known === undefined && role === "fetching")
      isNews = this.#newcomer(contentId, part, now) || isNews;
    return isNews;
  }

  /** Presence is free for whoever makes identities: it brings only so many addresses a minute. */
  #discovered(found: Parameters<PeerTable["discovered"]>[0], now: Millis): boolean {
    if (now - this.#minuteBeganAt >= MINUTE_MS) {
      this.#minuteBeganAt = now;
      this.#foundThisMinute = 0;
    }
    if (this.#foundThisMinute >= LIMITS.presencePeersPerMinMax) return false;
    this.#foundThisMinute++;
    return this.#deps.peers.discovered(found, now);
  }

  pollDeadline(): Millis {
    return this.#deadline;
  }

  handleTimeout(now: Millis): void {
    if (now < this.#deadline) return;
    this.#deadline = Infinity;
    for (const [contentId, part] of this.#parts) {
      if (now < part.nextAt) this.#deadline = Math.min(this.#deadline, part.nextAt);
      else this.#repeat(contentId, part, now);
    }
  }

  /** Says again what is worth saying. */
  #repeat(contentId: ContentId, part: Part, now: Millis): void {
    const isAnswered = part.role === "holding" && part.holdersHeard >= HOLDERS_ANSWERING_MAX;
    const isDue = now - part.publishedAt >= repeatMs(part);
    const isBeat = part.role === "fetching" && this.#isInCrew(contentId, now);
    if (isDue || isBeat || (part.isAsked && !isAnswered)) {
      return this.#publish(contentId, part.role, now);
    }
    part.isAsked = false;
    this.#wake(part, this.#nextAt(part, now));
  }

  #publish(contentId: ContentId, role: PresenceRole, now: Millis): void {
    const known = this.#parts.get(contentId)?.known ?? new RecentPeers(LIMITS.peersKnownMax);
    const part = { role, publishedAt: now, nextAt: 0, isAsked: false, holdersHeard: 0, known };
    this.#parts.set(contentId, part);
    if (role === "fetching") this.#fetching.add(contentId);
    else this.#fetching.delete(contentId);
    this.#deps.outbox.swarm({ type: "publishPresence", contentId, role });
    this.#wake(part, this.#nextAt(part, now));
  }

  /** Who fetches looks often whether it is of the crew by now, whose members must be heard. */
  #nextAt(part: Part, now: Millis): Millis {
    const { settings, random } = this.#deps;
    if (part.role === "fetching") return now + BEAT_FACTOR * settings.stallTimeoutMs;
    return part.publishedAt + repeatMs(part) * (1 + REPEAT_SPREAD * random.fraction());
  }

  #wake(part: Part, at: Millis): void {
    part.nextAt = at;
    this.#deadline = Math.min(this.#deadline, at);
  }

  /**
   * Somebody begins: the crew and a few holders say that they are there. Returns whether this agent
   * will, and would not have anyway.
   */
  #newcomer(contentId: ContentId, part: Part, now: Millis): boolean {
    if (part.isAsked) return false;
    const { random } = this.#deps;
    if (part.role === "fetching") {
      if (!this.#isInCrew(contentId, now)) return false;
      part.isAsked = true;
      this.#wake(part, Math.max(now, part.publishedAt + ANSWER_INTERVAL_MS));
    } else {
      part.isAsked = true;
      part.holdersHeard = 0;
      const at = Math.max(now, part.publishedAt + ANSWER_INTERVAL_MS);
      this.#wake(part, at + random.fraction() * HOLDERS_ANSWER_WITHIN_MS);
    }
    return true;
  }

  /**
   * Whether this agent is one of the few that connect with the peer: as many for each as it wants
   * connections itself, so that members make a random graph.
   */
  #isNeighbour({ hash }: RecentPeer, { known }: Part): boolean {
    const chance = mix32(this.#selfHash ^ hash) >>> 0;
    const { connectionsWanted } = this.#deps.settings;
    return chance / 0x1_0000_0000 < connectionsWanted / 2 / Math.max(1, known.size);
  }

  #isInCrew(contentId: ContentId, now: Millis): boolean {
    for (const { fetcher, terms } of this.#transfers.of(contentId)) {
      if (terms.mayServe && fetcher?.isInCrew(now) === true) return true;
    }
    return false;
  }
}

function repeatMs({ known }: Part): Millis {
  return REPEAT_MS * Math.max(1, known.size / MEMBERS_REPEATING_MAX);
}

/**
 * Who does what in which content, told to all members of the group over other members
 * (`publishPresence`, `presenceHeard`). Contents are named by tags that only those understand who
 * have published presence in them; all others pass the messages on without knowing what they are of.
 *
 *   publish ──▶ waiting, the latest per content ──a listener, and it is our turn──▶ gossip
 *   gossip ──▶ judge: layout, newness, the author's rate ──▶ passed on; ours is reported
 *
 * Knows tags, authors and rates. Knows neither links nor streams. Called by the swarm and by gossip.
 */
import type { SignedMessage } from "@libp2p/gossipsub";
import { LIMITS } from "@shoal/core";
import type { ContentId, Offence, PeerId, PresenceRole, SwarmEvent } from "@shoal/core";
import type { AddressRules } from "./address-rules.ts";
import { parsePeerAddress } from "./address-rules.ts";
import type { Verdict } from "./gossip.ts";
import type { PresenceScope } from "./group.ts";
import { decodePresence, encodePresence, presenceTag } from "./presence-message.ts";
import { Allowance } from "./request-rates.ts";

export interface PresenceDeps {
  readonly selfId: PeerId;
  readonly scopes: readonly PresenceScope[];
  readonly rules: AddressRules;
  /** Where peers can reach us now. */
  readonly ownAddresses: () => readonly string[];
  readonly emit: (event: SwarmEvent) => void;
  readonly offended: (peerId: PeerId, offence: Offence) => void;
  readonly hasListeners: (topic: string) => boolean;
  /** Resolves with whether the message went to somebody. */
  readonly send: (topic: string, bytes: Uint8Array) => Promise<boolean>;
}

/** What is known of somebody who publishes. */
interface Author {
  /** The highest number of a message yet. Numbers grow by one, and jump when an agent restarts. */
  sequence: bigint;
  readonly allowance: Allowance;
}

/**
 * Messages may overtake each other, but not so many. What is older is a replay, and takes nothing
 * of its author's allowance; of what is not, GossipSub lets each through once a minute.
 */
const OVERTAKEN_MAX = BigInt(LIMITS.presenceBurstMax);
const TURN_MS = 1_000 / LIMITS.presencePublishedPerSecMax;
/**
 * Who fetches must be heard in seconds or loses its place among those who fetch for all; who holds
 * much has always something to repeat, and gets one turn in so many.
 */
const OTHERS_TURN = 4;

/** One topic, with its own names for contents. */
class Channel {
  readonly #deps: PresenceDeps;
  readonly #scope: PresenceScope;
  /** Contents that we have published presence in and not left, by tag. */
  readonly #contents = new Map<string, ContentId>();
  /** What is still to be said; the longest waiting first, whatever else it is by now. */
  readonly #waiting = new Map<ContentId, PresenceRole>();
  #turn = 0;
  readonly #authors = new Map<PeerId, Author>();
  /** The number of the latest message about a content of ours, by author and tag. */
  readonly #latest = new Map<string, bigint>();
  readonly #turns = new Allowance(LIMITS.presenceBurstMax, LIMITS.presencePublishedPerSecMax);
  #timer: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor(deps: PresenceDeps, scope: PresenceScope) {
    this.#deps = deps;
    this.#scope = scope;
  }

  publish(contentId: ContentId, role: PresenceRole): void {
    const tag = presenceTag(this.#scope.key, contentId);
    this.#contents.delete(tag);
    if (role !== "left") setBounded(this.#contents, tag, contentId, LIMITS.presenceContentsMax);
    if (this.#waiting.has(contentId)) this.#waiting.set(contentId, role);
    else setBounded(this.#waiting, contentId, role, LIMITS.presenceContentsMax);
    this.drain();
  }

  /** Says what waits, as far as somebody listens and others put up with it. */
  drain(): void {
    if (this.#isClosed || this.#timer !== undefined) return;
    const { topic, key } = this.#scope;
    for (let next = this.#next(); next !== undefined; next = this.#next()) {
      const [contentId, role] = next;
      if (!this.#deps.hasListeners(topic)) return;
      if (!this.#turns.take()) {
        this.#timer = setTimeout(() => {
          this.#timer = undefined;
          this.drain();
        }, TURN_MS).unref();
        return;
      }
      this.#turn++;
      this.#waiting.delete(contentId);
      const addresses = this.#deps.ownAddresses();
      const message = encodePresence({ role, tag: presenceTag(key, contentId), addresses });
      void this.#deps.send(topic, message).then((isSent) => {
        // The only listener may have gone meanwhile; a newer message takes this one's place.
        if (isSent || this.#waiting.has(contentId)) return;
        setBounded(this.#waiting, contentId, role, LIMITS.presenceContentsMax);
      });
    }
  }

  /** What is to be said next. */
  #next(): readonly [ContentId, PresenceRole] | undefined {
    const isOthersTurn = this.#turn % OTHERS_TURN === OTHERS_TURN - 1;
    let longest: readonly [ContentId, PresenceRole] | undefined;
    for (const waiting of this.#waiting) {
      if ((waiting[1] === "fetching") !== isOthersTurn) return waiting;
      longest ??= waiting;
    }
    return longest;
  }

  judge({ from, data, sequenceNumber }: SignedMessage, neighbourId: PeerId): Verdict {
    const peerId = from.toString();
    if (peerId === this.#deps.selfId) return "ignore";
    if (from.type !== "Ed25519") return "reject";
    const message = decodePresence(data);
    if (message === undefined) {
      this.#deps.offended(peerId, "malformedFrame");
      return "reject";
    }
    const author = this.#author(peerId);
    if (sequenceNumber + OVERTAKEN_MAX < author.sequence) return "ignore";
    if (!author.allowance.take()) {
      // What others pass on may have been held back by them, so only a neighbour is to blame.
      if (peerId === neighbourId) this.#deps.offended(peerId, "requestFlood");
      return "ignore";
    }
    if (sequenceNumber > author.sequence) author.sequence = sequenceNumber;
    if (message === "foreign") return "ignore";
    const contentId = this.#contents.get(message.tag);
    const about = `${peerId} ${message.tag}`;
    if (contentId === undefined || sequenceNumber <= (this.#latest.get(about) ?? -1n)) {
      return "accept";
    }
    setBounded(this.#latest, about, sequenceNumber, LIMITS.presenceAuthorsMax);
    const addresses = message.addresses.filter((text) => this.#isUsable(text));
    this.#deps.emit({ type: "presenceHeard", peerId, addresses, contentId, role: message.role });
    return "accept";
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    this.#waiting.clear();
  }

  #isUsable(text: string): boolean {
    const parsed = parsePeerAddress(text);
    return parsed !== undefined && this.#deps.rules.isAllowedAddress(parsed);
  }

  #author(peerId: PeerId): Author {
    const author = this.#authors.get(peerId) ?? {
      sequence: -1n,
      allowance: new Allowance(LIMITS.presenceBurstMax, LIMITS.presencePerSecMax),
    };
    setBounded(this.#authors, peerId, author, LIMITS.presenceAuthorsMax);
    return author;
  }
}

/** Presence in every group whose key we have; one without a group. */
export class Presence {
  readonly #channels: ReadonlyMap<string, Channel>;

  constructor(deps: PresenceDeps) {
    this.#channels = new Map(
      deps.scopes.map((scope) => [scope.topic, new Channel(deps, scope)] as const),
    );
  }

  publish(contentId: ContentId, role: PresenceRole): void {
    for (const channel of this.#channels.values()) channel.publish(contentId, role);
  }

  /** Somebody may listen now. */
  drain(): void {
    for (const channel of this.#channels.values()) channel.drain();
  }

  /** Whether a message is to be passed on; reports it when it is about a content of ours. */
  judge(message: SignedMessage, neighbourId: PeerId): Verdict {
    return this.#channels.get(message.topic)?.judge(message, neighbourId) ?? "reject";
  }

  close(): void {
    for (const channel of this.#channels.values()) channel.close();
  }
}

/** Puts an entry last; the first goes when there are too many. */
function setBounded<Key, Value>(map: Map<Key, Value>, key: Key, value: Value, max: number): void {
  map.delete(key);
  map.set(key, value);
  if (map.size <= max) return;
  const [oldest] = map.keys();
  if (oldest !== undefined) map.delete(oldest);
}

/**
 * Trusted publishers' announcements of files at other people's URLs: those that were accepted are
 * kept, believed again later, and passed on to whoever asks, so that they spread in the group.
 *
 * Signatures, time and sequence count at each use anew: what a key has said that is not trusted any
 * more, or what has expired, is neither believed nor passed on (R-MAN-06, R-MAN-07, R-MAN-13). Of
 * several publishers' words about one URL the one signed last is kept.
 *
 * Knows tags, never URLs, and bytes. Also counts what peers are asked, since most of it is in vain.
 * Called by `AnnouncementSearch`, by `Serving`, and by whoever publishes.
 */
import { openAnnouncement } from "../content/announcement.ts";
import type { OpenAnnouncementResult, OpenedAnnouncement } from "../content/announcement.ts";
import { hex } from "../hash/digest.ts";
import type { StoredAnnouncement } from "../ports/store-port.ts";
import { errorInfo } from "../registry/errors.ts";
import type { ErrorInfo } from "../registry/errors.ts";
import { LIMITS } from "../registry/limits.ts";
import type { Millis, PeerId } from "../units.ts";
import type { Outbox } from "./outbox.ts";
import type { DatedStatement, Publishers } from "./publishers.ts";

export interface AnnouncementsDeps {
  readonly outbox: Outbox;
  readonly publishers: Pick<Publishers, "trusted" | "acceptStatement" | "checkAge">;
}

interface Kept {
  readonly bytes: Uint8Array;
  readonly opened: OpenedAnnouncement;
  /** It was accepted in this run, and so its sequence is remembered. */
  isAccepted: boolean;
}

/** Questions to one peer: how many are open, and how many there were since the minute began. */
interface Asked {
  openCount: number;
  count: number;
  sinceAt: Millis;
}

const MINUTE_MS = 60_000;

export class Announcements {
  readonly #deps: AnnouncementsDeps;
  /** By tag in hex; the one used last comes last. */
  readonly #kept = new Map<string, Kept>();
  readonly #asked = new Map<PeerId, Asked>();

  constructor(deps: AnnouncementsDeps) {
    this.#deps = deps;
  }

  /** Takes up what earlier runs kept, the earliest first, of publishers that are still trusted. */
  load(stored: readonly StoredAnnouncement[]): void {
    const { trusted } = this.#deps.publishers;
    if (trusted.length === 0) return;
    for (const { tag, bytes } of stored) {
      const result = openAnnouncement(bytes, trusted);
      if (result.ok && tagOf(result.opened) === tag) {
        this.#keep({ bytes, opened: result.opened, isAccepted: false });
      }
    }
  }

  /**
   * Takes an announcement, about `tag` if that is given; from then on it is kept. Refuses with
   * `ERR_MANIFEST_MALFORMED`, `ERR_MANIFEST_UNTRUSTED`, `ERR_MANIFEST_MISMATCH`,
   * `ERR_MANIFEST_EXPIRED` or `ERR_MANIFEST_ROLLBACK`.
   */
  accept(bytes: Uint8Array, now: Millis, tag?: Uint8Array): OpenAnnouncementResult {
    const result = openAnnouncement(bytes, this.#deps.publishers.trusted);
    if (!result.ok) return result;
    const { opened } = result;
    const key = tagOf(opened);
    if (tag !== undefined && key !== hex(tag)) {
      return {
        ok: false,
        error: errorInfo("ERR_MANIFEST_MISMATCH", "another URL"),
        isForged: true,
      };
    }
    const before = this.#kept.get(key);
    const isKnown = before !== undefined && hex(before.bytes) === hex(bytes);
    const error = this.#check({ opened, isAccepted: isKnown && before.isAccepted }, now);
    if (error !== undefined) return { ok: false, error, isForged: false };
    if (!isKnown && !isLater(before, opened)) {
      // Not `slice`, which makes no copy of a Buffer.
      const kept = { bytes: new Uint8Array(bytes), opened, isAccepted: true };
      this.#keep(kept);
      const announcement = { tag: key, bytes: kept.bytes };
      this.#deps.outbox.store({ type: "saveAnnouncement", announcement });
    }
    return result;
  }

  /** What may be believed of the file now, if anything. */
  find(tag: Uint8Array, now: Millis): Kept | undefined {
    const key = hex(tag);
    const kept = this.#kept.get(key);
    if (kept === undefined) return undefined;
    this.#kept.delete(key);
    if (this.#check(kept, now) !== undefined) return undefined;
    kept.isAccepted = true;
    this.#kept.set(key, kept);
    return kept;
  }

  /** Whether the peer has been asked so much that it must be left alone for the next minute. */
  isSpent(peerId: PeerId, now: Millis): boolean {
    const asked = this.#asked.get(peerId);
    if (asked === undefined || now - asked.sinceAt >= MINUTE_MS) return false;
    return asked.count >= LIMITS.announcementAsksPerMinMax;
  }

  /** Whether the peer owes so many answers that the next question must wait. */
  isBusy(peerId: PeerId): boolean {
    return (this.#asked.get(peerId)?.openCount ?? 0) >= LIMITS.announcementAsksPerPeerMax;
  }

  /** The peer is asked. `ended` follows, unless it disconnects. */
  asks(peerId: PeerId, now: Millis): void {
    const asked = this.#asked.get(peerId) ?? { openCount: 0, count: 0, sinceAt: now };
    if (now - asked.sinceAt >= MINUTE_MS) Object.assign(asked, { count: 0, sinceAt: now });
    asked.openCount++;
    asked.count++;
    this.#asked.set(peerId, asked);
    // Those left alone for a minute say nothing any more.
    if (this.#asked.size <= LIMITS.peersKnownMax) return;
    for (const [other, { openCount, sinceAt }] of this.#asked) {
      if (openCount === 0 && now - sinceAt >= MINUTE_MS) this.#asked.delete(other);
    }
  }

  ended(peerId: PeerId): void {
    const asked = this.#asked.get(peerId);
    if (asked !== undefined) asked.openCount--;
  }

  #check({ opened, isAccepted }: Omit<Kept, "bytes">, now: Millis): ErrorInfo | undefined {
    const { publishers } = this.#deps;
    const dated = datedOf(opened);
    return isAccepted ? publishers.checkAge(dated, now) : publishers.acceptStatement(dated, now);
  }

  #keep(kept: Kept): void {
    const key = tagOf(kept.opened);
    this.#kept.delete(key);
    this.#kept.set(key, kept);
    if (this.#kept.size <= LIMITS.announcementsMax) return;
    const [oldest] = this.#kept.keys();
    if (oldest !== undefined) this.#kept.delete(oldest);
  }
}

function tagOf({ announcement }: OpenedAnnouncement): string {
  return hex(announcement.tag);
}

/** Sequences are compared for each URL. */
function datedOf({ publisher, signers, announcement }: OpenedAnnouncement): DatedStatement {
  return { publisher, signers, product: `announcement ${hex(announcement.tag)}`, ...announcement };
}

/** Whether another publisher's word about the URL is the later one. */
function isLater(
  before: Kept | undefined,
  { publisher, announcement }: OpenedAnnouncement,
): boolean {
  if (before === undefined || before.opened.publisher === publisher) return false;
  return before.opened.announcement.issuedAtSec > announcement.issuedAtSec;
}

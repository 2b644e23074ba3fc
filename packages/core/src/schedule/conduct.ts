/**
 * How peers, and the addresses they come from, have behaved: scores, offences and bans, in this run
 * and the ones before (threat model section 14).
 *
 *   clean ──offences──▶ marked ──two corrupt pieces in a day, or the lowest score──▶ banned
 *     ▲                   │ ▲                                                          │
 *     └──── forgotten ────┘ └───────────────── the ban is over, or removed ────────────┘
 *
 * Identities are free, so some offences count against the address too, which is refused for an hour
 * (R-BAN-02): shared addresses exist, so that is short, and takes three. Times are monotonic here
 * and of the wall clock in the store. What changes is stored a little later, together; bans at once.
 *
 * Knows ids and addresses, not connections. Called by `PeerTable`.
 */
import type { Counters } from "../registry/counters.ts";
import { LIMITS } from "../registry/limits.ts";
import type { Settings } from "../registry/settings.ts";
import type { Offence } from "../ports/swarm-port.ts";
import type { Millis, PeerId, UnixMillis } from "../units.ts";
import {
  ADDRESS_MARKS_MAX,
  BAN_MS_MAX,
  PENALTIES,
  SCORE_MAX,
  SCORE_MIN,
} from "./conduct-record.ts";
import type { ConductRecord, SubjectKind } from "./conduct-record.ts";
import type { Outbox } from "./outbox.ts";
import type { WallClock } from "./wall-clock.ts";

/** Who is refused, since when, until when and for what. */
export interface Ban {
  readonly kind: SubjectKind;
  /** A peer's id, an IPv4 address, or an IPv6 network such as `2001:db8:0:1::/64`. */
  readonly subject: string;
  readonly offence: Offence;
  readonly bannedAt: UnixMillis;
  readonly until: UnixMillis;
}

/** What an administrator sees of bans, and may do about them (R-BAN-05). */
export interface BanList {
  /** All bans in force. */
  bans(now: Millis): Ban[];
  /** Lifts a ban. False: nobody is banned by this id or address. */
  removeBan(subject: string, now: Millis): boolean;
}

interface Standing {
  readonly kind: SubjectKind;
  readonly subject: string;
  score: number;
  scoredAt: Millis;
  corruptAt: Millis[];
  bannedPeersAt: Millis[];
  banCount: number;
  ban: { readonly at: Millis; readonly until: Millis; readonly offence: Offence } | undefined;
  /** The store has, or is about to have, a record of it. */
  isStored: boolean;
}

/** R-BAN-01 */
const CORRUPT_MAX = 2;
const CORRUPT_MEMORY_MS = 24 * 3_600_000;
/** R-BAN-02: both how long marks count and how long the address is refused. */
const ADDRESS_MS = 3_600_000;
/** How long changes wait to be stored together. */
const SAVE_DELAY_MS = 5_000;

export interface ConductDeps {
  readonly outbox: Outbox;
  readonly settings: Settings;
  readonly counters: Counters;
  readonly wallClock: WallClock;
}

export class Conduct {
  readonly #deps: ConductDeps;
  /** The one that offended last comes last; bounded by `LIMITS.bansMax`. */
  readonly #standings = new Map<string, Standing>();
  readonly #unsaved = new Set<Standing>();
  #forgotten: { kind: SubjectKind; subject: string }[] = [];
  #saveAt: Millis = Infinity;
  /** When the first ban ends; exact. */
  #banEndsAt: Millis = Infinity;

  constructor(deps: ConductDeps) {
    this.#deps = deps;
  }

  /** Takes over what earlier runs have stored, the oldest first. */
  load(records: readonly ConductRecord[], now: Millis): void {
    const wallAt = this.#deps.wallClock.at(now);
    // A time to come is one that a clock set back has made so: it counts as now (R-TIME-03).
    const past = (at: UnixMillis): Millis => now - Math.max(0, wallAt - at);
    for (const { kind, subject, ban, ...rest } of records.slice(-LIMITS.bansMax)) {
      const banMsMax = kind === "peer" ? BAN_MS_MAX : ADDRESS_MS;
      const banMs = ban && Math.min(ban.until - wallAt, ban.until - ban.at, banMsMax);
      const standing: Standing = {
        kind,
        subject,
        score: rest.score,
        scoredAt: past(rest.changedAt),
        corruptAt: rest.corruptAt.map(past),
        bannedPeersAt: rest.bannedPeersAt.map(past),
        banCount: rest.banCount,
        ban: undefined,
        isStored: true,
      };
      if (ban !== undefined && banMs !== undefined && banMs > 0) {
        standing.ban = { at: past(ban.at), until: now + banMs, offence: ban.offence };
        this.#tellRefusal(standing);
      }
      this.#standings.set(keyOf(kind, subject), standing);
    }
    this.#findBanEnd();
  }

  /** Whether it is refused at present. */
  isBanned(kind: SubjectKind, subject: string): boolean {
    return this.bannedUntil(kind, subject) !== undefined;
  }

  bannedUntil(kind: SubjectKind, subject: string): Millis | undefined {
    return this.#standings.get(keyOf(kind, subject))?.ban?.until;
  }

  /** What it is refused for, and until when. */
  banOf(kind: SubjectKind, subject: string): { until: Millis; offence: Offence } | undefined {
    return this.#standings.get(keyOf(kind, subject))?.ban;
  }

  /** All bans in force. */
  bans(now: Millis): Ban[] {
    const wallAt = this.#deps.wallClock.at(now);
    const found: Ban[] = [];
    for (const { kind, subject, ban } of this.#standings.values()) {
      if (ban === undefined) continue;
      const { at, until, offence } = ban;
      const [bannedAt, end] = [wallAt + Math.round(at - now), wallAt + Math.round(until - now)];
      found.push({ kind, subject, offence, bannedAt, until: end });
    }
    return found;
  }

  /** A verified piece from the peer. */
  credit(peerId: PeerId, now: Millis): void {
    const standing = this.#standingOf("peer", peerId, now);
    recover(standing, now);
    standing.score = Math.min(SCORE_MAX, standing.score + 1);
  }

  /** What a peer did, which may end in a ban of its id, of its address, or of both. */
  offended(who: { peerId: PeerId; address: string }, offence: Offence, now: Millis): void {
    const peer = this.#standingOf("peer", who.peerId, now);
    recover(peer, now);
    peer.score = Math.max(SCORE_MIN, peer.score - PENALTIES[offence]);
    const isCorrupt = offence === "corruptPiece" || offence === "corruptManifest";
    if (isCorrupt) mark(peer.corruptAt, now, CORRUPT_MEMORY_MS);
    this.#changed(peer, now);
    const isEnough = peer.score <= SCORE_MIN || peer.corruptAt.length >= CORRUPT_MAX;
    const isBan = isEnough && peer.ban === undefined;
    if (isBan) this.#banPeer(peer, offence, now);
    if (isCorrupt || isBan) this.#markAddress(who.address, { isCorrupt, isBan, offence }, now);
    if (isBan) this.#save(now);
  }

  /** Lifts a ban, and forgets what led to it. False: there is none. */
  remove(subject: string, now: Millis): boolean {
    let wasBanned = false;
    for (const kind of ["peer", "address"] as const) {
      const standing = this.#standings.get(keyOf(kind, subject));
      if (standing?.ban === undefined) continue;
      wasBanned = true;
      standing.ban = undefined;
      this.#tellRefusal(standing);
      this.#forget(standing);
    }
    if (!wasBanned) return false;
    this.#findBanEnd();
    this.#save(now);
    return true;
  }

  pollDeadline(): Millis {
    return Math.min(this.#banEndsAt, this.#saveAt);
  }

  /** banned -> marked, for bans that are over. */
  handleTimeout(now: Millis): void {
    if (now >= this.#banEndsAt) {
      for (const standing of this.#standings.values()) {
        if (standing.ban === undefined || standing.ban.until > now) continue;
        standing.ban = undefined;
        this.#tellRefusal(standing);
        this.#changed(standing, now);
      }
      this.#findBanEnd();
    }
    if (now >= this.#saveAt) this.#save(now);
  }

  /** marked -> banned, longer each time (R-BAN-01). */
  #banPeer(peer: Standing, offence: Offence, now: Millis): void {
    const banMs = Math.min(this.#deps.settings.banMs * 2 ** peer.banCount, BAN_MS_MAX);
    // What led to this ban does not lead to the next one as well.
    peer.corruptAt = [];
    this.#ban(peer, offence, { now, banMs });
    this.#deps.counters.add("shoal_peer_bans_total");
    this.#deps.outbox.notice({ type: "peerBanned", peerId: peer.subject, offence });
  }

  #markAddress(
    address: string,
    { isCorrupt, isBan, offence }: { isCorrupt: boolean; isBan: boolean; offence: Offence },
    now: Millis,
  ): void {
    if (address === "") return;
    const standing = this.#standingOf("address", address, now);
    if (standing.ban !== undefined) return;
    if (isCorrupt) mark(standing.corruptAt, now, ADDRESS_MS);
    if (isBan) mark(standing.bannedPeersAt, now, ADDRESS_MS);
    this.#changed(standing, now);
    const { corruptAt, bannedPeersAt } = standing;
    if (Math.max(corruptAt.length, bannedPeersAt.length) < ADDRESS_MARKS_MAX) return;
    standing.corruptAt = [];
    standing.bannedPeersAt = [];
    this.#ban(standing, offence, { now, banMs: ADDRESS_MS });
    this.#deps.counters.add("shoal_address_bans_total");
    this.#deps.outbox.notice({ type: "addressBanned", address, offence });
    this.#save(now);
  }

  #ban(standing: Standing, offence: Offence, { now, banMs }: { now: Millis; banMs: Millis }): void {
    standing.ban = { at: now, until: now + banMs, offence };
    standing.banCount++;
    this.#banEndsAt = Math.min(this.#banEndsAt, standing.ban.until);
    this.#tellRefusal(standing);
  }

  #standingOf(kind: SubjectKind, subject: string, now: Millis): Standing {
    const key = keyOf(kind, subject);
    let standing = this.#standings.get(key);
    if (standing !== undefined) return standing;
    if (this.#standings.size >= LIMITS.bansMax) this.#makeRoom();
    standing = {
      kind,
      subject,
      score: 0,
      scoredAt: now,
      corruptAt: [],
      bannedPeersAt: [],
      banCount: 0,
      ban: undefined,
      isStored: false,
    };
    this.#standings.set(key, standing);
    return standing;
  }

  /** Forgets who has no offence, else who is not banned, else who offended longest ago. */
  #makeRoom(): void {
    const all = this.#standings.values().toArray();
    const gone =
      all.find(({ isStored }) => !isStored) ?? all.find(({ ban }) => ban === undefined) ?? all[0];
    if (gone === undefined) return;
    if (gone.ban !== undefined) {
      gone.ban = undefined;
      this.#tellRefusal(gone);
    }
    this.#forget(gone);
  }

  #forget(standing: Standing): void {
    const { kind, subject } = standing;
    this.#standings.delete(keyOf(kind, subject));
    this.#unsaved.delete(standing);
    if (standing.isStored) this.#forgotten.push({ kind, subject });
  }

  #changed(standing: Standing, now: Millis): void {
    const key = keyOf(standing.kind, standing.subject);
    this.#standings.delete(key);
    this.#standings.set(key, standing);
    standing.isStored = true;
    this.#unsaved.add(standing);
    this.#saveAt = Math.min(this.#saveAt, now + SAVE_DELAY_MS);
  }

  #save(now: Millis): void {
    this.#saveAt = Infinity;
    const wallAt = this.#deps.wallClock.at(now);
    const wall = (at: Millis): UnixMillis => Math.max(0, wallAt + Math.round(at - now));
    const records: ConductRecord[] = [];
    for (const { kind, subject, score, scoredAt, banCount, ban, ...marks } of this.#unsaved) {
      records.push({
        kind,
        subject,
        score,
        changedAt: wall(scoredAt),
        corruptAt: marks.corruptAt.map(wall),
        bannedPeersAt: marks.bannedPeersAt.map(wall),
        banCount,
        ...(ban && { ban: { at: wall(ban.at), until: wall(ban.until), offence: ban.offence } }),
      });
    }
    const forgotten = this.#forgotten;
    this.#unsaved.clear();
    this.#forgotten = [];
    this.#deps.outbox.store({ type: "saveConduct", records, forgotten });
  }

  #findBanEnd(): void {
    this.#banEndsAt = Infinity;
    for (const { ban } of this.#standings.values()) {
      if (ban !== undefined) this.#banEndsAt = Math.min(this.#banEndsAt, ban.until);
    }
  }

  #tellRefusal({ kind, subject, ban }: Standing): void {
    const isRefused = ban !== undefined;
    this.#deps.outbox.swarm({ type: "setRefusal", kind, subject, isRefused });
  }
}

/** Peer ids and addresses are texts of others. */
function keyOf(kind: SubjectKind, subject: string): string {
  return `${kind} ${subject}`;
}

/** Adds a mark and drops those that count no longer. */
function mark(marks: Millis[], now: Millis, memoryMs: Millis): void {
  marks.push(now);
  while (now - (marks[0] ?? now) >= memoryMs || marks.length > ADDRESS_MARKS_MAX) marks.shift();
}

/** A point a minute towards zero. */
function recover(standing: Standing, now: Millis): void {
  const points = Math.max(0, now - standing.scoredAt) / 60_000;
  standing.scoredAt = now;
  standing.score = Math.sign(standing.score) * Math.max(0, Math.abs(standing.score) - points);
}

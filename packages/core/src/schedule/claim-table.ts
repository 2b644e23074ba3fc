/**
 * The runs that members say they are fetching, and how many claim each piece. A claim ends when it
 * is not repeated: bytes come no more.
 *
 * Knows runs and times. Called by `ContentSwarm`.
 */
import type { Millis, PieceIndex } from "../units.ts";

/** Runs that one member may claim at a time; more replace the oldest. */
const CLAIMS_PER_MEMBER_MAX = 32;
/** Pieces that one claim covers; each costs us a step, and honest runs have fewer. */
const CLAIM_PIECES_MAX = 4_096;

interface MemberClaim {
  readonly first: PieceIndex;
  readonly count: number;
  expiresAt: Millis;
}

/** Whoever claims; the runs claimed latest come last. */
export interface Claimer {
  claims: MemberClaim[];
}

export class ClaimTable {
  /** Per piece: how many members claim it. */
  readonly #claimed: Uint16Array;
  readonly #lifeMs: Millis;

  /** A claim that is not repeated lives for `lifeMs`. */
  constructor(pieceCount: number, lifeMs: Millis) {
    this.#claimed = new Uint16Array(pieceCount);
    this.#lifeMs = lifeMs;
  }

  isClaimed(piece: PieceIndex): boolean {
    return this.#claimed[piece]! > 0;
  }

  /** Ranges outside the content are cut. Returns when the claim ends; `Infinity`: it is none. */
  add(claimer: Claimer, first: PieceIndex, count: number, now: Millis): Millis {
    if (first >= this.#claimed.length) return Infinity;
    const expiresAt = now + this.#lifeMs;
    const known = claimer.claims.find((claim) => claim.first === first);
    if (known !== undefined) {
      known.expiresAt = expiresAt;
      return expiresAt;
    }
    const { claims } = claimer;
    if (claims.length >= CLAIMS_PER_MEMBER_MAX) this.#uncount(claims.shift());
    const end = Math.min(first + Math.min(count, CLAIM_PIECES_MAX), this.#claimed.length);
    claims.push({ first, count: end - first, expiresAt });
    for (let piece = first; piece < end; piece++) this.#claimed[piece]!++;
    return expiresAt;
  }

  /** The claim whose last piece this is is over. */
  delivered({ claims }: Claimer, piece: PieceIndex): void {
    const done = claims.findIndex((claim) => claim.first + claim.count - 1 === piece);
    if (done >= 0) this.#uncount(claims.splice(done, 1)[0]);
  }

  /** Forgets claims that have not been repeated; returns when the next one ends. */
  expire(claimer: Claimer, now: Millis): Millis {
    if (claimer.claims.length === 0) return Infinity;
    let next = Infinity;
    claimer.claims = claimer.claims.filter((claim) => {
      if (claim.expiresAt > now) {
        next = Math.min(next, claim.expiresAt);
        return true;
      }
      this.#uncount(claim);
      return false;
    });
    return next;
  }

  drop(claimer: Claimer): void {
    for (const claim of claimer.claims) this.#uncount(claim);
    claimer.claims = [];
  }

  #uncount(claim: MemberClaim | undefined): void {
    if (claim === undefined) return;
    const end = claim.first + claim.count;
    for (let piece = claim.first; piece < end; piece++) this.#claimed[piece]!--;
  }
}

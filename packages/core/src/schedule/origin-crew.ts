/**
 * The crew of a content: the few members that fetch it from the origin for all. The crew are the
 * members with the highest hash of (member, content) among those heard of, so everybody who has
 * heard of the same members names the same crew, and whoever falls silent is replaced by the next
 * in rank without anyone deciding it (swarm-algorithms digest, section 6).
 *
 * All members would be too many: a thousand of them could not all know each other's claims, and
 * the origin's link would be cut into a thousand parts, of which none was whole before the end.
 *
 * Knows members by their ranks. Called by `ContentSwarm`.
 */
import { hashText32, mix32 } from "../random.ts";
import type { ContentId } from "../units.ts";

/** Twice as many as one agent alone has connections to the origin. */
export const CREW_SIZE = 8;

/** A member of which more need not be known here. */
export interface CrewCandidate {
  /** By which the crew is chosen. */
  readonly rank: number;
}

/** What the order of a content's members is made from, beside themselves. */
export function crewSeed(contentId: ContentId): number {
  return mix32(hashText32(contentId));
}

/** A member's place in the order of a content's members: the highest are its crew. */
export function crewRank(memberHash: number, seed: number): number {
  return mix32(memberHash ^ seed) >>> 0;
}

/** The crew among candidates and self; `others` are the candidates in it, the highest first. */
export function chooseCrew<Candidate extends CrewCandidate>(
  candidates: Iterable<Candidate>,
  selfRank: number,
): { readonly others: readonly Candidate[]; readonly isSelfIn: boolean } {
  const ranked: Candidate[] = [];
  for (const candidate of candidates) insertByRank(ranked, candidate);
  const isSelfIn = ranked.length < CREW_SIZE || selfRank >= ranked[CREW_SIZE - 1]!.rank;
  if (isSelfIn && ranked.length === CREW_SIZE) ranked.pop();
  return { others: ranked, isSelfIn };
}

/** Keeps the crew's number of candidates; of two with one rank the first comes first. */
function insertByRank<Candidate extends CrewCandidate>(
  ranked: Candidate[],
  candidate: Candidate,
): void {
  const { rank } = candidate;
  let at = ranked.length;
  if (at === CREW_SIZE) {
    if (ranked[at - 1]!.rank >= rank) return;
    at--;
  }
  for (; at > 0 && ranked[at - 1]!.rank < rank; at--) ranked[at] = ranked[at - 1]!;
  ranked[at] = candidate;
}

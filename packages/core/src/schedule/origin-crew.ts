/**
 * The crew of a content: the few members that fetch it from the origin for all. The crew are the
 * members with the highest hash of (member, content) among those heard of, so everybody who has
 * heard of the same members names the same crew, and whoever falls silent is replaced by the next
 * in rank without anyone deciding it (swarm-algorithms digest, section 6).
 *
 * All members would be too many: a thousand of them could not all know each other's claims, and
 * the origin's link would be cut into a thousand parts, of which none was whole before the end.
 *
 * Knows members by their hashes and times. Called by `ContentSwarm`.
 */
import { hashText32, mix32 } from "../random.ts";
import type { ContentId, Millis, PeerId } from "../units.ts";

/** Twice as many as one agent alone has connections to the origin. */
export const CREW_SIZE = 8;

export interface CrewCandidate {
  readonly peerId: PeerId;
  readonly hash: number;
  /** By which the crew is chosen. */
  readonly rank: number;
  /** Silent from this instant on, unless it is heard of again. */
  readonly silentAt: Millis;
}

/** What the order of a content's members is made from, beside themselves. */
export function crewSeed(contentId: ContentId): number {
  return mix32(hashText32(contentId));
}

/** A member's place in the order of a content's members: the highest are its crew. */
export function crewRank(memberHash: number, seed: number): number {
  return mix32(memberHash ^ seed) >>> 0;
}

/** The crew among candidates and self; `undefined` stands for self. */
export function chooseCrew(
  candidates: Iterable<CrewCandidate>,
  selfRank: number,
): { readonly others: readonly CrewCandidate[]; readonly isSelfIn: boolean } {
  const ranked = [...candidates].toSorted((a, b) => b.rank - a.rank).slice(0, CREW_SIZE);
  const above = ranked.filter(({ rank }) => rank > selfRank).length;
  if (above >= CREW_SIZE) return { others: ranked, isSelfIn: false };
  return { others: ranked.slice(0, CREW_SIZE - 1), isSelfIn: true };
}

/**
 * What holds for a transfer as a whole: what it waits for, why its origin is asked or left alone,
 * and what slows it. Read off the parts of its fetcher, each of which decides for itself.
 *
 * Looks, and changes nothing. Called by `explainJob`.
 */
import type { Settings } from "../registry/settings.ts";
import type { Millis } from "../units.ts";
import type { Demand, Urgency } from "./demand.ts";
import { reason } from "./explanation.ts";
import type { Reason } from "./explanation.ts";
import type { FetchParts } from "./fetcher-options.ts";
import type { FileSources, PlaceStanding } from "./file-sources.ts";
import type { OriginReason } from "../registry/reasons.ts";

export interface ExplainFetchDeps {
  readonly settings: Settings;
  readonly demand: Demand;
}

/** The verdicts on a transfer that fetches pieces, the weightiest first. */
export function explainFetch(
  { demand }: ExplainFetchDeps,
  { parts, urgency }: { readonly parts: FetchParts; readonly urgency: Urgency },
  now: Millis,
): Reason[] {
  if (parts.ledger.picker.missingCount === 0) return [];
  const verdicts: Reason[] = [];
  const { manifestRefused: error } = parts.sources;
  if (parts.contentId === undefined) verdicts.push(reason("noManifest", error && { error }));
  else if (parts.swarm.memberCount === 0) verdicts.push(reason("noPeers"));
  const limit = limitOf(parts, now);
  if (limit !== undefined) verdicts.push(limit);
  const { pausedUntil, runs } = parts.origin.work;
  if (demand.yields(urgency)) {
    verdicts.push(reason("yields", pausedUntil > now ? { waitMs: pausedUntil - now } : {}));
  }
  const asked = new Set<OriginReason>();
  for (const { reason: code } of runs.all()) asked.add(code);
  for (const code of asked) {
    if (verdicts.some((verdict) => verdict.code === code)) continue;
    verdicts.push(reason(code, measuresOf(parts, now)));
  }
  if (asked.size === 0) verdicts.push(...whyNoRun(parts, now));
  return verdicts;
}

/** What is to be said of the places a file can be had from over HTTP. */
export function explainPlaces(sources: FileSources, now: Millis): Reason[] {
  const places = sources.standings(now);
  const verdicts: Reason[] = [];
  if (places.length === 0) return [reason("noOrigin")];
  const { failure } = sources;
  if (!sources.isUsable) {
    verdicts.push(reason("originRefused", failure && { error: failure.error }));
  } else {
    const origins = places.filter(({ kind, isUsable }) => kind !== "cacheServer" && isUsable);
    const [first] = origins;
    if (first !== undefined && origins.every(isFailing)) {
      verdicts.push(reason("originWaits", waitOf(origins)));
    }
  }
  const caches = places.filter(({ kind }) => kind === "cacheServer");
  const broken = caches.find(isFailing);
  if (broken !== undefined && caches.every(isFailing)) {
    const error = broken.error && { error: broken.error };
    verdicts.push(reason("cacheServersFailed", { ...error, ...waitOf(caches) }));
  }
  const heldUntil = sources.holdsForCaches(now);
  if (heldUntil !== undefined) {
    const wait = heldUntil < Infinity ? { waitMs: heldUntil - now } : {};
    verdicts.push(reason("cacheServersFirst", wait));
  }
  return verdicts;
}

function isFailing({ isUsable, error, waitMs }: PlaceStanding): boolean {
  return !isUsable || error !== undefined || waitMs !== undefined;
}

/** Until the first of them may be asked again. */
function waitOf(places: readonly PlaceStanding[]): Pick<Reason, "waitMs" | "error"> {
  const usable = places.filter(({ isUsable }) => isUsable);
  const waitMs = Math.min(...usable.map((place) => place.waitMs ?? 0));
  const error = usable.find((place) => place.error !== undefined)?.error;
  return { ...(waitMs > 0 && waitMs < Infinity && { waitMs }), ...(error && { error }) };
}

/** Pieces are missing, and the origin is not asked for any. */
function whyNoRun({ swarm, peers, ledger, sources, origin }: FetchParts, now: Millis): Reason[] {
  if (peers !== undefined && now < sources.peersOnlyUntil && sources.isUsable) {
    return [reason("peersOnly", { waitMs: sources.peersOnlyUntil - now })];
  }
  if (peers !== undefined && (peers.size > 0 || peers.hasOffer())) {
    return [reason("leftToPeers", measuresOf({ origin }, now))];
  }
  if (ledger.storingCount > 0) return [];
  if (swarm.fetchingMemberCount(now) > 0 && origin.isUsable && !origin.isExhausted) {
    return [reason("leftToMembers")];
  }
  return origin.isUsable ? [] : [reason("noSource")];
}

function measuresOf(
  { origin }: Pick<FetchParts, "origin">,
  now: Millis,
): Omit<Reason, "code" | "words"> {
  const { peersBytesPerSec, originBytesPerSec, silentMs } = origin.work.policy.measures(now);
  return {
    peersBytesPerSec,
    ...(originBytesPerSec !== undefined && { originBytesPerSec }),
    ...(silentMs !== undefined && { silentMs }),
  };
}

/** The limit that holds it back, if one does. */
function limitOf({ pace }: FetchParts, now: Millis): Reason | undefined {
  for (const part of [pace.origin, pace.peers]) {
    const { rateBytesPerSec } = part;
    if (rateBytesPerSec === Infinity || !part.isAtLimit(now)) continue;
    return reason("paced", { limitBytesPerSec: rateBytesPerSec });
  }
  return undefined;
}

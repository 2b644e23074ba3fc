/**
 * A connected peer as transfers see it: what it owes us and what it has proved. Whoever is fresh,
 * or has just offended, is on probation until it has delivered good pieces (R-SCH-06).
 *
 * Kept by `PeerTable`; counted on by transfers.
 */
import type { Millis, PeerId } from "../units.ts";
import type { PeerClass } from "../policy/peer-class.ts";
import type { Proximity } from "../policy/proximity.ts";
import { ManifestPlaces } from "./manifest-places.ts";
import { RateMeter } from "./pace.ts";
import { TrafficMeter } from "./traffic-meter.ts";

/** A connected peer's record; lives from `peerConnected` to `peerDisconnected`. */
export interface Link {
  readonly peerId: PeerId;
  /** What counts as its address: of IPv6, a network (`addressKey`). */
  readonly address: string;
  readonly peerClass: PeerClass;
  readonly proximity: Proximity;
  /** A small number, reused after disconnection; names the peer in the picker. */
  readonly slot: number;
  /** Requests the peer accepts at a time. */
  readonly requestsMax: number;
  /** Requests of ours for pieces, of all transfers, not yet answered. */
  outstanding: number;
  /** Those of them that leave room for others: at most one, which takes nobody's place. */
  yielding: number;
  /** It owes all that it may, or did a moment ago: the next requests wait to be made together. */
  isFull: boolean;
  /** Those for manifests, which `outstanding` does not count. */
  readonly manifests: ManifestPlaces;
  /** Pieces it has delivered that the store has not judged yet. */
  unverified: number;
  /** Verified pieces since connection or the last offence; ends probation (R-SCH-06). */
  goodPieces: number;
  /** Nothing is asked of the peer before this instant: it said it was busy. */
  busyUntil: Millis;
  /** The last `busyUntil` that was for a piece that did not come in time. */
  stalledUntil: Millis;
  readonly received: RateMeter;
  readonly connectedAt: Millis;
  readonly transport: string | undefined;
  /** For those who look on: piece bytes that came from it, and that it was sent. */
  readonly traffic: { readonly received: TrafficMeter; readonly sent: TrafficMeter };
  /** From the request on, smoothed over pieces; 0 before the first. Waiting in queues is part of it. */
  msPerByte: number;
}

/** R-SCH-06: good pieces that end it, and what peers on probation at one address may owe. */
const PROBATION_PIECES = 2;
const PROBATION_OWED_MAX = 2;

/** The link with a peer that has just connected. */
export function newLink(
  {
    peerId,
    requestsMax,
    transport,
  }: { readonly peerId: PeerId; readonly requestsMax: number; readonly transport?: string },
  place: Pick<Link, "address" | "peerClass" | "proximity" | "slot">,
  now: Millis,
): Link {
  return {
    peerId,
    ...place,
    // Who takes no request at all could never be asked, and would be waited for.
    requestsMax: Math.max(1, requestsMax),
    outstanding: 0,
    yielding: 0,
    isFull: false,
    manifests: new ManifestPlaces(),
    unverified: 0,
    goodPieces: 0,
    busyUntil: 0,
    stalledUntil: 0,
    received: new RateMeter(now),
    connectedAt: now,
    transport,
    traffic: { received: new TrafficMeter(), sent: new TrafficMeter() },
    msPerByte: 0,
  };
}

/** A piece of so many bytes has come after this time. */
export function noteService(link: Link, { length, tookMs }: { length: number; tookMs: Millis }) {
  const msPerByte = tookMs / length;
  link.msPerByte = link.msPerByte === 0 ? msPerByte : (link.msPerByte + msPerByte) / 2;
}

export function isOnProbation(link: Link): boolean {
  return link.goodPieces < PROBATION_PIECES;
}

/** Pieces asked of it, and delivered but not judged yet. */
export function owedBy(link: Link): number {
  return link.outstanding + link.unverified;
}

/**
 * Whether the peer, which has been asked for `asked` pieces and may be for `depth`, is to be asked
 * for more. Once it owes all, the next requests wait until half of them have been answered: made
 * together, they cost both ends one write and one wake-up instead of one each.
 */
export function takesMore(link: Link, asked: number, depth: number): boolean {
  if (asked >= depth) link.isFull = true;
  else if (asked <= Math.ceil(depth / 2)) link.isFull = false;
  return !link.isFull;
}

/** Whether the peers on probation, of those at one address, owe us all that they may together. */
export function isCrowded(linksThere: readonly Link[]): boolean {
  let owed = 0;
  for (const link of linksThere) if (isOnProbation(link)) owed += owedBy(link);
  return owed >= PROBATION_OWED_MAX;
}

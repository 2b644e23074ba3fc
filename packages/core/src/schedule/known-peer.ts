/** One peer in the table of peers: what is known of it, and where it stands. Read by `PeerTable`. */
import { LIMITS } from "../registry/limits.ts";
import type { Millis, PeerId } from "../units.ts";
import type { Link } from "./peer-link.ts";

export type PeerState =
  | { readonly name: "known"; readonly dialAt: Millis }
  | { readonly name: "dialling" }
  | { readonly name: "connected"; readonly link: Link }
  | { readonly name: "banned" };

/** How a peer came to be known. */
export const FOUND_BY = ["static", "mdns", "presence", "memory", "inbound"] as const;
export type FoundBy = (typeof FOUND_BY)[number];

export interface Peer {
  readonly peerId: PeerId;
  /** What told of it first; but what the user says comes before all else. */
  foundBy: FoundBy;
  addresses: readonly string[];
  isStatic: boolean;
  /** Found by local discovery. */
  isLocal: boolean;
  /** Worth a connection beyond those that are wanted anyway: it fetches for others as we do. */
  isPreferred: boolean;
  state: PeerState;
  dialFailures: number;
  /** Why it could not be dialled, or the connection ended, last; in words that may be a peer's. */
  lastFailure:
    | { readonly code: "dialFailed" | "disconnected"; readonly detail: string }
    | undefined;
}

/** What somebody says of a peer. */
export interface PeerHint {
  readonly addresses: readonly string[];
  readonly isStatic: boolean;
  readonly isLocal?: boolean;
  readonly isPreferred?: boolean;
  /** Default: by the flags, or else `inbound`. */
  readonly foundBy?: FoundBy;
}

type FoundPeer = Pick<Peer, "peerId"> &
  Partial<Pick<Peer, "addresses" | "isStatic" | "isLocal" | "isPreferred" | "foundBy">>;

/** One that may be dialled at once. */
export function newPeer(found: FoundPeer, now: Millis): Peer {
  const { peerId, addresses = [], isStatic = false, isLocal = false, isPreferred = false } = found;
  const flags = { isStatic, isLocal, isPreferred };
  const state = { name: "known", dialAt: now } as const;
  const byFlags = isStatic ? "static" : isLocal ? "mdns" : "inbound";
  const { foundBy = byFlags } = found;
  return { peerId, foundBy, addresses, ...flags, state, dialFailures: 0, lastFailure: undefined };
}

/** Whether the hint says more of the peer than what is known already. */
export function isNews(known: Peer, found: PeerHint): boolean {
  if (found.isStatic && !known.isStatic) return true;
  if (found.isLocal === true && !known.isLocal) return true;
  if (found.isPreferred === true && !known.isPreferred) return true;
  return found.addresses.some((address, index) => address !== known.addresses[index]);
}

/** Whether it waits for nothing but its turn to be dialled. */
export function isDue(peer: Peer, now: Millis): boolean {
  return peer.state.name === "known" && peer.addresses.length > 0 && peer.state.dialAt <= now;
}

/** The order in which peers are dialled. */
export const DIAL_TURNS = ["static", "preferred", "other"] as const;
export type DialTurn = (typeof DIAL_TURNS)[number];

export function turnOf({ isStatic, isPreferred }: Peer): DialTurn {
  if (isStatic) return "static";
  return isPreferred ? "preferred" : "other";
}

export function noteFailure(peer: Peer, code: "dialFailed" | "disconnected", reason: string): void {
  peer.lastFailure = { code, detail: reason.slice(0, LIMITS.displayNameLengthMax) };
}

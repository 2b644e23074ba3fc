/** One peer in the table of peers: what is known of it, and where it stands. Read by `PeerTable`. */
import type { Millis, PeerId } from "../units.ts";
import type { Link } from "./peer-link.ts";

export type PeerState =
  | { readonly name: "known"; readonly dialAt: Millis }
  | { readonly name: "dialling" }
  | { readonly name: "connected"; readonly link: Link }
  | { readonly name: "banned" };

export interface Peer {
  readonly peerId: PeerId;
  addresses: readonly string[];
  isStatic: boolean;
  /** Found by local discovery. */
  isLocal: boolean;
  state: PeerState;
  dialFailures: number;
}

/** One that may be dialled at once. */
export function newPeer(
  {
    peerId,
    addresses = [],
    isStatic = false,
    isLocal = false,
  }: Pick<Peer, "peerId"> & Partial<Pick<Peer, "addresses" | "isStatic" | "isLocal">>,
  now: Millis,
): Peer {
  const state = { name: "known", dialAt: now } as const;
  return { peerId, addresses, isStatic, isLocal, state, dialFailures: 0 };
}

/** Whether it waits for nothing but its turn to be dialled. */
export function isDue(peer: Peer, now: Millis): boolean {
  return peer.state.name === "known" && peer.addresses.length > 0 && peer.state.dialAt <= now;
}

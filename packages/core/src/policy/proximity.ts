/**
 * How near a peer is, as a number: bytes from a nearer one are cheaper (swarm-algorithms digest,
 * section 4).
 *
 *   0 this machine   1 a subnet of it   2 a private address: the same site   3 elsewhere
 *
 * Knows where a peer is and how it was found; knows no connections. Called by `PeerTable`.
 */
import type { PeerReach } from "../ports/swarm-port.ts";

/** Lower is nearer. */
export type Proximity = 0 | 1 | 2 | 3;

/** Peers this near are all alike: nothing thin lies between us. */
export const PROXIMITY_ALIKE_MAX = 1;

const BY_REACH = { host: 0, subnet: 1, private: 2, public: 3 } as const satisfies Record<
  PeerReach,
  Proximity
>;

/** Who was found on a link of this machine is near, whatever its address looks like. */
export function proximityOf(peer: {
  readonly isLocal: boolean;
  readonly reach: PeerReach;
}): Proximity {
  const proximity = BY_REACH[peer.reach];
  return peer.isLocal && proximity > PROXIMITY_ALIKE_MAX ? PROXIMITY_ALIKE_MAX : proximity;
}

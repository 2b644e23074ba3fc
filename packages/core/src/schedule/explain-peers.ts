/**
 * Why each known peer is used for a content, or not: first what stands in the way of a connection
 * (`PeerTable`), then of membership (`Membership`), then of a request (`PeerRequests`).
 *
 * Looks, and changes nothing. Called by `explainJob`.
 */
import { LIMITS } from "../registry/limits.ts";
import type { Settings } from "../registry/settings.ts";
import type { ContentId, Millis, PeerId } from "../units.ts";
import { addressKeyOf } from "./address-key.ts";
import { reason } from "./explanation.ts";
import type { ExplainedPeer, Reason } from "./explanation.ts";
import type { Membership } from "./membership.ts";
import type { Peer } from "./known-peer.ts";
import type { Link, PeerTable, PeerTableParts } from "./peer-table.ts";
import type { PeerReason } from "../registry/reasons.ts";
import type { PeerRequests } from "./peer-requests.ts";
import type { SourceShare } from "./piece-record.ts";

export interface ExplainPeersDeps {
  readonly settings: Settings;
  readonly peers: PeerTable;
  readonly membership: Membership;
}

/** The transfer whose peers are explained. */
export interface ExplainedTransfer {
  readonly contentId: ContentId;
  /** Absent: no pieces are asked for now. */
  readonly requests: PeerRequests | undefined;
  /** What is here, by source. */
  readonly shares: readonly SourceShare[];
  /** Whether there is anything left to ask for. */
  readonly isComplete: boolean;
}

/** Why a peer is used or not. */
export type PeerStanding = Reason<PeerReason> & Pick<ExplainedPeer, "detail">;

export function explainPeers(
  deps: ExplainPeersDeps,
  transfer: ExplainedTransfer,
  now: Millis,
): { readonly peers: readonly ExplainedPeer[]; readonly peerCount: number } {
  const { peers: known } = deps.peers.parts;
  const { links } = deps.peers;
  const peers: ExplainedPeer[] = [];
  const connected = [...links.keys()].flatMap((peerId) => known.get(peerId) ?? []);
  for (const isConnected of [true, false]) {
    for (const peer of isConnected ? connected : known.values()) {
      const link = links.get(peer.peerId);
      if ((link !== undefined) !== isConnected) continue;
      if (peers.length >= LIMITS.explainedPeersMax) break;
      peers.push(explainPeer(deps, transfer, { peer, link, now }));
    }
  }
  return { peers, peerCount: known.size };
}

function explainPeer(
  deps: ExplainPeersDeps,
  transfer: ExplainedTransfer,
  { peer, link, now }: { peer: Peer; link: Link | undefined; now: Millis },
): ExplainedPeer {
  const { peerId } = peer;
  const isBanned = peer.state.name === "banned";
  const standing =
    link === undefined || isBanned
      ? contactOf(peer, deps, now)
      : memberStanding(link, deps, { ...transfer, now });
  const { pieceCount, bytes } = deliveredBy(peerId, transfer.shares);
  return {
    peerId,
    ...(link && { address: link.address }),
    ...standing,
    isUsed: standing.code === "asked" || standing.code === "probation",
    requestCount: link?.outstanding ?? 0,
    bytesPerSec: link?.received.rateBytesPerSec(now) ?? 0,
    pieceCount,
    bytes,
  };
}

/** Of somebody who is connected. */
export function memberStanding(
  link: Link,
  { membership }: ExplainPeersDeps,
  { contentId, requests, isComplete, now }: ExplainedTransfer & { readonly now: Millis },
): PeerStanding {
  const { peerId } = link;
  const membershipNow = membership.standingOf(peerId, contentId);
  const isLinked = requests?.links.has(peerId) === true;
  if (membershipNow !== "member" && !isLinked) return reason(membershipNow);
  if (isComplete) return reason("nothingMissing");
  if (requests === undefined || !isLinked) return reason("givesManifest");
  const code = requests.standingOf(link, now);
  const waits = (code === "busy" || code === "stalled") && link.busyUntil < Infinity;
  return reason(code, waits ? { waitMs: link.busyUntil - now } : {});
}

/** Of somebody who is not connected, or is being sent away. */
export function contactOf(
  peer: Peer,
  { settings, peers }: ExplainPeersDeps,
  now: Millis,
): PeerStanding {
  const { conduct, backoff, dialling } = peers.parts;
  const { peerId, state, addresses, lastFailure } = peer;
  const ban = conduct.banOf("peer", peerId);
  if (ban !== undefined) {
    return { ...reason("banned", { waitMs: ban.until - now }), detail: ban.offence };
  }
  if (state.name === "dialling") return reason("dialling");
  const refused = refusedAddress(peer, conduct);
  if (refused !== undefined) {
    return { ...reason("addressBanned", { waitMs: refused.until - now }), detail: refused.offence };
  }
  const dialAt = state.name === "known" ? Math.max(state.dialAt, backoff.openAt(peer)) : now;
  const wait = dialAt > now && dialAt < Infinity ? { waitMs: dialAt - now } : {};
  // Who has failed and is due by now waits for the same things as everybody else.
  if (addresses.length === 0 && lastFailure === undefined) return reason("noAddress");
  if (dialAt > now || addresses.length === 0) {
    const { code = "dialFailed", detail } = lastFailure ?? {};
    return { ...reason(code, wait), ...(detail !== undefined && { detail }) };
  }
  const { connectionsMax, connectionsWanted } = settings;
  const isWorthMore = peer.isStatic || peer.isPreferred;
  const linksMax = isWorthMore ? connectionsMax : Math.min(connectionsWanted, connectionsMax);
  if (peers.links.size + dialling >= linksMax) return reason("connectionsFull");
  return reason(dialling >= settings.dialsMax ? "dialsFull" : "notDialled");
}

/** The ban that keeps all addresses of the peer from being dialled. */
function refusedAddress(
  { addresses, isStatic }: Peer,
  conduct: PeerTableParts["conduct"],
): ReturnType<PeerTableParts["conduct"]["banOf"]> {
  if (isStatic || addresses.length === 0) return undefined;
  let last: ReturnType<typeof conduct.banOf>;
  for (const multiaddr of addresses) {
    const address = addressKeyOf(multiaddr);
    last = address === undefined ? undefined : conduct.banOf("address", address);
    if (last === undefined) return undefined;
  }
  return last;
}

function deliveredBy(
  peerId: PeerId,
  shares: readonly SourceShare[],
): { readonly pieceCount: number; readonly bytes: number } {
  let [pieceCount, bytes] = [0, 0];
  for (const { source, ...share } of shares) {
    if (source.kind !== "peer" || source.peerId !== peerId) continue;
    pieceCount += share.pieceCount;
    bytes += share.bytes;
  }
  return { pieceCount, bytes };
}

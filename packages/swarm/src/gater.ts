/**
 * Who may connect: addresses by the rules, a bounded number of connections per host and per peer,
 * Ed25519 identities only, never ourselves, nobody whom core refuses (R-PEER-05, R-PEER-10,
 * R-PEER-30, R-BAN-05). Asked by libp2p before it spends anything on a connection: of addresses
 * before the handshake, of peers as soon as it has shown who they are.
 *
 * Knows addresses and counts. Does not know scores: bans are decided in core.
 */
import type { ConnectionGater, MultiaddrConnection, PeerId } from "@libp2p/interface";
import { addressKey, LIMITS } from "@shoal/core";
import type { SwarmCommand } from "@shoal/core";
import { hostOf, parsePeerAddress } from "./address-rules.ts";
import type { AddressRules } from "./address-rules.ts";

/** Whom core refuses. Core bounds it. */
export class Refusals {
  readonly #refused = { peer: new Set<string>(), address: new Set<string>() };

  set({ kind, subject, isRefused }: Extract<SwarmCommand, { type: "setRefusal" }>): void {
    if (isRefused) this.#refused[kind].add(subject);
    else this.#refused[kind].delete(subject);
  }

  hasPeer(peerId: string): boolean {
    return this.#refused.peer.has(peerId);
  }

  hasHost(host: string): boolean {
    return this.#refused.address.has(addressKey(host));
  }
}

export interface GaterDeps {
  readonly refusals: Refusals;
  readonly rules: AddressRules;
  readonly isSelf: (peerId: PeerId) => boolean;
  /** Connections that are open with the peer. */
  readonly connectionCount: (peerId: PeerId) => number;
}

/** `connectionsPerHostMax` counts both directions, those under way included. */
export function createGater(
  deps: GaterDeps,
  options: { connectionsPerHostMax: number },
): ConnectionGater {
  const { refusals, rules } = deps;
  const countByHost = new Map<string, number>();

  const admitHost = (connection: MultiaddrConnection): boolean => {
    const host = hostOf(connection.remoteAddr);
    if (host === undefined || !rules.isAllowedHost(host)) return false;
    const count = countByHost.get(host) ?? 0;
    if (count >= options.connectionsPerHostMax) return false;
    countByHost.set(host, count + 1);
    connection.addEventListener("close", () => {
      const left = (countByHost.get(host) ?? 1) - 1;
      if (left === 0) countByHost.delete(host);
      else countByHost.set(host, left);
    });
    return true;
  };
  const isRefusedPeer = (peerId: PeerId): boolean =>
    peerId.type !== "Ed25519" ||
    refusals.hasPeer(peerId.toString()) ||
    deps.isSelf(peerId) ||
    deps.connectionCount(peerId) >= LIMITS.connectionsPerPeerMax;

  return {
    denyDialPeer: isRefusedPeer,
    denyDialMultiaddr: (address) => {
      const parsed = parsePeerAddress(address.toString());
      return parsed === undefined || !rules.isAllowedAddress(parsed);
    },
    // Core dials no address that it refuses, unless the user named it.
    denyInboundConnection: (connection) =>
      refusals.hasHost(hostOf(connection.remoteAddr) ?? "") || !admitHost(connection),
    denyOutboundConnection: (_peerId, connection) => !admitHost(connection),
    denyInboundEncryptedConnection: isRefusedPeer,
    denyOutboundEncryptedConnection: isRefusedPeer,
    // Nothing peers say about addresses is kept: core keeps its own table (R-PEER-18).
    filterMultiaddrForPeer: () => false,
  };
}

/**
 * Finds peers on the local network by multicast DNS. A sighting is a hint that anybody can forge:
 * it is checked, bounded and passed on, and nothing is dialled (R-PEER-29, R-PRIV-04).
 *
 * Wraps libp2p's module instead of handing it to libp2p, whose peer store would keep every forged
 * sighting for hours. Knows addresses; decides nothing about peers.
 */
import { peerDiscoverySymbol } from "@libp2p/interface";
import type { PeerDiscovery, PeerInfo, Startable } from "@libp2p/interface";
import { mdns } from "@libp2p/mdns";
import type { MulticastDNSComponents } from "@libp2p/mdns";
import { LIMITS } from "@shoal/core";
import type { PeerId } from "@shoal/core";
import { parsePeerAddress, parsePeerId } from "./address-rules.ts";
import type { AddressRules } from "./address-rules.ts";

export interface MdnsOptions {
  /** Only agents with the same tag see each other. A filter, not a protection. */
  readonly serviceTag?: string;
  /** UDP port; 5353 unless tests want one of their own. */
  readonly port?: number;
  /** Milliseconds between queries. */
  readonly interval?: number;
}

/** The tag of agents that were told nothing else. */
const DEFAULT_SERVICE_TAG = "_shoal._udp.local";
/** Each member answers each query: 100 members at this interval make 500 answers a second. */
const DEFAULT_QUERY_INTERVAL_MS = 20_000;
/** A known peer's sightings are repeated no faster, so that changed addresses get through. */
const REPEAT_INTERVAL_MS = 5_000;
const MINUTE_MS = 60_000;

/** What libp2p calls to make its discovery modules. */
export type DiscoveryFactory = (components: MulticastDNSComponents) => PeerDiscovery & Startable;

/**
 * Modules for libp2p that report what may be dialled to `onSeen`: one for each of the service tags,
 * which are those of our group; without any, one for the tag in `mdns`.
 */
export function createDiscoveries(
  deps: { rules: AddressRules; onSeen: (peerId: PeerId, addresses: readonly string[]) => void },
  options: { mdns: boolean | MdnsOptions; serviceTags: readonly string[] },
): DiscoveryFactory[] {
  if (options.mdns === false) return [];
  const mdns = options.mdns === true ? {} : options.mdns;
  const filter = new SightingFilter(deps.rules);
  const serviceTags: readonly (string | undefined)[] = options.serviceTags;
  return (serviceTags.length === 0 ? [mdns.serviceTag] : serviceTags).map((serviceTag) =>
    createDiscovery({ filter, onSeen: deps.onSeen }, { ...mdns, serviceTag }),
  );
}

/** A module for libp2p that reports sightings to `onSeen` and none to libp2p. */
function createDiscovery(
  deps: { filter: SightingFilter; onSeen: (peerId: PeerId, addresses: readonly string[]) => void },
  options: Omit<MdnsOptions, "serviceTag"> & { readonly serviceTag: string | undefined },
): DiscoveryFactory {
  return (components) => {
    const module = mdns({
      serviceTag: options.serviceTag ?? DEFAULT_SERVICE_TAG,
      interval: options.interval ?? DEFAULT_QUERY_INTERVAL_MS,
      ...(options.port === undefined ? {} : { port: options.port }),
    })(components) as PeerDiscovery & Startable;
    module.addEventListener("peer", ({ detail }) => {
      const sighting = deps.filter.check(detail, performance.now());
      if (sighting !== undefined) deps.onSeen(sighting.peerId, sighting.addresses);
    });
    return {
      start: () => module.start(),
      stop: () => module.stop(),
      addEventListener: () => {},
      removeEventListener: () => {},
      dispatchEvent: () => true,
      get [peerDiscoverySymbol]() {
        return this;
      },
    } as unknown as PeerDiscovery & Startable;
  };
}

/** What of the sightings is worth an event. Bounded in memory and in events per minute. */
export class SightingFilter {
  readonly #rules: AddressRules;
  /** When each peer was last passed on; the oldest is forgotten first. */
  readonly #seenAt = new Map<PeerId, number>();
  #minuteBeganAt = Number.NEGATIVE_INFINITY;
  #newPeers = 0;

  constructor(rules: AddressRules) {
    this.#rules = rules;
  }

  /** The sighting in our terms, or `undefined` when it is to be dropped. `now` in milliseconds. */
  check(
    info: Pick<PeerInfo, "multiaddrs"> & { readonly id: { toString(): string } },
    now: number,
  ): { peerId: PeerId; addresses: readonly string[] } | undefined {
    const peerId = parsePeerId(info.id.toString());
    if (peerId === undefined || !this.#isDue(peerId, now)) return undefined;
    const addresses: string[] = [];
    for (const candidate of info.multiaddrs) {
      const parsed = parsePeerAddress(candidate.toString());
      if (parsed === undefined || !this.#rules.isAllowedAddress(parsed)) continue;
      addresses.push(parsed.address.toString());
      if (addresses.length === LIMITS.addressesPerPeerMax) break;
    }
    if (addresses.length === 0) return undefined;
    this.#passed(peerId, now);
    return { peerId, addresses };
  }

  #isDue(peerId: PeerId, now: number): boolean {
    const seenAt = this.#seenAt.get(peerId);
    if (seenAt !== undefined) return now - seenAt >= REPEAT_INTERVAL_MS;
    if (now - this.#minuteBeganAt >= MINUTE_MS) {
      this.#minuteBeganAt = now;
      this.#newPeers = 0;
    }
    return this.#newPeers < LIMITS.discoveriesPerMinMax;
  }

  #passed(peerId: PeerId, now: number): void {
    if (!this.#seenAt.delete(peerId)) this.#newPeers++;
    this.#seenAt.set(peerId, now);
    if (this.#seenAt.size <= LIMITS.peersKnownMax) return;
    const [oldest] = this.#seenAt.keys();
    if (oldest !== undefined) this.#seenAt.delete(oldest);
  }
}

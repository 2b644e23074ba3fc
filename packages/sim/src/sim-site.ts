/**
 * Places in the simulated network: a site is a LAN behind one WAN link, which all its agents share
 * in each direction, and perhaps behind a NAT. Agents without a site are on one large LAN, where
 * the origin is, too.
 *
 *   sender          site of the sender     site of the receiver      receiver
 *   ▓▓▓ uplink ────▶ WAN up ──────────────▶ WAN down ───────────────▶ downlink ▓▓▓
 *                    └─ skipped inside one site, and by what comes from the origin ─┘
 *
 * Every link on the way is charged every byte once, in the order in which slices begin, and a slice
 * has arrived when the last of them has passed it: rates are exact, also where several links are
 * full. The delay is that of the fullest link, less than that of a row of queues. What a flow may
 * have inside the network is bounded, as by a TCP window: two slices, then the sender waits.
 *
 * Loss: a packet that TCP sends again is seen by nobody above it, except that the connection is
 * slower. So a lossy path limits the rate of each flow by the formula of Mathis and others (1997),
 * MSS/RTT · √(3/2) / √p. Connections that break do so at instants of their own
 * (`connectionLifeMs` of the network).
 *
 * Knows rates, delays and bytes. Called by the simulated swarm, the simulated origin and scenarios.
 */
import { assert } from "@shoal/core";
import type { Millis } from "@shoal/core";
import { Downlink } from "./fair-link.ts";
import type { Crossing } from "./fair-link.ts";

export interface SiteOptions {
  readonly upRateBytesPerSec: number;
  readonly downRateBytesPerSec: number;
  /** One way, from the LAN to the middle of the WAN. Default 10. */
  readonly latencyMs?: Millis;
  /** Share of packets that the WAN link loses, from 0 up to, not including, 1. Default 0. */
  readonly lossShare?: number;
  /** Nobody outside can dial in, and all agents are seen under one address. Default false. */
  readonly hasNat?: boolean;
}

/** A LAN and its WAN link. */
export class Site {
  readonly name: string;
  readonly hasNat: boolean;
  readonly lossShare: number;
  readonly up: Downlink;
  readonly down: Downlink;
  readonly #latencyMs: Millis;
  readonly #latencies = new Map<Site, Millis>();

  constructor(name: string, options: SiteOptions) {
    this.name = name;
    this.hasNat = options.hasNat ?? false;
    this.lossShare = options.lossShare ?? 0;
    assert(this.lossShare >= 0 && this.lossShare < 1, "some packets arrive");
    this.up = new Downlink(options.upRateBytesPerSec);
    this.down = new Downlink(options.downRateBytesPerSec);
    this.#latencyMs = options.latencyMs ?? 10;
  }

  /** Bytes that have come to the site over its WAN link, or are on it. */
  get receivedBytes(): number {
    return this.down.crossedBytes;
  }

  /** Sets the delay between two sites, one way, in place of the sum of theirs. */
  setLatency(other: Site, latencyMs: Millis): void {
    this.#latencies.set(other, latencyMs);
    other.#latencies.set(this, latencyMs);
  }

  /** One way, to another site; `undefined` stands for the middle of the network. */
  latencyTo(other: Site | undefined): Millis {
    if (other === undefined) return this.#latencyMs;
    return this.#latencies.get(other) ?? this.#latencyMs + other.#latencyMs;
  }
}

/** Where somebody receives. */
export interface Place {
  readonly downlink: Downlink;
  readonly site?: Site | undefined;
}

/** What sites add to a delay, one way. */
export function siteLatencyMs(from: Site | undefined, to: Site | undefined): Millis {
  if (from === to) return 0;
  return from?.latencyTo(to) ?? to?.latencyTo(from) ?? 0;
}

/** What one flow crosses between its sender's uplink and the receiver. */
export function crossingTo(from: Site | undefined, { site, downlink }: Place): Crossing {
  if (from === site) return downlink;
  const links = from === undefined ? [] : [from.up];
  if (site !== undefined) links.push(site.down);
  return new WanCrossing([...links, downlink]);
}

/** What loss on the way lets one flow have at most. */
export function lossyRateBytesPerSec(
  from: Site | undefined,
  to: Site | undefined,
  latencyMs: Millis,
): number {
  if (from === to) return Infinity;
  const arriving = (1 - (from?.lossShare ?? 0)) * (1 - (to?.lossShare ?? 0));
  if (arriving === 1) return Infinity;
  const roundTripMs = Math.max(2 * latencyMs, 1);
  return ((SEGMENT_BYTES * 1_000) / roundTripMs) * Math.sqrt(1.5 / (1 - arriving));
}

/** Payload of a TCP segment in an Ethernet frame, without options. */
const SEGMENT_BYTES = 1_460;

/** One flow's way over WAN links; it remembers what it has on the way. */
class WanCrossing implements Crossing {
  readonly #links: readonly Downlink[];
  #lastArrivesAt: Millis = 0;
  /** When the slice before the last arrives. */
  readyAt: Millis = 0;

  constructor(links: readonly Downlink[]) {
    this.#links = links;
  }

  cross(bytes: number, beginsAt: Millis, endsAt: Millis): Millis {
    let arrivesAt = endsAt;
    for (const link of this.#links) {
      arrivesAt = Math.max(arrivesAt, link.cross(bytes, beginsAt, endsAt));
    }
    this.readyAt = this.#lastArrivesAt;
    this.#lastArrivesAt = arrivesAt;
    return arrivesAt;
  }
}

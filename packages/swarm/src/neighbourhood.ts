/**
 * Puts presence and gossip together: what is published here goes over the links of this swarm, and
 * what comes over them is judged. Knows neither messages nor streams. Owned by the swarm, which
 * tells it of links.
 */
import type { Connection } from "@libp2p/interface";
import type { ContentId, Offence, PeerId, PresenceRole, SwarmEvent } from "@shoal/core";
import type { AddressRules } from "./address-rules.ts";
import { Gossip } from "./gossip.ts";
import { OPEN_PRESENCE } from "./group.ts";
import type { Group } from "./group.ts";
import { Presence } from "./presence.ts";

export interface NeighbourhoodDeps {
  readonly selfId: PeerId;
  /** None: presence is published where everybody can. */
  readonly groups: readonly Group[];
  readonly rules: AddressRules;
  /** Where peers can reach us now. */
  readonly ownAddresses: () => readonly string[];
  readonly emit: (event: SwarmEvent) => void;
  /** Closes the link to a peer, if there is one. */
  readonly disconnect: (peerId: PeerId, reason: string) => void;
}

export class Neighbourhood {
  /** For libp2p, which starts and stops it. */
  readonly gossip: Gossip;
  readonly #deps: NeighbourhoodDeps;
  readonly #presence: Presence;

  constructor(deps: NeighbourhoodDeps) {
    this.#deps = deps;
    const scopes = deps.groups.map(({ presence }) => presence);
    if (scopes.length === 0) scopes.push(OPEN_PRESENCE);
    this.gossip = new Gossip({
      topics: scopes.map(({ topic }) => topic),
      judge: (message, neighbourId) => this.#presence.judge(message, neighbourId),
      listenerFound: () => this.#presence.drain(),
      offended: (peerId, offence, reason) => {
        this.#offended(peerId, offence);
        deps.disconnect(peerId, reason);
      },
    });
    this.#presence = new Presence({
      ...deps,
      scopes,
      offended: (peerId, offence) => this.#offended(peerId, offence),
      hasListeners: (topic) => this.gossip.hasListeners(topic),
      send: (topic, bytes) => this.gossip.publish(topic, bytes),
    });
  }

  publish(contentId: ContentId, role: PresenceRole): void {
    this.#presence.publish(contentId, role);
  }

  /** A peer takes part for as long as its link is open. */
  linkOpened(connection: Connection): void {
    void this.gossip.join(connection);
  }

  linkClosed(peerId: PeerId): void {
    this.gossip.leave(peerId);
  }

  close(): void {
    this.#presence.close();
  }

  #offended(peerId: PeerId, offence: Offence): void {
    this.#deps.emit({ type: "peerOffended", peerId, offence });
  }
}

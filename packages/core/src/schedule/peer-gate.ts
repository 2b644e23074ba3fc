/**
 * How far this agent takes part in peering now, for everybody in the scheduler who has to obey: one
 * decision of `policy/peering.ts`, kept until the machine changes.
 *
 *   machine's facts, settings ──▶ PeerGate ──▶ whom to be connected with, what to offer
 *
 * Knows facts and settings; acts on nobody. Asked by the peer table, transfers and resolvers.
 */
import { decidePeering } from "../policy/peering.ts";
import type { MachineFacts, Peering } from "../policy/peering.ts";
import { DOWNLOAD_MODES } from "../registry/policy-settings.ts";
import type { Settings } from "../registry/settings.ts";

export class PeerGate {
  readonly #settings: Settings;
  readonly #membership: { readonly hasGroupKey: boolean };
  #peering: Peering;

  constructor(settings: Settings, membership: { readonly hasGroupKey: boolean }) {
    this.#settings = settings;
    this.#membership = membership;
    this.#peering = decidePeering(settings, {}, membership);
  }

  get peering(): Peering {
    return this.#peering;
  }

  /** What the machine is like from now on. Returns whether that changes anything. */
  setMachine(facts: MachineFacts): boolean {
    const before = JSON.stringify(this.#peering);
    this.#peering = decidePeering(this.#settings, facts, this.#membership);
    return JSON.stringify(this.#peering) !== before;
  }

  /** Whether a file of this length may have peers; one whose length is unknown may. */
  isLongEnough(length: number | undefined): boolean {
    return length === undefined || length >= this.#settings.peerFileBytesMin;
  }

  /** The mode that a file of this length is fetched in, by Delivery Optimization's number. */
  downloadModeOf(length: number | undefined): number {
    const { downloadMode: mode } = this.#settings;
    const hasPeers = this.#peering.partners !== "none";
    return hasPeers && !this.isLongEnough(length) ? DOWNLOAD_MODES.simple : mode;
  }
}

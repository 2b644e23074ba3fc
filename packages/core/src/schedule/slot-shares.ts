/**
 * Who may fill which share of what one transfer asks of peers, counted in bytes of its budget: the
 * peers of one address at most half (R-SCH-08), all peers on probation together at most half
 * (R-SCH-06). Neither binds where nobody else has anything to give: a lone address is no danger to
 * others, and everybody begins on probation.
 *
 * Knows links and bytes, not pieces. Called by `PeerRequests`.
 */
import type { Settings } from "../registry/settings.ts";
import type { PeerId, RequestId } from "../units.ts";
import { isOnProbation } from "./peer-link.ts";
import type { Link } from "./peer-link.ts";

export interface SlotSharesDeps {
  /** Peers that may be asked. */
  readonly links: ReadonlyMap<PeerId, Link>;
  /** Whether the peer has a piece that is still missing. */
  readonly canGive: (link: Link) => boolean;
}

interface Slot {
  readonly address: string;
  readonly length: number;
  readonly onProbation: boolean;
}

export class SlotShares {
  readonly #deps: SlotSharesDeps;
  readonly #shareBytesMax: number;
  readonly #slots = new Map<RequestId, Slot>();
  readonly #bytesByAddress = new Map<string, number>();
  #probationBytes = 0;

  constructor(deps: SlotSharesDeps, { inFlightBytesMax }: Settings) {
    this.#deps = deps;
    this.#shareBytesMax = inFlightBytesMax / 2;
  }

  /** Whether the peer may be asked for `length` bytes more. Each share has room for one piece. */
  admits(link: Link, length: number): boolean {
    return this.refusal(link, length) === undefined;
  }

  /** Which share is full, of those that the peer counts towards. */
  refusal(link: Link, length: number): "addressShareFull" | "probationShareFull" | undefined {
    const { address } = link;
    if (this.#isFull(this.#bytesByAddress.get(address) ?? 0, length)) {
      if (this.#hasGiver((other) => other.address !== address)) return "addressShareFull";
    }
    if (!isOnProbation(link) || !this.#isFull(this.#probationBytes, length)) return undefined;
    return this.#hasGiver((other) => !isOnProbation(other)) ? "probationShareFull" : undefined;
  }

  asked(requestId: RequestId, link: Link, length: number): void {
    const { address } = link;
    const onProbation = isOnProbation(link);
    this.#slots.set(requestId, { address, length, onProbation });
    this.#count({ address, length, onProbation });
  }

  ended(requestId: RequestId): void {
    const slot = this.#slots.get(requestId);
    if (slot === undefined) return;
    this.#slots.delete(requestId);
    this.#count({ ...slot, length: -slot.length });
  }

  #count({ address, length, onProbation }: Slot): void {
    const bytes = (this.#bytesByAddress.get(address) ?? 0) + length;
    if (bytes === 0) this.#bytesByAddress.delete(address);
    else this.#bytesByAddress.set(address, bytes);
    if (onProbation) this.#probationBytes += length;
  }

  #isFull(usedBytes: number, length: number): boolean {
    return usedBytes > 0 && usedBytes + length > this.#shareBytesMax;
  }

  #hasGiver(condition: (link: Link) => boolean): boolean {
    for (const link of this.#deps.links.values()) {
      if (condition(link) && this.#deps.canGive(link)) return true;
    }
    return false;
  }
}

/**
 * Which addresses of peers may be dialled, and when. Who cannot be reached is left alone for longer
 * each time, by its IP address: whoever announces many ids or ports of one host has it dialled no
 * more often (R-PEER-29). Peers that the user named are dialled where the user said.
 *
 * Knows addresses, not connections. Called by `PeerTable`.
 */
import { LIMITS } from "../registry/limits.ts";
import type { Settings } from "../registry/settings.ts";
import type { Random } from "../random.ts";
import type { Millis } from "../units.ts";
import { addressKeyOf } from "./address-key.ts";
import { backoffMs } from "./pace.ts";

/** A peer as it is seen from here. */
interface Target {
  readonly addresses: readonly string[];
  readonly isStatic: boolean;
}

export interface DialBackoffDeps {
  readonly random: Random;
  readonly settings: Settings;
  /** Until when an address is refused. */
  readonly bannedUntil: (address: string) => Millis | undefined;
}

export class DialBackoff {
  readonly #deps: DialBackoffDeps;
  /** By `addressKey`; the one that failed last comes last. */
  readonly #failed = new Map<string, { readonly count: number; readonly dialAt: Millis }>();

  constructor(deps: DialBackoffDeps) {
    this.#deps = deps;
  }

  /** How long to wait after so many failures in a row. */
  waitMs(failures: number): Millis {
    const { dialBackoffMsMin: min, dialBackoffMsMax: max } = this.#deps.settings;
    return backoffMs(failures, { min, max }, this.#deps.random);
  }

  /** None of the addresses led to the peer. The wait does not grow where others are connected. */
  failed(target: Target, isShared: (address: string) => boolean, now: Millis): void {
    for (const address of new Set(target.addresses.map(addressKeyOf))) {
      if (address === undefined) continue;
      const count = isShared(address) ? 1 : (this.#failed.get(address)?.count ?? 0) + 1;
      this.#failed.delete(address);
      this.#failed.set(address, { count, dialAt: now + this.waitMs(count) });
      if (this.#failed.size <= LIMITS.dialBackoffsMax) continue;
      const [oldest] = this.#failed.keys();
      if (oldest !== undefined) this.#failed.delete(oldest);
    }
  }

  succeeded(address: string): void {
    this.#failed.delete(address);
  }

  /** The addresses that may be dialled. */
  open(target: Target, now: Millis): readonly string[] {
    if (target.isStatic) return target.addresses;
    return target.addresses.filter((multiaddr) => this.#openAt(multiaddr) <= now);
  }

  /** When one of the addresses may be dialled; `-Infinity`: whenever one likes. */
  openAt(target: Target): Millis {
    if (target.isStatic) return -Infinity;
    return Math.min(...target.addresses.map((multiaddr) => this.#openAt(multiaddr)));
  }

  #openAt(multiaddr: string): Millis {
    const address = addressKeyOf(multiaddr);
    if (address === undefined) return -Infinity;
    const bannedUntil = this.#deps.bannedUntil(address) ?? -Infinity;
    return Math.max(bannedUntil, this.#failed.get(address)?.dialAt ?? -Infinity);
  }
}

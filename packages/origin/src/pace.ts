/**
 * The pace of transfers, as core has set it (`setPace`): all requests of a transfer together read no
 * faster. Reading stops when the transfer's tokens are spent and goes on when some have come; the
 * request that has read last then comes last, so that the connections take turns.
 *
 * Knows bytes and times, not what is read. Called by `origin.ts` and `request.ts`.
 */
import { TokenBucket } from "@shoal/core";
import type { OriginCommand, TransferId } from "@shoal/core";

/** A request that is told when it may or may not read. */
export interface PacedReader {
  applyFlow(): void;
}

/** Of one transfer. */
export class Pace {
  readonly #readers = new Set<PacedReader>();
  readonly #onIdle: () => void;
  #bucket: TokenBucket | undefined;
  #timer: NodeJS.Timeout | undefined;

  /** `onIdle` is called when it has neither a limit nor readers any more. */
  constructor(onIdle: () => void) {
    this.#onIdle = onIdle;
  }

  get isOpen(): boolean {
    return this.#timer === undefined;
  }

  join(reader: PacedReader): void {
    this.#readers.add(reader);
  }

  leave(reader: PacedReader): void {
    this.#readers.delete(reader);
    if (this.#readers.size > 0) return;
    this.#open();
    if (this.#bucket === undefined) this.#onIdle();
  }

  /** `0` is no limit. */
  setRate(rateBytesPerSec: number): void {
    const now = performance.now();
    if (rateBytesPerSec === 0) this.#bucket = undefined;
    else if (this.#bucket === undefined) this.#bucket = new TokenBucket(rateBytesPerSec, now);
    else this.#bucket.setRate(rateBytesPerSec, now);
    if (!this.isOpen) this.#wait();
    else if (rateBytesPerSec === 0 && this.#readers.size === 0) this.#onIdle();
  }

  /** `reader` has read so much. */
  spend(reader: PacedReader, bytes: number): void {
    if (this.#bucket === undefined) return;
    const now = performance.now();
    this.#bucket.spend(bytes, now);
    this.#readers.delete(reader);
    this.#readers.add(reader);
    if (!this.isOpen || this.#bucket.canSpend(now)) return;
    this.#wait();
    for (const each of this.#readers) each.applyFlow();
  }

  /** Waits until there are tokens, and then has everybody read. */
  #wait(): void {
    clearTimeout(this.#timer);
    const now = performance.now();
    const waitMs = (this.#bucket?.readyAt(now) ?? now) - now;
    this.#timer = setTimeout(() => this.#open(), Math.min(waitMs, WAIT_MS_MAX));
  }

  #open(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#readers.size > 0 && this.#bucket?.canSpend(performance.now()) === false) {
      this.#wait();
      return;
    }
    // Whoever reads at once goes to the end.
    const inTurn = [...this.#readers];
    for (const each of inTurn) each.applyFlow();
  }
}

type SetPace = Extract<OriginCommand, { type: "setPace" }>;

/** A wait is looked at again this often: Node's timers have a largest number. */
const WAIT_MS_MAX = 60_000;

/** The paces of all transfers that have one or are asking. */
export class Paces {
  readonly #paces = new Map<TransferId, Pace>();

  setRate({ transferId, rateBytesPerSec }: SetPace): void {
    this.of(transferId).setRate(rateBytesPerSec);
  }

  of(transferId: TransferId): Pace {
    const pace = this.#paces.get(transferId) ?? new Pace(() => void this.#paces.delete(transferId));
    this.#paces.set(transferId, pace);
    return pace;
  }
}

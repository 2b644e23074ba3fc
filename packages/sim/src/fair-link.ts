/**
 * The model of a network link. A piece crosses two links, its sender's uplink and its receiver's
 * downlink, and then takes the latency of the path. Between sites there are more (`sim-site.ts`).
 *
 *   uplink     one slice at a time, flows in turn, so n active flows get 1/n each
 *                 │ a: ▓▓  ▓▓  ▓▓      a slice of flow a, then one of b, then a again
 *                 │ b:   ▓▓  ▓▓
 *   downlink   takes slices in the order in which they were begun, at its own rate; a slice has
 *              arrived when both links have passed its last byte (cut-through, no double wait)
 *
 * Both links conserve work. Bytes that a busy downlink cannot take yet wait in the network and do
 * not hold up the sender, which is true of TCP only up to its window; the receiver's own bound on
 * bytes in flight limits how far the two differ.
 *
 * Knows rates and times. Knows neither pieces nor peers. Called by the simulated origin server and
 * the simulated swarm.
 *
 * Cost: one wake-up per slice.
 */
import { assert } from "@shoal/core";
import type { Millis } from "@shoal/core";
import type { VirtualClock } from "./virtual-clock.ts";

/** What slices cross after the sender's link. */
export interface Crossing {
  /** Before this instant it takes nothing more of the flow. */
  readonly readyAt: Millis;
  /** When the last of `bytes` that leave the sender from `beginsAt` to `endsAt` has been taken. */
  cross(bytes: number, beginsAt: Millis, endsAt: Millis): Millis;
}

/** What a link sends: filled by an upload or an origin's answer. */
export interface Flow {
  readonly downlink: Crossing;
  /** What this flow may take of the link at most; `Infinity` for no limit of its own. */
  readonly rateBytesPerSecMax: number;
  /** Length of the next slice, from 1 to `sliceBytesMax`. */
  nextSliceBytes(sliceBytesMax: number): number;
  /** A slice has left whole; the last of it arrives at `arrivesAt`. Returns whether more follows. */
  sliceSent(bytes: number, arrivesAt: Millis): boolean;
}

/** A receiver's link, or another that takes slices in the order in which they were begun. */
export class Downlink implements Crossing {
  readonly readyAt = 0;
  readonly #rateBytesPerMs: number;
  #freeAt: Millis = 0;
  #crossedBytes = 0;

  constructor(rateBytesPerSec: number) {
    assert(rateBytesPerSec > 0, "a link has a rate above zero");
    this.#rateBytesPerMs = rateBytesPerSec / 1_000;
  }

  /** Bytes that it has taken, or will. */
  get crossedBytes(): number {
    return this.#crossedBytes;
  }

  cross(bytes: number, beginsAt: Millis, endsAt: Millis): Millis {
    this.#crossedBytes += bytes;
    this.#freeAt = Math.max(this.#freeAt, beginsAt) + bytes / this.#rateBytesPerMs;
    return Math.max(endsAt, this.#freeAt);
  }
}

/** What a flow with a rate of its own sends at a time, in seconds of that rate. */
const PACED_SLICE_SEC = 0.1;
const CATCH_UP_MS_MAX = 500;

/** A sender's link. */
export class FairLink {
  readonly #clock: VirtualClock;
  readonly #sliceBytesMax: number;
  #rateBytesPerMs: number;
  /** Flows whose turn has not come, in order. */
  readonly #waiting: Flow[] = [];
  /** Flows with a rate of their own or a full window: not to be served before. */
  readonly #eligibleAt = new Map<Flow, Millis>();
  #state: State = { name: "idle" };
  #sentBytes = 0;

  constructor(
    deps: { readonly clock: VirtualClock },
    options: { readonly rateBytesPerSec: number; readonly sliceBytesMax: number },
  ) {
    assert(options.rateBytesPerSec > 0, "a link has a rate above zero");
    assert(options.sliceBytesMax >= 1, "a slice has at least one byte");
    this.#clock = deps.clock;
    this.#rateBytesPerMs = options.rateBytesPerSec / 1_000;
    this.#sliceBytesMax = options.sliceBytesMax;
  }

  /** Bytes that have left, including those of slices that were cut short. */
  get sentBytes(): number {
    return this.#sentBytes;
  }

  /** Of slices that begin from now on. */
  setRate(rateBytesPerSec: number): void {
    assert(rateBytesPerSec > 0, "a link has a rate above zero");
    this.#rateBytesPerMs = rateBytesPerSec / 1_000;
  }

  /** Lets a flow take part, at the end of the queue. It must not take part already. */
  add(flow: Flow): void {
    this.#waiting.push(flow);
    this.#serve();
  }

  /**
   * Takes a flow out, in the middle of a slice if need be; the link is free for others at once.
   * Returns how many bytes of the slice in service had left, which is never all of it.
   */
  remove(flow: Flow): number {
    this.#eligibleAt.delete(flow);
    const state = this.#state;
    if (state.name !== "sending" || state.flow !== flow) {
      const index = this.#waiting.indexOf(flow);
      if (index >= 0) this.#waiting.splice(index, 1);
      return 0;
    }
    state.cancel();
    const elapsedMs = this.#clock.now() - state.beganAt;
    const sent = Math.min(state.bytes - 1, Math.floor(elapsedMs * this.#rateBytesPerMs));
    this.#sentBytes += sent;
    this.#state = { name: "idle" };
    this.#serve();
    return sent;
  }

  /** idle/resting -> sending (a flow may send), resting (all must wait) or idle. */
  #serve(): void {
    if (this.#state.name === "sending") return;
    if (this.#state.name === "resting") this.#state.cancel();
    this.#state = { name: "idle" };
    const now = this.#clock.now();
    const index = this.#nextIndex(now);
    if (index < 0) return;
    const flow = this.#waiting[index]!;
    const eligibleAt = this.#eligibleAt.get(flow) ?? now;
    if (eligibleAt > now) {
      const cancel = this.#clock.schedule(eligibleAt, () => this.#serve());
      this.#state = { name: "resting", cancel };
      return;
    }
    this.#waiting.splice(index, 1);
    this.#send(flow, now);
  }

  #send(flow: Flow, now: Millis): void {
    // A slice goes at the link's rate; one of a flow that is slower must be short to be slow.
    const pacedBytes = Math.max(1, Math.floor(flow.rateBytesPerSecMax * PACED_SLICE_SEC));
    const bytesMax = Math.min(this.#sliceBytesMax, pacedBytes);
    const bytes = flow.nextSliceBytes(bytesMax);
    assert(bytes >= 1 && bytes <= bytesMax, "a slice is within its bounds");
    const endsAt = now + bytes / this.#rateBytesPerMs;
    const arrivesAt = flow.downlink.cross(bytes, now, endsAt);
    const paceMs = (bytes * 1_000) / flow.rateBytesPerSecMax;
    // What it lost by waiting for others' slices it may catch up on.
    const dueAt = Math.max(this.#eligibleAt.get(flow) ?? now, now - CATCH_UP_MS_MAX);
    const eligibleAt = Math.max(dueAt + paceMs, flow.downlink.readyAt);
    if (eligibleAt > now || paceMs > 0) this.#eligibleAt.set(flow, eligibleAt);
    else this.#eligibleAt.delete(flow);
    const cancel = this.#clock.schedule(endsAt, () => {
      this.#sentBytes += bytes;
      this.#state = { name: "idle" };
      if (flow.sliceSent(bytes, arrivesAt)) this.#waiting.push(flow);
      else this.#eligibleAt.delete(flow);
      this.#serve();
    });
    this.#state = { name: "sending", flow, bytes, beganAt: now, cancel };
  }

  /** The first flow that may send now; if none may, the one that may soonest; -1 if there is none. */
  #nextIndex(now: Millis): number {
    let best = -1;
    let soonest = Infinity;
    for (let i = 0; i < this.#waiting.length; i++) {
      const eligibleAt = this.#eligibleAt.get(this.#waiting[i]!) ?? now;
      if (eligibleAt <= now) return i;
      if (eligibleAt < soonest) {
        soonest = eligibleAt;
        best = i;
      }
    }
    return best;
  }
}

type State =
  | { readonly name: "idle" }
  /** Flows wait, but each has used up its own rate for now. */
  | { readonly name: "resting"; readonly cancel: () => void }
  | {
      readonly name: "sending";
      readonly flow: Flow;
      readonly bytes: number;
      readonly beganAt: Millis;
      readonly cancel: () => void;
    };

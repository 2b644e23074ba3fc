/**
 * What a port is: an interface core owns, and an adapter fulfils with real or simulated I/O.
 *
 * The engine calls `execute` with one command at a time; the adapter answers with events through
 * the sink it was given, in its own time but never from inside `execute` in a way that depends on
 * being re-entered: the engine queues events and handles them in order. Adapters never decide: a
 * failure is an event, and the wait before the next try is a deadline in core.
 *
 * Payload bytes travel beside commands and events, never in them. `Payload` is whatever the
 * adapters of one agent agree on: `PieceBytes` in production, a length in simulations. Passing a
 * payload hands over its ownership.
 */
import type { SchedulerEvent } from "./events.ts";

export type EventSink<Payload> = (event: SchedulerEvent, payload?: Payload) => void;

export interface Port<Command, Payload> {
  /** Begins to work on a command. Never throws on bad luck; that is an event. */
  execute(command: Command, payload?: Payload): void;
  /** Stops all work, releases every resource and emits nothing more. Idempotent. */
  close(): Promise<void>;
}

/**
 * One piece's bytes in a buffer of their own. `bytes` covers exactly the piece. `release` gives the
 * buffer back to its pool; whoever owns the payload calls it once and touches it no more.
 */
export interface PieceBytes {
  readonly bytes: Uint8Array;
  release(): void;
}

/** Bytes of the payload; what simulated and real payloads have in common. */
export interface PayloadOps<Payload> {
  byteLength(payload: Payload): number;
  release(payload: Payload): void;
}

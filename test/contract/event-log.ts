/**
 * What a port under test has said, in order, and how to wait for more: by running virtual time, or
 * by waiting for the real thing. Payloads stay with the log until the test takes them, so that at
 * the end it can be shown that none is lost.
 *
 * Called by the contract suites.
 */
import { EventEmitter, once } from "node:events";
import type { EventSink, SchedulerEvent } from "@shoal/core";

/** Longest wait for one event, in real time. */
export const EVENT_TIMEOUT_MS = 20_000;

type TypeOf<Event extends SchedulerEvent> = Event["type"];
type OfType<Event extends SchedulerEvent, Type extends TypeOf<Event>> = Extract<
  Event,
  { type: Type }
>;

/** Virtual time; `step` returns false when nothing is left to happen. */
interface Steps {
  step(): boolean;
}

export class EventLog<Event extends SchedulerEvent, Payload> {
  readonly events: Event[] = [];
  readonly #payloads = new Map<Event, Payload>();
  readonly #news = new EventEmitter();
  readonly #clock: Steps | undefined;

  /** Without a clock, events come by themselves. */
  constructor(clock?: Steps) {
    this.#clock = clock;
  }

  /** Where the port delivers. */
  readonly sink: EventSink<Payload> = (event, payload) => {
    this.events.push(event as Event);
    if (payload !== undefined) this.#payloads.set(event as Event, payload);
    this.#news.emit("event");
  };

  all<Type extends TypeOf<Event>>(type: Type): Array<OfType<Event, Type>> {
    return this.events.filter((event): event is OfType<Event, Type> => event.type === type);
  }

  /** Events about one request, in order. */
  about(requestId: number): Event[] {
    return this.events.filter((event) => "requestId" in event && event.requestId === requestId);
  }

  /** The `nth` event (from 1) of a type that matches, waiting for it if need be. */
  async until<Type extends TypeOf<Event>>(
    type: Type,
    matches: Partial<OfType<Event, Type>> = {},
    nth = 1,
  ): Promise<OfType<Event, Type>> {
    const signal = AbortSignal.timeout(EVENT_TIMEOUT_MS);
    for (;;) {
      const found = this.all(type).filter((event) => isLike(event, matches))[nth - 1];
      if (found !== undefined) return found;
      if (await this.#next(signal)) continue;
      const seen = this.events.map((event) => event.type).join(", ");
      throw new Error(`no ${type} ${JSON.stringify(matches)} among: ${seen}`);
    }
  }

  /** Hands over the payload that came with an event. */
  take(event: Event): Payload {
    const payload = this.#payloads.get(event);
    if (payload === undefined) throw new Error(`no payload with ${event.type}`);
    this.#payloads.delete(event);
    return payload;
  }

  /** Hands over every payload nobody has taken. */
  takeAll(): Payload[] {
    const payloads = [...this.#payloads.values()];
    this.#payloads.clear();
    return payloads;
  }

  /** Waits for the next event; false when none will come, or none has in time. */
  async #next(signal: AbortSignal): Promise<boolean> {
    if (this.#clock !== undefined) return this.#clock.step();
    try {
      await once(this.#news, "event", { signal });
      return true;
    } catch (error) {
      if (signal.aborted) return false;
      throw error;
    }
  }
}

function isLike(event: object, matches: object): boolean {
  return Object.entries(matches).every(
    ([name, value]) => (event as Record<string, unknown>)[name] === value,
  );
}

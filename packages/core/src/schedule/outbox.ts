/**
 * The scheduler's outputs: commands for ports and notices for watchers, in the order they arose.
 * Every machine inside the scheduler writes here; only the scheduler's `poll` methods read.
 */
import type { EngineCommand, SchedulerCommand } from "../ports/events.ts";
import type { OriginCommand } from "../ports/origin-port.ts";
import type { StoreCommand } from "../ports/store-port.ts";
import type { SwarmCommand } from "../ports/swarm-port.ts";
import type { BufferId, RequestId } from "../units.ts";
import type { Notice } from "./notice.ts";

export class Outbox {
  readonly #commands = new Fifo<SchedulerCommand>();
  readonly #notices = new Fifo<Notice>();
  #lastRequestId = 0;

  /** A number no other request of this run has. */
  nextRequestId(): RequestId {
    return ++this.#lastRequestId;
  }

  store(command: StoreCommand): void {
    this.#commands.push({ port: "store", command });
  }

  origin(command: OriginCommand): void {
    this.#commands.push({ port: "origin", command });
  }

  swarm(command: SwarmCommand): void {
    this.#commands.push({ port: "swarm", command });
  }

  /** For bytes that leave by the engine. */
  deliver(command: EngineCommand): void {
    this.#commands.push({ port: "engine", command });
  }

  release(bufferId: BufferId): void {
    this.#commands.push({ port: "engine", command: { type: "releaseBuffer", bufferId } });
  }

  notice(notice: Notice): void {
    this.#notices.push(notice);
  }

  pollCommand(): SchedulerCommand | undefined {
    return this.#commands.shift();
  }

  pollNotice(): Notice | undefined {
    return this.#notices.shift();
  }
}

/** A queue whose `shift` costs the same however long it is. */
class Fifo<T> {
  #items: T[] = [];
  #first = 0;

  push(item: T): void {
    this.#items.push(item);
  }

  shift(): T | undefined {
    if (this.#first === this.#items.length) return undefined;
    const item = this.#items[this.#first];
    this.#first++;
    if (this.#first === this.#items.length) {
      this.#items = [];
      this.#first = 0;
    }
    return item;
  }
}

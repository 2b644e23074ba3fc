/**
 * The loop: takes an event, lets the scheduler handle it, drains commands to ports and notices to
 * watchers, and keeps one timer armed for the scheduler's next deadline. The only caller of the
 * scheduler's `handle`, `pollCommand`, `pollNotice`, `pollDeadline` and `handleTimeout`, in
 * production and in simulation.
 *
 * Events that arrive while one is handled wait in order. Payload bytes stay here, in a table by
 * `BufferId`, between the port that delivered them and the port they go to.
 */
import { assert, LIMITS, NO_BUFFER, unreachable } from "@shoal/core";
import type {
  BufferId,
  ErrorInfo,
  EventSink,
  JobId,
  Millis,
  Notice,
  OriginCommand,
  PayloadOps,
  Port,
  Scheduler,
  SchedulerCommand,
  SchedulerEvent,
  StoreCommand,
  SwarmCommand,
} from "@shoal/core";
import type { Clock } from "./clock.ts";

export interface EnginePorts<Payload> {
  readonly store: Port<StoreCommand, Payload>;
  readonly origin: Port<OriginCommand, Payload>;
  readonly swarm: Port<SwarmCommand, Payload>;
}

export interface EngineDeps<Payload> {
  readonly scheduler: Scheduler;
  readonly clock: Clock;
  readonly payloads: PayloadOps<Payload>;
  /** Sees every event before it is handled; for traces. */
  readonly onEvent?: (event: SchedulerEvent, now: Millis) => void;
}

/** Turns of `handleTimeout` at one instant after which the scheduler is taken to be spinning. */
const IDLE_TURNS_MAX = 10_000;

export class Engine<Payload> {
  /** Adapters deliver their events here, from their creation on. */
  readonly sink: EventSink<Payload>;
  readonly #scheduler: Scheduler;
  readonly #clock: Clock;
  readonly #payloads: PayloadOps<Payload>;
  readonly #onEvent: ((event: SchedulerEvent, now: Millis) => void) | undefined;
  readonly #held = new Map<BufferId, Payload>();
  readonly #sinks = new Map<string, (payload: Payload) => void>();
  readonly #listeners = new Set<(notice: Notice) => void>();
  #ports: EnginePorts<Payload> | undefined;
  #queue: SchedulerEvent[] = [];
  #lastBufferId: BufferId = NO_BUFFER;
  #isRunning = false;
  #isClosed = false;
  #armedFor: Millis = Infinity;
  #disarm: (() => void) | undefined;
  #idleTurns = 0;
  #lastTurnAt: Millis = -1;

  constructor({ scheduler, clock, payloads, onEvent }: EngineDeps<Payload>) {
    this.#scheduler = scheduler;
    this.#clock = clock;
    this.#payloads = payloads;
    this.#onEvent = onEvent;
    this.sink = (event, payload) => this.#enqueue(event, payload);
  }

  /** Connects the ports and loads the stored state. Events that came before are handled first. */
  start(ports: EnginePorts<Payload>): void {
    assert(this.#ports === undefined, "an engine starts once");
    this.#ports = ports;
    this.#tellTime();
    this.#scheduler.start();
    this.#run();
  }

  /** Runs a verb on the scheduler, at once and in order with events; returns its result. */
  act<Result>(verb: (scheduler: Scheduler, now: Millis) => Result): Result {
    const result = verb(this.#scheduler, this.#tellTime());
    this.#run();
    return result;
  }

  /** Calls `listener` with every notice, in order, until the returned function is called. */
  onNotice(listener: (notice: Notice) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /**
   * Gives the pieces of a job's file to `deliver`, in order from the first, each after `sinkTaken`
   * was said about the one before. `deliver` owns what it is given. Refused with ERR_JOB_NOT_FOUND,
   * ERR_JOB_STATE or ERR_SINK_TAKEN. The returned function ends it.
   */
  attachSink(
    jobId: JobId,
    fileIndex: number,
    deliver: (payload: Payload) => void,
  ): (() => void) | ErrorInfo {
    const key = `${jobId} ${fileIndex}`;
    // Known before it can be given anything, and put back where it is refused.
    const before = this.#sinks.get(key);
    this.#sinks.set(key, deliver);
    const refusal = this.act((scheduler, now) => scheduler.attachSink(jobId, fileIndex, now));
    if (refusal === undefined) {
      return () => {
        if (this.#sinks.get(key) === deliver) this.#sinks.delete(key);
      };
    }
    if (before === undefined) this.#sinks.delete(key);
    else this.#sinks.set(key, before);
    return refusal;
  }

  /** Payloads held between ports; 0 when nothing is under way. */
  get heldPayloads(): number {
    return this.#held.size;
  }

  /** Stops the timer, closes the ports and gives back every payload. Idempotent. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#disarm?.();
    const ports = this.#ports;
    if (ports !== undefined) {
      // Sources first, so that the store is closed last and has everything that came.
      await Promise.allSettled([ports.swarm.close(), ports.origin.close()]);
      await ports.store.close();
    }
    for (const payload of this.#held.values()) this.#payloads.release(payload);
    this.#held.clear();
    this.#queue = [];
  }

  #enqueue(event: SchedulerEvent, payload: Payload | undefined): void {
    if (this.#isClosed) {
      if (payload !== undefined) this.#payloads.release(payload);
      return;
    }
    if (payload === undefined) return this.#take(event);
    const bufferId = ++this.#lastBufferId;
    this.#held.set(bufferId, payload);
    const withBuffer = { ...event, bufferId };
    this.#take(withBuffer);
  }

  /** An event that comes while none is handled needs no place in the queue. */
  #take(event: SchedulerEvent): void {
    const isIdle = !this.#isRunning && this.#ports !== undefined && this.#queue.length === 0;
    if (isIdle) return this.#run(event);
    assert(this.#queue.length < LIMITS.loopQueueMax, "the event queue is bounded");
    this.#queue.push(event);
    this.#run();
  }

  #run(first?: SchedulerEvent): void {
    if (this.#isRunning || this.#ports === undefined || this.#isClosed) return;
    this.#isRunning = true;
    // Something has been done to the scheduler before; of events it says so itself.
    let isMoved = first === undefined;
    try {
      if (first === undefined) this.#drain(this.#ports);
      else if (this.#handle(first, this.#ports)) isMoved = true;
      while (this.#queue.length > 0) {
        const batch = this.#queue;
        this.#queue = [];
        for (const event of batch) if (this.#handle(event, this.#ports)) isMoved = true;
      }
    } finally {
      this.#isRunning = false;
    }
    if (isMoved) this.#arm();
  }

  /** Returns whether anything came of the event. */
  #handle(event: SchedulerEvent, ports: EnginePorts<Payload>): boolean {
    const now = this.#clock.now();
    this.#onEvent?.(event, now);
    if (!this.#scheduler.handle(event, now)) return false;
    this.#drain(ports);
    return true;
  }

  /** Commands first, then one notice, whose listeners may act and so cause more of both. */
  #drain(ports: EnginePorts<Payload>): void {
    for (;;) {
      const command = this.#scheduler.pollCommand();
      if (command !== undefined) {
        this.#execute(ports, command);
        continue;
      }
      const notice = this.#scheduler.pollNotice();
      if (notice === undefined) return;
      for (const listener of this.#listeners) listener(notice);
    }
  }

  #execute(ports: EnginePorts<Payload>, { port, command }: SchedulerCommand): void {
    switch (port) {
      case "store":
        ports.store.execute(command, this.#payloadOf(command));
        return;
      case "origin":
        ports.origin.execute(command);
        return;
      case "swarm":
        ports.swarm.execute(command, this.#payloadOf(command));
        return;
      case "engine": {
        const payload = this.#payloadOf(command);
        if (payload === undefined) return;
        if (command.type === "deliverPiece") this.#deliver(command, payload);
        else this.#payloads.release(payload);
        return;
      }
      default:
        unreachable(port);
    }
  }

  /** A stream's owner may have gone without a word. */
  #deliver({ jobId, fileIndex }: { jobId: JobId; fileIndex: number }, payload: Payload): void {
    const deliver = this.#sinks.get(`${jobId} ${fileIndex}`);
    if (deliver !== undefined) {
      deliver(payload);
      return;
    }
    this.#payloads.release(payload);
    this.#scheduler.sinkFailed(jobId, fileIndex, "nobody reads it", this.#clock.now());
  }

  /** Returns the monotonic time, having told the scheduler which wall time goes with it. */
  #tellTime(): Millis {
    const now = this.#clock.now();
    this.#scheduler.tellWallTime(this.#clock.wallNow(), now, this.#clock.utcOffsetMs?.());
    return now;
  }

  /** The payload a command speaks of, which leaves the table. */
  #payloadOf(command: SchedulerCommand["command"]): Payload | undefined {
    if (!("bufferId" in command)) return undefined;
    const payload = this.#held.get(command.bufferId);
    this.#held.delete(command.bufferId);
    return payload;
  }

  #arm(): void {
    const deadline = this.#scheduler.pollDeadline();
    if (deadline === this.#armedFor && this.#disarm !== undefined) return;
    this.#disarm?.();
    this.#disarm = undefined;
    this.#armedFor = deadline;
    if (deadline === Infinity || this.#isClosed) return;
    this.#disarm = this.#clock.schedule(deadline, () => this.#wake());
  }

  #wake(): void {
    this.#disarm = undefined;
    if (this.#isClosed) return;
    const now = this.#tellTime();
    this.#idleTurns = now === this.#lastTurnAt ? this.#idleTurns + 1 : 0;
    this.#lastTurnAt = now;
    assert(this.#idleTurns < IDLE_TURNS_MAX, "deadlines must pass once they are handled");
    this.#scheduler.handleTimeout(now);
    this.#run();
  }
}

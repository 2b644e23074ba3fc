/**
 * Runs verbs on the scheduler and waits until their effects are durable. A ticket may settle while
 * the verb itself runs, so it is noted from inside the verb, before any notice about it can come.
 *
 * Bounded by the jobs there are: a job has one verb under way at a time, and the store answers all.
 */
import { ShoalError } from "@shoal/core";
import type { Millis, Notice, Scheduler, VerbResult } from "@shoal/core";
import type { JobHost } from "./job-host.ts";

export class VerbTickets {
  readonly #host: JobHost;
  readonly #waiting = new Map<number, PromiseWithResolvers<void>>();
  #closedWith: ShoalError | undefined;

  constructor(host: JobHost) {
    this.#host = host;
  }

  /** Resolves when the verb's effect is durable; rejects with the error it is refused with. */
  run(verb: (scheduler: Scheduler, now: Millis) => VerbResult): Promise<void> {
    if (this.#closedWith !== undefined) return Promise.reject(this.#closedWith);
    return this.#host.act((scheduler, now) => {
      const result = verb(scheduler, now);
      if (!result.ok) return Promise.reject(ShoalError.from(result.error));
      const waiter = Promise.withResolvers<void>();
      this.#waiting.set(result.ticket, waiter);
      return waiter.promise;
    });
  }

  take({ ticket, error }: Extract<Notice, { type: "ticketSettled" }>): void {
    const waiter = this.#waiting.get(ticket);
    this.#waiting.delete(ticket);
    if (error === undefined) waiter?.resolve();
    else waiter?.reject(ShoalError.from(error));
  }

  /** Rejects everything that still waits. */
  close(error: ShoalError): void {
    this.#closedWith ??= error;
    for (const waiter of this.#waiting.values()) waiter.reject(error);
    this.#waiting.clear();
  }
}

/** `promise`, or the signal's reason as soon as it is aborted; what was begun goes on. */
export function orAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return promise;
  const { promise: settled, resolve, reject } = Promise.withResolvers<T>();
  const onAbort = (): void => reject(signal.reason as Error);
  if (signal.aborted) onAbort();
  signal.addEventListener("abort", onAbort, { once: true });
  promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort));
  return settled;
}

/**
 * Runs verbs on the scheduler and waits until their effects are durable. A ticket may settle while
 * the verb itself runs, so it is noted from inside the verb, before any notice about it can come.
 *
 * Bounded by the verbs under way; the store answers all of them.
 */
import { ShoalError } from "@shoal/core";
import type { JobId, Millis, Notice, Scheduler, VerbOutcome, VerbResult } from "@shoal/core";
import type { JobHost } from "./job-host.ts";

/** What a verb came to. */
export interface SettledVerb {
  readonly jobId: JobId;
  readonly outcome: VerbOutcome;
}

const PLAIN_OUTCOME: VerbOutcome = { isPartial: false, undeletedCount: 0 };

export class VerbTickets {
  readonly #host: JobHost;
  readonly #waiting = new Map<number, PromiseWithResolvers<VerbOutcome>>();
  #closedWith: ShoalError | undefined;

  constructor(host: JobHost) {
    this.#host = host;
  }

  /** Resolves when the verb's effect is durable; rejects with the error it is refused with. */
  async run(verb: (scheduler: Scheduler, now: Millis) => VerbResult): Promise<SettledVerb> {
    if (this.#closedWith !== undefined) throw this.#closedWith;
    const begun = this.#host.act((scheduler, now) => {
      const result = verb(scheduler, now);
      if (!result.ok) throw ShoalError.from(result.error);
      const waiter = Promise.withResolvers<VerbOutcome>();
      this.#waiting.set(result.ticket, waiter);
      return { jobId: result.jobId, settled: waiter.promise };
    });
    return { jobId: begun.jobId, outcome: await begun.settled };
  }

  take({ ticket, error, outcome }: Extract<Notice, { type: "ticketSettled" }>): void {
    const waiter = this.#waiting.get(ticket);
    this.#waiting.delete(ticket);
    if (error === undefined) waiter?.resolve(outcome ?? PLAIN_OUTCOME);
    else waiter?.reject(ShoalError.from(error));
  }

  /** Rejects everything that still waits. */
  close(error: ShoalError): void {
    this.#closedWith ??= error;
    for (const waiter of this.#waiting.values()) waiter.reject(error);
    this.#waiting.clear();
  }
}

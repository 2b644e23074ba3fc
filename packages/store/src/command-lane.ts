/**
 * Runs the steps of one transfer one after the other. A step that needs no waiting runs at once,
 * inside `run`, when nothing is before it; so pieces of an idle lane cost no microtask.
 *
 * Bounded by the store's limit of outstanding commands (`LIMITS.storeCommandsMax`).
 */
export type Step = () => void | Promise<void>;

export class CommandLane {
  readonly #waiting: Array<{ readonly step: Step; readonly done: () => void }> = [];
  #busy = false;

  /** Resolves after the step has run. Steps handle their own failures. */
  run(step: Step): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.push({ step, done: resolve });
    this.#advance();
    return promise;
  }

  #advance(): void {
    while (!this.#busy) {
      const next = this.#waiting.shift();
      if (next === undefined) return;
      const result = next.step();
      if (result === undefined) {
        next.done();
        continue;
      }
      this.#busy = true;
      void result.finally(() => {
        this.#busy = false;
        next.done();
        this.#advance();
      });
    }
  }
}

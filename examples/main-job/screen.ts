/** Where progress is shown: a live part on a terminal, a line now and then in a pipe. */
import { createLogUpdate } from "log-update";
import type { AgentProgress } from "./delivery.ts";
import { renderProgress, renderProgressLine } from "./render-delivery.ts";

/** Writes to stderr alone; stdout is for the result. */
export class Screen {
  readonly #isLive = process.stderr.isTTY;
  readonly #live = createLogUpdate(process.stderr);
  readonly #intervalMs = this.#isLive ? 200 : 2_000;
  #latest: readonly AgentProgress[] = [];
  #startedAt: number | undefined;
  #shownAt = 0;

  introduce(agentCount: number): void {
    process.stderr.write(
      `Shoal delivers one file from an HTTP origin to ${agentCount} agents that start at once, ` +
        `each a process with empty state.\n` +
        `They fetch each piece from the origin about once, pass it on over libp2p, and verify ` +
        `every byte.\n\n`,
    );
  }

  step(text: string): void {
    this.end();
    process.stderr.write(`${text}\n`);
  }

  progress(agents: readonly AgentProgress[]): void {
    this.#latest = agents;
    const now = performance.now();
    this.#startedAt ??= now;
    if (now - this.#shownAt < this.#intervalMs) return;
    this.#shownAt = now;
    this.#show(now - this.#startedAt);
  }

  /** Shows how it ended and leaves it there; what follows is written below. */
  end(): void {
    if (this.#startedAt === undefined) return;
    this.#show(performance.now() - this.#startedAt);
    if (this.#isLive) this.#live.done();
    this.#startedAt = undefined;
  }

  #show(elapsedMs: number): void {
    if (this.#isLive) this.#live(renderProgress(this.#latest, elapsedMs));
    else process.stderr.write(`${renderProgressLine(this.#latest, elapsedMs)}\n`);
  }
}

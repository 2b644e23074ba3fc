/**
 * One attempt to reach a server: a socket, then perhaps a TLS socket on top of it, and so on, until
 * it succeeds, fails, is cancelled or has taken too long; whichever comes first ends it.
 *
 * Knows sockets, one at a time; what the steps are is its caller's. Used by `dial.ts`.
 */
import type { Socket } from "node:net";
import type { Millis } from "@shoal/core";
import { CLOSED, DialError, socketRefusal, timeoutRefusal } from "./failure.ts";
import type { Refusal } from "./failure.ts";

export class DialAttempt {
  readonly #done: (result: Socket | DialError) => void;
  readonly #timer: NodeJS.Timeout;
  #socket: Socket | undefined;
  #isOver = false;

  /** `done` is called once, unless `cancel` comes first. `authority` is where it leads. */
  constructor(authority: string, timeoutMs: Millis, done: (result: Socket | DialError) => void) {
    this.#done = done;
    this.#timer = setTimeout(() => {
      this.fail(timeoutRefusal(`connecting to ${authority} took too long`));
    }, timeoutMs);
  }

  /** Goes on with `next` when `socket` is connected to `at`, or has done its handshake with it. */
  step<Kind extends Socket>(
    socket: Kind,
    { at, phase }: { readonly at: string; readonly phase: "connect" | "secure" },
    next: (socket: Kind) => void,
  ): void {
    this.#socket = socket;
    const fail = (error: Error): void => this.fail(socketRefusal(error, at, phase), error);
    socket.on("error", fail);
    socket.once("close", () => fail(CLOSED));
    socket.once(phase === "connect" ? "connect" : "secureConnect", () => {
      if (!this.#isOver) next(socket);
    });
  }

  /** The latest socket is what was wanted; it is the caller's from now on. */
  succeed(): void {
    const socket = this.#socket;
    if (this.#end() && socket !== undefined) this.#done(socket);
  }

  fail(refusal: Refusal, cause?: Error): void {
    if (!this.#end()) return;
    this.#socket?.destroy();
    this.#done(new DialError(refusal, cause));
  }

  cancel(): void {
    if (this.#end()) this.#socket?.destroy();
  }

  /** Whether it was not over before. */
  #end(): boolean {
    if (this.#isOver) return false;
    this.#isOver = true;
    clearTimeout(this.#timer);
    return true;
  }
}

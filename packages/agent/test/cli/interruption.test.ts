import { EventEmitter } from "node:events";
import { expect, test } from "vitest";
import { Interruption } from "../../src/cli/failure.ts";
import { watchSignals } from "../../src/cli/interruption.ts";

class Signals extends EventEmitter {
  readonly exits = Promise.withResolvers<number>();

  exit(code: number): void {
    this.exits.resolve(code);
  }
}

test("the first signal asks to stop, the second ends the process (R-PROC-03)", async () => {
  const source = new Signals();
  const signal = watchSignals(source);
  expect(signal.aborted).toBe(false);
  source.emit("SIGTERM");
  expect(signal.reason).toBeInstanceOf(Interruption);
  source.emit("SIGINT");
  expect(await source.exits.promise).toBe(130);
});

test("a stop that takes too long is ended (R-PROC-03)", async () => {
  const source = new Signals();
  watchSignals(source, { stopTimeoutMs: 5 });
  source.emit("SIGHUP");
  const keepAlive = setTimeout(() => {}, 5_000);
  expect(await source.exits.promise).toBe(130);
  clearTimeout(keepAlive);
});

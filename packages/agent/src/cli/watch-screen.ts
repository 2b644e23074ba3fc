/**
 * Shows something again and again until the command is told to stop, which is how watching ends:
 * drawn over itself on a terminal, in a pipe once more whenever it is different, with `--json` one
 * object a line.
 */
import { setTimeout as wait } from "node:timers/promises";
import type { Millis } from "@shoal/core";
import type { CommandContext } from "./command-context.ts";
import { Interruption } from "./failure.ts";
import type { WatchOptions } from "./define-command.ts";
import type { Terminal } from "./terminal.ts";

/** Something that can be looked at. */
export interface Sight {
  /** Lines for people, each safe to show. */
  readonly lines: readonly string[];
  /** The same as JSON: of a single look an object a line. */
  readonly objects: readonly object[];
  /** While watching: everything as one object. */
  readonly whole: object;
}

const DEFAULT_INTERVAL_MS = 1_000;

/** Shows what `look` finds: once, or with `--watch` until the command is to stop. */
export async function show(
  look: () => Promise<Sight>,
  { watch, interval, json }: WatchOptions,
  { terminal, signal }: CommandContext,
): Promise<void> {
  const isJson = json === true;
  if (watch !== true) {
    const { lines, objects } = await look();
    if (isJson) for (const object of objects) terminal.json(object);
    else for (const line of lines) terminal.data(line);
    return;
  }
  await using screen = await openScreen(terminal, isJson);
  const intervalMs: Millis = interval ?? DEFAULT_INTERVAL_MS;
  try {
    for (;;) {
      screen.draw(await look());
      await wait(intervalMs, undefined, { signal });
    }
  } catch (error) {
    if (signal.reason instanceof Interruption) return;
    throw error;
  }
}

interface Screen extends AsyncDisposable {
  draw(sight: Sight): void;
}

async function openScreen(terminal: Terminal, isJson: boolean): Promise<Screen> {
  if (!isJson && terminal.isScreen) return openLiveScreen(terminal);
  let last = "";
  return {
    draw: ({ lines, whole }) => {
      if (isJson) return terminal.json({ ...whole, at: Date.now() });
      const text = `${lines.join("\n")}\n`;
      if (text === last) return;
      terminal.out(last === "" ? text : `\n${text}`);
      last = text;
    },
    [Symbol.asyncDispose]: async () => {},
  };
}

async function openLiveScreen(terminal: Terminal): Promise<Screen> {
  const { createLogUpdate } = await import("log-update");
  const stream = terminal.stdout as NodeJS.WriteStream;
  const update = createLogUpdate(stream, { showCursor: false });
  return {
    draw: ({ lines }) => {
      // What does not fit would scroll away, and could not be drawn over.
      const rowsMax = Math.max(2, (stream.rows ?? 24) - 1);
      const more = `… and ${lines.length - rowsMax + 1} lines more`;
      update((lines.length <= rowsMax ? lines : [...lines.slice(0, rowsMax - 1), more]).join("\n"));
    },
    [Symbol.asyncDispose]: async () => update.done(),
  };
}

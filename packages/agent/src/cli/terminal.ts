/**
 * Where the command writes: data to stdout, everything else to stderr, one line at a time. A reader
 * that has gone (EPIPE) is not an error; the work goes on unheard (R-LOG-04).
 */
import { styleText } from "node:util";
import { escapeText } from "./escape-text.ts";
import type { TableStyle } from "./table.ts";

/** The part of a stream that is used; `process.stdout` is one. */
export type Output = Pick<NodeJS.WriteStream, "write" | "isTTY" | "columns" | "rows" | "on">;

export type Style = "bold" | "dim" | "red" | "yellow" | "green";

export interface Terminal {
  readonly stdout: Output;
  readonly stderr: Output;
  /** Whether a person watches stderr, so that a line may be drawn over itself. */
  readonly isLive: boolean;
  /** Whether a person watches stdout, so that a screen may be drawn over itself. */
  readonly isScreen: boolean;
  /** Columns of stdout; without end where it is no terminal, for then nothing is to be cut. */
  readonly width: number;
  /** `text` in a style, where stdout shows styles (NO_COLOR and pipes do not). */
  style(style: Style, text: string): string;
  /** Data as it is. */
  out(text: string): void;
  /** One line of data. The caller has escaped it. */
  data(line: string): void;
  /** One object as a line of JSON, with unsafe characters escaped. */
  json(value: object): void;
  /** Text for people, which ends in a line break. */
  say(text: string): void;
  /** Resolves when everything written has left, or after a second. */
  flush(): Promise<void>;
}

const FLUSH_TIMEOUT_MS = 1_000;

export function createTerminal(stdout: Output, stderr: Output): Terminal {
  for (const stream of [stdout, stderr]) stream.on("error", () => {});
  const isDumb = process.env["TERM"] === "dumb";
  const out = (text: string): void => void stdout.write(text);
  const data = (line: string): void => out(`${line}\n`);
  return {
    stdout,
    stderr,
    isLive: stderr.isTTY === true && !isDumb,
    isScreen: stdout.isTTY === true && !isDumb,
    get width() {
      return stdout.isTTY === true ? (stdout.columns ?? 80) : Infinity;
    },
    style: (style, text) => styleText(style, text, { stream: stdout as NodeJS.WriteStream }),
    out,
    data,
    json: (value) => data(escapeText(JSON.stringify(value))),
    say: (text) => void stderr.write(text),
    flush: async () => {
      const written = [stdout, stderr].map(
        (stream) => new Promise<void>((resolve) => stream.write("", () => resolve())),
      );
      const { promise: late, resolve } = Promise.withResolvers<void>();
      const timer = setTimeout(resolve, FLUSH_TIMEOUT_MS);
      await Promise.race([Promise.all(written), late]);
      clearTimeout(timer);
    },
  };
}

/** How tables look on stdout. */
export function tableStyle(terminal: Terminal): TableStyle {
  return { width: terminal.width, title: (text) => terminal.style("bold", text) };
}

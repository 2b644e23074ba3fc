/**
 * Where the command writes: data to stdout, everything else to stderr, one line at a time. A reader
 * that has gone (EPIPE) is not an error; the work goes on unheard (R-LOG-04).
 */
import { escapeText } from "./escape-text.ts";

/** The part of a stream that is used; `process.stdout` is one. */
export type Output = Pick<NodeJS.WriteStream, "write" | "isTTY" | "columns" | "on">;

export interface Terminal {
  readonly stderr: Output;
  /** Whether a person watches stderr, so that a line may be drawn over itself. */
  readonly isLive: boolean;
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
  const out = (text: string): void => void stdout.write(text);
  const data = (line: string): void => out(`${line}\n`);
  return {
    stderr,
    isLive: stderr.isTTY === true && process.env["TERM"] !== "dumb",
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

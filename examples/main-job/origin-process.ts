/**
 * The origin in a process of its own, driven over the channel to the process that started it. Its
 * first argument is what it serves and how, as JSON. It ends when the channel does.
 */
import { serveFiles } from "../origin/serve-files.ts";
import type { ServeFilesOptions } from "../origin/serve-files.ts";

export interface OriginProcessOptions extends ServeFilesOptions {
  /** The name in the URL, and the path of the file on disk. */
  readonly files: Readonly<Record<string, string>>;
}

/** Asks how many bytes of a file were sent. */
export interface OriginOrder {
  readonly type: "count";
  readonly name: string;
}

export type OriginReport =
  | { readonly type: "ready"; readonly urls: Readonly<Record<string, string>> }
  | { readonly type: "counted"; readonly sentBytes: number };

// A terminal's Ctrl-C reaches every process of its group; whoever started this one decides.
process.on("SIGINT", () => {});
process.on("disconnect", () => process.exit(0));
const { files, ...options } = JSON.parse(process.argv[2] ?? "{}") as OriginProcessOptions;
const origin = await serveFiles(files, options);
const urls = Object.fromEntries(Object.keys(files).map((name) => [name, origin.urlOf(name)]));
process.on("message", (message) => {
  const { name } = message as OriginOrder;
  report({ type: "counted", sentBytes: origin.sentBytesOf(name) });
});
report({ type: "ready", urls });

function report(message: OriginReport): void {
  if (process.connected) process.send?.(message);
}

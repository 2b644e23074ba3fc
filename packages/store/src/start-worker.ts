/**
 * Starts a worker thread of this package, from sources (which Node strips of their types) or from
 * the built files, whichever this module itself was loaded from.
 */
import { Worker } from "node:worker_threads";

/** `name` is a module of this package without its extension; `workerData` is copied. */
export function startWorker(name: string, workerData: unknown): Worker {
  const isSource = import.meta.url.endsWith(".ts");
  const url = new URL(`./${name}.${isSource ? "ts" : "js"}`, import.meta.url);
  return new Worker(url, {
    workerData,
    ...(isSource ? { execArgv: ["--conditions=shoal-source"] } : {}),
  });
}

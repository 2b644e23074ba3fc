/**
 * The downloads of all callers, by id: made here, looked at from time to time, and forgotten when
 * they are finalized or aborted. None outlives this run of the agent.
 *
 * Knows ids and a timer. Called by `RestApi`.
 */
import { LIMITS } from "@shoal/core";
import type { Millis } from "@shoal/core";
import type { JobService } from "@shoal/jobs";
import { HResultError } from "@shoal/jobs/compat";
import { RestDownload } from "./rest-download.ts";
import type { RestDownloadDeps } from "./rest-download.ts";

export interface RestDownloadsOptions {
  /** Between two looks at downloads that transfer. */
  readonly lookIntervalMs: Millis;
}

/** Between two looks at what finalized downloads have left for peers. */
const TRIM_INTERVAL_MS = 60_000;

export class RestDownloads {
  readonly #deps: RestDownloadDeps;
  readonly #byId = new Map<string, RestDownload>();
  /** Of downloads that are over: what is still to be written down. */
  readonly #ending = new Set<Promise<void>>();
  readonly #timers: readonly NodeJS.Timeout[];
  readonly #unwatch: () => void;
  #isClosed = false;

  constructor(deps: RestDownloadDeps, { lookIntervalMs }: RestDownloadsOptions) {
    this.#deps = deps;
    this.#timers = [
      setInterval(() => this.#look(), lookIntervalMs),
      setInterval(() => void deps.kept.trim().catch(() => {}), TRIM_INTERVAL_MS),
    ];
    this.#unwatch = watchClosing(deps.service, () => (this.#isClosed = true));
  }

  /** Throws INET_E_INVALID_URL, DO_E_NO_SERVICE, or E_OUTOFMEMORY where there are too many. */
  create(uri: string, path: string): RestDownload {
    if (this.#isClosed) throw HResultError.of("DO_E_NO_SERVICE");
    if (this.#byId.size >= LIMITS.doRestDownloadsMax) throw HResultError.of("E_OUTOFMEMORY");
    const download = new RestDownload(this.#deps, { uri, path });
    this.#byId.set(download.id, download);
    return download;
  }

  /** Throws E_NOT_SET. */
  get(id: string): RestDownload {
    const download = this.#byId.get(id);
    if (download === undefined) throw HResultError.of("E_NOT_SET", "no such download");
    return download;
  }

  async finalize(id: string): Promise<void> {
    const download = this.get(id);
    await download.finalize().finally(() => this.#forgetIfOver(download));
  }

  async abort(id: string): Promise<void> {
    const download = this.get(id);
    const ending = await download.abort().finally(() => this.#forgetIfOver(download));
    if (ending === undefined) return;
    const over = ending.completely.catch(() => {});
    this.#ending.add(over);
    void over.then(() => this.#ending.delete(over));
  }

  /** The clients' files stay. */
  async close(): Promise<void> {
    this.#isClosed = true;
    for (const timer of this.#timers) clearInterval(timer);
    this.#unwatch();
    const all = [...this.#byId.values()];
    this.#byId.clear();
    await Promise.all([...all.map((download) => download.release()), ...this.#ending]);
  }

  #look(): void {
    for (const download of this.#byId.values()) download.noteChange();
  }

  #forgetIfOver(download: RestDownload): void {
    if (download.isOver) this.#byId.delete(download.id);
  }
}

function watchClosing(service: JobService, closed: () => void): () => void {
  return service.watch({ changed: () => {}, closed });
}

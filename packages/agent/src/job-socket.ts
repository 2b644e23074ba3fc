/**
 * The agent's job socket: through it, other processes of the same user create and watch jobs as the
 * local administrator (docs/job-socket.md). Nothing of what they say is logged (R-API-13).
 *
 * Knows the listener and the log. Called by `startAgent`.
 */
import { listenForJobs } from "@shoal/jobs";
import type { Store } from "@shoal/store";
import type { JobCaller, JobHost, JobListener } from "@shoal/jobs";
import type { Logger } from "./logger.ts";

export interface JobSocketDeps {
  readonly host: JobHost;
  /** Where callers may have files shared. */
  readonly store: Pick<Store, "shareFile">;
  readonly logger: Logger;
}

/**
 * `undefined` where none is asked for. Rejects with `ERR_LISTEN_FAILED`. Whoever asked for it
 * closes it before the engine.
 */
export async function openJobSocket(
  { host, store, logger }: JobSocketDeps,
  { path, caller }: { readonly path: string | false; readonly caller: JobCaller },
): Promise<JobListener | undefined> {
  if (path === false) return undefined;
  const onFault = (error: unknown): void => {
    const kind = error instanceof Error ? error.name : typeof error;
    logger.warn({ kind }, "a connection to the job socket ended by a fault of the agent");
  };
  const sharing: JobHost = {
    act: (verb) => host.act(verb),
    onNotice: (listener) => host.onNotice(listener),
    attachSink: (jobId, fileIndex, deliver) => host.attachSink(jobId, fileIndex, deliver),
    share: (filePath) => store.shareFile(filePath),
  };
  return listenForJobs({ host: sharing, onFault }, { path, caller });
}

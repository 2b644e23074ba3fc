/**
 * Where the contract of the download API is tested: a real engine, a real origin, and managers of
 * any number of callers, in this process or over a real socket.
 */
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startRest } from "@shoal/agent";
import type { NetworkState, Settings } from "@shoal/core";
import { connectJobService, LocalJobService } from "@shoal/jobs";
import type { JobService } from "@shoal/jobs";
import {
  createDOManager,
  DODownloadProperty,
  DODownloadState,
  HResultError,
} from "@shoal/jobs/compat";
import type { DOManager, IDODownload } from "@shoal/jobs/compat";
import { serveFiles } from "../../examples/origin/serve-files.ts";
import type { FileOrigin } from "../../examples/origin/serve-files.ts";
import { until } from "../integration/harness.ts";
import { startJobEngine } from "./job-service-engine.ts";
import type { JobEngine } from "./job-service-engine.ts";
import { jobsOnlyAgent } from "./jobs-only-agent.ts";

/** `remote`: over a socket, as a client of a running agent has it. */
export type Way = "in process" | "remote";

export const FILE_LENGTH = 300_000;
export const BIG_LENGTH = 2 ** 22;
const SLOW_BYTES_PER_SEC = 256 * 1024;

const states = DODownloadState;
const properties = DODownloadProperty;

/** One caller: a manager, and the service under it. */
export interface Client {
  readonly service: JobService;
  readonly manager: DOManager;
}

export class DownloadSite implements AsyncDisposable {
  readonly directory: string;
  readonly #way: Way;
  readonly #settings: Partial<Settings>;
  readonly #things = new AsyncDisposableStack();
  /** What belongs to the present run of the engine. */
  #clients = new AsyncDisposableStack();
  #engine: JobEngine | undefined;
  #origin: FileOrigin | undefined;
  #slow: FileOrigin | undefined;
  #count = 0;

  private constructor(way: Way, directory: string, settings: Partial<Settings>) {
    this.#way = way;
    this.directory = directory;
    this.#settings = settings;
  }

  static async open(way: Way, settings: Partial<Settings> = {}): Promise<DownloadSite> {
    const directory = await mkdtemp(join(tmpdir(), "shoal-downloads-"));
    const site = new DownloadSite(way, directory, settings);
    const files = { file: join(directory, "file"), big: join(directory, "big") };
    await writeFile(files.file, patternOf(FILE_LENGTH));
    await writeFile(files.big, patternOf(BIG_LENGTH));
    await mkdir(join(directory, "sockets"), { mode: 0o700 });
    site.#origin = site.#things.use(await serveFiles(files));
    site.#slow = site.#things.use(await serveFiles(files, { rateBytesPerSec: SLOW_BYTES_PER_SEC }));
    await site.#start();
    return site;
  }

  get fileUrl(): string {
    return this.#origin?.urlOf("file") ?? "";
  }

  get missingUrl(): string {
    return this.#origin?.urlOf("missing") ?? "";
  }

  /** The same file at an address that is not known to be this machine's. */
  get farUrl(): string {
    return this.fileUrl.replace("127.0.0.1", "[::ffff:127.0.0.1]");
  }

  /** Takes sixteen seconds. */
  get slowUrl(): string {
    return this.#slow?.urlOf("big") ?? "";
  }

  /** A path that nothing uses yet. */
  path(name = "target"): string {
    return join(this.directory, `${name}-${++this.#count}`);
  }

  /** A new caller, who has no downloads. */
  async client(name = `caller-${++this.#count}`): Promise<Client> {
    const service = await this.#service(name);
    const manager = createDOManager(service);
    return { service, manager };
  }

  setNetwork(network: NetworkState): void {
    this.#engine?.host.act((scheduler, now) => scheduler.setNetwork(network, now));
  }

  /** As when the agent's process is stopped and started. Clients are to be made anew. */
  async restart(): Promise<void> {
    await this.#stop();
    await this.#start();
  }

  /** A download of this caller that is in the state. */
  async download({ manager }: Client, state: DODownloadState): Promise<IDODownload> {
    const download = await manager.CreateDownload();
    const isQuick =
      state === states.DODownloadState_Transferred || state === states.DODownloadState_Finalized;
    await download.SetProperty(
      properties.DODownloadProperty_Uri,
      isQuick ? this.fileUrl : this.slowUrl,
    );
    await download.SetProperty(properties.DODownloadProperty_LocalPath, this.path());
    if (state === states.DODownloadState_Created) return download;
    if (state === states.DODownloadState_Aborted) await download.Abort();
    else await download.Start(null);
    if (state === states.DODownloadState_Paused) await download.Pause();
    if (isQuick) await reaches(download, states.DODownloadState_Transferred);
    if (state === states.DODownloadState_Finalized) await download.Finalize();
    return download;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stop();
    await this.#things.disposeAsync();
    await rm(this.directory, { recursive: true, force: true });
  }

  async #stop(): Promise<void> {
    await this.#clients.disposeAsync();
    this.#clients = new AsyncDisposableStack();
    await this.#engine?.[Symbol.asyncDispose]();
  }

  async #start(): Promise<void> {
    this.#engine = await startJobEngine(join(this.directory, "state"), this.#settings);
  }

  async #service(name: string): Promise<JobService> {
    const host = this.#engine?.host;
    if (host === undefined) throw new Error("the site is not open");
    const caller = { name, isAdministrator: false };
    if (this.#way === "in process") {
      const service = new LocalJobService(host, caller);
      this.#clients.defer(() => service.close());
      return service;
    }
    const socketPath = join(this.directory, "sockets", `${++this.#count}`);
    this.#clients.use(await startRest({ service: jobsOnlyAgent(host, caller) }, { socketPath }));
    const service = await connectJobService({ socketPath });
    this.#clients.defer(() => service.close());
    return service;
  }
}

/** No two neighbouring bytes are equal, and no two kilobytes. */
export function patternOf(length: number): Uint8Array {
  return new Uint8Array(length).map((_, i) => (i * 7) ^ (i >> 9));
}

export async function reaches(download: IDODownload, state: DODownloadState): Promise<void> {
  const isThere = async (): Promise<boolean> => (await download.GetStatus()).State === state;
  await until(isThere, `state ${state}`);
}

/** The id, as the interface writes it. */
export async function idOf(download: IDODownload): Promise<string> {
  const id = await download.GetProperty(properties.DODownloadProperty_Id);
  return typeof id === "string" ? id : "";
}

/** The id of the job behind it. */
export async function jobIdOf(download: IDODownload): Promise<string> {
  return (await idOf(download)).toLowerCase();
}

/** What a call came to: its value, `"ok"` for none, or the symbol of its failure. */
export async function outcomeOf(call: Promise<unknown>): Promise<unknown> {
  try {
    return (await call) ?? "ok";
  } catch (error) {
    return error instanceof HResultError ? error.symbol : error;
  }
}

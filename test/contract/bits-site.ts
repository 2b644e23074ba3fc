/**
 * Where the legacy face is tested: a real engine and store, an origin that behaves as its URLs say,
 * and managers of any number of callers, in this process or over a real socket.
 */
import { once } from "node:events";
import { mkdir, mkdtemp, readdir, rm } from "node:fs/promises";
import { createServer } from "node:http";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { startRest } from "@shoal/agent";
import { HRESULTS, USUAL_NETWORK } from "@shoal/core";
import type { HResultSymbol, NetworkState, Settings } from "@shoal/core";
import { connectJobService, LocalJobService } from "@shoal/jobs";
import type { JobHost, JobService } from "@shoal/jobs";
import {
  BG_JOB_STATE,
  BG_JOB_TYPE,
  createBackgroundCopyManager,
  LEGACY_IIDS,
} from "@shoal/jobs/compat";
import type {
  BackgroundCopyManagerOptions,
  IBackgroundCopyFile,
  IBackgroundCopyJob,
  IBackgroundCopyJob5,
  IBackgroundCopyManager,
  IDeliveryOptimizationJob,
  IDeliveryOptimizationJob2,
} from "@shoal/jobs/compat";
import { until } from "../integration/harness.ts";
import { startJobEngine } from "./job-service-engine.ts";
import type { JobEngine } from "./job-service-engine.ts";
import { jobsOnlyAgent } from "./jobs-only-agent.ts";

/** Gets a service of the caller on the engine; what it opens ends with `things`. */
export type Connect = (
  host: JobHost,
  options: { readonly name: string; readonly place: string; readonly things: AsyncDisposableStack },
) => Promise<JobService>;

export const inProcess: Connect = async (host, { name, things }) => {
  const service = new LocalJobService(host, { name, isAdministrator: false });
  things.defer(() => service.close());
  return service;
};

export const remote: Connect = async (host, { name, place, things }) => {
  const socketPath = join(place, name);
  const caller = { name, isAdministrator: false };
  things.use(await startRest({ service: jobsOnlyAgent(host, caller) }, { socketPath }));
  const service = await connectJobService({ socketPath });
  things.defer(() => service.close());
  return service;
};

export const FILE_LENGTH = 300_000;

/** What the origin does: serves the file, says nothing, or answers with the status. */
export type Behaviour = "serve" | "stall" | 403 | 404 | 503;

/** The states that are reported, without their prefix. */
export type BitsState =
  | "QUEUED"
  | "TRANSFERRING"
  | "SUSPENDED"
  | "ERROR"
  | "TRANSIENT_ERROR"
  | "TRANSFERRED"
  | "ACKNOWLEDGED"
  | "CANCELLED";

export const stateOf = (name: BitsState): BG_JOB_STATE => BG_JOB_STATE[`BG_JOB_STATE_${name}`];

/** What a call that fails with the code rejects with. */
export const failure = (symbol: HResultSymbol): object => ({
  name: "HResultError",
  symbol,
  hresult: HRESULTS[symbol],
});

/** One job with all its interfaces. */
export interface TestJob {
  readonly jobId: string;
  readonly job: IBackgroundCopyJob5;
  readonly adder: IDeliveryOptimizationJob;
  readonly job2: IDeliveryOptimizationJob2;
}

export class BitsSite implements AsyncDisposable {
  readonly directory: string;
  readonly content = new Uint8Array(FILE_LENGTH).map((_, i) => (i * 7) ^ (i >> 9));
  readonly #connect: Connect;
  readonly #settings: Partial<Settings>;
  readonly #behaviours = new Map<string, Behaviour>();
  readonly #server: Server;
  #things = new AsyncDisposableStack();
  #engine: JobEngine | undefined;
  #count = 0;

  private constructor(connect: Connect, directory: string, settings: Partial<Settings>) {
    this.#connect = connect;
    this.directory = directory;
    this.#settings = settings;
    this.#server = createServer((request, response) => this.#answer(request, response));
  }

  static async open(connect: Connect, settings: Partial<Settings> = {}): Promise<BitsSite> {
    const directory = await mkdtemp(join(tmpdir(), "shoal-bits-"));
    const site = new BitsSite(connect, directory, { originFailuresMax: 1, ...settings });
    await mkdir(join(directory, "sockets"), { mode: 0o700 });
    await mkdir(join(directory, "files"));
    site.#server.listen(0, "127.0.0.1");
    await once(site.#server, "listening");
    await site.start();
    return site;
  }

  get host(): JobHost {
    if (this.#engine === undefined) throw new Error("the site is not started");
    return this.#engine.host;
  }

  service(name = `caller${++this.#count}`): Promise<JobService> {
    const place = join(this.directory, "sockets");
    return this.#connect(this.host, { name, place, things: this.#things });
  }

  async manager(
    name?: string,
    options?: BackgroundCopyManagerOptions,
  ): Promise<IBackgroundCopyManager> {
    return createBackgroundCopyManager(await this.service(name), options);
  }

  /** A URL of its own; `isFar`: not known to be on this machine. */
  url(behaviour: Behaviour, { isFar = false } = {}): string {
    const { port } = this.#server.address() as AddressInfo;
    const path = `/file${++this.#count}`;
    this.#behaviours.set(path, behaviour);
    return `http://${isFar ? "[::ffff:127.0.0.1]" : "127.0.0.1"}:${port}${path}`;
  }

  behave(url: string, behaviour: Behaviour): void {
    this.#behaviours.set(new URL(url).pathname, behaviour);
  }

  /** A path that nothing uses yet. */
  path(): string {
    return join(this.directory, "files", `file${++this.#count}`);
  }

  /** Names in the directory of destinations, temporary files included. */
  files(): Promise<readonly string[]> {
    return readdir(join(this.directory, "files"));
  }

  setNetwork(network: Partial<NetworkState>): void {
    const state = { ...USUAL_NETWORK, ...network };
    this.host.act((scheduler, now) => scheduler.setNetwork(state, now));
  }

  async start(): Promise<void> {
    this.#engine = await startJobEngine(join(this.directory, "state"), this.#settings);
  }

  /** Changes what is stored of a job, between two runs. */
  setStored(jobId: string, field: string, value: number): void {
    const database = new DatabaseSync(join(this.directory, "state", "state.db"));
    const change = "UPDATE jobs SET record = json_set(record, ?, ?) WHERE job_id = ?";
    database.prepare(change).run(`$.${field}`, value, jobId.toLowerCase());
    database.close();
  }

  /** Ends the run of the engine and all services; clients are to be made anew. */
  async stop(): Promise<void> {
    await this.#things.disposeAsync();
    this.#things = new AsyncDisposableStack();
    await this.#engine?.[Symbol.asyncDispose]();
    this.#engine = undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    this.#server.closeAllConnections();
    this.#server.close();
    await rm(this.directory, { recursive: true, force: true });
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const behaviour = this.#behaviours.get(request.url ?? "") ?? 404;
    if (behaviour === "stall") return;
    if (behaviour !== "serve") return void response.writeHead(behaviour).end();
    const [, first, last] = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? "") ?? [];
    const start = Number(first ?? 0);
    const end = last === undefined || last === "" ? FILE_LENGTH : Number(last) + 1;
    const bytes = this.content.subarray(start, end);
    response.writeHead(first === undefined ? 200 : 206, {
      etag: '"1"',
      "last-modified": "Wed, 01 Apr 2026 00:00:00 GMT",
      "accept-ranges": "bytes",
      "content-length": bytes.length,
      ...(first === undefined
        ? {}
        : { "content-range": `bytes ${start}-${start + bytes.length - 1}/${FILE_LENGTH}` }),
    });
    response.end(request.method === "HEAD" ? undefined : bytes);
  }
}

export async function createJob(manager: IBackgroundCopyManager): Promise<TestJob> {
  const { jobId, job } = await manager.CreateJob("test", BG_JOB_TYPE.BG_JOB_TYPE_DOWNLOAD);
  return {
    jobId,
    job: job.queryInterface(LEGACY_IIDS.IBackgroundCopyJob5),
    adder: job.queryInterface(LEGACY_IIDS.IDeliveryOptimizationJob),
    job2: job.queryInterface(LEGACY_IIDS.IDeliveryOptimizationJob2),
  };
}

export async function firstFile(job: IBackgroundCopyJob): Promise<IBackgroundCopyFile> {
  const { items } = await (await job.EnumFiles()).Next(1);
  const [file] = items;
  if (file === undefined) throw new Error("the job has no files");
  return file;
}

export async function reaches(
  job: IBackgroundCopyJob,
  state: BitsState,
  deadlineMs = 10_000,
): Promise<void> {
  await until(async () => (await job.GetState()) === stateOf(state), `state ${state}`, deadlineMs);
}

/**
 * Agents that are soaked: processes on this machine that get new jobs all the time, are killed at
 * any moment and start again on the state they left. Everything random comes from one seed.
 *
 *   publish ─▶ orders for some agents ─▶ file in its place ─▶ digest checked ─▶ later removed
 *
 * An order stands until its file is there, however often its agent dies. Unless the agent has shown
 * its job, the order is given again, under the same idempotency key, to the run that follows. Knows processes, files and what the
 * kernel counts of a process. Called by `soak.test.ts`.
 */
import { createHash, randomBytes } from "node:crypto";
import { mkdir, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { KiB, MiB, Random, SIDECAR_SUFFIX } from "@shoal/core";
import { describeFile } from "@shoal/store";
import type { AgentReport } from "../../examples/main-job/agent-process.ts";
import { serveFiles } from "../../examples/origin/serve-files.ts";
import type { FileOrigin } from "../../examples/origin/serve-files.ts";
import { sha256Of } from "./harness.ts";
import type { AgentProcess, TestContent, TestSite } from "./harness.ts";

export interface SoakOptions {
  readonly seed: number;
  readonly agentCount: number;
  /** The first so many are never killed: only they live long enough to show a leak. */
  readonly survivorCount: number;
}

/** What the kernel counted of one process at one time. */
export interface Sample {
  readonly atMs: number;
  readonly rssBytes: number;
  readonly descriptorCount: number;
}

type SoakContent = Omit<TestContent, "manifestBytes">;

interface Order {
  readonly content: SoakContent;
  readonly destination: string;
  givenAtMs: number;
  /** The agent has shown the job: it is durable, and its next run goes on with it by itself. */
  isAccepted: boolean;
}

interface Soaked {
  readonly name: string;
  readonly mayDie: boolean;
  process: AgentProcess;
  addresses: readonly string[];
  readonly orders: Set<Order>;
  readonly samples: Sample[];
}

const ORIGIN_RATE_BYTES_PER_SEC = 8 * MiB;
const CONTENT_LENGTH_MIN = 200 * KiB;
const CONTENT_LENGTH_MAX = 4 * MiB;
/** Older contents are removed where they lie: what is shared may go at any time. */
const CONTENTS_KEPT = 12;
const ORDERS_PER_AGENT_MAX = 3;

export class SoakAgents {
  /** What went wrong, in words. */
  readonly findings: string[] = [];
  killCount = 0;
  fileCount = 0;
  bytesDelivered = 0;
  /** Bytes of all contents so far. */
  publishedBytes = 0;
  /** The longest time from an order, or from the last start of its agent, to its file. */
  waitMsMax = 0;
  readonly #site: TestSite;
  readonly #options: SoakOptions;
  readonly #random: Random;
  readonly #files: Record<string, string> = {};
  readonly #soaked: Soaked[] = [];
  readonly #contents: { readonly content: SoakContent; readonly destinations: string[] }[] = [];
  #origin: FileOrigin | undefined;
  #contentCount = 0;

  private constructor(site: TestSite, options: SoakOptions) {
    this.#site = site;
    this.#options = options;
    this.#random = new Random(options.seed);
  }

  static async start(site: TestSite, options: SoakOptions): Promise<SoakAgents> {
    const agents = new SoakAgents(site, options);
    const rate = { rateBytesPerSec: ORIGIN_RATE_BYTES_PER_SEC };
    agents.#origin = site.use(await serveFiles(agents.#files, rate));
    for (let index = 0; index < options.agentCount; index++) await agents.#add(index);
    return agents;
  }

  /** Samples of the agents that are never killed. */
  get survivors(): readonly { readonly name: string; readonly samples: readonly Sample[] }[] {
    return this.#soaked.filter(({ mayDie }) => !mayDie);
  }

  get sentBytes(): number {
    return Object.keys(this.#files).reduce(
      (sum, name) => sum + (this.#origin?.sentBytesOf(name) ?? 0),
      0,
    );
  }

  /** Publishes a new content and orders it from some agents. */
  async orderNew(): Promise<void> {
    const span = CONTENT_LENGTH_MAX - CONTENT_LENGTH_MIN;
    const length = CONTENT_LENGTH_MIN + this.#random.below(span);
    const content = await this.#publish(`content-${++this.#contentCount}`, length);
    this.publishedBytes += length;
    this.#files[content.name] = content.path;
    this.#files[content.name + SIDECAR_SUFFIX] = content.path + SIDECAR_SUFFIX;
    const destinations: string[] = [];
    for (const soaked of this.#soaked) {
      const isChosen = this.#random.fraction() < 0.7;
      if (!isChosen || soaked.orders.size >= ORDERS_PER_AGENT_MAX) continue;
      const destination = join(this.#site.directory, `downloads-${soaked.name}`, content.name);
      destinations.push(destination);
      const order = { content, destination, givenAtMs: performance.now(), isAccepted: false };
      soaked.orders.add(order);
      this.#give(soaked, order);
    }
    this.#contents.push({ content, destinations });
    await this.#removeOld();
  }

  /** Kills an agent as a crash would, and starts it again on what it left. */
  async killOne(): Promise<void> {
    const mortal = this.#soaked.filter(({ mayDie }) => mayDie);
    const soaked = mortal[this.#random.below(mortal.length)];
    if (soaked === undefined) return;
    this.killCount++;
    await soaked.process.kill();
    await this.#launch(soaked);
    for (const order of soaked.orders) if (!order.isAccepted) this.#give(soaked, order);
  }

  /** Looks for files that have come, and checks each. */
  async checkFiles(orderTimeoutMs: number): Promise<void> {
    for (const soaked of this.#soaked) {
      for (const order of soaked.orders) {
        const info = await stat(order.destination).catch(() => undefined);
        const waitMs = performance.now() - order.givenAtMs;
        const what = `${soaked.name}: ${order.content.name}`;
        if (info === undefined) {
          if (waitMs < orderTimeoutMs) continue;
          this.findings.push(`${what} has not come in ${orderTimeoutMs} ms`);
        } else if ((await sha256Of(order.destination)) !== order.content.sha256) {
          this.findings.push(`${what} is not what was published`);
        }
        soaked.orders.delete(order);
        this.fileCount++;
        this.bytesDelivered += order.content.length;
        this.waitMsMax = Math.max(this.waitMsMax, waitMs);
      }
    }
  }

  /** Orders that stand. */
  get orderCount(): number {
    return this.#soaked.reduce((sum, { orders }) => sum + orders.size, 0);
  }

  /** Asks the kernel about every process that is never killed. */
  async sample(atMs: number): Promise<void> {
    for (const { process, samples, mayDie } of this.#soaked) {
      if (mayDie || process.pid === undefined || !process.isRunning) continue;
      const status = await readFile(`/proc/${process.pid}/status`, "utf8");
      const rssKiB = Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1]);
      const descriptors = await readdir(`/proc/${process.pid}/fd`);
      samples.push({ atMs, rssBytes: rssKiB * KiB, descriptorCount: descriptors.length });
    }
  }

  /** Of random bytes: agents would find equal pieces in their other contents. */
  async #publish(name: string, length: number): Promise<SoakContent> {
    const path = join(this.#site.directory, name);
    const bytes = randomBytes(length);
    await writeFile(path, bytes);
    const { bytes: manifestBytes, contentId } = await describeFile(path);
    await writeFile(path + SIDECAR_SUFFIX, manifestBytes);
    const sha256 = createHash("sha256").update(bytes).digest("hex");
    return { name, path, length, contentId, sha256 };
  }

  async #add(index: number): Promise<void> {
    const name = `agent${index}`;
    await mkdir(join(this.#site.directory, `downloads-${name}`));
    const process = this.#startProcess(name);
    const mayDie = index >= this.#options.survivorCount;
    const orders = new Set<Order>();
    const soaked = { name, mayDie, process, addresses: [], orders, samples: [] };
    await this.#meet(soaked);
    this.#soaked.push(soaked);
  }

  async #launch(soaked: Soaked): Promise<void> {
    soaked.process = this.#startProcess(soaked.name);
    await this.#meet(soaked);
    for (const order of soaked.orders) order.givenAtMs = performance.now();
  }

  #startProcess(name: string): AgentProcess {
    const onReport = (report: AgentReport): void => {
      if (report.type === "progress") this.#accepted(name, report.snapshot.files[0]?.destination);
      if (report.type !== "failed") return;
      // A job whose order was given twice is completed twice, and the second time it is over.
      if ("code" in report.error && report.error.code === "ERR_JOB_STATE") return;
      this.findings.push(`${name}: ${JSON.stringify(report.error)}`);
    };
    return this.#site.startAgent(name, { onReport });
  }

  #accepted(name: string, destination: string | undefined): void {
    const { orders } = this.#soaked.find((soaked) => soaked.name === name) ?? { orders: [] };
    for (const order of orders) if (order.destination === destination) order.isAccepted = true;
  }

  /** Tells it of all others, and them of it: its port is another one after every start. */
  async #meet(soaked: Soaked): Promise<void> {
    const { addresses } = await soaked.process.next("ready");
    soaked.addresses = addresses;
    for (const other of this.#soaked) {
      if (other === soaked) continue;
      other.process.send({ type: "meet", addresses });
      soaked.process.send({ type: "meet", addresses: other.addresses });
    }
  }

  #give({ process, name }: Soaked, { content, destination }: Order): void {
    const url = this.#origin?.urlOf(content.name) ?? "";
    const { contentId } = content;
    const idempotencyKey = `${name}-${content.name}`;
    const files = [{ url, contentId, destination }];
    process.send({ type: "download", job: { files, idempotencyKey } });
  }

  async #removeOld(): Promise<void> {
    const ordered = new Set(
      this.#soaked.flatMap(({ orders }) => Array.from(orders, ({ destination }) => destination)),
    );
    while (this.#contents.length > CONTENTS_KEPT) {
      const [oldest] = this.#contents;
      if (oldest === undefined) return;
      if (oldest.destinations.some((destination) => ordered.has(destination))) return;
      this.#contents.shift();
      const { path } = oldest.content;
      const paths = [path, path + SIDECAR_SUFFIX, ...oldest.destinations];
      for (const each of paths) await rm(each);
    }
  }
}

/** The change of a value per minute, by least squares. */
export function slopePerMinute(points: readonly { atMs: number; value: number }[]): number {
  const meanAt = points.reduce((sum, { atMs }) => sum + atMs, 0) / points.length;
  const mean = points.reduce((sum, { value }) => sum + value, 0) / points.length;
  let [covariance, variance] = [0, 0];
  for (const { atMs, value } of points) {
    covariance += (atMs - meanAt) * (value - mean);
    variance += (atMs - meanAt) ** 2;
  }
  return variance === 0 ? 0 : (covariance / variance) * 60_000;
}

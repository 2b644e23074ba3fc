/**
 * A world: one clock, one network, one origin server and the agents on it, all from one seed. The
 * same seed and the same calls give the same run on every machine.
 *
 * Knows agents by position. Called by scenarios, tests and examples.
 */
import { Random, resolveSettings } from "@shoal/core";
import type { JobPriority, JobSnapshot, Millis, Settings } from "@shoal/core";
import { EventTrace } from "./event-trace.ts";
import { SimAgent } from "./sim-agent.ts";
import type { SimContent } from "./sim-content.ts";
import { SimDisk } from "./sim-disk.ts";
import type { SimDiskOptions } from "./sim-disk.ts";
import { SimNetwork } from "./sim-network.ts";
import type { SimNetworkOptions } from "./sim-network.ts";
import { SimOriginServer } from "./sim-origin-server.ts";
import type { SimOriginServerOptions } from "./sim-origin-server.ts";
import { siteLatencyMs } from "./sim-site.ts";
import type { Site } from "./sim-site.ts";
import type { PeerBehaviour } from "./peer-behaviour.ts";
import { VirtualClock } from "./virtual-clock.ts";

export interface SimWorldOptions {
  readonly seed: number;
  readonly origin: SimOriginServerOptions;
  readonly network?: SimNetworkOptions;
  readonly settings?: Partial<Settings>;
}

export interface AddAgentOptions {
  readonly upRateBytesPerSec: number;
  readonly downRateBytesPerSec: number;
  /** One way, to the middle of the network. Default 0.25. */
  readonly latencyMs?: Millis;
  /** One way, to the origin. Default 5. */
  readonly originLatencyMs?: Millis;
  readonly disk?: SimDiskOptions;
  readonly settings?: Partial<Settings>;
  readonly behaviour?: PeerBehaviour;
  /** Default none: the large LAN where the origin is, too. */
  readonly site?: Site;
  /** The address others see; default one of its own. */
  readonly host?: string;
}

/** What an agent is to download: a content by its id, a URL, or a content that lies at a URL. */
export interface DownloadOptions {
  readonly content?: SimContent;
  readonly url?: string;
  /** Default `normal`. */
  readonly priority?: JobPriority;
}

export class SimWorld {
  readonly clock = new VirtualClock();
  readonly trace = new EventTrace();
  readonly random: Random;
  readonly network: SimNetwork;
  readonly server: SimOriginServer;
  readonly agents: SimAgent[] = [];
  readonly #seed: number;
  readonly #settings: Partial<Settings>;
  #jobs = 0;

  constructor(options: SimWorldOptions) {
    this.#seed = options.seed;
    this.random = new Random(options.seed);
    this.#settings = options.settings ?? {};
    const { clock } = this;
    const network = { clock, random: new Random(this.random.uint32()) };
    this.network = new SimNetwork(network, options.network ?? {});
    const server = { clock, random: new Random(this.random.uint32()) };
    this.server = new SimOriginServer(server, options.origin);
  }

  /** Adds an agent that is not running yet. */
  addAgent(options: AddAgentOptions): SimAgent {
    const index = this.agents.length;
    const { clock, network, server, trace } = this;
    const disk = new SimDisk({ clock }, options.disk ?? {});
    const agent = new SimAgent(
      { network, server, trace, disk },
      {
        index,
        seed: this.random.uint32(),
        settings: resolveSettings({ ...this.#settings, ...options.settings }),
        upRateBytesPerSec: options.upRateBytesPerSec,
        downRateBytesPerSec: options.downRateBytesPerSec,
        latencyMs: options.latencyMs ?? 0.25,
        originLatencyMs: (options.originLatencyMs ?? 5) + siteLatencyMs(options.site, undefined),
        behaviour: options.behaviour ?? {},
        host: options.host,
        site: options.site,
      },
    );
    this.agents.push(agent);
    return agent;
  }

  /** Has an agent download a file. Returns the job's id. */
  download(agent: SimAgent, { content, url, priority = "normal" }: DownloadOptions): string {
    if (content) this.network.describe(content.contentId, content.layout.pieceCount);
    const jobId = jobIdOf(this.#seed, this.#jobs++);
    const result = agent.createJob({
      jobId,
      owner: "",
      isAdministrator: true,
      displayName: "simulated",
      priority,
      overwrite: false,
      allowsCellular: true,
      isVolatile: false,
      attributes: {},
      files: [
        {
          destination: `/srv/agent-${agent.index}/${jobId}.bin`,
          ...(content && { contentId: content.contentId }),
          ...(url === undefined ? {} : { url }),
        },
      ],
      startSuspended: false,
    });
    if (!result.ok) throw new Error(`the job was refused: ${result.error.message}`);
    return jobId;
  }

  checkInvariants(): void {
    for (const agent of this.agents) agent.checkInvariants();
  }
}

/** A UUID made of a seed and a count, so that runs can be compared. */
function jobIdOf(seed: number, count: number): string {
  const hex = (value: number, digits: number): string => value.toString(16).padStart(digits, "0");
  return `${hex(seed >>> 0, 8)}-0000-4000-8000-${hex(count, 12)}`;
}

/** Whether a job has all its bytes. */
export function isTransferred(job: Pick<JobSnapshot, "state"> | undefined): boolean {
  return job?.state === "transferred" || job?.state === "acknowledged";
}

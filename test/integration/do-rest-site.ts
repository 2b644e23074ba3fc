/** What tests of the DO-compatible listener share: an agent with one, in a place of its own. */
import { mkdir, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { RequestListener } from "node:http";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { startAgent } from "@shoal/agent";
import type { Agent, AgentOptions, DoRestOptions } from "@shoal/agent";
import { DoClient } from "./do-client.ts";
import { TestSite } from "./harness.ts";
import type { TestContent } from "./harness.ts";

export interface DoSiteOptions extends Partial<AgentOptions> {
  readonly rest?: DoRestOptions;
}

/** Retries and looks that a test can wait for. */
const QUICK = { retryDelays: { firstMs: 50, maxMs: 400 }, lookIntervalMs: 50 } as const;

export class DoSite implements AsyncDisposable {
  readonly site: TestSite;
  readonly run: string;
  readonly config: string;
  #downloads = "";
  #count = 0;

  private constructor(site: TestSite) {
    this.site = site;
    this.run = join(site.directory, "run");
    this.config = join(site.directory, "etc");
  }

  static async create(): Promise<DoSite> {
    const made = new DoSite(await TestSite.create());
    await made.renew();
    return made;
  }

  /** Where clients put files. */
  get downloads(): string {
    return this.#downloads;
  }

  /** For the next test of several that share a site: downloads go to an empty directory. */
  async renew(): Promise<void> {
    this.#downloads = join(this.site.directory, `downloads-${++this.#count}`);
    await mkdir(this.#downloads);
  }

  /** A published file of a name of its own. */
  publish(name: string, length: number): Promise<TestContent> {
    return this.site.publish(`${++this.#count}-${name}`, length);
  }

  path(name: string): string {
    return join(this.downloads, name);
  }

  async writeConfig(name: "admin-config.json" | "sdk-config.json", text: string): Promise<void> {
    await mkdir(this.config, { recursive: true });
    await writeFile(join(this.config, name), text);
  }

  async startAgent({ rest = {}, ...options }: DoSiteOptions = {}): Promise<Agent> {
    const { times, ...others } = rest;
    return this.site.use(
      await startAgent({
        stateDirectory: join(this.site.directory, "state"),
        listen: [],
        mdns: false,
        settings: { retryDelayMsMin: 50, retryDelayMsMax: 400, jobRetryDelayMs: 5_000 },
        doRest: {
          runDirectory: this.run,
          configDirectory: this.config,
          ...others,
          times: { ...QUICK, ...times },
        },
        ...options,
      }),
    );
  }

  async connect(agent: Agent, localAddress?: string): Promise<DoClient> {
    const port = agent.doRest?.port ?? 0;
    return this.site.use(await DoClient.connect(port, localAddress ? { localAddress } : {}));
  }

  /** A web server that answers as the test likes; returns its URL, without a slash at its end. */
  async serve(listener: RequestListener): Promise<string> {
    const server = createServer(listener).listen(0, "127.0.0.1");
    await once(server, "listening");
    this.site.use({
      [Symbol.asyncDispose]: async () => {
        server.closeAllConnections();
        server.close();
        await once(server, "close");
      },
    });
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.site[Symbol.asyncDispose]();
  }
}

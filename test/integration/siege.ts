/**
 * An agent in a process of its own, under attack: started anew for each attack, told to download,
 * and asked afterwards what it saw and what that cost.
 *
 * Knows the process and the origin. Knows no attack.
 */
import { join } from "node:path";
import type { AgentOptions } from "@shoal/agent";
import type { JobSnapshot } from "@shoal/core";
import { Child } from "../../examples/main-job/child.ts";
import type { BesiegedLook, BesiegedOrder, BesiegedReport } from "./besieged-agent.ts";
import { LOOPBACK, sha256Of } from "./harness.ts";
import type { TestContent, TestOrigin, TestSite } from "./harness.ts";

export interface SiegeOptions extends Partial<AgentOptions> {
  /** Static peers. */
  readonly honest?: readonly string[];
}

/** How one download under attack went. */
export interface Outcome {
  readonly snapshot: JobSnapshot;
  readonly elapsedMs: number;
  readonly isRight: boolean;
}

const PUBLISH_TIMEOUT_MS = 50_000;

export class Siege implements AsyncDisposable {
  /** The running agent's. */
  address = "";
  readonly #site: TestSite;
  readonly #child: Child<BesiegedOrder, BesiegedReport>;
  #count = 0;

  constructor(site: TestSite) {
    this.#site = site;
    const script = new URL("besieged-agent.ts", import.meta.url);
    this.#child = new Child(script, { name: "besieged", argument: {} });
  }

  /** A new agent, that remembers nothing. */
  async start({ honest = [], ...options }: SiegeOptions = {}): Promise<void> {
    const stateDirectory = join(this.#site.directory, `state-besieged-${++this.#count}`);
    this.#child.send({
      type: "start",
      options: {
        stateDirectory,
        listen: [LOOPBACK],
        peers: honest,
        mdns: false,
        watchNetwork: false,
        ...options,
      },
    });
    const { addresses } = await this.#child.next("started");
    this.address = addresses[0] ?? "";
  }

  async share({ path }: TestContent): Promise<void> {
    this.#child.send({ type: "share", path });
    await this.#child.next("shared");
  }

  /** Makes peers known that the agent then dials. */
  meet(addresses: readonly string[]): void {
    this.#child.send({ type: "meet", addresses });
  }

  /** Downloads to the end; from peers alone when there is no origin. */
  async download(content: TestContent, origin: TestOrigin | undefined): Promise<Outcome> {
    const destination = join(this.#site.directory, `got-${this.#count}.bin`);
    const { contentId } = content;
    const source = origin === undefined ? {} : { url: origin.url };
    const file = { ...source, contentId, destination };
    this.#child.send({ type: "download", job: { files: [file] } });
    const published = await this.#child.next("published", PUBLISH_TIMEOUT_MS);
    const isRight = (await sha256Of(destination)) === content.sha256;
    return { ...published, isRight };
  }

  look(): Promise<BesiegedLook> {
    this.#child.send({ type: "look" });
    return this.#child.next("looked");
  }

  /** Ends the agent; what is left of it in the process. */
  async stop(): Promise<{ memoryBytes: number; descriptors: number }> {
    this.#child.send({ type: "stop" });
    return this.#child.next("stopped");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#child.close();
  }
}

/**
 * What 200 watchers and 1,000 requests a second on the agent's socket cost a transfer: the same file
 * from the same origin to disk, with and without them in turns. The figure to look at is the ratio.
 *
 * The load comes from a process of its own, which takes processor time as well: so its own cost is
 * told apart by turns in which it does the same to another agent that transfers nothing.
 */
import { fork } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { MiB } from "@shoal/core";
import { TestSite } from "../integration/harness.ts";
import type { AgentProcess } from "../integration/harness.ts";
import { startNginx } from "../integration/web-servers.ts";
import { median } from "./measure.ts";
import type { Figure } from "./measure.ts";

export interface RestBenchOptions {
  readonly length: number;
  readonly rounds: number;
  readonly watchers: number;
  readonly requestsPerSec: number;
  /** The origin's limit for each connection. */
  readonly rateBytesPerSec?: number;
}

const TURNS = ["quiet", "loaded", "loaded elsewhere"] as const;
type Turn = (typeof TURNS)[number];

export async function benchRest(options: RestBenchOptions): Promise<Figure[]> {
  const { length, rounds, rateBytesPerSec } = options;
  await using site = await TestSite.create();
  const content = await site.publish("file.bin", length);
  const limit = rateBytesPerSec === undefined ? {} : { rateBytesPerSec };
  const server = await startNginx(join(content.path, ".."), limit);
  if (server === undefined) return [{ name: "nginx is not installed", value: NaN, unit: "ms" }];
  site.use(server);
  const url = `${server.url}/${content.name}`;
  const socketOf = (name: string): string => join(site.directory, name, "agent.sock");
  const start = async (name: string): Promise<AgentProcess> => {
    const agent = site.startAgent(name, { api: { socketPath: socketOf(name) }, listen: [] });
    await agent.next("ready");
    return agent;
  };
  const agent = await start("busy");
  await start("idle");
  const times: Record<Turn, number[]> = { quiet: [], loaded: [], "loaded elsewhere": [] };
  const rates: number[] = [];
  // The first round warms up.
  for (let round = 0; round <= rounds; round++) {
    for (const turn of TURNS) {
      const load =
        turn === "quiet"
          ? undefined
          : await Load.start(socketOf(turn === "loaded" ? "busy" : "idle"), options);
      const destination = join(site.directory, `copy-${round}-${TURNS.indexOf(turn)}`);
      agent.send({ type: "download", job: { files: [{ url, destination }] } });
      const { elapsedMs } = await agent.next("published", 120_000);
      const rate = await load?.stop();
      await rm(destination);
      if (round === 0) continue;
      times[turn].push(elapsedMs);
      if (turn === "loaded" && rate !== undefined) rates.push(rate);
    }
  }
  return figuresOf(times, { length, rates });
}

function figuresOf(
  times: Readonly<Record<Turn, readonly number[]>>,
  { length, rates }: { length: number; rates: readonly number[] },
): Figure[] {
  const quietMs = median([...times.quiet]);
  const figures: Figure[] = TURNS.map((turn) => ({
    name: turn,
    value: (length / MiB) * (1_000 / median([...times[turn]])),
    unit: "MiB/s",
  }));
  for (const turn of ["loaded", "loaded elsewhere"] as const) {
    const value = median([...times[turn]]) / quietMs;
    figures.push({ name: `time, ${turn} / quiet`, value, unit: "ratio", target: 1.1 });
  }
  return [...figures, { name: "requests answered", value: median([...rates]), unit: "events/s" }];
}

/** The process that asks. */
class Load {
  readonly #process: ChildProcess;
  #answeredCount = 0;
  #startedAt = 0;

  private constructor(process: ChildProcess) {
    this.#process = process;
  }

  static async start(
    socketPath: string,
    { watchers, requestsPerSec }: RestBenchOptions,
  ): Promise<Load> {
    const script = join(import.meta.dirname, "rest-load.ts");
    const args = [socketPath, String(watchers), String(requestsPerSec)];
    const load = new Load(fork(script, args));
    await once(load.#process, "message");
    load.#startedAt = performance.now();
    load.#process.on("message", (message: { readonly count?: number }) => {
      load.#answeredCount += message.count ?? 0;
    });
    return load;
  }

  /** Requests answered a second. */
  async stop(): Promise<number> {
    const elapsedMs = Math.max(
      1_000,
      Math.floor((performance.now() - this.#startedAt) / 1_000) * 1_000,
    );
    const exited = once(this.#process, "exit");
    this.#process.disconnect();
    await exited;
    return (this.#answeredCount / elapsedMs) * 1_000;
  }
}

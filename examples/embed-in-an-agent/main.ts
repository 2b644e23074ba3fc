/** A fleet agent with Shoal inside: it is told to update a product, restarts, and finishes the job. */
import { randomBytes } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Jobs, startAgent } from "@shoal/agent";
import type { Agent } from "@shoal/agent";
import { serveFiles } from "../origin/serve-files.ts";

const directory = await mkdtemp(join(tmpdir(), "shoal-embed-in-an-agent-"));
await using cleanup = new AsyncDisposableStack();
cleanup.defer(() => rm(directory, { recursive: true, force: true }));
const path = join(directory, "editor-4.2.pkg");
await writeFile(path, randomBytes(8 * 1024 * 1024));
const origin = cleanup.use(
  await serveFiles({ "editor-4.2.pkg": path }, { rateBytesPerSec: 16 * 1024 * 1024 }),
);

const startEmbedded = (): Promise<Agent> =>
  startAgent({
    stateDirectory: join(directory, "state"),
    listen: [], // Takes from peers and gives to none; leave it out to give as well.
    mdns: false,
    settings: { jobsPerOwnerMax: 10, noProgressBackgroundMs: 4 * 3_600_000 },
  });
// One owner per product: none sees, changes or crowds out another's jobs.
const jobsOf = (agent: Agent, product: string): Jobs =>
  new Jobs(agent.jobService({ name: product, isAdministrator: false }));

// What the fleet's server orders; it may say so more than once.
const order = { id: "rollout-17", product: "editor", version: "4.2" };
const destination = join(directory, "installed.pkg");
const request = {
  files: [{ url: origin.urlOf("editor-4.2.pkg"), destination }],
  idempotencyKey: order.id,
  attributes: { product: order.product, version: order.version },
};

const first = await startEmbedded();
const { id } = await jobsOf(first, order.product).createJob(request);
const repeated = await jobsOf(first, order.product).createJob(request);
console.log(repeated.id === id ? "Ordered twice, one job." : "Two jobs: WRONG.");
console.log(`Another product sees ${(await jobsOf(first, "player").list()).length} jobs.`);
for await (const { transferredBytes } of repeated.progress()) if (transferredBytes > 0) break;
await first.close();
console.log("The agent restarts in the middle of the job.");

const agent = cleanup.use(await startEmbedded());
const job = await jobsOf(agent, order.product).get(id);
if (job === undefined) throw new Error("the job is lost");
for await (const event of job.events()) {
  if (event.type === "progress") console.log(`${event.transferredBytes} bytes`);
  if (event.type !== "stateChanged") continue;
  console.log(`${event.from ?? "found"} -> ${event.to}`);
  if (event.to === "transferred") await job.acknowledge();
  if (event.to === "error") await job.cancel();
}
const { state, attributes } = await job.snapshot();
const isSame =
  state === "acknowledged" && (await readFile(path)).equals(await readFile(destination));
console.log(isSame ? `${attributes["product"]} ${attributes["version"]} is here.` : "It FAILED.");
if (!isSame) process.exitCode = 1;

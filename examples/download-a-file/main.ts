/** Downloads one file: publish it, serve it, start an agent, create a job, watch it, take the file. */
import { randomBytes } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startAgent } from "@shoal/agent";
import { describeFile, writeSidecar } from "@shoal/store";
import { serveFiles } from "../origin/serve-files.ts";

const directory = await mkdtemp(join(tmpdir(), "shoal-download-a-file-"));
await using cleanup = new AsyncDisposableStack();
cleanup.defer(() => rm(directory, { recursive: true, force: true }));

// The publisher: a file, the manifest beside it (as `shoal publish` writes it), any web server.
const path = join(directory, "update.bin");
await writeFile(path, randomBytes(16 * 1024 * 1024));
const { bytes, contentId } = await describeFile(path);
const sidecar = await writeSidecar(path, bytes);
const files = { "update.bin": path, "update.bin.shoal": sidecar };
const origin = cleanup.use(await serveFiles(files));

// The downloader.
const agent = cleanup.use(
  await startAgent({ stateDirectory: join(directory, "state"), listen: [], mdns: false }),
);
const destination = join(directory, "downloaded.bin");
const url = origin.urlOf("update.bin");
const job = await agent.jobs.createJob({ files: [{ url, contentId, destination }] });
for await (const { state, transferredBytes, length } of job.progress()) {
  console.log(`${state}: ${transferredBytes} of ${length ?? "?"} bytes`);
}
await job.transferred; // Rejects when the job has failed.
await job.acknowledge(); // Puts the file in its place.

const isSame = (await readFile(path)).equals(await readFile(destination));
console.log(isSame ? "The file is here, and right." : "The file is WRONG.");
if (!isSame) process.exitCode = 1;

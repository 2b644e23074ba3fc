/** A BITS program on Shoal, call by call; above each call is the line of C++ it comes from. */
import { randomBytes } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startAgent } from "@shoal/agent";
import { BG_JOB_PRIORITY, BG_JOB_TYPE, BG_LENGTH_TO_EOF, BG_NOTIFY } from "@shoal/jobs/compat";
import { createBackgroundCopyManager, LEGACY_IIDS } from "@shoal/jobs/compat";
import { serveFiles } from "../origin/serve-files.ts";

const directory = await mkdtemp(join(tmpdir(), "shoal-migrate-from-bits-"));
await using cleanup = new AsyncDisposableStack();
cleanup.defer(() => rm(directory, { recursive: true, force: true }));
const MiB = 1024 * 1024;
const bytes = randomBytes(8 * MiB);
await writeFile(join(directory, "editor.pkg"), bytes);
const origin = cleanup.use(await serveFiles({ "editor.pkg": join(directory, "editor.pkg") }));
const agent = cleanup.use(
  await startAgent({ stateDirectory: join(directory, "state"), listen: [], mdns: false }),
);

// CoCreateInstance(__uuidof(DeliveryOptimization), …, IID_PPV_ARGS(&manager));
const manager = createBackgroundCopyManager(agent.jobService());
// manager->CreateJob(L"Editor 4.2", BG_JOB_TYPE_DOWNLOAD, &jobId, &job);
const { jobId, job } = await manager.CreateJob("Editor 4.2", BG_JOB_TYPE.BG_JOB_TYPE_DOWNLOAD);
// job->QueryInterface(IID_PPV_ARGS(&doJob));
const doJob = job.queryInterface(LEGACY_IIDS.IDeliveryOptimizationJob);
// doJob->AddFileWithRanges(L"editor.pkg", url, localName, 2, ranges, fileSize);
const localName = join(directory, "parts.bin");
const ranges = [
  { InitialOffset: 6 * MiB, Length: BG_LENGTH_TO_EOF },
  { InitialOffset: 0, Length: MiB },
];
await doJob.AddFileWithRanges("editor.pkg", origin.urlOf("editor.pkg"), localName, ranges);
// job->SetPriority(BG_JOB_PRIORITY_FOREGROUND);
await job.SetPriority(BG_JOB_PRIORITY.BG_JOB_PRIORITY_FOREGROUND);
// job->SetNotifyFlags(BG_NOTIFY_JOB_TRANSFERRED | BG_NOTIFY_JOB_ERROR);
await job.SetNotifyFlags(BG_NOTIFY.BG_NOTIFY_JOB_TRANSFERRED | BG_NOTIFY.BG_NOTIFY_JOB_ERROR);
// job->SetNotifyInterface(&callback);
const { promise: finished, resolve, reject } = Promise.withResolvers<number>();
await job.SetNotifyInterface({
  JobTransferred: async (transferred) => resolve(await transferred.Complete()),
  JobError: async (failed, error) => {
    const { code } = await error.GetError();
    await failed.Cancel();
    reject(new Error(`job ${jobId} failed with 0x${code.toString(16)}`));
  },
  JobModification: () => {},
});
// job->Resume();
await job.Resume();

console.log(`Complete: 0x${(await finished).toString(16)}`);
const { BytesTransferred, FilesTransferred } = await job.GetProgress();
console.log(`${FilesTransferred} file, ${BytesTransferred} bytes`);
const expected = Buffer.concat([bytes.subarray(6 * MiB), bytes.subarray(0, MiB)]);
const isSame = expected.equals(await readFile(localName));
console.log(isSame ? "The ranges are here, in their order." : "The ranges are WRONG.");
if (!isSame) process.exitCode = 1;

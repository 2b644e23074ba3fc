/** The job service contract: in process, over a socket, and with the agent in another process. */
import { fork } from "node:child_process";
import { once } from "node:events";
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { startAgent, startRest } from "@shoal/agent";
import { connectJobs, connectJobService, LocalJobService } from "@shoal/jobs";
import { expect, it } from "vitest";
import { TestSite } from "../integration/harness.ts";
import { describeJobServiceContract } from "./job-service-contract.ts";
import type { JobServiceHarness } from "./job-service-contract.ts";
import { CALLERS, startJobEngine } from "./job-service-engine.ts";
import type { CallerName, JobEngine } from "./job-service-engine.ts";
import { jobsOnlyAgent } from "./jobs-only-agent.ts";

async function leftoversOf(engine: JobEngine): Promise<readonly unknown[]> {
  await engine[Symbol.asyncDispose]();
  return engine.borrowed() === 0 ? [] : [`${engine.borrowed()} pieces`];
}

describeJobServiceContract("in process", async (directory) => {
  const engine = await startJobEngine(join(directory, "state"));
  return {
    open: (caller) => Promise.resolve(new LocalJobService(engine.host, CALLERS[caller])),
    end: () => leftoversOf(engine),
  };
});

describeJobServiceContract("over a socket", async (directory) => {
  const engine = await startJobEngine(join(directory, "state"));
  const faults: unknown[] = [];
  const onFault = (error: unknown): void => void faults.push(error);
  const listeners = await Promise.all(
    Object.entries(CALLERS).map(([name, caller]) => {
      const service = jobsOnlyAgent(engine.host, caller);
      const socketPath = join(directory, "sockets", name);
      return startRest({ service, onFault }, { socketPath });
    }),
  );
  return {
    open: (caller) => connectJobService({ socketPath: join(directory, "sockets", caller) }),
    end: async () => {
      for (const listener of listeners) await listener.close();
      return [...faults, ...(await leftoversOf(engine))];
    },
  };
});

describeJobServiceContract("of another process", async (directory): Promise<JobServiceHarness> => {
  const script = join(import.meta.dirname, "job-service-process.ts");
  const args = [join(directory, "state"), join(directory, "sockets")];
  const child = fork(script, args, { execArgv: ["--conditions=shoal-source"] });
  await once(child, "message");
  return {
    open: (caller: CallerName) =>
      connectJobService({ socketPath: join(directory, "sockets", caller) }),
    end: async () => {
      const exited = once(child, "exit");
      child.disconnect();
      const [exitCode] = (await exited) as [number | null];
      return exitCode === 0 ? [] : [`exit code ${exitCode}`];
    },
  };
});

it("serves an agent's jobs on a socket that only its user can reach (R-FS-01, R-API-01)", async () => {
  await using site = await TestSite.create();
  const socketPath = join(site.directory, "run", "agent.sock");
  const stateDirectory = join(site.directory, "state");
  const options = { stateDirectory, api: { socketPath }, mdns: false, listen: [] };
  const agent = await startAgent(options);
  site.use(agent);
  expect(agent.socketPath).toBe(socketPath);
  expect((await stat(socketPath)).mode & 0o777).toBe(0o600);
  expect((await stat(join(site.directory, "run"))).mode & 0o777).toBe(0o700);
  const content = await site.publish("file.bin", 200_000);
  const origin = await site.serve(content);
  await using jobs = await connectJobs({ socketPath });
  const destination = join(site.directory, "file.bin");
  const job = await jobs.createJob({ files: [{ url: origin.url, destination }] });
  await job.transferred;
  await job.acknowledge();
  expect(await agent.jobs.list()).toMatchObject([{ owner: "local", state: "acknowledged" }]);
  await agent.close();
  await expect(jobs.list()).rejects.toMatchObject({ code: "ERR_AGENT_UNREACHABLE" });
  await expect(stat(socketPath)).rejects.toMatchObject({ code: "ENOENT" });
});

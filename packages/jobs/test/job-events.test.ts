import { expect, test } from "vitest";
import { Jobs, LocalJobService } from "../src/index.ts";
import type { Job, JobEvent } from "../src/index.ts";
import { LENGTH, LiteralHost } from "./literal-host.ts";

const host = new LiteralHost();
const jobs = new Jobs(new LocalJobService(host, { name: "local", isAdministrator: true }));
let count = 0;

/** A job of one file that has not begun. */
async function createJob(): Promise<Job> {
  const files = [{ url: "http://origin.test/f", destination: `/downloads/${count++}` }];
  return jobs.createJob({ files, startSuspended: true });
}

function brief(event: JobEvent): string {
  switch (event.type) {
    case "stateChanged":
      return `${event.from ?? "-"} -> ${event.to}`;
    case "fileTransferred":
      return `file ${event.fileIndex}`;
    case "progress":
      return `${event.transferredBytes} bytes`;
  }
}

test("tell the present state first, then what happens, until the job is over", async () => {
  host.deliver();
  const job = await createJob();
  const seen: string[] = [];
  for await (const event of job.events({ intervalMs: 1 })) {
    seen.push(brief(event));
    if (brief(event) === "- -> suspended") await job.resume();
    if (event.type === "stateChanged" && event.to === "transferred") await job.acknowledge();
  }
  expect(seen).toEqual([
    "- -> suspended",
    "file 0",
    `${LENGTH} bytes`,
    "suspended -> transferred",
    "transferred -> acknowledged",
  ]);
});

test("go on after an error, since the job may be resumed", async () => {
  host.refuse("fatal");
  const job = await createJob();
  const states: string[] = [];
  for await (const event of job.events({ intervalMs: 1 })) {
    if (event.type !== "stateChanged") continue;
    states.push(event.snapshot.error?.code ?? event.to);
    if (event.to === "suspended") await job.resume();
    if (event.to === "error") {
      host.deliver();
      await job.resume();
    }
    if (event.to === "transferred") await job.cancel();
  }
  expect(states).toEqual(["suspended", "ERR_ORIGIN_NOT_FOUND", "transferred", "cancelled"]);
});

test("end with the signal's reason, and with the agent", async () => {
  const job = await createJob();
  const aborter = new AbortController();
  const first = job.events({ signal: aborter.signal });
  await first.next();
  const waiting = first.next();
  aborter.abort(new Error("seen enough"));
  await expect(waiting).rejects.toThrow("seen enough");

  const other = job.events();
  await other.next();
  const next = other.next();
  await jobs.close();
  await expect(next).rejects.toMatchObject({ code: "ERR_AGENT_CLOSED" });
});

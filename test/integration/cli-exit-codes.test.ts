/** Every exit code that docs/operations.md lists is what some command ends with. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { readFile } from "node:fs/promises";
import type { Agent } from "@shoal/agent";
import { MiB } from "@shoal/core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { CliUserHere } from "./cli-here.ts";
import { CliUser } from "./cli-process.ts";
import type { CliResult } from "./cli-process.ts";
import { startUsualAgent } from "./cli-running-agent.ts";
import { root, TestSite, until } from "./harness.ts";

let site: TestSite;
let user: CliUser;
/** The same user, whose commands need no process of their own. */
let here: CliUserHere;
let agent: Agent;
beforeAll(async () => {
  site = await TestSite.create();
  user = await CliUser.create(site.directory);
  here = CliUserHere.of(user);
  agent = site.use(await startUsualAgent(user, join(site.directory, "state")));
});
afterAll(() => site[Symbol.asyncDispose]());

const seen = new Set<number>();

/** Runs a command; one that fails says so in one line, and what to do in another. */
async function ends(...args: string[]): Promise<CliResult> {
  return check(await here.runPlain(...args));
}

/** The same, as a process: for codes that processes end with. */
async function exits(...args: string[]): Promise<CliResult> {
  return check(await user.runPlain(...args));
}

function check(result: CliResult): CliResult {
  const { exitCode, stderr } = result;
  if (exitCode !== 0 && !/^shoal: .+[.)]\n.+\.\n$/.test(stderr)) throw new Error(stderr);
  seen.add(exitCode ?? -1);
  return result;
}

function failed(exitCode: number, words: string): object {
  return { exitCode, stdout: "", stderr: expect.stringContaining(words) as string };
}

test("0: it is done", async () => {
  expect(await exits("jobs")).toEqual({ exitCode: 0, stdout: "There are no jobs.\n", stderr: "" });
});

test("1: it failed, because the job's state does not allow it", async () => {
  const files = [{ url: "http://127.0.0.1:1/f", destination: join(user.cwd, "f") }];
  const job = await agent.jobs.createJob({ files, startSuspended: true });
  await job.cancel();
  expect(await ends("jobs", "resume", job.id)).toMatchObject(
    failed(1, "state does not allow this"),
  );
});

test("2: the command line is wrong", async () => {
  expect(await exits("publsh")).toMatchObject(
    failed(2, "Unknown command 'publsh' (Did you mean publish?)"),
  );
  expect(await ends("key")).toMatchObject(failed(2, 'A command is missing after "shoal key"'));
});

test("3: there is no such thing", async () => {
  expect(await exits("jobs", "show", "5f0c")).toMatchObject(
    failed(3, "There is no such job: 5f0c"),
  );
});

test("4: the bytes are not the ones asked for", async () => {
  const content = await site.publish("disk.iso", MiB);
  const { url } = await site.serve(content);
  expect(await ends("get", url, "-o", "wrong", "--sha256", "0".repeat(64))).toMatchObject(
    failed(4, "SHA-256"),
  );
});

test("5: the origin refuses", async () => {
  const url = await answering(403);
  expect(await ends("get", url, "-o", "f")).toMatchObject(
    failed(5, "The origin refused the request"),
  );
});

test("6: it took too long", async () => {
  const url = await answering(undefined);
  expect(await ends("get", url, "-o", "f", "--timeout", "300ms")).toMatchObject(
    failed(6, "The time allowed has passed"),
  );
});

test("7: the job was cancelled by somebody else", async () => {
  const url = await answering(undefined);
  await using process = here.startPlain("get", url, "-o", "cancelled", "--json");
  await until(() => process.objects.length > 0, "the job");
  expect(await ends("jobs", "cancel", "cancelled")).toMatchObject({ exitCode: 0 });
  const { exitCode } = await process.ended();
  expect(exitCode).toBe(7);
  expect(process.objects.at(-1)).toMatchObject({ code: "ERR_JOB_CANCELLED" });
  seen.add(7);
});

test("8: the disk does not take it", async () => {
  expect(await ends("get", "http://127.0.0.1:1/f", "-o", "no/f")).toMatchObject(
    failed(8, "directory does not exist"),
  );
});

test("9: no agent answers, and what to do about it", async () => {
  const result = await ends("status", "--socket", "/nowhere");
  expect(result).toMatchObject(failed(9, "none answers at /nowhere"));
  expect(result).toMatchObject(failed(9, 'Start one with "shoal agent"'));
});

test("10: the address is refused, before anything is sent", async () => {
  const url = "http://169.254.169.254/f";
  expect(await ends("get", url, "-o", "f")).toMatchObject(failed(10, "address is not allowed"));
});

test("11: another agent has the state", async () => {
  const state = ["--state", join(site.directory, "state"), "--no-mdns"];
  const result = await ends("get", "http://127.0.0.1:1/f", "-o", "f", ...state);
  expect(result).toMatchObject(failed(11, "Another agent is using"));
});

test("130: it was interrupted", async () => {
  const url = await answering(undefined);
  await using process = user.startPlain("get", url, "-o", "interrupted", "--json");
  await until(() => process.objects.length > 0, "the job");
  process.kill("SIGINT");
  expect((await process.ended()).exitCode).toBe(130);
  seen.add(130);
});

test("these are all that are documented", async () => {
  const page = await readFile(join(root, "docs", "operations.md"), "utf8");
  const table = page.slice(page.indexOf("| exit code |"), page.indexOf("<!-- end of exit codes"));
  const documented = [...table.matchAll(/^\| (\d+) \|/gm)].map(([, code]) => Number(code));
  expect([...seen].toSorted((a, b) => a - b)).toEqual(documented);
});

/** The URL of an origin that answers everything with a status, or never. */
async function answering(
  status: number | undefined,
  headers: Readonly<Record<string, string>> = {},
): Promise<string> {
  const server = createServer((_request, response) => {
    if (status !== undefined) response.writeHead(status, headers).end();
  });
  site.use({
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
    },
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/f`;
}

/** What bash completes, by the script that `shoal completion bash` prints and an agent that runs. */
import { execFile } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { CliUser } from "./cli-process.ts";
import { startUsualAgent } from "./cli-running-agent.ts";
import { root, TestSite } from "./harness.ts";

let site: TestSite;
let user: CliUser;
beforeAll(async () => {
  site = await TestSite.create();
  user = await CliUser.create(site.directory);
  const { stdout } = await user.runPlain("completion", "bash");
  await writeFile(join(user.home, "completion.bash"), stdout);
});
afterAll(() => site[Symbol.asyncDispose]());

/** What bash offers behind these words. */
async function complete(...words: string[]): Promise<readonly string[]> {
  const main = join(root, "packages", "agent", "src", "main.ts");
  const program = [
    `shoal() { "${process.execPath}" --conditions=shoal-source "${main}" "$@"; }`,
    `source "${join(user.home, "completion.bash")}"`,
    'COMP_WORDS=(shoal "$@"); COMP_CWORD=$#; _shoal_complete; printf "%s\\n" "${COMPREPLY[@]}"',
  ].join("\n");
  const { XDG_RUNTIME_DIR: _runtime, SHOAL_SOCKET: _socket, ...env } = process.env;
  const { stdout } = await promisify(execFile)("bash", ["-c", program, "bash", ...words], {
    env: { ...env, HOME: user.home },
    cwd: user.cwd,
  });
  return stdout.split("\n").filter((line) => line !== "");
}

test("bash completes commands, and ids of jobs as the agent knows them", async () => {
  const agent = site.use(await startUsualAgent(user, join(site.directory, "state")));
  const files = [{ url: "http://127.0.0.1:1/f", destination: join(user.cwd, "f") }];
  const { id } = await agent.jobs.createJob({ files, startSuspended: true });
  expect(await complete("jobs", "su")).toEqual(["suspend"]);
  expect(await complete("jobs", "resume", "")).toEqual([id]);
});

test("bash runs nothing of what is typed", async () => {
  expect(await complete("get", "$(touch pwned)", "--ov")).toEqual(["--overwrite"]);
  expect(await user.leftovers()).not.toContain("pwned");
});

test("zsh and fish get scripts that ask the same", async () => {
  for (const shell of ["zsh", "fish"]) {
    const { stdout } = await user.runPlain("completion", shell);
    expect(stdout).toContain(`${shell} completion for shoal`);
    expect(stdout).toContain("shoal complete --");
  }
});

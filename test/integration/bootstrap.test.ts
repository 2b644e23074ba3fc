import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import {
  chmod,
  cp,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rm,
  symlink,
  writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { closingLine, slowestFiles, tallyReport } from "../../tools/bootstrap/tally.mjs";

const root = fileURLToPath(new URL("../..", import.meta.url));
const WAIT_MS = 20_000;

/** A small repository with the real bootstrap and the real tools, removed after each test. */
let clone = "";
const started: ChildProcess[] = [];

beforeEach(async () => {
  clone = await mkdtemp(join(tmpdir(), "shoal-bootstrap-"));
  await cp(join(root, "tools", "bootstrap"), join(clone, "tools", "bootstrap"), {
    recursive: true,
  });
  for (const name of [
    "tools/bootstrap.mjs",
    "package.json",
    "pnpm-lock.yaml",
    "tsconfig.base.json",
    "tsconfig.test.json",
  ]) {
    await cp(join(root, name), join(clone, name));
  }
  const place = '"compilerOptions": { "outDir": "dist" }, "include": ["src"]';
  await write("tsconfig.json", `{ "extends": "./tsconfig.base.json", ${place} }\n`);
  await write("src/a.ts", "export const count: number = 1;\n");
  // What is installed here are links, which the tools would follow.
  await write(".oxlintrc.json", '{ "ignorePatterns": ["node_modules"] }\n');
  await write(".oxfmtrc.json", '{ "ignorePatterns": ["node_modules", "tools", "*.json"] }\n');
  const modules = join(clone, "node_modules");
  await mkdir(modules);
  for (const name of await readdir(join(root, "node_modules"))) {
    if (name.startsWith(".shoal")) continue;
    await symlink(join(root, "node_modules", name), join(modules, name));
  }
  await write("node_modules/.shoal-installed", await lockfileDigest());
});

afterEach(async () => {
  for (const child of started.splice(0)) {
    if (child.exitCode !== null || child.signalCode !== null) continue;
    const exited = once(child, "exit");
    child.kill("SIGKILL");
    await exited;
  }
  await rm(clone, { recursive: true, force: true });
});

async function write(path: string, text: string): Promise<void> {
  await mkdir(join(clone, path, ".."), { recursive: true });
  await writeFile(join(clone, path), text);
}

async function lockfileDigest(): Promise<string> {
  const bytes = await readFile(join(clone, "pnpm-lock.yaml"));
  return createHash("sha256").update(bytes).digest("hex");
}

interface Run {
  readonly child: ChildProcess;
  /** Everything printed so far. */
  output(): string;
  /** Waits for output that matches; gives the first group. */
  printed(pattern: RegExp): Promise<string>;
  /** Waits for the end; gives the exit code. */
  ended(): Promise<number | null>;
}

function run(args: readonly string[], env: NodeJS.ProcessEnv = {}): Run {
  const child = spawn(process.execPath, [join(clone, "tools", "bootstrap.mjs"), ...args], {
    cwd: tmpdir(),
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  started.push(child);
  const signal = AbortSignal.timeout(WAIT_MS);
  let output = "";
  const closed = once(child, "close", { signal });
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (bytes: Buffer) => (output += bytes.toString()));
  }
  return {
    child,
    output: () => output,
    printed: async (pattern) => {
      let found = pattern.exec(output);
      while (found === null) {
        await once(child.stdout, "data", { signal });
        found = pattern.exec(output);
      }
      return found[1] ?? "";
    },
    ended: async () => {
      await closed;
      return child.exitCode;
    },
  };
}

/** A process that has ended and is not yet collected by the system counts as gone. */
async function isAlive(pid: number): Promise<boolean> {
  try {
    process.kill(pid, 0);
  } catch {
    return false;
  }
  const status = await readFile(`/proc/${pid}/status`, "utf8").catch(() => "");
  return !/^State:\s+Z/m.test(status);
}

/** Waits until no process of these is left. */
async function allGone(...pids: readonly number[]): Promise<void> {
  const anyAlive = async (): Promise<boolean> =>
    (await Promise.all(pids.map(isAlive))).includes(true);
  await expect.poll(anyAlive, { timeout: WAIT_MS, interval: 20 }).toBe(false);
}

const WAITING_JOB = `
import { spawn } from "node:child_process";
const child = spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"], { stdio: "ignore" });
process.on("SIGTERM", () => process.exit(3));
console.log("pids " + process.pid + " " + child.pid + " ready");
setInterval(() => {}, 1000);
`;

describe("start", () => {
  test("runs the main job with its arguments on the project's Node, and gives its exit code", async () => {
    await write(
      "examples/main-job/main.ts",
      "console.log(process.argv.slice(2).join());\nprocess.exitCode = 4;\n",
    );
    const start = run(["start", "--", "a b", "--flag"]);
    expect(await start.ended()).toBe(4);
    expect(start.output()).toBe("a b,--flag\n");
  });

  test.each(["SIGINT", "SIGTERM", "SIGHUP"] as const)(
    "ends with all it started when it gets %s",
    async (signal) => {
      await write("examples/main-job/main.ts", WAITING_JOB);
      const start = run(["start"]);
      const pids = (await start.printed(/pids (.*) ready/)).split(" ").map(Number);
      start.child.kill(signal);
      expect(await start.ended()).toBe({ SIGINT: 130, SIGTERM: 143, SIGHUP: 129 }[signal]);
      await allGone(...pids);
    },
  );

  test("ends with all it started when whoever started it is killed", async () => {
    await write("examples/main-job/main.ts", WAITING_JOB);
    const bootstrap = join(clone, "tools", "bootstrap.mjs");
    const shell = spawn("sh", ["-c", `"${process.execPath}" "${bootstrap}" start; true`], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    started.push(shell);
    const [line] = (await once(shell.stdout, "data")) as [Buffer];
    const pids = /pids (.*) ready/.exec(line.toString())?.[1]?.split(" ").map(Number) ?? [];
    expect(pids).toHaveLength(2);
    shell.kill("SIGKILL");
    await allGone(...pids);
  });

  test("leaves nothing that the main job left behind", async () => {
    await write("examples/main-job/main.ts", `${WAITING_JOB}\nprocess.exit(0);\n`);
    const start = run(["start"]);
    const pids = (await start.printed(/pids (.*) ready/)).split(" ").map(Number);
    expect(await start.ended()).toBe(0);
    await allGone(...pids);
  });

  test("refuses a command it does not have", async () => {
    const start = run(["begin"]);
    expect(await start.ended()).toBe(2);
    expect(start.output()).toContain("Usage: ");
  });
});

describe("installation", () => {
  /** An `npx` that fails, in front of the real one. */
  async function breakNpx(): Promise<NodeJS.ProcessEnv> {
    await write("bin/npx", "#!/bin/sh\necho no registry today\nexit 1\n");
    await chmod(join(clone, "bin", "npx"), 0o755);
    return { PATH: `${join(clone, "bin")}:${process.env["PATH"] ?? ""}` };
  }

  test("is tried again for another lockfile, and says what to do when it fails", async () => {
    const env = await breakNpx();
    await write("pnpm-lock.yaml", "lockfileVersion: '9.0'\n");
    const start = run(["start"], env);
    expect(await start.ended()).toBe(1);
    expect(start.output()).toContain("no registry today");
    expect(start.output()).toContain("could not be installed");
    expect(await readdir(join(clone, "node_modules"))).not.toContain(".shoal-installed");
    expect(await readdir(join(clone, "node_modules"))).not.toContain(".shoal-installing");
  });

  test("waits for another one in the same clone, and uses what that installed", async () => {
    const env = await breakNpx();
    await write("examples/main-job/main.ts", 'console.log("ran");\n');
    await rm(join(clone, "node_modules", ".shoal-installed"));
    await write("node_modules/.shoal-installing", String(process.pid));
    const start = run(["start"], env);
    await expect
      .poll(() => start.output(), { timeout: WAIT_MS, interval: 20 })
      .toContain("Waiting");
    await write("node_modules/.shoal-installed", await lockfileDigest());
    await rm(join(clone, "node_modules", ".shoal-installing"));
    expect(await start.ended()).toBe(0);
    expect(start.output()).toContain("ran");
  });

  test("takes over from one that was killed", async () => {
    const env = await breakNpx();
    const killed = spawn(process.execPath, ["-e", ""]);
    await once(killed, "exit");
    await rm(join(clone, "node_modules", ".shoal-installed"));
    await write("node_modules/.shoal-installing", String(killed.pid));
    const start = run(["start"], env);
    expect(await start.ended()).toBe(1);
    expect(start.output()).toContain("no registry today");
  });
});

describe("test", () => {
  const good =
    'import { expect, test } from "vitest";\n\ntest("adds", () => {\n  expect(1 + 1).toBe(2);\n});\n';

  /** Runs `test` on a repository with these files. */
  async function runTests(files: Record<string, string>, ...args: string[]): Promise<Run> {
    for (const [path, text] of Object.entries(files)) await write(path, text);
    return run(["test", ...args]);
  }

  test("ends with the closing line, in which each check counts as a test", async () => {
    const tests = await runTests({ "test/a.test.ts": good });
    const exitCode = await tests.ended();
    expect(tests.output()).toMatch(/\n4 passed, 0 failed\n$/);
    expect(tests.output()).toMatch(/^slowest files\n +[0-9.]+ s {2}test\/a\.test\.ts$/m);
    expect(exitCode).toBe(0);
    expect(tests.output()).toMatch(/^format +ok +[0-9.]+ s$/m);
  });

  test("counts each failure and shows the output of what failed", async () => {
    const bad = `${good}test("adds wrongly", () => {\n  expect(1 + 1).toBe(3);\n});\ntest.skip("waits", () => {});\n`;
    const tests = await runTests({
      "test/a.test.ts": bad,
      "test/b.test.ts": 'import "./missing.ts";\n',
      "test/c.ts": 'export const count: number = "one"\n',
    });
    expect(await tests.ended()).toBe(1);
    expect(tests.output()).toMatch(/\n2 passed, 4 failed, 1 skipped\n$/);
    expect(tests.output()).toContain("c.ts");
    expect(tests.output()).toContain("TS2322");
    expect(tests.output()).toContain("The test file");
  });

  test("fails when no test ran, also when vitest is content with that", async () => {
    const tests = await runTests(
      { "test/a.test.ts": good },
      "--",
      "--passWithNoTests",
      "nothing-like-it",
    );
    expect(await tests.ended()).toBe(1);
    expect(tests.output()).toContain("No test ran.");
    expect(tests.output()).toMatch(/\n3 passed, 1 failed\n$/);
  });

  test("tells tests of a long run by SHOAL_LONG", async () => {
    const text = `${good}test("is long", () => {\n  expect(process.env["SHOAL_LONG"]).toBe("1");\n});\n`;
    await write("test/a.test.ts", text);
    const tests = run(["test:long"]);
    expect(await tests.ended()).toBe(0);
  });
});

describe("the tally", () => {
  const report = (...statuses: string[]): string =>
    JSON.stringify({
      testResults: [
        { name: "a", status: "passed", assertionResults: statuses.map((status) => ({ status })) },
      ],
    });

  test("counts a run that broke off after its tests as failed", () => {
    const tally = tallyReport(report("passed", "pending"), 1);
    expect(tally).toMatchObject({ passed: 1, failed: 1, skipped: 1 });
    expect(tally.problems).toHaveLength(1);
  });

  test("counts a run without a readable report as failed", () => {
    expect(tallyReport(undefined, 0)).toMatchObject({ passed: 0, failed: 1 });
    expect(tallyReport('{"testResults": [', 0)).toMatchObject({ passed: 0, failed: 1 });
    expect(tallyReport("{}", 0)).toMatchObject({ passed: 0, failed: 1 });
  });

  test("names the ten slowest files, the slowest first, by their paths in the repository", () => {
    const testResults = Array.from({ length: 12 }, (_, index) => ({
      name: `/root/test/${index}.test.ts`,
      status: "passed",
      assertionResults: [],
      startTime: 1_000,
      endTime: 1_000 + index * 1_500,
    }));
    const lines = slowestFiles(JSON.stringify({ testResults }), "/root");
    expect(lines).toHaveLength(10);
    expect(lines.at(0)).toBe("    16.5 s  test/11.test.ts");
    expect(lines.at(-1)).toBe("     3.0 s  test/2.test.ts");
    expect(slowestFiles(undefined, "/root")).toEqual([]);
  });

  test("leaves skipped tests out of the line when there are none", () => {
    expect(closingLine({ passed: 3, failed: 0, skipped: 0 })).toBe("3 passed, 0 failed");
    expect(closingLine({ passed: 3, failed: 1, skipped: 2 })).toBe("3 passed, 1 failed, 2 skipped");
  });
});

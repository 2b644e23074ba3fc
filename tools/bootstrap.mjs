/**
 * The way into a fresh clone: installs what the lockfile names, then runs a command on the
 * project's own Node. `npm start`, `npm test` and `npm run test:long` come through here.
 *
 * Plain JavaScript without dependencies, because it runs on whatever Node a machine has, from 18
 * up, before anything is installed. The files beside it, in `bootstrap/`, keep the same rule.
 */
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { ensureInstalled, findProjectNode, SetupError } from "./bootstrap/install.mjs";
import { interruption, runChild, watchForInterruption } from "./bootstrap/run-child.mjs";
import { runTests } from "./bootstrap/run-tests.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));

/** What each command does once everything is installed; each gives its exit code. */
const COMMANDS = {
  start: (/** @type {Place} */ place) => startMainJob(place),
  test: (/** @type {Place} */ place) => runTests(place, { isLong: false }),
  "test:long": (/** @type {Place} */ place) => runTests(place, { isLong: true }),
};

/** @typedef {import("./bootstrap/run-tests.mjs").Place} Place */

/** @param {Place} place */
async function startMainJob({ node, env, args }) {
  const script = join("examples", "main-job", "main.ts");
  const { exitCode } = await runChild(node, ["--conditions=shoal-source", script, ...args], {
    cwd: root,
    env,
    output: "shown",
  });
  return exitCode;
}

/** @param {string[]} argv */
async function main([command = "", ...rest]) {
  const args = rest[0] === "--" ? rest.slice(1) : rest;
  const names = Object.keys(COMMANDS);
  if (!names.includes(command)) {
    process.stderr.write(`Usage: node tools/bootstrap.mjs ${names.join(" | ")} [ARGUMENT…]\n`);
    return 2;
  }
  watchForInterruption();
  try {
    await ensureInstalled(root);
    const node = findProjectNode(root);
    const bin = join(root, "node_modules", ".bin");
    const separator = process.platform === "win32" ? ";" : ":";
    const env = { ...process.env, PATH: `${bin}${separator}${process.env["PATH"] ?? ""}` };
    const run = COMMANDS[/** @type {keyof typeof COMMANDS} */ (command)];
    return await run({ root, node, env, args });
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    if (interruption() === undefined) process.stderr.write(`${error.message}\n`);
    return interruption()?.exitCode ?? 1;
  }
}

process.exitCode = await main(process.argv.slice(2));

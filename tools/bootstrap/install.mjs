/**
 * Installs the dependencies that the lockfile names, when they are not there yet, and finds the
 * Node the project runs on. Called by `bootstrap.mjs` before everything else.
 *
 * A stamp inside `node_modules` holds the lockfile's SHA-256 at the last installation. A lock file
 * beside it, with the holder's process id, keeps two runs in one clone from installing at once; a
 * lock whose holder is gone is taken over.
 */
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { userInfo } from "node:os";
import { join } from "node:path";
import { interruption, runChild } from "./run-child.mjs";

const NODE_VERSION_MIN = [24, 15];
const INSTALL_TIMEOUT_MS = 600_000;
const LOCK_POLL_MS = 200;
/** A lock file without a process id is being written, unless it is older than this. */
const LOCK_WRITE_MS = 10_000;

/** What the user has to put right before anything can run; its message is all there is to say. */
export class SetupError extends Error {}

/** @param {string} root The repository. */
export async function ensureInstalled(root) {
  const modules = join(root, "node_modules");
  const stamp = join(modules, ".shoal-installed");
  const lockfile = await readFile(join(root, "pnpm-lock.yaml"));
  const wanted = createHash("sha256").update(lockfile).digest("hex");
  const isInstalled = async () => (await readText(stamp)) === wanted;
  if (await isInstalled()) return;
  await mkdir(modules, { recursive: true });
  const release = await takeLock(join(modules, ".shoal-installing"));
  try {
    if (await isInstalled()) return;
    await rm(stamp, { force: true });
    await install(root);
    await writeFile(stamp, wanted);
  } finally {
    await release();
  }
}

/** @param {string} root */
async function install(root) {
  const manifest = JSON.parse(await readFile(join(root, "package.json"), "utf8"));
  const args = ["-y", manifest.packageManager, "install", "--frozen-lockfile"];
  process.stderr.write(`Installing dependencies with ${manifest.packageManager} … `);
  const startedAt = Date.now();
  const { exitCode, output } = await runChild("npx", args, {
    cwd: root,
    env: installEnv(),
    output: "kept",
    timeoutMs: INSTALL_TIMEOUT_MS,
    inShell: process.platform === "win32",
  });
  const seconds = ((Date.now() - startedAt) / 1000).toFixed(1);
  if (exitCode === 0) {
    process.stderr.write(`done in ${seconds} s\n`);
    return;
  }
  process.stderr.write(
    `${interruption() === undefined ? "failed" : "stopped"} after ${seconds} s\n`,
  );
  throw new SetupError(
    `${output.trim()}\n\nThe dependencies could not be installed. Check that npx is there and that ` +
      `the package registry can be reached, then run the same command again. To see more, run: ` +
      `npx ${args.join(" ")}`,
  );
}

/** CI keeps pnpm from asking questions; an empty HOME would make caches in the repository. */
function installEnv() {
  const home = process.env["HOME"] === "" ? { HOME: userInfo().homedir } : {};
  return { ...process.env, ...home, CI: "1" };
}

/**
 * The Node to run the project on: the one installed with it, or this one where it is new enough.
 *
 * @param {string} root
 */
export function findProjectNode(root) {
  const installed = join(root, "node_modules", ".bin", "node");
  if (process.platform === "linux" && existsSync(installed)) return installed;
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
  const [majorMin = 0, minorMin = 0] = NODE_VERSION_MIN;
  if (major > majorMin || (major === majorMin && minor >= minorMin)) return process.execPath;
  throw new SetupError(
    `Shoal needs Node ${majorMin}.${minorMin} or newer, and this is ${process.versions.node}. ` +
      `Install a newer Node and run the same command again.`,
  );
}

/**
 * @param {string} path
 * @returns {Promise<() => Promise<void>>} Gives the lock back.
 */
async function takeLock(path) {
  const deadlineAt = Date.now() + INSTALL_TIMEOUT_MS;
  let isAnnounced = false;
  while (interruption() === undefined && Date.now() < deadlineAt) {
    try {
      await writeFile(path, String(process.pid), { flag: "wx" });
      return () => rm(path, { force: true });
    } catch (error) {
      if (/** @type {NodeJS.ErrnoException} */ (error).code !== "EEXIST") throw error;
    }
    if (await isAbandoned(path)) {
      await takeAway(path);
      continue;
    }
    if (!isAnnounced) process.stderr.write("Waiting for another installation in this clone.\n");
    isAnnounced = true;
    await new Promise((resolve) => setTimeout(resolve, LOCK_POLL_MS));
  }
  throw new SetupError(
    `Another installation holds ${path} for too long. If none is running, remove that file and ` +
      `run the same command again.`,
  );
}

/** @param {string} path */
async function isAbandoned(path) {
  const text = await readText(path);
  if (text === undefined) return false;
  const holder = Number(text);
  if (!Number.isSafeInteger(holder) || holder <= 0) {
    const info = await stat(path).catch(() => undefined);
    return info !== undefined && Date.now() - info.mtimeMs > LOCK_WRITE_MS;
  }
  try {
    process.kill(holder, 0);
    return false;
  } catch (error) {
    return /** @type {NodeJS.ErrnoException} */ (error).code === "ESRCH";
  }
}

/**
 * Removes an abandoned lock. Another run may have removed it first and taken a new one: moving it
 * aside and looking again tells, and a lock taken by mistake is put back.
 *
 * @param {string} path
 */
async function takeAway(path) {
  const aside = `${path}.${process.pid}`;
  try {
    await rename(path, aside);
  } catch {
    return; // Another run was faster.
  }
  if (await isAbandoned(aside)) await rm(aside, { force: true });
  else await rename(aside, path);
}

/** @param {string} path */
async function readText(path) {
  try {
    return await readFile(path, "utf8");
  } catch {
    return undefined;
  }
}

/**
 * Runs one child process at a time and leaves nothing of it behind. Knows processes and signals;
 * does not know what the children do. Called by the other files of the bootstrap.
 *
 * Each child leads a process group of its own, so that a signal reaches all it has started and
 * nothing twice: a terminal's Ctrl-C comes to this process alone, which passes it on. When the child
 * has ended, what is left of its group is killed. When npm or the shell it
 * starts us with dies without a word, that counts as a SIGTERM. Windows has no groups: there the child alone is ended.
 */
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { constants } from "node:os";

/** How long children may take to end after a signal, before they are killed. */
const GRACE_MS = 15_000;
const PARENT_POLL_MS = 1_000;
/** How much of a quiet child's output is kept, from its end. */
const KEPT_OUTPUT_LENGTH_MAX = 1024 * 1024;

const hasGroups = process.platform !== "win32";

/** @typedef {{ signal: NodeJS.Signals, exitCode: number }} Interruption */

/** @type {Interruption | undefined} */
let interrupted;
/** The running child, if any. @type {Set<ReturnType<typeof spawn>>} */
const running = new Set();

/** What told this process to stop, and the exit code that says so; `undefined` when nothing did. */
export function interruption() {
  return interrupted;
}

/** Starts passing signals on to the running child. Called once, before the first child. */
export function watchForInterruption() {
  /** @type {readonly NodeJS.Signals[]} */
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"];
  for (const signal of signals) process.on(signal, () => interrupt(signal));
  const ancestors = readAncestors();
  const watch = setInterval(() => {
    if (readAncestors() === ancestors) return;
    clearInterval(watch);
    interrupt("SIGTERM");
  }, PARENT_POLL_MS);
  watch.unref();
}

/** The parent's process id and, where the system shows it, the id of its parent: npm's shell, npm. */
function readAncestors() {
  try {
    const status = readFileSync(`/proc/${process.ppid}/status`, "utf8");
    return `${process.ppid} ${/^PPid:.*$/m.exec(status)?.[0] ?? ""}`;
  } catch {
    return String(process.ppid);
  }
}

/** @param {NodeJS.Signals} signal */
function interrupt(signal) {
  const isRepeated = interrupted !== undefined;
  interrupted ??= { signal, exitCode: 128 + constants.signals[signal] };
  for (const child of running) {
    signalChild(child, isRepeated ? "SIGKILL" : signal);
    endAfterGrace(child);
  }
}

/**
 * @param {ReturnType<typeof spawn>} child
 * @param {NodeJS.Signals} signal
 */
function signalChild(child, signal) {
  if (child.pid === undefined) return;
  try {
    if (hasGroups) process.kill(-child.pid, signal);
    else child.kill(signal);
  } catch {
    // Nothing of the group is left, which is what was wanted.
  }
}

/** @param {ReturnType<typeof spawn>} child */
function endAfterGrace(child) {
  setTimeout(() => {
    if (running.has(child)) signalChild(child, "SIGKILL");
  }, GRACE_MS).unref();
}

/**
 * @typedef {object} ChildOptions
 * @property {string} cwd
 * @property {NodeJS.ProcessEnv} env
 * @property {"shown" | "kept"} output Passed through as it comes, or kept for the caller.
 * @property {number} [timeoutMs] When the child is ended; without it the user decides.
 * @property {boolean} [inShell] Windows needs a shell to run `.cmd` files.
 */

/**
 * Runs a command to its end. The exit code is 128 + the signal's number for a child that a signal
 * ended, and 127 for one that did not start. After an interruption nothing is started any more.
 *
 * @param {string} command
 * @param {readonly string[]} args
 * @param {ChildOptions} options
 * @returns {Promise<{ exitCode: number, output: string }>}
 */
export function runChild(command, args, { cwd, env, output, timeoutMs, inShell = false }) {
  if (interrupted !== undefined) {
    return Promise.resolve({ exitCode: interrupted.exitCode, output: "" });
  }
  return new Promise((resolve) => {
    const child = spawn(command, args, {
      cwd,
      env,
      shell: inShell,
      detached: hasGroups,
      stdio: output === "shown" ? "inherit" : ["ignore", "pipe", "pipe"],
    });
    running.add(child);
    let kept = "";
    const keep = (/** @type {Buffer} */ bytes) => {
      kept = (kept + bytes.toString()).slice(-KEPT_OUTPUT_LENGTH_MAX);
    };
    child.stdout?.on("data", keep);
    child.stderr?.on("data", keep);
    const timer = setTimeout(() => {
      kept += `\nStopped after ${String(timeoutMs)} ms.\n`;
      signalChild(child, "SIGTERM");
      endAfterGrace(child);
    }, timeoutMs ?? 0);
    if (timeoutMs === undefined) clearTimeout(timer);
    const finish = (/** @type {number} */ exitCode) => {
      clearTimeout(timer);
      running.delete(child);
      resolve({ exitCode: interrupted?.exitCode ?? exitCode, output: kept });
    };
    child.on("error", (error) => {
      kept += `${error.message}\n`;
      if (child.pid === undefined) finish(127);
    });
    // Leftovers hold the output pipes open, so they are ended on `exit`, before `close` can come.
    child.on("exit", () => signalChild(child, "SIGKILL"));
    child.on("close", (code, signal) => {
      finish(code ?? 128 + (signal === null ? 0 : constants.signals[signal]));
    });
  });
}

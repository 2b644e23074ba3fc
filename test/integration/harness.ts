/**
 * What integration tests share: a place on disk, files, origins, agent processes and programs that
 * all go away with the test, in the reverse order of their making.
 *
 * Agents are processes of their own, so that they can be killed and their memory measured; they run
 * the main job's `agent-process.ts`.
 */
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, open, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { AgentOptions } from "@shoal/agent";
import { KiB, MiB, SIDECAR_SUFFIX } from "@shoal/core";
import { describeFile } from "@shoal/store";
import type { AgentOrder, AgentReport } from "../../examples/main-job/agent-process.ts";
import { Child } from "../../examples/main-job/child.ts";
import { sha256OfFile } from "../../examples/main-job/source-file.ts";
import { serveFiles } from "../../examples/origin/serve-files.ts";
import type { FileOrigin, ServeFilesOptions } from "../../examples/origin/serve-files.ts";

export const LOOPBACK = "/ip4/127.0.0.1/tcp/0";
export const root = fileURLToPath(new URL("../..", import.meta.url));

/** A published file: what the origin serves and what every agent must end up with. */
export interface TestContent {
  readonly path: string;
  readonly name: string;
  readonly length: number;
  readonly sha256: string;
  readonly contentId: string;
  readonly manifestBytes: Uint8Array;
}

/** An origin that serves one content. */
export interface TestOrigin extends FileOrigin {
  readonly url: string;
  /** Bytes of the content sent so far. */
  readonly sentBytes: number;
}

export type AgentProcess = Child<AgentOrder, AgentReport>;

export interface AgentProcessOptions extends Partial<AgentOptions> {
  readonly onReport?: (report: AgentReport) => void;
  /** A command that runs the agent in its own place. Default: none. */
  readonly within?: readonly string[];
  /** The process's program. Default: from the sources. */
  readonly script?: URL;
}

const AGENT_SCRIPT = new URL("../../examples/main-job/agent-process.ts", import.meta.url);

/** The place of one test. Everything it makes ends and is removed when it is disposed of. */
export class TestSite implements AsyncDisposable {
  readonly directory: string;
  readonly #things = new AsyncDisposableStack();

  private constructor(directory: string) {
    this.directory = directory;
    this.#things.defer(() => rm(directory, { recursive: true, force: true }));
  }

  static async create(): Promise<TestSite> {
    return new TestSite(await mkdtemp(join(tmpdir(), "shoal-integration-")));
  }

  /** Keeps something until the test ends. */
  use<Thing extends AsyncDisposable>(thing: Thing): Thing {
    return this.#things.use(thing);
  }

  /** A new empty directory. */
  async makeDirectory(name: string): Promise<string> {
    const path = join(this.directory, name);
    await mkdir(path);
    return path;
  }

  /**
   * A published file of `length` bytes that is cheap to make: one block without zeros over and
   * over, with a count in every 16 KiB of it, so that no two pieces are equal.
   */
  async publish(name: string, length: number, firstCount = 0): Promise<TestContent> {
    const path = join(await this.makeDirectory(`published-${name}`), name);
    const block = patternBlock(Math.min(length, MiB));
    const file = await open(path, "wx");
    let count = firstCount;
    for (let offset = 0; offset < length; offset += block.length) {
      for (let at = 0; at + 4 <= block.length; at += 16 * KiB) block.writeUInt32BE(++count, at);
      await file.writeFile(block.subarray(0, length - offset));
    }
    await file.close();
    const { bytes: manifestBytes, contentId } = await describeFile(path);
    await writeFile(path + SIDECAR_SUFFIX, manifestBytes);
    const sha256 = await sha256OfFile(path, AbortSignal.timeout(60_000));
    return { path, name, length, sha256, contentId, manifestBytes };
  }

  /** An origin with the content and its sidecar manifest. */
  async serve({ name, path }: TestContent, options: ServeFilesOptions = {}): Promise<TestOrigin> {
    const sidecar = { [name + SIDECAR_SUFFIX]: path + SIDECAR_SUFFIX };
    const origin = this.use(await serveFiles({ [name]: path, ...sidecar }, options));
    return {
      ...origin,
      url: origin.urlOf(name),
      get sentBytes() {
        return origin.sentBytesOf(name);
      },
    };
  }

  /** An agent process; its state directory has its name. */
  startAgent(
    name: string,
    { onReport, within = [], script = AGENT_SCRIPT, ...options }: AgentProcessOptions = {},
  ): AgentProcess {
    const argument: AgentOptions = {
      stateDirectory: join(this.directory, `state-${name}`),
      listen: [LOOPBACK],
      mdns: false,
      allowLoopbackPeers: true,
      ...options,
    };
    const report = onReport === undefined ? {} : { onReport };
    return this.use(new Child(script, { name, argument, within, ...report }));
  }

  /** An agent process that has the content, and its addresses. */
  async startSeed(name: string, content: TestContent): Promise<readonly string[]> {
    const seed = this.startAgent(name);
    const { addresses } = await seed.next("ready");
    seed.send({ type: "share", path: content.path });
    await seed.next("shared");
    return addresses;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#things.disposeAsync();
  }
}

/** Without zeros, so that what was never written to a part file can be told from what was. */
function patternBlock(length: number): Buffer {
  const block = Buffer.alloc(length);
  for (let i = 0; i < length; i++) block[i] = 1 + ((i * 31 + (i >>> 8) * 17) % 255);
  return block;
}

export async function sha256Of(path: string): Promise<string> {
  return sha256OfFile(path, AbortSignal.timeout(60_000));
}

/** Polls until `condition` holds; throws after `deadlineMs`. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  what: string,
  deadlineMs = 10_000,
): Promise<void> {
  const deadlineAt = performance.now() + deadlineMs;
  while (!(await condition())) {
    if (performance.now() > deadlineAt) throw new Error(`${what}: not in ${deadlineMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

export interface ProgramResult {
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface ProgramOptions {
  /** Where the program puts temporary files. */
  readonly temporaryDirectory: string;
  readonly timeoutMs?: number;
  /** Called with all of stderr so far; what it returns is sent to the program. */
  readonly onStderr?: (text: string) => NodeJS.Signals | undefined;
}

/** Runs a TypeScript program of this repository to its end, with pipes instead of a terminal. */
export function runProgram(
  script: string,
  args: readonly string[],
  { temporaryDirectory, timeoutMs = 60_000, onStderr }: ProgramOptions,
): Promise<ProgramResult> {
  const { promise, resolve, reject } = Promise.withResolvers<ProgramResult>();
  const child = spawn(process.execPath, ["--conditions=shoal-source", script, ...args], {
    cwd: root,
    env: { ...process.env, TMPDIR: temporaryDirectory, NO_COLOR: "1" },
    stdio: ["ignore", "pipe", "pipe"],
    timeout: timeoutMs,
    killSignal: "SIGKILL",
  });
  let stdout = "";
  let stderr = "";
  child.stdout.on("data", (bytes: Buffer) => (stdout += bytes.toString()));
  child.stderr.on("data", (bytes: Buffer) => {
    stderr += bytes.toString();
    const signal = onStderr?.(stderr);
    if (signal !== undefined) child.kill(signal);
  });
  child.on("error", reject);
  child.on("close", (exitCode) => resolve({ exitCode, stdout, stderr }));
  return promise;
}

/** Command lines of running processes that name `text`; nothing where there is no /proc. */
export async function processesNaming(text: string): Promise<readonly string[]> {
  if (!existsSync("/proc")) return [];
  const found: string[] = [];
  for (const entry of await readdir("/proc")) {
    if (!/^\d+$/.test(entry)) continue;
    const line = await readFile(`/proc/${entry}/cmdline`, "utf8").catch(() => "");
    if (line.includes(text)) found.push(line.replaceAll("\0", " "));
  }
  return found;
}

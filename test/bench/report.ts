/**
 * docs/performance.md, made from what a run of the benchmarks printed with `--json`: the machine,
 * the commands, and a table of figures for each benchmark. Knows figures. Called by `main.ts`.
 */
import { execFile } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { availableParallelism, cpus, loadavg, release, tmpdir, totalmem } from "node:os";
import { promisify } from "node:util";
import { MiB } from "@shoal/core";
import type { Figure } from "./measure.ts";

const run = promisify(execFile);
const PAGE = new URL("../../docs/performance.md", import.meta.url);

/** What a run was made on and with. */
export interface RunDescription {
  readonly arguments: readonly string[];
  readonly date: string;
  readonly processor: string;
  readonly cores: number;
  readonly memoryMib: number;
  readonly system: string;
  readonly fileSystem: string;
  /** Of the last minute, when the run began: above 0, others were using the machine. */
  readonly load: number;
  readonly versions: Readonly<Record<string, string>>;
}

type Row = Figure & { readonly bench: string };

/** The programs that are compared with, and how each says its version. */
const PROGRAMS: Readonly<Record<string, readonly string[]>> = {
  libtorrent: ["/usr/bin/python3", "-c", "import libtorrent; print(libtorrent.__version__)"],
  aria2: ["aria2c", "--version"],
  curl: ["curl", "--version"],
  nginx: ["nginx", "-v"],
};

export async function describeRun(args: readonly string[]): Promise<RunDescription> {
  const versions: Record<string, string> = { "Node.js": process.versions.node };
  for (const [name, [program = "", ...rest]] of Object.entries(PROGRAMS)) {
    const said = await run(program, rest).catch(() => undefined);
    const version = /\d+(\.\d+)+/.exec(`${said?.stdout} ${said?.stderr}`)?.[0];
    versions[name] = version ?? "not installed";
  }
  const { stdout } = await run("df", ["--output=fstype", tmpdir()]).catch(() => ({ stdout: "" }));
  return {
    arguments: withoutPaths(args),
    date: new Date().toISOString().slice(0, 10),
    processor: cpus()[0]?.model ?? "unknown",
    cores: availableParallelism(),
    memoryMib: Math.round(totalmem() / MiB),
    system: `${process.platform} ${release().replace(/-.*/, "")}`,
    fileSystem: stdout.trim().split("\n").at(-1) ?? "unknown",
    load: loadavg()[0] ?? NaN,
    versions,
  };
}

/** Writes the page; returns the exit code. */
export async function writeReport([file]: readonly string[]): Promise<number> {
  if (file === undefined) {
    console.error("report FILE: what a run with --json has printed");
    return 2;
  }
  await writeFile(PAGE, renderReport(await readFile(file, "utf8")));
  return 0;
}

/** The page for the lines that `--json` prints. */
export function renderReport(text: string): string {
  const lines = text.split("\n").filter((line) => line.startsWith("{"));
  const values = lines.map((line) => JSON.parse(line) as { run: RunDescription } | Row);
  const description = values.find((value) => "run" in value)?.run;
  const rows = values.filter((value) => "bench" in value);
  if (description === undefined || rows.length === 0) throw new Error("that is no run");
  const benches = [...new Set(rows.map(({ bench }) => bench))];
  const tables = benches.map((bench) => tableOf(bench, rows));
  return `${INTRODUCTION}\n${machineOf(description)}\n${tables.join("\n")}`;
}

function machineOf(run: RunDescription): string {
  const versions = Object.entries(run.versions).map(([name, version]) => `${name} ${version}`);
  return `## The machine

${run.date}: ${run.processor}, ${run.cores} cores, ${run.memoryMib} MiB of memory, ${run.system}; files on
${run.fileSystem}. Load before the run: ${run.load.toFixed(1)}. ${versions.join(", ")}.

\`\`\`
pnpm bench --json ${run.arguments.filter((arg) => arg !== "--json").join(" ")} > run.json
pnpm bench report run.json
\`\`\`
`;
}

function tableOf(bench: string, rows: readonly Row[]): string {
  const lines = rows.filter((row) => row.bench === bench).map(lineOf);
  const about = ABOUT[bench];
  const text = about === undefined ? "" : `${about}\n\n`;
  return `## ${bench}\n\n${text}| | | target |\n| --- | ---: | ---: |\n${lines.join("\n")}\n`;
}

/** A figure that could not be had is \`null\` in JSON, and its name says why. */
function lineOf({ name, value, unit, target }: Row): string {
  const known = value as number | null;
  const text = known === null ? "" : `${known.toFixed(2)} ${unit}`;
  return `| ${name} | ${text} | ${target ?? ""} |`;
}

/** A directory on the machine of the run is of no use to readers. */
function withoutPaths(args: readonly string[]): readonly string[] {
  return args.map((arg) => (arg.startsWith("/") ? "DIR" : arg));
}

const INTRODUCTION = `# Performance

Made by \`pnpm bench report\` from one run of the benchmarks; do not edit. Absolute figures are this
machine's and move with whatever else it does. What can be compared are the ratios: the contenders
take turns (A B C A B C), after a round that does not count, and every figure is a median. In \`pair\`
and \`fanout\` programs that run for days, Shoal, libtorrent and WebTorrent, transfer another file as
long in the same processes before they are measured; "just started" is without that. aria2 ends with
its download.

- Each end is a process of its own, which reads from and writes to the same file system.
- Shoal's processes run what is installed, bundled JavaScript; contenders are as Debian and npm have them.
- Everybody verifies every piece, but for plain HTTP, where curl and aria2 verify nothing and Shoal
  does as it is told. BitTorrent programs speak TCP without encryption; Shoal always encrypts.
- Shoal syncs what it writes, as it always does; its time ends with the file synced and in its place.
  The others' times end when they say that they are done, with bytes still in the page cache.
- Processor time is user and system time of the whole process while the transfer runs, by the
  kernel's account; memory is the largest resident set, with mapped files.
- Copies of the same length are written and removed before each run, because fresh pages can cost a
  virtual machine many times more than used ones.
`;

const ABOUT: Readonly<Record<string, string>> = {
  pair: "One uploader, one downloader, disk to disk.",
  fanout: "One uploader, four downloaders that may help each other; the rate is the last one's.",
  mixed: "One peer, and an origin that sends a tenth of what the peer does.",
  origin: "From nginx, by HTTP/1.1 without TLS.",
  originLimited: "The same, with each connection limited by the server.",
  latency: "Times from `createJob` on, by the agent's own clock.",
};

import { contentIdOf, ShoalError } from "@shoal/core";
import type { Command } from "commander";
import { beforeEach, expect, test } from "vitest";
import type { CommandContext } from "../../src/cli/command-context.ts";
import { commandPath, createProgram } from "../../src/cli/program.ts";

let calls: unknown[][] = [];
let written = "";
beforeEach(() => {
  calls = [];
  written = "";
});

/** The program, whose commands only note what they were called with. */
function notingProgram(): Command {
  const terminal = { out: (text: string) => void (written += text) };
  const signal = new AbortController().signal;
  const connect = (): Promise<never> => Promise.reject(new ShoalError("ERR_AGENT_UNREACHABLE"));
  const context = { terminal, env: {}, signal, connect } as unknown as CommandContext;
  const program = createProgram(context, "1.2.3");
  noteActions(program, "");
  return program;
}

function noteActions(parent: Command, path: string): void {
  for (const command of parent.commands) {
    const name = `${path}${command.name()}`;
    noteActions(command, `${name} `);
    // A command with subcommands finds wrong names itself.
    if (command.commands.length > 0) continue;
    command.action((...args: unknown[]) => void calls.push([name, ...args]));
  }
}

async function run(line: string): Promise<void> {
  const argv = line.split(" ").filter((word) => word !== "");
  await notingProgram().parseAsync(argv, { from: "user" });
}

const contentId = contentIdOf(new Uint8Array(1));
const sha256 = "ab".repeat(32);

test.each<[string, unknown[]]>([
  ["publish f", ["publish", "f", {}]],
  [
    "publish f --piece-length 1MiB --json",
    ["publish", "f", { pieceLength: 1_048_576, json: true }],
  ],
  [
    "publish f --key a --key b --product p --sequence 7 --valid-days 30",
    ["publish", "f", { key: ["a", "b"], product: "p", sequence: 7, validDays: 30 }],
  ],
  [
    "publish http://a/f --key k -o f --overwrite --state s --ca c",
    ["publish", "http://a/f", { key: ["k"], output: "f", overwrite: true, state: "s", ca: "c" }],
  ],
  ["publish http://a/f --socket j", ["publish", "http://a/f", { socket: "j" }]],
  ["explain --socket s", ["explain", undefined, { socket: "s" }]],
  ["explain j --json", ["explain", "j", { json: true }]],
  ["jobs show j --socket s", ["jobs show", "j"]],
  ["jobs cancel a b", ["jobs cancel", ["a", "b"]]],
  ["jobs priority j high", ["jobs priority", "j", "high"]],
  ["cache pin c --for 30d", ["cache pin", "c", { for: 2_592_000_000 }]],
  ["cache expire --all --in 2h", ["cache expire", undefined, { all: true, in: 7_200_000 }]],
  ["peers unban 10.0.0.7 --json", ["peers unban", "10.0.0.7"]],
  ["status --peers 3 --watch", ["status", undefined, { peers: 3, watch: true }]],
  ["status f --peers", ["status", "f", { peers: true }]],
  ["log -n 5 -f --level warn", ["log", { lines: 5, follow: true, level: "warn" }]],
  ["seed a b --no-agent", ["seed", ["a", "b"], { agent: false, mdns: true }]],
  ["get u -o f --explain", ["get", "u", { output: "f", agent: true, mdns: true, explain: true }]],
  ["key generate k --json", ["key generate", "k", { json: true }]],
  ["group create g --json", ["group create", "g", { json: true }]],
  [
    "get u -o f --trust a --trust b",
    ["get", "u", { output: "f", agent: true, mdns: true, trust: ["a", "b"] }],
  ],
  [
    "agent --policy DODownloadMode=2 --policy DOCacheHost=a,b --policy-file p --policy-preset do",
    [
      "agent",
      {
        api: true,
        mdns: true,
        policy: { DODownloadMode: 2, DOCacheHost: "a,b" },
        policyFile: "p",
        policyPreset: "do",
      },
    ],
  ],
  ["publish f --chunking content", ["publish", "f", { chunking: "content" }]],
  ["get http://a/f -o f", ["get", "http://a/f", { output: "f", agent: true, mdns: true }]],
  [
    `get --content-id ${contentId} -o f --peer /a --peer /b --listen /c --no-mdns`,
    [
      "get",
      undefined,
      { output: "f", contentId, peer: ["/a", "/b"], listen: ["/c"], agent: true, mdns: false },
    ],
  ],
  [
    `get u -o f --sha256 ${sha256} --overwrite --timeout 2min --limit 2MiB --state s`,
    [
      "get",
      "u",
      {
        output: "f",
        sha256,
        overwrite: true,
        timeout: 120_000,
        limit: 2_097_152,
        state: "s",
        agent: true,
        mdns: true,
      },
    ],
  ],
  [
    "get u -o f --setting uploadsMax=0 --setting banMs=1s",
    [
      "get",
      "u",
      { output: "f", agent: true, mdns: true, setting: { uploadsMax: 0, banMs: 1_000 } },
    ],
  ],
  ["agent", ["agent", { api: true, mdns: true }]],
  [
    "agent --share a --share b --json",
    ["agent", { share: ["a", "b"], api: true, mdns: true, json: true }],
  ],
])("reads: shoal %s", async (line, expected) => {
  await run(line);
  expect(calls[0]?.slice(0, expected.length)).toEqual(expected);
});

test.each([
  ["gett", "unknown command 'gett'\n(Did you mean get?)"],
  ["get u -o f --pear x", "unknown option '--pear'\n(Did you mean --peer?)"],
  ["get u v -o f", "too many arguments"],
  ["publish", "missing required argument 'FILE|URL'"],
  [`get u -o f --sha256 ${sha256} --content-id ${contentId}`, "cannot be used with"],
  ["get u -o f --timeout soon", "A duration is a number with a unit"],
  ["get u -o", "argument missing"],
  ["jobs shwo 5f0c", "unknown command 'shwo'\n(Did you mean show?)"],
  ["jobs frobnicate", "unknown command 'frobnicate'"],
  ["jobs priority j soon", "Allowed choices are"],
  ["cache pin c --for 2000d", "at most a year"],
  ["log --level loud", "Allowed choices are"],
])("refuses: shoal %s", async (line, words) => {
  await expect(run(line)).rejects.toThrow(words);
  expect(calls).toEqual([]);
});

test("begins the help of every command with examples that parse", async () => {
  const paths = pathsOf(notingProgram(), "");
  const helps = [];
  for (const path of paths) helps.push(await helpOf(path));
  const begun = helps.filter((help) =>
    /^Examples:\n {2}[^\n]*shoal [^]*\n\nUsage: shoal/.test(help),
  );
  expect(begun).toHaveLength(paths.length);
  expect(paths.length).toBeGreaterThan(30);
  const examples = helps.flatMap((help) => [...help.matchAll(/^ {2}shoal ([^>\n]+)/gm)]);
  const faults = [];
  for (const [, example = ""] of examples) {
    const line = example.replaceAll("bafyrei…", contentId).replace("9f86d081…", sha256);
    const fault = await run(line).then(() => undefined, String);
    // A command that lists without being told to asks an agent, and none runs here.
    if (fault !== undefined && !fault.startsWith("NotedFailure")) faults.push(`${line}: ${fault}`);
  }
  expect(faults).toEqual([]);
});

async function helpOf(path: string): Promise<string> {
  written = "";
  await run(`${path} --help`).catch(() => {});
  return written;
}

function pathsOf(command: Command, path: string): readonly string[] {
  const listed = command.commands.filter((one) => one.name() !== "complete");
  const own = listed.flatMap((one) => pathsOf(one, `${path} ${one.name()}`.trim()));
  return path === "" ? own : [path, ...own];
}

test("names the command that arguments begin with, for what is said about them", () => {
  const program = notingProgram();
  const paths = [["get", "--pear"], ["key", "generate"], ["gett"], []].map((argv) =>
    commandPath(program, argv),
  );
  expect(paths).toEqual(["shoal get", "shoal key generate", "shoal", "shoal"]);
});

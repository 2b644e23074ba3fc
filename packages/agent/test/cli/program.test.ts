import { contentIdOf } from "@shoal/core";
import type { Command, CommanderError } from "commander";
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
  const program = createProgram({ terminal } as unknown as CommandContext, "1.2.3");
  noteActions(program, "");
  return program;
}

function noteActions(parent: Command, path: string): void {
  for (const command of parent.commands) {
    const name = `${path}${command.name()}`;
    noteActions(command, `${name} `);
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
  ["publish http://a/f --job-socket j", ["publish", "http://a/f", { jobSocket: "j" }]],
  ["explain --job-socket s", ["explain", undefined, { jobSocket: "s" }]],
  ["explain j --job-socket s --json", ["explain", "j", { jobSocket: "s", json: true }]],
  ["bans --job-socket s --json", ["bans", { jobSocket: "s", json: true }]],
  ["unban 10.0.0.7 --job-socket s", ["unban", "10.0.0.7", { jobSocket: "s" }]],
  ["get u -o f --explain", ["get", "u", { output: "f", mdns: true, explain: true }]],
  ["key generate k --json", ["key generate", "k", { json: true }]],
  ["group create g --json", ["group create", "g", { json: true }]],
  ["get u -o f --trust a --trust b", ["get", "u", { output: "f", mdns: true, trust: ["a", "b"] }]],
  [
    "agent --policy DODownloadMode=2 --policy DOCacheHost=a,b --policy-file p --policy-preset do",
    [
      "agent",
      {
        mdns: true,
        policy: { DODownloadMode: 2, DOCacheHost: "a,b" },
        policyFile: "p",
        policyPreset: "do",
      },
    ],
  ],
  ["publish f --chunking content", ["publish", "f", { chunking: "content" }]],
  ["get http://a/f -o f", ["get", "http://a/f", { output: "f", mdns: true }]],
  [
    `get --content-id ${contentId} -o f --peer /a --peer /b --listen /c --no-mdns`,
    ["get", undefined, { output: "f", contentId, peer: ["/a", "/b"], listen: ["/c"], mdns: false }],
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
        mdns: true,
      },
    ],
  ],
  [
    "get u -o f --setting uploadsMax=0 --setting banMs=1s",
    ["get", "u", { output: "f", mdns: true, setting: { uploadsMax: 0, banMs: 1_000 } }],
  ],
  ["agent", ["agent", { mdns: true }]],
  ["agent --share a --share b --json", ["agent", { share: ["a", "b"], mdns: true, json: true }]],
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
])("refuses: shoal %s", async (line, words) => {
  await expect(run(line)).rejects.toThrow(words);
  expect(calls).toEqual([]);
});

test.each(["--help", "get --help", "publish --help", "agent --help"])(
  "begins the help of %s with an example",
  async (line) => {
    const asked = await run(line).catch((error: unknown) => error);
    expect((asked as CommanderError).exitCode).toBe(0);
    expect(written).toMatch(/^Examples:\n {2}shoal \w+.*\n[^]*\n\nUsage: shoal/);
  },
);

test("names the command that arguments begin with, for what is said about them", () => {
  const program = notingProgram();
  const paths = [["get", "--pear"], ["key", "generate"], ["gett"], []].map((argv) =>
    commandPath(program, argv),
  );
  expect(paths).toEqual(["shoal get", "shoal key generate", "shoal", "shoal"]);
});

import { beforeEach, expect, test } from "vitest";
import type { CommandContext } from "../../src/cli/command-context.ts";
import { completionText } from "../../src/cli/complete-words.ts";
import type { Suggestion } from "../../src/cli/complete-words.ts";
import { createProgram } from "../../src/cli/program.ts";

let asked: string[] = [];
beforeEach(() => void (asked = []));

/** Values that are suggested behind `line`, and what the shell may add: `files`, `space`. */
async function complete(line: string): Promise<{ values: string[]; shell: string[] }> {
  const program = createProgram({ terminal: {}, env: {} } as unknown as CommandContext, "1.2.3");
  const askNames = async (placeholder: string): Promise<readonly Suggestion[]> => {
    asked.push(placeholder);
    return [{ value: "5f0c", description: "a\tjob" }];
  };
  const text = await completionText(program, line.split(" "), askNames);
  const lines = text.trimEnd().split("\n");
  const directive = Number(lines.at(-1)?.slice(1));
  const shell = [
    ...((directive & 4) === 0 ? ["files"] : []),
    ...((directive & 2) === 0 ? ["space"] : []),
  ];
  return { values: lines.slice(0, -1).map((one) => one.split("\t")[0] ?? ""), shell };
}

test.each<[string, readonly string[]]>([
  ["pu", ["publish"]],
  ["co", ["config", "completion"]],
  ["jobs su", ["suspend"]],
  ["jobs --json su", ["suspend"]],
  ["jobs cancel --soc", ["--socket"]],
  ["get --no-", ["--no-agent", "--no-mdns"]],
  ["log --level w", ["warn"]],
  ["log --level=w", ["warn"]],
  ["jobs priority 5f0c fo", ["foreground"]],
  ["jobs cancel 5f0c 5", ["5f0c"]],
  ["completion f", ["fish"]],
  ["key generate --j", ["--json"]],
  ["comp", ["completion"]],
])("behind %j comes %j", async (line, values) => {
  expect(await complete(line)).toEqual({ values, shell: ["space"] });
});

test("names of settings and policies end in an equals sign, without a space", async () => {
  expect(await complete("get --setting uploadRateB")).toEqual({
    values: ["uploadRateBytesPerSec="],
    shell: [],
  });
  expect((await complete("agent --policy DODownloadM")).values).toEqual(["DODownloadMode="]);
});

test("files are left to the shell", async () => {
  const lines = ["publish ", "seed a ", "get -o ", "get --output=x", "agent --share d"];
  const answers = await Promise.all(lines.map(complete));
  expect(answers.map(({ shell }) => shell)).toEqual(lines.map(() => ["files", "space"]));
});

test("an agent is asked for what only it knows", async () => {
  await complete("jobs show ");
  await complete("cache pin ");
  await complete("peers unban ");
  await complete("get --content-id ");
  await complete("jobs sh");
  expect(asked).toEqual(["JOB", "CONTENT", "SUBJECT", "CID"]);
});

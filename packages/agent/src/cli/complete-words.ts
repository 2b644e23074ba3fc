/**
 * What may stand where the cursor is: commands, options and their values, from the program's own
 * definition. Names that only a running agent knows are asked for when they are needed.
 *
 * Knows commander's definitions, and the protocol of completion scripts: a suggestion a line, with
 * its description behind a tab, then what the shell may do by itself behind a colon.
 */
import type { Argument, Command, Option } from "commander";
import { POLICIES, SETTINGS } from "@shoal/core";
import { escapeText } from "./escape-text.ts";

export interface Suggestion {
  readonly value: string;
  readonly description: string;
}

/** What the shell adds by itself: bits of the scripts' protocol. */
const DIRECTIVES = { files: 0, noSpace: 2, noFiles: 4 } as const;

/** What an agent that runs can name, by the name of the argument in help; empty where none runs. */
export type AskNames = (placeholder: string) => Promise<readonly Suggestion[]>;

/** The answer to a completion script. `words`: what is typed, the last one as far as it is. */
export async function completionText(
  program: Command,
  words: readonly string[],
  askNames: AskNames,
): Promise<string> {
  const { current, place } = locate(program, words);
  const { suggestions, directive } = await suggest(place, { current, askNames });
  const fitting = suggestions.filter(({ value }) => value.startsWith(current));
  const lines = fitting.map(({ value, description }) => `${value}\t${escapeText(description)}\n`);
  return `${lines.join("")}:${directive}\n`;
}

/** Where the cursor is. */
interface Place {
  readonly command: Command;
  /** Its value stands here. */
  readonly option: Option | undefined;
  readonly argument: Argument | undefined;
  readonly isOption: boolean;
  readonly hasArguments: boolean;
}

function locate(program: Command, words: readonly string[]): { current: string; place: Place } {
  const typed = words.filter((word) => word !== "=");
  let current = typed.at(-1) ?? "";
  let command = program;
  let option: Option | undefined;
  let count = 0;
  for (const word of typed.slice(0, -1)) {
    if (option !== undefined) {
      option = undefined;
    } else if (word.startsWith("-")) {
      const found = word.includes("=") ? undefined : findOption(command, word);
      option = found?.required === true ? found : undefined;
    } else {
      const next = count > 0 ? undefined : command.commands.find((one) => one.name() === word);
      if (next === undefined) count++;
      else command = next;
    }
  }
  const isInline = option === undefined && /^--[^=]+=/.test(current);
  if (isInline) {
    option = findOption(command, current.slice(0, current.indexOf("=")));
    current = current.slice(current.indexOf("=") + 1);
  }
  const all = command.registeredArguments;
  const last = all.at(-1);
  const argument = all[count] ?? (last?.variadic === true ? last : undefined);
  const isOption = option === undefined && current.startsWith("-");
  return { current, place: { command, option, argument, isOption, hasArguments: count > 0 } };
}

/** An option of the command or of those above it. */
function findOption(command: Command, flag: string): Option | undefined {
  for (let at: Command | null = command; at !== null; at = at.parent) {
    const found = at.options.find(({ long, short }) => flag === long || flag === short);
    if (found !== undefined) return found;
  }
  return undefined;
}

interface Suggesting {
  readonly current: string;
  readonly askNames: AskNames;
}

interface Suggestions {
  readonly suggestions: readonly Suggestion[];
  readonly directive: number;
}

async function suggest(
  { command, option, argument, isOption, hasArguments }: Place,
  { askNames }: Suggesting,
): Promise<Suggestions> {
  if (isOption) return { suggestions: optionsOf(command), directive: DIRECTIVES.noFiles };
  if (option !== undefined) {
    const { placeholder, choices } = {
      placeholder: placeholderOf(option.flags),
      choices: option.argChoices,
    };
    return await valuesOf(placeholder, { choices, long: option.long, askNames });
  }
  const names = hasArguments
    ? []
    : command
        .createHelp()
        .visibleCommands(command)
        .map((one) => ({ value: one.name(), description: one.summary() }));
  if (argument === undefined) return { suggestions: names, directive: DIRECTIVES.noFiles };
  const { suggestions, directive } = await valuesOf(argument.name(), {
    choices: argument.argChoices,
    long: undefined,
    askNames,
  });
  return { suggestions: [...names, ...suggestions], directive };
}

function optionsOf(command: Command): readonly Suggestion[] {
  return command
    .createHelp()
    .visibleOptions(command)
    .flatMap(({ long, description }) => (long == null ? [] : [{ value: long, description }]));
}

/** `FILE` of `-o, --output <FILE>`. */
function placeholderOf(flags: string): string {
  return /[<[]([^>\]]+)/.exec(flags)?.[1] ?? "";
}

interface Values extends Omit<Suggesting, "current"> {
  readonly choices: readonly string[] | undefined;
  readonly long: string | null | undefined;
}

async function valuesOf(
  placeholder: string,
  { choices, long, askNames }: Values,
): Promise<Suggestions> {
  if (choices !== undefined) {
    const suggestions = choices.map((value) => ({ value, description: "" }));
    return { suggestions, directive: DIRECTIVES.noFiles };
  }
  if (/FILE|DIR|PATH|^KEYS$/.test(placeholder)) {
    return { suggestions: [], directive: DIRECTIVES.files };
  }
  if (placeholder === "NAME=VALUE") {
    const table = long === "--policy" ? POLICIES : SETTINGS;
    const suggestions = Object.entries(table).map(([name, row]) => ({
      value: `${name}=`,
      description: "help" in row ? String(row.help) : "",
    }));
    return { suggestions, directive: DIRECTIVES.noFiles | DIRECTIVES.noSpace };
  }
  return { suggestions: await askNames(placeholder), directive: DIRECTIVES.noFiles };
}

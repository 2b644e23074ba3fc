/**
 * The manual page `shoal(1)` in roff, from the definition of the program: what help says, in the
 * form of the system's manual. Nothing in it is written by hand but its frame.
 */
import type { Argument, Command, Option } from "commander";
import type { CommandContext } from "./command-context.ts";
import { exitCodeRows } from "./failure.ts";
import { createProgram } from "./program.ts";

/** The page; the same sources give the same bytes. */
export function manPage(version: string): string {
  const program = createProgram(NOWHERE, version);
  const help = program.createHelp();
  const commands = help.visibleCommands(program);
  return [
    `.\\" Generated from the program's definition by pnpm run docs.`,
    `.TH SHOAL 1 "" "Shoal ${roff(version)}" "User Commands"`,
    section("NAME"),
    `shoal \\- ${roff(lowerFirst(program.description().replace(/\.$/, "")))}`,
    section("SYNOPSIS"),
    `.B shoal\n.I COMMAND\n[\\fIOPTIONS\\fR]`,
    section("COMMANDS"),
    ...commands.flatMap((command) => commandLines(command, "shoal")),
    section("ENVIRONMENT"),
    ...ENVIRONMENT.flatMap(([name, text]) => entry(bold(name), text)),
    section("FILES"),
    ...FILES.flatMap(([name, text]) => entry(bold(name), text)),
    section("EXIT STATUS"),
    ...exitCodeRows().flatMap(({ exitCode, meaning }) => entry(bold(String(exitCode)), meaning)),
    "",
  ].join("\n");
}

/** Nothing is run, so nothing of it is used. */
const NOWHERE = { terminal: {}, env: {} } as unknown as CommandContext;

const ENVIRONMENT = [
  ["SHOAL_SOCKET", "Where the agent is that commands ask. --socket comes before it."],
  ["XDG_RUNTIME_DIR", "Your agent listens there, in shoal/agent.sock."],
  ["XDG_STATE_HOME", "State is kept there, in shoal; default: ~/.local/state."],
  ["XDG_CONFIG_HOME", "Your configuration is there, in shoal; default: ~/.config."],
  ["NO_COLOR", "If it is set, nothing is coloured."],
  ["http_proxy, https_proxy, no_proxy", "How origins are reached; also in upper case."],
] as const;

const FILES = [
  ["/etc/shoal/config.yaml", "The system's configuration."],
  ["~/.config/shoal/config.yaml", "Yours."],
  ["/run/shoal/agent.sock", "Where the system's agent is, where none of yours runs."],
] as const;

function commandLines(command: Command, parent: string): string[] {
  const name = `${parent} ${command.name()}`;
  const help = command.createHelp();
  const usage = command.usage() === "" ? "" : ` ${command.usage()}`;
  const options = help.visibleOptions(command).filter(({ long }) => long !== "--help");
  return [
    `.SS ${bold(name)}${roff(usage)}`,
    roff(command.description()),
    ...help.visibleArguments(command).flatMap(argumentLines),
    ...options.flatMap(optionLines),
    ...help.visibleCommands(command).flatMap((one) => commandLines(one, name)),
  ];
}

function argumentLines(argument: Argument): string[] {
  const choices = argument.argChoices === undefined ? "" : `: ${argument.argChoices.join(", ")}`;
  return entry(`\\fI${roff(argument.name())}\\fR`, `${argument.description}${choices}`);
}

function optionLines({ flags, description, argChoices }: Option): string[] {
  const choices = argChoices === undefined ? "" : ` (${argChoices.join(", ")})`;
  return entry(bold(flags), `${description}${choices}`);
}

function section(title: string): string {
  return `.SH ${title}`;
}

function entry(term: string, text: string): string[] {
  return [".TP", term, roff(text)];
}

function bold(text: string): string {
  return `\\fB${roff(text)}\\fR`;
}

function lowerFirst(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1);
}

/** Text as roff reads it: no line begins with a request, hyphens are hyphens. */
function roff(text: string): string {
  return text
    .replaceAll("\\", "\\e")
    .replaceAll("-", "\\-")
    .replaceAll("…", "...")
    .replaceAll(/^([.'])/gm, "\\&$1");
}

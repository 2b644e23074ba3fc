/**
 * The command line as commander sees it: names, help, examples and how each option is read. What
 * the commands do is passed in, so that parsing can be tested without doing anything.
 */
import { Command, Option } from "commander";
import { POLICY_PRESETS } from "@shoal/core";
import type { Policies, Settings } from "@shoal/core";
import { DO_REST_CONFIG_DIRECTORY, DO_REST_RUN_DIRECTORY } from "../do-rest/start-do-rest.ts";
import type { AgentCommandOptions } from "./agent-command.ts";
import type { BansOptions } from "./bans-command.ts";
import type { ExplainOptions } from "./explain-command.ts";
import type { GetOptions } from "./get-command.ts";
import type { GroupOptions } from "./group-command.ts";
import type { KeyOptions } from "./key-command.ts";
import {
  parseContentIdText,
  parseDays,
  parseDuration,
  parsePieceLength,
  parseProduct,
  parseRate,
  parseSequence,
  parseSetting,
  parseSha256,
} from "./parse-values.ts";
import { parsePolicy } from "./policy-file.ts";
import type { PublishOptions } from "./publish-command.ts";

/** What each command does with its arguments. */
export interface CommandActions {
  publish(file: string, options: PublishOptions): Promise<void>;
  get(url: string | undefined, options: GetOptions): Promise<void>;
  agent(options: AgentCommandOptions): Promise<void>;
  explain(job: string | undefined, options: ExplainOptions): Promise<void>;
  bans(options: BansOptions): Promise<void>;
  unban(subject: string, options: BansOptions): Promise<void>;
  generateKey(file: string, options: KeyOptions): Promise<void>;
  createGroup(file: string, options: GroupOptions): Promise<void>;
}

export interface ProgramOutput {
  readonly version: string;
  /** Help and version that were asked for. */
  writeOut(text: string): void;
}

/** A program that throws commander's errors instead of exiting, and writes no error itself. */
export function createProgram(actions: CommandActions, output: ProgramOutput): Command {
  const program = new Command("shoal")
    .description("Downloads files from their HTTP origin and from peers that already have them.")
    .usage("COMMAND [OPTIONS]")
    .version(output.version, "-V, --version", "print the version")
    .helpOption("-h, --help", "print this help")
    .helpCommand(false)
    .exitOverride()
    .configureOutput({ writeOut: (text) => output.writeOut(text), writeErr: () => {} })
    .addHelpText("before", PROGRAM_EXAMPLES);
  addPublish(program, actions);
  addGet(program, actions);
  addAgent(program, actions);
  addExplain(program, actions);
  addBans(program, actions);
  addKey(program, actions);
  addGroup(program, actions);
  program.addHelpText("after", "\nshoal COMMAND --help has the options of a command.");
  return program;
}

const PROGRAM_EXAMPLES = `Examples:
  shoal publish disk.iso                       describe a file; prints its content id
  shoal get https://example.org/disk.iso -o disk.iso --content-id bafyrei…
  shoal agent --share disk.iso                 give a file to peers on the network
`;

function addPublish(program: Command, actions: CommandActions): void {
  subcommand(program, "publish", [
    "shoal publish disk.iso",
    "shoal publish disk.iso --piece-length 4MiB --json",
    "shoal publish disk.iso --key publisher.key",
    "shoal publish https://example.org/disk.iso --key publisher.key",
  ])
    .summary("describe a file and print its content id")
    .description(
      "Writes FILE.shoal, the manifest to put beside FILE on a server. Of a URL of somebody else, " +
        "fetches the file once and has an agent announce it, signed, to peers that trust the key.",
    )
    .argument("<FILE|URL>", "the file to describe")
    .addOption(valued("--piece-length <BYTES>", "default: by the file's length", parsePieceLength))
    .addOption(
      new Option(
        "--chunking <HOW>",
        "fixed, the default, or content: for files that get new versions",
      ).choices(["fixed", "content"]),
    )
    .addOption(listed("--key <FILE>", "sign with this key too (repeatable): FILE.shoal-signed"))
    .addOption(valued("--product <NAME>", "what FILE is a version of; default: FILE", parseProduct))
    .addOption(
      valued("--sequence <N>", "higher for newer versions; default: the time", parseSequence),
    )
    .addOption(valued("--valid-days <DAYS>", "how long it may be used; default: 365", parseDays))
    .option(
      "-o, --output <FILE>",
      "of a URL: where the file goes and stays; default: its name here",
    )
    .option("--overwrite", "of a URL: replace the file when it exists")
    .option("--state <DIR>", "of a URL: the state of the agent that announces it, not running now")
    .option("--job-socket <PATH>", "of a URL: where the agent that announces it runs")
    .option("--ca <FILE>", "of a URL: trust the certificate authorities in this PEM file too")
    .option("--json", "print one JSON object")
    .action((file: string, options: PublishOptions) => actions.publish(file, options));
}

function addGet(program: Command, actions: CommandActions): void {
  const command = subcommand(program, "get", [
    "shoal get https://example.org/disk.iso -o disk.iso",
    "shoal get https://example.org/disk.iso -o disk.iso --sha256 9f86d081…",
    "shoal get --content-id bafyrei… -o disk.iso --peer /ip4/192.0.2.1/tcp/4001/p2p/12D3Koo…",
    "shoal get https://example.org/disk.iso -o disk.iso --limit 2MiB",
    "shoal get https://example.org/disk.iso.meta4 -o downloads",
  ])
    .summary("download a file")
    .description("Downloads a file. An interrupted download goes on with the same command.")
    .argument(
      "[URL]",
      "where the file comes from, or a Metalink document (.meta4), also one on this machine; " +
        "not needed with --content-id and peers",
    )
    .option("-o, --output <FILE>", "where to put it (required); of a Metalink, the directory")
    .addOption(
      valued("--content-id <CID>", "the content it must be; lets peers help", parseContentIdText),
    )
    .addOption(
      valued("--sha256 <HEX>", "the SHA-256 it must have", parseSha256).conflicts("contentId"),
    )
    .option("--overwrite", "replace the file when it exists")
    .addOption(valued("--limit <RATE>", "fetch at most 500KiB, 2MiB in a second", parseRate))
    .addOption(valued("--timeout <DURATION>", "give up after 30s, 5min, 2h", parseDuration));
  addNetworkOptions(command)
    .option("--state <DIR>", "keep state here (default: one directory for each FILE)")
    .option("--explain", "say at the end where the bytes came from, and why")
    .option("--json", "print progress and result as lines of JSON")
    .action((url: string | undefined, options: GetOptions) => actions.get(url, options));
}

function addAgent(program: Command, actions: CommandActions): void {
  const command = subcommand(program, "agent", [
    "shoal agent",
    "shoal agent --share disk.iso --listen /ip4/0.0.0.0/tcp/4001",
    "shoal agent --setting uploadRateBytesPerSec=2MiB --setting cacheBytesMax=50GiB",
    "shoal agent --policy DODownloadMode=1 --policy DOMinFileSizeToCache=10",
  ])
    .summary("run an agent that gives peers what it has")
    .description("Runs until Ctrl-C. Prints the addresses that others pass to --peer.")
    .addOption(listed("--share <FILE>", "offer a file (repeatable)"));
  addNetworkOptions(command)
    .option("--state <DIR>", "keep state here (default: ~/.local/state/shoal/agent)")
    .addOption(
      new Option(
        "--policy <NAME=VALUE>",
        "set a policy of Delivery Optimization (repeatable; see docs/policies.md)",
      ).argParser((text, before?: Policies) => ({ ...before, ...parsePolicy(text) })),
    )
    .option("--policy-file <FILE>", "policies from a JSON object; --policy comes before it")
    .addOption(
      new Option(
        "--policy-preset <NAME>",
        "do: what Delivery Optimization asks for by default",
      ).choices(POLICY_PRESETS),
    )
    .option("--job-socket <PATH>", "let your programs use the job API here (`connectJobs`)")
    .option("--do-rest", "serve programs of Microsoft's DO SDK for Linux (docs/do-rest.md)")
    .option("--do-rest-run <DIR>", `their port file goes here (default: ${DO_REST_RUN_DIRECTORY})`)
    .option("--do-rest-config <DIR>", `their settings (default: ${DO_REST_CONFIG_DIRECTORY})`)
    .option("--json", "print the addresses as a line of JSON")
    .action((options: AgentCommandOptions) => actions.agent(options));
}

function addExplain(program: Command, actions: CommandActions): void {
  subcommand(program, "explain", [
    "shoal explain --job-socket /run/user/1000/shoal/jobs.sock",
    "shoal explain 5f0c… --job-socket /run/user/1000/shoal/jobs.sock",
  ])
    .summary("say why bytes come from where they come from")
    .description("Asks an agent (shoal agent --job-socket) about a job, or lists its jobs.")
    .argument("[JOB]", "a job's id, or the beginning of it; without one, jobs are listed")
    .option("--job-socket <PATH>", "where the agent's job API is (required)")
    .option("--json", "print one JSON object")
    .action((job: string | undefined, options: ExplainOptions) => actions.explain(job, options));
}

function addBans(program: Command, actions: CommandActions): void {
  const socket = "--job-socket <PATH>";
  subcommand(program, "bans", ["shoal bans --job-socket /run/user/1000/shoal/jobs.sock"])
    .summary("list peers and addresses that an agent refuses")
    .description("Lists whom an agent (shoal agent --job-socket) refuses, for what and until when.")
    .option(socket, "where the agent's job API is (required)")
    .option("--json", "print one JSON object a line")
    .action((options: BansOptions) => actions.bans(options));
  subcommand(program, "unban", ["shoal unban 10.0.0.7 --job-socket /run/user/1000/shoal/jobs.sock"])
    .summary("lift a ban")
    .description("Lifts a ban, and forgets what led to it.")
    .argument("<SUBJECT>", "a peer's id, or an address, as shoal bans shows it")
    .option(socket, "where the agent's job API is (required)")
    .option("--json", "print one JSON object")
    .action((subject: string, options: BansOptions) => actions.unban(subject, options));
}

function addKey(program: Command, actions: CommandActions): void {
  const command = subcommand(program, "key", ["shoal key generate publisher.key"])
    .summary("make keys to sign manifests with")
    .description("Makes keys for shoal publish --key.")
    .helpCommand(false);
  subcommand(command, "generate", ["shoal key generate publisher.key"])
    .summary("make a key")
    .description("Writes a new private key to FILE and prints its public key, for --trust.")
    .argument("<FILE>", "where to put the private key")
    .option("--json", "print one JSON object")
    .action((file: string, options: KeyOptions) => actions.generateKey(file, options));
}

function addGroup(program: Command, actions: CommandActions): void {
  const command = subcommand(program, "group", ["shoal group create office.group"])
    .summary("make keys that the members of a group share")
    .description("Makes keys for --group-key.")
    .helpCommand(false);
  subcommand(command, "create", ["shoal group create office.group"])
    .summary("make a group's key")
    .description("Writes a new group key to FILE, for every member.")
    .argument("<FILE>", "where to put the key")
    .option("--json", "print one JSON object")
    .action((file: string, options: GroupOptions) => actions.createGroup(file, options));
}

function subcommand(program: Command, name: string, examples: readonly string[]): Command {
  const lines = examples.map((example) => `  ${example}\n`).join("");
  return program
    .command(name)
    .allowExcessArguments(false)
    .helpOption("-h, --help", "print this help")
    .addHelpText("before", `Examples:\n${lines}`);
}

function addNetworkOptions(command: Command): Command {
  return command
    .addOption(listed("--peer <MULTIADDR>", "connect to this peer (repeatable)"))
    .addOption(listed("--listen <MULTIADDR>", "listen here (repeatable; default: any port)"))
    .addOption(listed("--cache-host <HOST>", "ask this cache server first (repeatable)"))
    .addOption(
      listed("--trust <KEYS>", "believe manifests signed with this public key (repeatable)"),
    )
    .addOption(
      listed(
        "--group-key <FILE>",
        "talk only to agents that have this key, or the previous one (twice, current first)",
      ),
    )
    .option("--no-mdns", "do not look for peers on the local network")
    .option("--ca <FILE>", "trust the certificate authorities in this PEM file too")
    .addOption(
      new Option(
        "--setting <NAME=VALUE>",
        "change a setting (repeatable; see docs/settings.md)",
      ).argParser((text, before?: Partial<Settings>) => ({ ...before, ...parseSetting(text) })),
    );
}

function valued<T>(flags: string, help: string, parse: (text: string) => T): Option {
  return new Option(flags, help).argParser((text) => parse(text));
}

function listed(flags: string, help: string): Option {
  return new Option(flags, help).argParser((text, before: readonly string[] | undefined) => [
    ...(before ?? []),
    text,
  ]);
}

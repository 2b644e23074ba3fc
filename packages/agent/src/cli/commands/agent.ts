/** `shoal agent` on the command line. Its work is `agent-command.ts`, loaded when it runs. */
import { Option } from "commander";
import { POLICY_PRESETS } from "@shoal/core";
import type { Policies } from "@shoal/core";
import { LOG_FORMATS, LOG_LEVELS } from "../../config/agent-keys.ts";
import { DO_REST_CONFIG_DIRECTORY, DO_REST_RUN_DIRECTORY } from "../../do-rest/start-do-rest.ts";
import type { AgentCommandOptions } from "../agent-command.ts";
import { addNetworkOptions, listed, subcommand, valued } from "../define-command.ts";
import type { Register } from "../define-command.ts";
import { parsePort } from "../parse-values.ts";
import { parsePolicy } from "../policy-file.ts";

export const addAgent: Register = (program, context) => {
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
    .option("--config <FILE>", "read this configuration file in place of yours")
    .addOption(listed("--set <KEY=VALUE>", "set any key of docs/configuration.md (repeatable)"))
    .addOption(
      new Option("--log-level <LEVEL>", "the least worth a line; default: info").choices(
        LOG_LEVELS,
      ),
    )
    .addOption(
      new Option("--log-format <FORMAT>", "default: text on a terminal, else JSON").choices(
        LOG_FORMATS,
      ),
    )
    .option("--api-socket <PATH>", "let programs and commands of yours reach it here")
    .option("--no-api", "let none reach it")
    .addOption(
      valued("--api-port <PORT>", "the API for token holders on 127.0.0.1, too", parsePort),
    )
    .option("--do-rest", "serve programs of Microsoft's DO SDK for Linux (docs/do-rest.md)")
    .option("--do-rest-run <DIR>", `their port file goes here (default: ${DO_REST_RUN_DIRECTORY})`)
    .option("--do-rest-config <DIR>", `their settings (default: ${DO_REST_CONFIG_DIRECTORY})`)
    .option("--json", "print the addresses as a line of JSON")
    .action(async (options: AgentCommandOptions) => {
      const { runAgentCommand } = await import("../agent-command.ts");
      await runAgentCommand(options, context);
    });
};

/**
 * `shoal completion SHELL` prints the script that a shell loads; the script asks `shoal complete`,
 * which is not listed. Nothing is said where something fails: the user is typing.
 */
import { Argument } from "commander";
import type { Command } from "commander";
import { isFinalState } from "@shoal/core";
import type { AgentService } from "../../service/agent-service.ts";
import type { CommandContext } from "../command-context.ts";
import type { Suggestion } from "../complete-words.ts";
import { subcommand } from "../define-command.ts";
import type { Register } from "../define-command.ts";
import { findAgent } from "../find-agent.ts";
import { contentName } from "../status-screen.ts";

const SHELLS = ["bash", "zsh", "fish"] as const;
type Shell = (typeof SHELLS)[number];

/** Who waits for a suggestion does not wait longer. */
const ASK_TIMEOUT_MS = 500;

export const addCompletion: Register = (program, context) => {
  subcommand(program, "completion", [
    'eval "$(shoal completion bash)"',
    "shoal completion zsh > ~/.zfunc/_shoal",
    "shoal completion fish > ~/.config/fish/completions/shoal.fish",
  ])
    .summary("print a script that completes commands")
    .description("Prints a script for your shell: what is typed is completed with Tab.")
    .addArgument(new Argument("<SHELL>", "your shell").choices(SHELLS))
    .action(async (shell: Shell) => {
      // The library's script for bash runs what is typed through eval.
      if (shell === "bash") return context.terminal.out(BASH_SCRIPT);
      const { script } = await import("@bomb.sh/tab");
      script(shell, "shoal", "shoal");
    });
  program
    .command("complete", { hidden: true })
    .argument("[WORDS...]")
    .action((words: readonly string[]) => complete(program, words, context));
};

async function complete(
  program: Command,
  words: readonly string[],
  context: CommandContext,
): Promise<void> {
  const { completionText } = await import("../complete-words.ts");
  const socket = words.at(words.indexOf("--socket") + 1);
  const options = words.includes("--socket") && socket !== undefined ? { socket } : {};
  const askNames = async (placeholder: string): Promise<readonly Suggestion[]> => {
    const ask = NAMES[placeholder];
    if (ask === undefined) return [];
    const signal = AbortSignal.any([context.signal, AbortSignal.timeout(ASK_TIMEOUT_MS)]);
    try {
      const found = await findAgent(options, { ...context, signal });
      return found === undefined ? [] : await ask(found.service);
    } catch {
      return [];
    }
  };
  context.terminal.out(await completionText(program, words, askNames));
}

/** By the name of the argument in help. */
const NAMES: Readonly<Record<string, (service: AgentService) => Promise<Suggestion[]>>> = {
  JOB: async ({ jobs }) =>
    (await jobs.list())
      .toSorted((a, b) => Number(isFinalState(a.state)) - Number(isFinalState(b.state)))
      .map(({ jobId, displayName, state }) => ({
        value: jobId,
        description: `${displayName}, ${state}`,
      })),
  CONTENT: contentNames,
  CID: contentNames,
  SUBJECT: async (service) =>
    (await service.bans()).map(({ subject, offence }) => ({
      value: subject,
      description: offence,
    })),
};

async function contentNames(service: AgentService): Promise<Suggestion[]> {
  return (await service.contents()).flatMap((content) =>
    content.contentId === undefined
      ? []
      : [{ value: content.contentId, description: contentName(content) }],
  );
}

/** Asks with the words as they stand, without a shell looking at them again. */
const BASH_SCRIPT = `# bash completion for shoal
_shoal_complete() {
  local cur=\${COMP_WORDS[COMP_CWORD]} out line
  COMPREPLY=()
  [[ $cur == "=" ]] && cur=
  out=$(shoal complete -- "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null) || return
  while IFS= read -r line; do
    case $line in
      :[0-9]*)
        (( \${line#:} & 2 )) && compopt -o nospace 2>/dev/null
        (( \${line#:} & 4 )) && compopt +o default 2>/dev/null
        ;;
      *) COMPREPLY+=("\${line%%$'\\t'*}") ;;
    esac
  done <<<"$out"
}
complete -o default -F _shoal_complete shoal
`;

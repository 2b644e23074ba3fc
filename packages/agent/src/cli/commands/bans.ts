/** `shoal bans` and `shoal unban` on the command line. Their work is `bans-command.ts`. */
import type { BansOptions } from "../bans-command.ts";
import { subcommand } from "../define-command.ts";
import type { Register } from "../define-command.ts";

export const addBans: Register = (program, context) => {
  const socket = "--job-socket <PATH>";
  subcommand(program, "bans", ["shoal bans --job-socket /run/user/1000/shoal/jobs.sock"])
    .summary("list peers and addresses that an agent refuses")
    .description("Lists whom an agent (shoal agent --job-socket) refuses, for what and until when.")
    .option(socket, "where the agent's job API is (required)")
    .option("--json", "print one JSON object a line")
    .action(async (options: BansOptions) => {
      const { runBans } = await import("../bans-command.ts");
      await runBans(options, context);
    });
  subcommand(program, "unban", ["shoal unban 10.0.0.7 --job-socket /run/user/1000/shoal/jobs.sock"])
    .summary("lift a ban")
    .description("Lifts a ban, and forgets what led to it.")
    .argument("<SUBJECT>", "a peer's id, or an address, as shoal bans shows it")
    .option(socket, "where the agent's job API is (required)")
    .option("--json", "print one JSON object")
    .action(async (subject: string, options: BansOptions) => {
      const { runUnban } = await import("../bans-command.ts");
      await runUnban(subject, options, context);
    });
};

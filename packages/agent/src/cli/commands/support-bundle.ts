/** `shoal support-bundle` on the command line; `support-bundle-command.ts` does the work. */
import { addAskOptions, subcommand } from "../define-command.ts";
import type { AskOptions, Register } from "../define-command.ts";

export const addSupportBundle: Register = (program, context) => {
  const command = subcommand(program, "support-bundle", ["shoal support-bundle shoal.tar.gz"])
    .summary("gather what somebody who helps needs to see")
    .description(
      "Writes an archive with what the doctor finds, configuration, figures, jobs and the log. No " +
        "secret is in it; names of files and addresses of peers are. Works without an agent, too.",
    )
    .argument("<FILE>", "the archive, which must not exist: a .tar.gz");
  addAskOptions(command).action(async (file: string, options: AskOptions) => {
    const { runSupportBundle } = await import("../support-bundle-command.ts");
    await runSupportBundle(file, options, context);
  });
};

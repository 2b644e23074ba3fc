/** `shoal doctor` on the command line. Its work is `doctor-command.ts`, loaded when it runs. */
import { addAskOptions, listed, subcommand } from "../define-command.ts";
import type { Register } from "../define-command.ts";
import type { DoctorOptions } from "../doctor-command.ts";

export const addDoctor: Register = (program, context) => {
  const command = subcommand(program, "doctor", [
    "shoal doctor",
    "shoal doctor --origin https://example.org/disk.iso",
    "shoal doctor --html report.html",
    "shoal doctor --json",
  ])
    .summary("find out what is wrong, and what to do")
    .description(
      "Looks at the running agent, its disk, network, peers and limits. Without an agent it looks " +
        "at what there is. The exit code is 1 if something has failed, 0 otherwise.",
    )
    .option("--html <FILE>", "write a report with charts, too")
    .addOption(listed("--origin <URL>", "see whether this origin answers (repeatable)"))
    .addOption(listed("--peer <MULTIADDR>", "connect the agent with this peer (repeatable)"));
  addAskOptions(command).action(async (options: DoctorOptions) => {
    const { runDoctor } = await import("../doctor-command.ts");
    await runDoctor(options, context);
  });
};

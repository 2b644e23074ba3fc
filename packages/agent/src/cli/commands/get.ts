/** `shoal get` on the command line. Its work is `get-command.ts`, loaded when it runs. */
import { addNetworkOptions, subcommand, valued } from "../define-command.ts";
import type { Register } from "../define-command.ts";
import type { GetOptions } from "../get-command.ts";
import { parseContentIdText, parseDuration, parseRate, parseSha256 } from "../parse-values.ts";

export const addGet: Register = (program, context) => {
  const command = subcommand(program, "get", [
    "shoal get https://example.org/disk.iso -o disk.iso",
    "shoal get https://example.org/disk.iso -o disk.iso --sha256 9f86d081…",
    "shoal get --content-id bafyrei… -o disk.iso --peer /ip4/192.0.2.1/tcp/4001/p2p/12D3Koo…",
    "shoal get https://example.org/disk.iso -o disk.iso --limit 2MiB",
    "shoal get https://example.org/disk.iso.meta4 -o downloads",
  ])
    .summary("download a file")
    .description(
      "Downloads a file. An interrupted download goes on with the same command. The agent that " +
        "runs does the work, if it is yours; an agent of the command's own does where none runs, " +
        "or where options say how it is to be set up.",
    )
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
  command
    .option("--no-agent", "use an agent of the command's own, whether or not one runs")
    .option("--socket <PATH>", "the agent to use (default: $SHOAL_SOCKET, or yours if it runs)");
  addNetworkOptions(command.optionsGroup("Options of an agent of the command's own:"))
    .option("--state <DIR>", "keep state here (default: one directory for each FILE)")
    .optionsGroup("What is printed:")
    .option("--explain", "say at the end where the bytes came from, and why")
    .option("--json", "print progress and result as lines of JSON")
    .action(async (url: string | undefined, options: GetOptions) => {
      const { runGet } = await import("../get-command.ts");
      await runGet(url, options, context);
    });
};

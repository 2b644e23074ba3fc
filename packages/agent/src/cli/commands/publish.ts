/** `shoal publish` on the command line. Its work is `publish-command.ts`, loaded when it runs. */
import { Option } from "commander";
import { listed, subcommand, valued } from "../define-command.ts";
import type { Register } from "../define-command.ts";
import { parseDays, parsePieceLength, parseProduct, parseSequence } from "../parse-values.ts";
import type { PublishOptions } from "../publish-command.ts";

export const addPublish: Register = (program, context) => {
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
    .option("--socket <PATH>", "of a URL: the agent that announces it (default: as other commands)")
    .option("--ca <FILE>", "of a URL: trust the certificate authorities in this PEM file too")
    .option("--json", "print one JSON object")
    .action(async (file: string, options: PublishOptions) => {
      const { runPublish } = await import("../publish-command.ts");
      await runPublish(file, options, context);
    });
};

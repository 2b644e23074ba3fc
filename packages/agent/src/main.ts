#!/usr/bin/env -S node --max-semi-space-size=2 --efficiency-mode --expose-gc
/**
 * The `shoal` command. Checks the version of Node before anything else is loaded (R-PROC-07): on an
 * older one the peer connections would fail with a misleading error. Imports nothing statically.
 */
const NEEDED = [24, 15];

const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
if (major > NEEDED[0]! || (major === NEEDED[0] && minor >= NEEDED[1]!)) {
  const { keepCompiledCode } = await import("./cli/compiled-code.ts");
  keepCompiledCode(process.env);
  const { runCli } = await import("./cli/run-cli.ts");
  await runCli(process.argv.slice(2));
} else {
  process.stderr.write(
    `shoal: This is Node ${process.versions.node}, and Shoal needs ${NEEDED.join(".")} or newer.\n` +
      "Install a newer Node, or run shoal with one.\n",
  );
  process.exitCode = 1;
}

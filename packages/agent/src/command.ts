/**
 * `@shoal/agent/command`: the `shoal` command in a process that lives on, for tests of what commands
 * say and do.
 */
export { Interruption } from "./cli/failure.ts";
export { runCommand } from "./cli/run-cli.ts";
export { createTerminal } from "./cli/terminal.ts";
export type { Output } from "./cli/terminal.ts";

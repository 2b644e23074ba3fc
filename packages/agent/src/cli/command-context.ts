/** What every command is given besides its options. */
import type { ConnectAgent } from "./find-agent.ts";
import type { Terminal } from "./terminal.ts";

export interface CommandContext {
  readonly terminal: Terminal;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Aborted with an `Interruption` when the command is to stop. */
  readonly signal: AbortSignal;
  /** How a running agent is reached. */
  readonly connect: ConnectAgent;
}

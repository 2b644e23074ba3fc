/**
 * `shoal bans` and `shoal unban`: whom a running agent refuses to talk to and for what, and how a
 * fault that is mended is forgiven (R-BAN-05).
 */
import { ShoalError } from "@shoal/core";
import { connectJobService } from "@shoal/jobs";
import type { JobService } from "@shoal/jobs";
import type { CommandContext } from "./command-context.ts";
import { escapeText } from "./escape-text.ts";

export interface BansOptions {
  readonly jobSocket?: string;
  readonly json?: true;
}

export async function runBans(options: BansOptions, context: CommandContext): Promise<void> {
  const { terminal } = context;
  const bans = await withService(options, context, (service) => service.bans());
  for (const ban of bans) {
    const { kind, subject, offence, until } = ban;
    if (options.json === true) terminal.json({ type: "ban", ...ban });
    else {
      const end = new Date(until).toISOString();
      terminal.data(`${kind.padEnd(7)}  ${escapeText(subject)}  ${offence}  until ${end}`);
    }
  }
  if (bans.length === 0 && options.json !== true) terminal.say("Nobody is banned.\n");
}

export async function runUnban(
  subject: string,
  options: BansOptions,
  context: CommandContext,
): Promise<void> {
  const wasBanned = await withService(options, context, (service) => service.removeBan(subject));
  if (!wasBanned) throw new ShoalError("ERR_USAGE", `nobody is banned as ${subject}`);
  if (options.json === true) context.terminal.json({ type: "unbanned", subject });
  else context.terminal.say(`${escapeText(subject)} is not banned any longer.\n`);
}

async function withService<Result>(
  { jobSocket }: BansOptions,
  { signal }: CommandContext,
  ask: (service: JobService) => Promise<Result>,
): Promise<Result> {
  if (jobSocket === undefined) throw new ShoalError("ERR_USAGE", "--job-socket PATH is missing");
  const service = await connectJobService({ socketPath: jobSocket }, { signal });
  try {
    return await ask(service);
  } finally {
    service.close();
  }
}

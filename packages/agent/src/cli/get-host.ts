/**
 * The agent behind a `shoal get`: the user's own that runs, or one that lives as long as the command.
 *
 * One that runs is used unless options say how an agent is to be set up. It must be the user's: the
 * file would belong to somebody else otherwise, if it could be written at all.
 */
import { stat } from "node:fs/promises";
import { ShoalError } from "@shoal/core";
import type { Settings } from "@shoal/core";
import { Jobs } from "@shoal/jobs";
import type { CommandContext } from "./command-context.ts";
import { findAgent, nobodyAt } from "./find-agent.ts";
import type { GetOptions } from "./get-command.ts";
import { ownAgentFlags } from "./own-agent.ts";
import { openGetPlace } from "./state-place.ts";
import { wayOut } from "./way-out.ts";

export interface GetHost {
  readonly jobs: Jobs;
  /** Nobody else has jobs there. */
  readonly isAlone: boolean;
  /** A limit that the job is to have, where it has no agent of its own to limit. */
  readonly rateBytesPerSec: number | undefined;
  /** Lets go of the agent; `isKept`: something is left to come back for. */
  close(isKept: boolean): Promise<void>;
}

/** Two retries, about 3 s: a person waits. The daemon's default is more patient. */
const SETTINGS_OF_GET = { originFailuresMax: 3 };

/** `owner` names the download among all of the user's. */
export async function openGetHost(
  owner: string,
  options: GetOptions,
  context: CommandContext,
): Promise<GetHost> {
  const flags = ownAgentFlags(options);
  const isNamed = options.socket !== undefined;
  if (isNamed && (flags.length > 0 || !options.agent)) {
    const [flag = "--no-agent"] = flags;
    throw new ShoalError("ERR_USAGE", `${flag} is of an agent of its own, --socket names another`);
  }
  if (flags.length === 0 && options.agent) {
    const running = await findRunning(options, context);
    if (running !== undefined) return running;
  }
  return await startOwn(owner, options, context);
}

/** Nothing where none runs that could write the user's files. */
async function findRunning(
  options: GetOptions,
  context: CommandContext,
): Promise<GetHost | undefined> {
  const found = await findAgent(options, context);
  if (found === undefined) {
    if (options.socket === undefined) return undefined;
    throw nobodyAt([options.socket]);
  }
  const { service, socketPath } = found;
  if (options.socket === undefined && !(await isOfUser(socketPath))) {
    service.close();
    return undefined;
  }
  return {
    jobs: new Jobs(service.jobs),
    isAlone: false,
    rateBytesPerSec: options.limit,
    close: async () => service.close(),
  };
}

async function isOfUser(path: string): Promise<boolean> {
  const uid = process.getuid?.();
  if (uid === undefined) return true;
  const stats = await stat(path).catch(() => undefined);
  return stats?.uid === uid;
}

async function startOwn(
  owner: string,
  options: GetOptions,
  { env }: CommandContext,
): Promise<GetHost> {
  const place = await openGetPlace(owner, { named: options.state, env });
  try {
    const { startAgent } = await import("../start-agent.ts");
    const agent = await startAgent({
      stateDirectory: place.path,
      peers: options.peer ?? [],
      mdns: options.mdns,
      ...wayOut(options, env),
      ...(options.listen === undefined ? {} : { listen: options.listen }),
      cacheHosts: options.cacheHost ?? [],
      trustedKeys: options.trust ?? [],
      groupKeyFiles: options.groupKey ?? [],
      settings: settingsOf(options),
    });
    return {
      jobs: agent.jobs,
      isAlone: true,
      rateBytesPerSec: undefined,
      close: async (isKept) => {
        await agent.close();
        if (!isKept) await place.remove();
      },
    };
  } catch (error) {
    await place.removeIfNew();
    throw error;
  }
}

function settingsOf({ setting, limit }: GetOptions): Partial<Settings> {
  const rate = limit === undefined ? {} : { downloadRateBytesPerSec: limit };
  return { ...SETTINGS_OF_GET, ...setting, ...rate };
}

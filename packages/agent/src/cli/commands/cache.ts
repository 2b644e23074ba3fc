/** `shoal cache`: what the running agent keeps for peers, and for how long. */
import { basename, dirname } from "node:path";
import type { Command } from "commander";
import { parseContentId, ShoalError } from "@shoal/core";
import type { ContentId, Millis } from "@shoal/core";
import type { CacheEntry } from "@shoal/store";
import type { CacheChange } from "../../service/agent-service.ts";
import type { CommandContext } from "../command-context.ts";
import { addAskOptions, subcommand, valued } from "../define-command.ts";
import type { AskOptions, Register } from "../define-command.ts";
import { withAgent } from "../find-agent.ts";
import { formatAge, formatBytes, formatCount, formatDistance } from "../format-values.ts";
import { allOptions, whenAlone } from "../group-command.ts";
import { parseDistance } from "../parse-values.ts";
import { tableLines } from "../table.ts";
import type { Column } from "../table.ts";
import { tableStyle } from "../terminal.ts";
import type { Terminal } from "../terminal.ts";

interface PinOptions extends AskOptions {
  readonly for?: Millis;
}

interface ExpireOptions extends AskOptions {
  readonly in?: Millis;
  readonly all?: true;
}

interface ClearOptions extends AskOptions {
  readonly includePinned?: true;
}

const CONTENT_HELP = "a content's id, the beginning of it, or its file";

export const addCache: Register = (program, context) => {
  const cache = subcommand(program, "cache", [
    "shoal cache",
    "shoal cache pin disk.iso --for 30d",
    "shoal cache clear",
  ])
    .summary("look at what is kept for peers, and change it")
    .description("Contents that stay on offer after their jobs. Without a command, lists them.");
  addAskOptions(cache);
  whenAlone<AskOptions>(cache, (options) => listCache(options, context));
  addAskOptions(subcommand(cache, "list", ["shoal cache list", "shoal cache list --json"]))
    .summary("list them")
    .description("Lists contents, the least recently used first: the order in which they go.")
    .action((_own, command: Command) => listCache(allOptions(command), context));
  addPins(cache, context);
  addAskOptions(
    subcommand(cache, "expire", [
      "shoal cache expire disk.iso",
      "shoal cache expire --all --in 2h",
    ]),
  )
    .summary("let one go, now or later")
    .description("Moves the end of a content, or of all, to now or later.")
    .argument("[CONTENT]", CONTENT_HELP)
    .option("--all", "every content that is not pinned by a later end")
    .addOption(valued("--in <DURATION>", "not now but then: 2h, 3d; at most 365d", parseDistance))
    .action((named: string | undefined, _own, command: Command) =>
      expire(named, allOptions(command), context),
    );
  addAskOptions(subcommand(cache, "clear", ["shoal cache clear"]))
    .summary("take everything off offer")
    .description(
      "Takes all contents off offer, except pinned ones, and removes the cache's copies of them. " +
        "Files that jobs published stay where they are. It does not ask.",
    )
    .option("--include-pinned", "pinned ones too")
    .action((_own, command: Command) => clear(allOptions(command), context));
};

function addPins(cache: Command, context: CommandContext): void {
  addAskOptions(
    subcommand(cache, "pin", ["shoal cache pin disk.iso", "shoal cache pin bafyrei… --for 30d"]),
  )
    .summary("keep one whatever the quota")
    .description("Keeps a content whatever the quota, for a year unless it is said for how long.")
    .argument("<CONTENT>", CONTENT_HELP)
    .addOption(valued("--for <DURATION>", "how long: 12h, 30d; at most 365d", parseDistance))
    .action((named: string, _own, command: Command) => {
      const options = allOptions<PinOptions>(command);
      const until = options.for === undefined ? {} : { until: Date.now() + options.for };
      return change(named, options, {
        context,
        changeOf: (contentId) => ({ verb: "pin", contentId, ...until }),
        said: "Pinned",
      });
    });
  addAskOptions(subcommand(cache, "unpin", ["shoal cache unpin disk.iso"]))
    .summary("let the usual rules hold again")
    .description("Lets the usual rules decide how long a content is kept.")
    .argument("<CONTENT>", CONTENT_HELP)
    .action((named: string, _own, command: Command) =>
      change(named, allOptions(command), {
        context,
        changeOf: (contentId) => ({ verb: "unpin", contentId }),
        said: "Unpinned",
      }),
    );
}

async function listCache(options: AskOptions, context: CommandContext): Promise<void> {
  const { terminal } = context;
  const entries = await withAgent(options, context, (service) => service.cache());
  if (options.json === true) {
    for (const entry of entries) terminal.json({ type: "cached", ...entry });
  } else for (const line of cacheLines(entries, terminal)) terminal.data(line);
}

/** Ids begin alike; this much tells them apart. */
const ID_SHOWN = 18;

function cacheLines(entries: readonly CacheEntry[], terminal: Terminal): string[] {
  if (entries.length === 0) return ["The cache is empty."];
  const now = Date.now();
  const columns: ReadonlyArray<Column<CacheEntry>> = [
    {
      title: "CONTENT",
      of: ({ contentId }) => (terminal.isScreen ? contentId.slice(0, ID_SHOWN) : contentId),
      rank: 1,
    },
    { title: "LENGTH", of: ({ length }) => formatBytes(length), align: "right", rank: 2 },
    { title: "PINNED", of: ({ isPinned }) => (isPinned ? "pinned" : ""), rank: 2 },
    { title: "EXPIRES", of: (one) => expiryOf(one, now), rank: 3 },
    { title: "USED", of: ({ usedAt }) => formatDistance(Math.min(usedAt, now - 1), now), rank: 4 },
    { title: "COPY", of: ({ isCopy }) => (isCopy ? "copy" : ""), rank: 5 },
    { title: "FILE", of: ({ path }) => basename(path), rank: 1, widthMin: 12 },
    { title: "IN", of: ({ path }) => dirname(path), rank: 4 },
  ];
  return tableLines(columns, entries, tableStyle(terminal));
}

function expiryOf({ expiresAt }: CacheEntry, now: number): string {
  return expiresAt === undefined ? "by age" : formatDistance(expiresAt, now);
}

interface Changing {
  readonly context: CommandContext;
  readonly changeOf: (contentId: ContentId) => CacheChange;
  readonly said: string;
}

async function change(
  named: string,
  options: AskOptions,
  { context, changeOf, said }: Changing,
): Promise<void> {
  const { terminal } = context;
  await withAgent(options, context, async (service) => {
    const contentId = findContent(await service.cache(), named);
    const asked = changeOf(contentId);
    const entries = await service.changeCache(asked);
    const entry = entries.find((one) => one.contentId === contentId);
    if (options.json === true) terminal.json({ type: "changed", contentId, ...asked, ...entry });
    else terminal.say(`${said} ${contentId}.\n`);
  });
}

async function expire(
  named: string | undefined,
  options: ExpireOptions,
  context: CommandContext,
): Promise<void> {
  const { terminal } = context;
  if ((named === undefined) !== (options.all === true)) {
    throw new ShoalError("ERR_USAGE", "name a content, or say --all");
  }
  const at = options.in === undefined ? {} : { at: Date.now() + options.in };
  const when = options.in === undefined ? "Expired" : `In ${formatAge(options.in)} will expire`;
  if (named !== undefined) {
    const changeOf = (contentId: ContentId): CacheChange => ({ verb: "expire", contentId, ...at });
    return change(named, options, { context, changeOf, said: when });
  }
  await changeAll({ verb: "expire", ...at }, { options, terminal, context, said: when });
}

async function clear(options: ClearOptions, context: CommandContext): Promise<void> {
  const { terminal } = context;
  const includePinned = options.includePinned === true;
  await changeAll(
    { verb: "clear", includePinned },
    { options, terminal, context, said: "Cleared" },
  );
}

interface ChangingAll {
  readonly options: AskOptions;
  readonly terminal: Terminal;
  readonly context: CommandContext;
  readonly said: string;
}

/** Says what is gone, or what the change is about where nothing is gone yet. */
async function changeAll(
  asked: CacheChange,
  { options, terminal, context, said }: ChangingAll,
): Promise<void> {
  await withAgent(options, context, async (service) => {
    const before = await service.cache();
    const after = await service.changeCache(asked);
    const left = new Set(after.map(({ contentId }) => contentId));
    const gone = before.filter(({ contentId }) => !left.has(contentId));
    if (options.json === true) {
      const contents = gone.map(({ contentId }) => contentId);
      return terminal.json({ type: "changed", ...asked, gone: contents, left: after.length });
    }
    const which = "at" in asked ? after : gone;
    const bytes = which.reduce((sum, { length }) => sum + length, 0);
    const what = `${formatCount(which.length, "content")} (${formatBytes(bytes)})`;
    terminal.say(`${said} ${what}; ${after.length} left.\n`);
  });
}

/** By id, by name of the file, or by the beginning of the id. */
function findContent(entries: readonly CacheEntry[], text: string): ContentId {
  const ids = (matches: (entry: CacheEntry) => boolean): readonly ContentId[] =>
    entries.filter(matches).map(({ contentId }) => contentId);
  const choices = [
    ids(({ contentId }) => contentId === text),
    ids(({ path }) => path === text || basename(path) === text),
    ids(({ contentId }) => contentId.startsWith(text)),
  ];
  const [first, second] = choices.find((choice) => choice.length > 0) ?? [];
  if (second !== undefined) throw new ShoalError("ERR_USAGE", `${text} could be several contents`);
  const contentId = first ?? parseContentId(text);
  if (contentId === undefined) throw new ShoalError("ERR_CONTENT_NOT_CACHED", text);
  return contentId;
}

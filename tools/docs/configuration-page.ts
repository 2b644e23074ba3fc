/** The page about configuration, made from the agent's table of keys. */
import { CONFIG_KEYS, valueText } from "@shoal/agent";
import type { ConfigKey } from "@shoal/agent";
import { code, pageHead, table } from "./markdown.ts";

export function configurationPage(): string {
  const keys = [...CONFIG_KEYS.values()];
  const own = keys.filter(({ kind }) => kind !== "setting" && kind !== "policy");
  const rest = keys.filter(({ kind }) => kind === "setting" || kind === "policy");
  const restRows = rest.map(({ name, variable, isLive }) => [
    code(name),
    code(variable),
    liveText(isLive),
  ]);
  return (
    pageHead("Configuration", "packages/agent/src/config/config-keys.ts") +
    INTRODUCTION +
    "## The agent's own keys\n\n" +
    table(
      ["key", "kind", "default", "flag", "variable", "takes effect", "meaning"],
      own.map(ownRow),
    ) +
    "## Settings and policies\n\n" +
    "What each means and can be is in [settings.md](settings.md) and [policies.md](policies.md). The\n" +
    "flag is `--setting NAME=VALUE` of a setting and `--policy NAME=VALUE` of a policy.\n\n" +
    table(["key", "variable", "takes effect"], restRows)
  );
}

function ownRow(key: ConfigKey): readonly string[] {
  const { name, kind, values, flag, variable, isLive, help, defaultWords } = key;
  return [
    code(name),
    values?.map(code).join(", ") ?? KIND_WORDS[kind],
    defaultWords ?? valueText(name, key.default),
    flag === undefined ? code(`--set ${name}=…`) : code(flag),
    code(variable),
    liveText(isLive),
    help,
  ];
}

function liveText(isLive: boolean): string {
  return isLive ? "at a reload" : "at the next start";
}

const KIND_WORDS: Readonly<Record<ConfigKey["kind"], string>> = {
  boolean: "true or false",
  text: "text",
  path: "path",
  texts: "list",
  paths: "list of paths",
  choice: "choice",
  port: "port",
  mode: "octal mode",
  bytes: "bytes",
  setting: "setting",
  policy: "policy",
};

const INTRODUCTION = `The value of a key comes from the strongest of these places that gives one:

1. a flag of \`shoal agent\`;
2. the environment: \`SHOAL_\` and the key's name in capitals, with underscores between its words;
3. the user's file, \`$XDG_CONFIG_HOME/shoal/config.yaml\` (\`~/.config/shoal/config.yaml\`); \`--config\`
   or \`$SHOAL_CONFIG\` names another;
4. the system's files, \`/etc/shoal/config.yaml\` and then \`/etc/shoal/conf.d/*.yaml\` in the order of
   their names, later ones stronger; \`$SHOAL_CONFIG_DIRECTORY\` names another directory;
5. the default.

A setting comes before a policy of Delivery Optimization from the same place; a policy from a stronger
place comes before a setting from a weaker one. A list takes the place of a weaker place's whole list.
\`shoal config show --origin\` says who gave each value, \`shoal config check\` finds what is wrong, and
\`shoal config set\` changes one key and leaves the rest of the file, comments too, as it is.

Files are YAML, of which JSON is a part; [packaging/config.yaml](../packaging/config.yaml) is an example.
Quantities may have units: \`2MiB\`, \`30s\`, \`50%\`. In the environment and after \`--set\` paths of a list
have commas between them, other items spaces. Relative paths in a file are relative to the file. A file
that other users may write, an unknown key, and a value that is not possible are refused
(\`ERR_CONFIG_INVALID\`), naming line and column.

SIGHUP, \`systemctl reload shoal\` and the API reload the files. Keys that take effect at a reload change
at once, of \`peers\` and \`share\` what was added; the log names keys that need another start. A
configuration that is wrong changes nothing. In a terminal SIGHUP stops the agent.

`;

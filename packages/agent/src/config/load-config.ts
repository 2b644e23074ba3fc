/**
 * The configuration in force: for each key the value of the strongest who gives one.
 *
 *   flag > environment > user's file > system's files > default
 *
 * The system's files are config.yaml and then conf.d/*.yaml by name, later ones stronger. A list of
 * a stronger place takes the place of a weaker one's whole list.
 *
 * Knows layers and places; what values mean is others'. Called by `shoal agent` and `shoal config`.
 */
import { readdir } from "node:fs/promises";
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { ShoalError } from "@shoal/core";
import { absolutePath, readConfigFile } from "./config-file.ts";
import type { ConfigFile } from "./config-file.ts";
import { CONFIG_KEYS, isList, nameHint, parseConfigText, splitList } from "./config-keys.ts";
import type { ConfigKey, ConfigValue } from "./config-keys.ts";

/** The weakest first. */
export const CONFIG_LAYERS = ["default", "systemFile", "userFile", "environment", "flag"] as const;
export type ConfigLayer = (typeof CONFIG_LAYERS)[number];

/** A value that somebody gave. */
export interface ConfigEntry {
  readonly key: ConfigKey;
  readonly value: ConfigValue;
  readonly layer: ConfigLayer;
  /** A file's line, a variable or a flag. */
  readonly where: string;
}

/** What was given; what is not here has its default. */
export interface Config {
  readonly entries: ReadonlyMap<string, ConfigEntry>;
  /** The files that were there, the weakest first. */
  readonly files: readonly string[];
}

export type Environment = Readonly<Record<string, string | undefined>>;

/** A value from the command line, already of its key's kind. */
export interface FlagValue {
  readonly name: string;
  readonly value: ConfigValue;
}

export interface ConfigRequest {
  readonly env: Environment;
  readonly flags?: readonly FlagValue[];
  /** In place of the user's file; it must be there. */
  readonly file?: string;
}

/** Where files are looked for. */
export interface ConfigPlaces {
  readonly systemDirectory: string;
  readonly userFile: string;
}

/** `$SHOAL_CONFIG_DIRECTORY` and `$SHOAL_CONFIG` take the places of the usual ones. */
export function configPlaces(env: Environment): ConfigPlaces {
  const xdg = env["XDG_CONFIG_HOME"];
  // The specification tells programs to ignore a relative path.
  const home = xdg?.startsWith("/") === true ? xdg : join(homedir(), ".config");
  return {
    systemDirectory: env["SHOAL_CONFIG_DIRECTORY"] ?? "/etc/shoal",
    userFile: env["SHOAL_CONFIG"] ?? join(home, "shoal", "config.yaml"),
  };
}

/** Rejects with `ERR_CONFIG_INVALID`, which names the first place that is wrong. */
export async function loadConfig(request: ConfigRequest): Promise<Config> {
  const files = await readConfigFiles(request);
  const problems = files.flatMap((file) => file.problems);
  const [first, ...others] = problems;
  if (first !== undefined) {
    const more = others.length === 0 ? "" : ` (and ${others.length} more: shoal config check)`;
    throw new ShoalError("ERR_CONFIG_INVALID", `${first}${more}`);
  }
  const entries = new Map<string, ConfigEntry>();
  for (const { layer, entries: found } of files) {
    for (const entry of found) entries.set(entry.key.name, { ...entry, layer });
  }
  for (const entry of environmentEntries(request.env)) entries.set(entry.key.name, entry);
  for (const { name, value } of request.flags ?? []) {
    const key = keyNamed(name);
    entries.set(name, { key, value, layer: "flag", where: key.flag ?? "--setting" });
  }
  return { entries, files: files.map(({ path }) => path) };
}

/** Every file that is there, the weakest first, with its problems. */
export async function readConfigFiles(
  request: ConfigRequest,
): Promise<readonly (ConfigFile & { readonly layer: ConfigLayer })[]> {
  const { systemDirectory, userFile } = configPlaces(request.env);
  const parts = await partsOf(join(systemDirectory, "conf.d"));
  const system = [join(systemDirectory, "config.yaml"), ...parts];
  const own = resolve(request.file ?? userFile);
  const places = [
    ...system.map((path) => ({ path, layer: "systemFile" as const })),
    { path: own, layer: "userFile" as const },
  ];
  const found: (ConfigFile & { readonly layer: ConfigLayer })[] = [];
  for (const { path, layer } of places) {
    const file = await readConfigFile(path);
    if (file !== undefined) found.push({ ...file, layer });
    else if (path === own && (request.file ?? request.env["SHOAL_CONFIG"]) !== undefined) {
      throw new ShoalError("ERR_CONFIG_INVALID", `${path}: there is no such file`);
    }
  }
  return found;
}

async function partsOf(directory: string): Promise<readonly string[]> {
  try {
    const names = await readdir(directory);
    const parts = names.filter((name) => name.endsWith(".yaml") && !name.startsWith("."));
    return parts.toSorted().map((name) => join(directory, name));
  } catch {
    return []; // Most systems have none.
  }
}

function environmentEntries(env: Environment): ConfigEntry[] {
  const entries: ConfigEntry[] = [];
  for (const key of CONFIG_KEYS.values()) {
    const found = variableFor(key, env);
    if (found === undefined) continue;
    const { where, text } = found;
    const layer = "environment";
    entries.push({ key, value: valueOfText(key, text, where), layer, where });
  }
  return entries;
}

/** Where other programs have a variable for the same, that one counts too. */
const USUAL_VARIABLES: Readonly<Record<string, readonly string[]>> = {
  httpProxy: ["http_proxy", "HTTP_PROXY"],
  httpsProxy: ["https_proxy", "HTTPS_PROXY"],
  noProxy: ["no_proxy", "NO_PROXY"],
};

function variableFor(
  key: ConfigKey,
  env: Environment,
): { readonly where: string; readonly text: string } | undefined {
  for (const where of [key.variable, ...(USUAL_VARIABLES[key.name] ?? [])]) {
    const text = env[where];
    if (text !== undefined) return { where, text };
  }
  return undefined;
}

/** The value of a text with all items of a list; throws `ERR_CONFIG_INVALID` naming `where`. */
export function valueOfText(key: ConfigKey, text: string, where: string): ConfigValue {
  const texts = isList(key) ? splitList(key, text) : [text];
  const values = texts.map((item) => {
    const result = parseConfigText(key, item);
    if ("value" in result) return toAbsolute(key, result.value);
    throw new ShoalError("ERR_CONFIG_INVALID", `${where}: ${result.problem}`);
  });
  return isList(key) ? values.map(String) : (values[0] ?? "");
}

function toAbsolute({ kind }: ConfigKey, value: ConfigValue): ConfigValue {
  const isPath = kind === "path" || kind === "paths";
  return isPath && typeof value === "string" ? absolutePath(value, process.cwd()) : value;
}

/** The key of a name. Throws `ERR_CONFIG_INVALID`. */
export function keyNamed(name: string): ConfigKey {
  const key = CONFIG_KEYS.get(name);
  if (key !== undefined) return key;
  throw new ShoalError(
    "ERR_CONFIG_INVALID",
    `there is no key "${name.slice(0, 100)}"${nameHint(name)}`,
  );
}

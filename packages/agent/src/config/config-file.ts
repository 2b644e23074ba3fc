/**
 * Configuration files: YAML, of which JSON is a part, with one mapping from keys to values. A file
 * that others could have written is refused (R-FS-01), and what is wrong is named by line and
 * column. Reading one runs nothing and follows no alias (R-PROC-06).
 *
 * Knows files and keys; not which file counts more. Called by `load-config.ts` and `shoal config`.
 */
import { constants } from "node:fs";
import { open } from "node:fs/promises";
import { homedir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { ShoalError } from "@shoal/core";
import { isMap, isScalar, isSeq, LineCounter, parseDocument } from "yaml";
import type { Document, Node } from "yaml";
import { CONFIG_KEYS, isList, nameHint, parseConfigText } from "./config-keys.ts";
import type { ConfigKey, ConfigValue } from "./config-keys.ts";

const FILE_BYTES_MAX = 1024 * 1024;
/** Group and others may not write. */
const FOREIGN_WRITE_MODE = 0o022;
const LIST_ITEMS_MAX = 1_000;

/** A value and where it stands: `/etc/shoal/config.yaml:3:9`. */
export interface FileEntry {
  readonly key: ConfigKey;
  readonly value: ConfigValue;
  readonly where: string;
}

/** What a file says, and what is wrong with it, each problem with its place. */
export interface ConfigFile {
  readonly path: string;
  readonly entries: readonly FileEntry[];
  readonly problems: readonly string[];
}

/** A file as text; `undefined` where there is none. Rejects with `ERR_CONFIG_INVALID`. */
export async function readConfigText(path: string): Promise<string | undefined> {
  try {
    // A FIFO in the file's place must not make anybody wait.
    await using handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const { mode, size, uid } = await handle.stat();
    if ((mode & constants.S_IFMT) !== constants.S_IFREG) throw refused(path, "it is no file");
    if (size > FILE_BYTES_MAX) throw refused(path, "it is longer than 1 MiB");
    if ((mode & FOREIGN_WRITE_MODE) !== 0) {
      throw refused(path, "other users may write it: chmod go-w it");
    }
    const own = process.getuid?.();
    if (own !== undefined && uid !== 0 && uid !== own) throw refused(path, "it is another user's");
    return await handle.readFile("utf8");
  } catch (cause) {
    if (cause instanceof ShoalError) throw cause;
    const code = cause instanceof Error && "code" in cause ? String(cause.code) : "";
    if (code === "ENOENT" || code === "ENOTDIR") return undefined;
    throw new ShoalError("ERR_CONFIG_INVALID", `${path} cannot be read (${code})`, { cause });
  }
}

function refused(path: string, words: string): ShoalError {
  return new ShoalError("ERR_CONFIG_INVALID", `${path}: ${words}`);
}

/** Reads and checks a file; `undefined` where there is none. Rejects with `ERR_CONFIG_INVALID`. */
export async function readConfigFile(path: string): Promise<ConfigFile | undefined> {
  const text = await readConfigText(path);
  return text === undefined ? undefined : parseConfigFile(text, path);
}

/** Checks the text of a file; nothing is thrown. */
export function parseConfigFile(text: string, path: string): ConfigFile {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const entries: FileEntry[] = [];
  const problems: string[] = [];
  const place = (offset: number): string => {
    const { line, col } = lines.linePos(offset);
    return `${path}:${line}:${col}`;
  };
  for (const { pos, message } of [...document.errors, ...document.warnings]) {
    problems.push(`${place(pos[0])}: ${message.split("\n")[0] ?? ""}`);
  }
  if (problems.length > 0) return { path, entries, problems };
  readDocument(document, {
    take: (entry, offset) => entries.push({ ...entry, where: place(offset) }),
    refuse: (words, offset) => problems.push(`${place(offset)}: ${words}`),
    directory: dirname(path),
  });
  return { path, entries, problems };
}

interface Reading {
  take(entry: Omit<FileEntry, "where">, offset: number): void;
  refuse(words: string, offset: number): void;
  readonly directory: string;
}

function readDocument(document: Document.Parsed, reading: Reading): void {
  const { contents } = document;
  if (contents === null || (isScalar(contents) && contents.value === null)) return;
  if (!isMap(contents)) return reading.refuse("it holds no keys and values", 0);
  for (const { key: nameNode, value: node } of contents.items) {
    const offset = offsetOf(nameNode);
    const name = isScalar(nameNode) ? String(nameNode.value) : "";
    const key = CONFIG_KEYS.get(name);
    if (key === undefined) {
      reading.refuse(
        `there is no key "${name.slice(0, 100)}"${nameHint(name.slice(0, 100))}`,
        offset,
      );
      continue;
    }
    // A key without a value is as if it were not there.
    if (node === null || (isScalar(node) && node.value === null)) continue;
    const value = valueOf(key, node, reading);
    if (value !== undefined) reading.take({ key, value }, offset);
  }
}

/** `undefined`: refused, with the reason said. */
function valueOf(key: ConfigKey, node: Node, reading: Reading): ConfigValue | undefined {
  const takesItems = isList(key) || key.kind === "policy";
  if (!isSeq(node)) {
    const value = scalarOf(key, node, reading);
    return isList(key) && typeof value === "string" ? [value] : value;
  }
  if (!takesItems || node.items.length > LIST_ITEMS_MAX) {
    const words = takesItems ? `it takes at most ${LIST_ITEMS_MAX} values` : "it takes one value";
    reading.refuse(`${key.name}: ${words}`, offsetOf(node));
    return undefined;
  }
  const texts = node.items.map((item) => textOf(item));
  if (key.kind === "policy") return parsed(key, texts.join(","), { node, reading });
  const values = node.items.map((item) => scalarOf(key, item, reading));
  return values.every((value) => typeof value === "string") ? values : undefined;
}

function scalarOf(key: ConfigKey, node: unknown, reading: Reading): ConfigValue | undefined {
  const text = textOf(node);
  if (text !== undefined) return parsed(key, text, { node, reading });
  reading.refuse(`${key.name}: it takes a plain value`, offsetOf(node));
  return undefined;
}

function parsed(
  key: ConfigKey,
  text: string,
  { node, reading }: { readonly node: unknown; readonly reading: Reading },
): ConfigValue | undefined {
  const result = parseConfigText(key, text);
  if ("problem" in result) {
    const shown = key.isSecret === true ? "" : ` "${text.slice(0, 100)}"`;
    reading.refuse(`${key.name}:${shown} is not possible: ${result.problem}`, offsetOf(node));
    return undefined;
  }
  const isPath = key.kind === "path" || key.kind === "paths";
  return isPath ? absolutePath(String(result.value), reading.directory) : result.value;
}

/** Relative to `directory`, with `~/` for the user's home. */
export function absolutePath(path: string, directory: string): string {
  return path.startsWith("~/") ? join(homedir(), path.slice(2)) : resolve(directory, path);
}

/** As it was written: `0660` stays what it looks like. */
function textOf(node: unknown): string | undefined {
  return isScalar(node) ? (node.source ?? String(node.value)) : undefined;
}

function offsetOf(node: unknown): number {
  const isPlaced = typeof node === "object" && node !== null && "range" in node;
  return isPlaced && Array.isArray(node.range) ? Number(node.range[0]) : 0;
}

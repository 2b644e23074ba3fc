/**
 * Changes one key in a configuration file and leaves everything else, comments too, as it is. The
 * file is checked first and replaced whole, so it is never half-written.
 *
 * Knows YAML and keys. Called by `shoal config set` and `unset`.
 */
import { randomUUID } from "node:crypto";
import { mkdir, open, realpath, rename, stat, unlink } from "node:fs/promises";
import { dirname } from "node:path";
import { ShoalError } from "@shoal/core";
import { isMap, isScalar, parseDocument } from "yaml";
import { parseConfigFile, readConfigText } from "./config-file.ts";
import type { ConfigKey } from "./config-keys.ts";

/**
 * `texts` as they are to stand in the file, several for a list; none removes the key. Rejects with
 * `ERR_CONFIG_INVALID`, having changed nothing.
 */
export async function editConfigFile(
  path: string,
  change: { readonly key: ConfigKey; readonly texts: readonly string[]; readonly isList: boolean },
): Promise<void> {
  const before = (await readConfigText(path)) ?? "";
  const text = withChange(before, path, change);
  const [problem] = parseConfigFile(text, path).problems;
  if (problem !== undefined) throw new ShoalError("ERR_CONFIG_INVALID", problem);
  if (text !== before) await replaceFile(path, text);
}

function withChange(
  before: string,
  path: string,
  { key, texts, isList }: Parameters<typeof editConfigFile>[1],
): string {
  const [problem] = parseConfigFile(before, path).problems;
  if (problem !== undefined) throw new ShoalError("ERR_CONFIG_INVALID", problem);
  const document = parseDocument(before);
  if (!isMap(document.contents)) {
    const comment = document.commentBefore ?? document.comment ?? null;
    document.contents = document.createNode({}) as never;
    document.comment = null;
    document.commentBefore = comment;
  }
  if (texts.length === 0) document.delete(key.name);
  else {
    const old = document.get(key.name, true);
    const value = isList ? texts : plainValue(texts[0] ?? "");
    const node = document.createNode(value);
    // A remark beside the value belongs to the key.
    if (isScalar(old) && old.comment) node.comment = old.comment;
    document.set(key.name, node);
  }
  return String(document);
}

/** Written without quotes where that reads the same. */
function plainValue(text: string): string | number | boolean {
  if (text === "true" || text === "false") return text === "true";
  return /^(0|[1-9]\d{0,14})$/.test(text) ? Number(text) : text;
}

async function replaceFile(path: string, text: string): Promise<void> {
  // A symbolic link stays one: what it leads to is replaced.
  const target = await realpath(path).catch(() => path);
  const temporary = `${target}.${randomUUID()}.tmp`;
  try {
    await mkdir(dirname(target), { recursive: true, mode: 0o700 });
    const mode = await stat(target).then(
      (found) => found.mode & 0o777,
      () => 0o600,
    );
    try {
      await using file = await open(temporary, "wx", mode);
      await file.chmod(mode);
      await file.writeFile(text);
      await file.sync();
      await rename(temporary, target);
    } catch (error) {
      await unlink(temporary).catch(() => {});
      throw error;
    }
  } catch (cause) {
    const code = cause instanceof Error && "code" in cause ? String(cause.code) : String(cause);
    throw new ShoalError("ERR_CONFIG_INVALID", `${path} cannot be written (${code})`, { cause });
  }
}

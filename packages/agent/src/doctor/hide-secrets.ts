/**
 * Takes secrets out of what leaves this machine (R-API-13, R-LOG-01): values whose names say that
 * they are secret, what is secret in any URL or header, and the very keys and tokens of this agent,
 * wherever they should turn up. What is shown in the first place has none; this is the second line.
 *
 * Knows texts and names; not where they come from. Used by the support bundle.
 */
import { readFile, stat } from "node:fs/promises";

export const HIDDEN = "(hidden)";

const SECRET_NAME =
  /token$|passw|secret|authorization|cookie|credential|private_?key|^headers?$|groupId$|group_key$|proxy$/i;
/** Of a value that is one URL as somebody wrote it, blanks and all. */
const URL_NAME = /(url|mirror)s?$/i;
const PATTERNS: ReadonlyArray<readonly [RegExp, string]> = [
  [/\b([a-z][a-z0-9+.-]*:\/\/)[^\s/?#"]*@/gi, "$1"],
  [/(\b[a-z][a-z0-9+.-]*:\/\/[^\s?#"]*)[?#][^\s"]*/gi, `$1?${HIDDEN}`],
  [/shoal-group-1:[\w-]+/g, HIDDEN],
  [/((?:proxy-)?authorization|(?:set-)?cookie)(\s*[:=]\s*)[^\r\n"]+/gi, `$1$2${HIDDEN}`],
  [/\b(bearer|basic)\s+[\w.~+/=-]{8,}/gi, `$1 ${HIDDEN}`],
];
/** Shorter ones would be found by chance. */
const KNOWN_LENGTH_MIN = 6;
/** Keys and tokens are far shorter. */
const SECRET_FILE_BYTES_MAX = 64 * 1024;

export class SecretFilter {
  readonly #known: readonly string[];

  /** `known`: secrets as they may be written somewhere. */
  constructor(known: readonly string[]) {
    const longest = known.toSorted((a, b) => b.length - a.length);
    this.#known = [...new Set(longest)].filter(({ length }) => length >= KNOWN_LENGTH_MIN);
  }

  text(text: string): string {
    const hidden = PATTERNS.reduce((all, [what, by]) => all.replaceAll(what, by), text);
    return this.#withoutKnown(hidden);
  }

  /** A copy of a JSON value. */
  value(value: unknown, name = ""): unknown {
    if (typeof value === "string") {
      if (SECRET_NAME.test(name)) return HIDDEN;
      // With blanks and quotes encoded, so that its end is seen.
      const url = URL_NAME.test(name) ? URL.parse(value) : null;
      return this.text(url?.href ?? value);
    }
    if (typeof value === "object" && /^headers?$/i.test(name)) return HIDDEN;
    if (Array.isArray(value)) return value.map((item: unknown) => this.value(item, name));
    if (typeof value !== "object" || value === null) return value;
    // A row of a table: what `value` is, its `name` says.
    const rowName = "name" in value && typeof value.name === "string" ? value.name : "";
    const entries = Object.entries(value).map(([key, inner]: [string, unknown]) => [
      this.#withoutKnown(key),
      this.value(inner, key === "value" ? rowName : key),
    ]);
    return Object.fromEntries(entries);
  }

  #withoutKnown(text: string): string {
    return this.#known.reduce((all, secret) => all.replaceAll(secret, HIDDEN), text);
  }
}

/** What is in files of secrets, in every form in which it might be written. Never rejects. */
export async function secretsIn(files: readonly string[]): Promise<readonly string[]> {
  const found = await Promise.all(files.map(formsIn));
  return found.flat();
}

async function formsIn(file: string): Promise<readonly string[]> {
  try {
    const found = await stat(file);
    if (!found.isFile() || found.size > SECRET_FILE_BYTES_MAX) return [];
    const bytes = await readFile(file);
    const lines = bytes.toString("utf8").split(/\s+/);
    const encoded = lines.flatMap((line) => [line, line.slice(line.indexOf(":") + 1)]);
    return [
      ...encoded,
      ...(["base64", "base64url", "hex"] as const).map((form) => bytes.toString(form)),
    ];
  } catch {
    return []; // What cannot be read cannot get out.
  }
}

/** User name and password in a URL, as they stand there and decoded. */
export function secretsInUrl(text: string): readonly string[] {
  const url = URL.parse(text);
  if (url === null || url.password === "") return [];
  return [url.password, decodeURIComponent(url.password)];
}

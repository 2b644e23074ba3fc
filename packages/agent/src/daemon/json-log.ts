/**
 * The agent's log as lines of JSON, for journals and log collectors. A line that cannot be written,
 * because the disk is full or nobody reads, is counted and passed over (R-LOG-04). URLs lose what
 * may be secret in them, and fields that are named like secrets their value (R-LOG-01).
 *
 * Knows pino and a descriptor. Made by `runDaemon`.
 */
import { hash } from "node:crypto";
import fs from "node:fs";
import pino from "pino";
import type { LogFields } from "../logger.ts";
import type { DaemonLog } from "./daemon-log.ts";
import type { LogLevel } from "../config/agent-keys.ts";

const STDERR_FD = 2;

export interface JsonLogOptions {
  readonly level: LogLevel;
  /** Where a line goes; throws when it cannot. Default: stderr. */
  readonly writeLine?: (line: string) => void;
}

export function createJsonLog({
  level,
  writeLine = lineWriter((bytes) => fs.writeSync(STDERR_FD, bytes)),
}: JsonLogOptions): DaemonLog {
  let lostLines = 0;
  const write = (line: string): void => {
    try {
      writeLine(line);
    } catch {
      lostLines++;
      return;
    }
    if (lostLines === 0) return;
    const lost = lostLines;
    lostLines = 0;
    log.warn({ lines: lost }, "lines of the log could not be written");
  };
  const log = pino(
    {
      level,
      base: { pid: process.pid },
      timestamp: pino.stdTimeFunctions.isoTime,
      messageKey: "message",
      formatters: { level: (label) => ({ level: label }) },
    },
    { write },
  );
  return {
    debug: (fields, message) => log.debug(withoutSecrets(fields), message),
    info: (fields, message) => log.info(withoutSecrets(fields), message),
    warn: (fields, message) => log.warn(withoutSecrets(fields), message),
    error: (fields, message) => log.error(withoutSecrets(fields), message),
    setLevel: (next) => void (log.level = next),
  };
}

/**
 * Throws for a line of which not all could be written. `write` returns how many bytes it took; what
 * it took of a line is ended before the next one, which would be lost with it.
 */
export function lineWriter(write: (bytes: Uint8Array) => number): (line: string) => void {
  let isInside = false;
  return (line) => {
    const bytes = Buffer.from(isInside ? `\n${line}` : line);
    const count = write(bytes);
    if (count > 0) isInside = count < bytes.length;
    if (count < bytes.length) throw new Error("a part of the line is missing");
  };
}

const SECRET_NAME = /token|cookie|authorization|password|secret|privatekey|groupkey/i;
/** Of a field that is one URL as somebody wrote it, blanks and all. */
const URL_NAME = /(url|mirror)$/i;
/** A path may hold quotes and brackets, so only a blank is sure to end it. */
const URL_IN_TEXT = /\bhttps?:\/\/\S+/gi;

/** R-LOG-01: the same fields without what must never be in a log. */
export function withoutSecrets(fields: LogFields): LogFields {
  return Object.fromEntries(
    Object.entries(fields).map(([name, value]) => {
      if (SECRET_NAME.test(name)) return [name, "(hidden)"];
      if (typeof value !== "string") return [name, value];
      const isUrl = URL_NAME.test(name) && URL.canParse(value);
      return [name, isUrl ? plainUrl(value) : value.replaceAll(URL_IN_TEXT, plainUrl)];
    }),
  );
}

/** Scheme, host and path; a query becomes eight digits of its hash. */
function plainUrl(text: string): string {
  const url = URL.parse(text);
  if (url === null) return "(a URL)";
  const query = url.search === "" ? "" : `?#${hash("sha256", url.search).slice(0, 8)}`;
  return `${url.protocol}//${url.host}${url.pathname}${query}`;
}

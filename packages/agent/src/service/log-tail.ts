/**
 * Keeps the latest records of the agent's log for those who ask for them, and passes every record
 * on to the log that there is. Text that may be an attacker's is escaped and cut first, and what
 * one peer can repeat is held to 10 a minute of each kind, then summed up in a line (R-LOG-02).
 *
 *   record ──▶ escaped, cut ──rate──▶ kept, 1,000 of them ──▶ the log
 *                               └──▶ counted, and told at the end of the minute
 *
 * A log that fails stops nothing (R-LOG-04). Knows records, not what they are about. Made by
 * `startAgent`, which has all parts of the agent log to it.
 */
import { hash } from "node:crypto";
import { escapeText } from "../cli/escape-text.ts";
import type { LogFields, Logger } from "../logger.ts";
import type { LogRecord } from "./agent-service.ts";

/** R-LOG-02 */
const RECORDS_MAX = 1_000;
const TEXT_LENGTH_MAX = 256;
const PER_MINUTE_MAX = 10;
const MINUTE_MS = 60_000;
/** (subject, kind) pairs that are counted at a time. */
const KINDS_MAX = 1_024;

/** Fields that name who has caused a record. */
const SUBJECTS = ["peerId", "address", "host", "remote"] as const;

interface Kind {
  readonly beganAt: number;
  readonly level: LogRecord["level"];
  readonly message: string;
  readonly subject: LogFields;
  count: number;
}

export interface LogTailOptions {
  /** Milliseconds since 1970. */
  readonly now?: () => number;
}

export class LogTail implements Logger {
  readonly #next: Logger;
  readonly #now: () => number;
  readonly #records: LogRecord[] = [];
  readonly #kinds = new Map<string, Kind>();
  #sequence = 0;

  constructor(next: Logger, { now = Date.now }: LogTailOptions = {}) {
    this.#next = next;
    this.#now = now;
  }

  debug(fields: LogFields, message: string): void {
    this.#take("debug", fields, message);
  }

  info(fields: LogFields, message: string): void {
    this.#take("info", fields, message);
  }

  warn(fields: LogFields, message: string): void {
    this.#take("warn", fields, message);
  }

  error(fields: LogFields, message: string): void {
    this.#take("error", fields, message);
  }

  /** The latest after the record of that number, the oldest first; default: all that are kept. */
  records(after = 0): readonly LogRecord[] {
    this.#endMinutes(this.#now());
    return this.#records.filter(({ sequence }) => sequence > after);
  }

  #take(level: LogRecord["level"], fields: LogFields, message: string): void {
    const now = this.#now();
    this.#endMinutes(now);
    const safe = safeFields(fields);
    const text = safeText(message);
    if (this.#isWithinRate({ level, fields: safe, message: text }, now)) {
      this.#write({ level, fields: safe, message: text }, now);
    }
  }

  /** What nobody in particular has caused is the agent's own, and always told. */
  #isWithinRate(
    { level, fields, message }: Pick<LogRecord, "level" | "fields" | "message">,
    now: number,
  ): boolean {
    const name = SUBJECTS.find((candidate) => fields[candidate] !== undefined);
    const who = name && fields[name];
    if (name === undefined || who === undefined) return true;
    const key = `${name} ${who} ${message}`;
    const kind = this.#kinds.get(key);
    if (kind !== undefined) return ++kind.count <= PER_MINUTE_MAX;
    if (this.#kinds.size >= KINDS_MAX) this.#endOldest(now);
    this.#kinds.set(key, { beganAt: now, level, message, subject: { [name]: who }, count: 1 });
    return true;
  }

  /** Kinds lie in the order in which they began. A clock that is set back ends them all. */
  #endMinutes(now: number): void {
    for (const { beganAt } of this.#kinds.values()) {
      if (now >= beganAt && now - beganAt < MINUTE_MS) return;
      this.#endOldest(now);
    }
  }

  #endOldest(now: number): void {
    for (const [key, { level, message, subject, count }] of this.#kinds) {
      this.#kinds.delete(key);
      if (count <= PER_MINUTE_MAX) return;
      const repeatedCount = count - PER_MINUTE_MAX;
      this.#write({ level, fields: { ...subject, repeatedCount }, message }, now);
      return;
    }
  }

  #write(record: Pick<LogRecord, "level" | "fields" | "message">, now: number): void {
    const { level, fields, message } = record;
    this.#records.push({ sequence: ++this.#sequence, at: now, ...record });
    if (this.#records.length > RECORDS_MAX) this.#records.shift();
    try {
      this.#next[level](fields, message);
    } catch {
      // R-LOG-04
    }
  }
}

function safeFields(fields: LogFields): LogFields {
  const entries = Object.entries(fields).map(([name, value]) => [
    name,
    typeof value === "string" ? safeText(value) : value,
  ]);
  return Object.fromEntries(entries) as LogFields;
}

/** On one line, and at most 256 characters long. Whole URLs keep scheme, host and path (R-LOG-01). */
function safeText(text: string): string {
  const safe = escapeText(withoutSecrets(text.slice(0, 4 * TEXT_LENGTH_MAX)));
  return safe.length <= TEXT_LENGTH_MAX ? safe : `${safe.slice(0, TEXT_LENGTH_MAX - 1)}…`;
}

/** Of URLs in the text user information goes, and queries become a short hash. */
function withoutSecrets(text: string): string {
  return text
    .replaceAll(/\b([a-z][a-z0-9+.-]*:\/\/)[^\s/?#]*@/gi, "$1")
    .replaceAll(
      /(\b[a-z][a-z0-9+.-]*:\/\/[^\s?#]*)([?#]\S*)/gi,
      (_all, place: string, secret: string) => `${place}?${hash("sha256", secret).slice(0, 8)}`,
    );
}

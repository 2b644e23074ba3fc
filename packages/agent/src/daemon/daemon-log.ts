/** What a daemon writes its log to, and which records are worth writing. */
import { LOG_LEVELS } from "../config/agent-keys.ts";
import type { LogLevel } from "../config/agent-keys.ts";
import type { LogFields, Logger } from "../logger.ts";

/** A log whose level can change while it is written. */
export interface DaemonLog extends Logger {
  setLevel(level: LogLevel): void;
}

/** Passes on what is of `level` or above. */
export class LevelledLog implements DaemonLog {
  readonly #next: Logger;
  #level: LogLevel;

  constructor(next: Logger, level: LogLevel) {
    this.#next = next;
    this.#level = level;
  }

  setLevel(level: LogLevel): void {
    this.#level = level;
  }

  debug(fields: LogFields, message: string): void {
    if (this.#takes("debug")) this.#next.debug(fields, message);
  }

  info(fields: LogFields, message: string): void {
    if (this.#takes("info")) this.#next.info(fields, message);
  }

  warn(fields: LogFields, message: string): void {
    if (this.#takes("warn")) this.#next.warn(fields, message);
  }

  error(fields: LogFields, message: string): void {
    this.#next.error(fields, message);
  }

  #takes(level: LogLevel): boolean {
    return LOG_LEVELS.indexOf(level) >= LOG_LEVELS.indexOf(this.#level);
  }
}

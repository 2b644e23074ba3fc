/**
 * The agent's log for people: plain lines on stderr, bounded so that no peer can fill the screen,
 * and a summary from time to time. Used by `shoal agent` on a terminal.
 */
import type { Logger, LogFields } from "../logger.ts";
import type { Agent } from "../running-agent.ts";
import { escapeText } from "./escape-text.ts";
import { formatBytes, formatCount } from "./format-values.ts";
import type { Terminal } from "./terminal.ts";

/** R-LOG-02: so many lines of a kind per minute, then a count. */
const LINES_PER_MINUTE_MAX = 10;
const MINUTE_MS = 60_000;

/** The agent's log on stderr, bounded so that no peer can fill the screen. */
export class CalmLog implements Logger {
  readonly #terminal: Pick<Terminal, "say">;
  readonly #now: () => number;
  readonly #lines = new Map<string, { since: number; count: number; unsaid: number }>();
  #sentBytes = 0;
  #contentCount = 0;

  constructor(terminal: Pick<Terminal, "say">, now: () => number = () => performance.now()) {
    this.#terminal = terminal;
    this.#now = now;
  }

  debug(): void {}

  info(fields: LogFields, message: string): void {
    this.#write(fields, message);
  }

  warn(fields: LogFields, message: string): void {
    this.#write(fields, message);
  }

  error(fields: LogFields, message: string): void {
    this.#write(fields, message);
  }

  /** A line each about uploads, contents on offer and what was left unsaid, if there is news. */
  summarize(agent: Pick<Agent, "counters" | "connectedPeers" | "servedContents">): void {
    const contentCount = agent.servedContents.length;
    if (contentCount !== this.#contentCount) {
      this.#terminal.say(`${formatCount(contentCount, "content")} on offer\n`);
      this.#contentCount = contentCount;
    }
    const sentBytes = agent.counters().shoal_peer_sent_bytes_total;
    if (sentBytes !== this.#sentBytes) {
      const peers = formatCount(agent.connectedPeers.length, "peer");
      const fresh = formatBytes(sentBytes - this.#sentBytes);
      this.#terminal.say(`sent ${fresh} (${formatBytes(sentBytes)} in all), ${peers} connected\n`);
      this.#sentBytes = sentBytes;
    }
    for (const [message, lines] of this.#lines) {
      if (this.#now() - lines.since < MINUTE_MS) continue;
      this.#lines.delete(message);
      if (lines.unsaid > 0) this.#terminal.say(`${message}: ${lines.unsaid} times more\n`);
    }
  }

  #write(fields: LogFields, message: string): void {
    const lines = this.#lines.get(message) ?? { since: this.#now(), count: 0, unsaid: 0 };
    this.#lines.set(message, lines);
    lines.count++;
    if (lines.count > LINES_PER_MINUTE_MAX) {
      lines.unsaid++;
      return;
    }
    const details = Object.values(fields).map((value) => escapeText(String(value)).slice(0, 256));
    this.#terminal.say(`${[message, ...details].join(" ")}\n`);
  }
}

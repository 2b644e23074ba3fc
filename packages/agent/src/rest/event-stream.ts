/**
 * One watcher of events, as a stream of server-sent events: from where it left off, if that is still
 * there, else a `reset`, after which it looks at everything anew.
 *
 * Knows the hub and one answer. Called by the routes of events.
 */
import type { ServerResponse } from "node:http";
import { LIMITS } from "@shoal/core";
import type { EventHub, KeptEvent } from "./event-hub.ts";

export interface EventFilter {
  /** Those about one job. */
  readonly jobId?: string | undefined;
  readonly types?: ReadonlySet<string> | undefined;
}

export interface EventStreamOptions extends EventFilter {
  /** What the watcher has seen, as it said it. */
  readonly lastEventId: string | undefined;
}

/** Writes the head of the answer, and then events until the connection or the hub ends. */
export function serveEvents(
  { hub, response }: { readonly hub: EventHub; readonly response: ServerResponse },
  { lastEventId, ...filter }: EventStreamOptions,
): void {
  let nextId = hub.nextId;
  let isOver = false;
  const wake = (): void => {
    // Joined by hand: an answer that is corked does not say when it has room again.
    const parts: Uint8Array[] = [];
    let roomBytes = LIMITS.restUnsentBytesMax - response.writableLength;
    while (!isOver && nextId < hub.nextId && roomBytes > 0) {
      const event = hub.eventOf(nextId);
      nextId = event === undefined ? hub.nextId : nextId + 1;
      if (event !== undefined && !isWanted(event, filter)) continue;
      const bytes = event?.bytes ?? Buffer.from(resetOf(nextId - 1));
      parts.push(bytes);
      roomBytes -= bytes.length;
    }
    const [only, ...others] = parts;
    if (only !== undefined) response.write(others.length === 0 ? only : Buffer.concat(parts));
  };
  const unwatch = hub.watch({
    wake,
    beat: () => void (response.writableLength === 0 && response.write(":\n\n")),
    end: () => void response.end(),
  });
  response.writeHead(200, { "content-type": "text/event-stream; charset=utf-8" });
  response.write("retry: 1000\n\n");
  if (lastEventId !== undefined) {
    const firstId = /^\d{1,16}$/.test(lastEventId) ? Number(lastEventId) + 1 : 0;
    if (hub.has(firstId)) nextId = firstId;
    else response.write(resetOf(nextId - 1));
  }
  response.on("drain", wake);
  response.once("close", () => {
    isOver = true;
    unwatch();
  });
  wake();
}

function isWanted({ type, jobId }: KeptEvent, filter: EventFilter): boolean {
  if (filter.jobId !== undefined && jobId !== filter.jobId) return false;
  return filter.types === undefined || filter.types.has(type);
}

/** Something was missed; `id` is the last that was. */
function resetOf(id: number): string {
  return `id: ${id}\nevent: reset\ndata: {}\n\n`;
}

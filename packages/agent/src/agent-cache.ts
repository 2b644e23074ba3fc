/** The contents on offer after their jobs, as whoever embeds an agent manages them. */
import type { ContentId } from "@shoal/core";
import type { CacheEntry, CacheRequest } from "@shoal/store";

/**
 * The contents of finished jobs that peers can still have, under the `cache…` settings. Each method
 * returns what is there afterwards, the least recently used first. Rejects with
 * `ERR_CONTENT_NOT_CACHED`, `ERR_USAGE` for a time more than a year ahead, or `ERR_AGENT_CLOSED`.
 */
export interface AgentCache {
  list(): Promise<readonly CacheEntry[]>;
  /** Keeps a content until a time, whatever the quota. Default: for a year. */
  pin(contentId: ContentId, until?: Date): Promise<readonly CacheEntry[]>;
  /** The content is under the usual rules again. */
  unpin(contentId: ContentId): Promise<readonly CacheEntry[]>;
  /** Moves the expiry of one content, or of all; default: to this moment. */
  expire(which?: { contentId?: ContentId; at?: Date }): Promise<readonly CacheEntry[]>;
  /** Takes all contents off offer, except pinned ones. Files that jobs published stay. */
  clear(options?: { readonly includePinned?: boolean }): Promise<readonly CacheEntry[]>;
}

/** The methods, in terms of what a store takes. */
export function agentCache(
  ask: (request: CacheRequest) => Promise<readonly CacheEntry[]>,
): AgentCache {
  return {
    list: () => ask({ verb: "list" }),
    pin: (contentId, until) =>
      ask({ verb: "pin", contentId, ...(until && { until: until.getTime() }) }),
    unpin: (contentId) => ask({ verb: "unpin", contentId }),
    expire: ({ contentId, at } = {}) =>
      ask({
        verb: "expire",
        ...(contentId !== undefined && { contentId }),
        ...(at && { at: at.getTime() }),
      }),
    clear: ({ includePinned = false } = {}) => ask({ verb: "clear", includePinned }),
  };
}

/**
 * What the parts of the disk store share in one run, and what they can say. Plain values; made by
 * `openDiskStore`, in tests too, with a disk that fails where the test wants.
 */
import type { PieceLayout, StoreEvent, UnixMillis } from "@shoal/core";
import type { AcceptedRows } from "./accepted-rows.ts";
import type { AnnouncementRows } from "./announcement-rows.ts";
import type { CacheRows } from "./cache-rows.ts";
import type { ConductRows } from "./conduct-rows.ts";
import type { PeerRows } from "./peer-rows.ts";
import type { UsageRows } from "./usage-rows.ts";
import type { Disk } from "./disk.ts";
import type { StateTables } from "./state-tables.ts";

export interface StoreContext {
  readonly disk: Disk;
  readonly tables: StateTables;
  readonly cacheRows: CacheRows;
  readonly acceptedRows: AcceptedRows;
  readonly announcementRows: AnnouncementRows;
  readonly conductRows: ConductRows;
  readonly peerRows: PeerRows;
  readonly usageRows: UsageRows;
  /** The time of day, for ages in the cache. */
  readonly now: () => UnixMillis;
  /** Its real path. No file is ever published in it (R-FS-03). */
  readonly stateDirectory: string;
  /** Mode of published files: 0666 without the bits of the process's umask. */
  readonly publishedMode: number;
  readonly emit: EmitEvent;
  /**
   * Gives up copies of the cache, as few as set `missingBytes` free on the file system of
   * `directory`, but one at least (R-FS-11). False when they cannot set so much free.
   */
  readonly makeRoom: (directory: string, missingBytes: number) => boolean;
  /** Something could not be recorded: this run must not count as ended in order (R-DB-09). */
  readonly doubt: () => void;
}

/** `layout` comes with `contentOpened`, for whoever must know how long a piece is. */
export type EmitEvent = (event: StoreEvent, layout?: PieceLayout) => void;

/**
 * The store port: jobs and contents on disk. Participants: the scheduler asks, the store answers.
 *
 * Durability order (docs/storage.md, threat model section 9): a piece is verified in memory,
 * written, synced, committed, and only then reported by `piecesCommitted`; the scheduler announces
 * nothing before that.
 */
import type { PieceLayout } from "../content/layout.ts";
import type { ErrorInfo } from "../registry/errors.ts";
import type { JobRecord } from "../job/record.ts";
import type { MonthUsage } from "../policy/month-usage.ts";
import type { ConductRecord, SubjectKind } from "../schedule/conduct-record.ts";
import type { RememberedPeer } from "../schedule/peer-memory.ts";
import type {
  BufferId,
  ContentId,
  JobId,
  PeerId,
  PieceIndex,
  RequestId,
  TransferId,
  UnixMillis,
} from "../units.ts";

/** What is known about a content when its part file is opened. */
export interface OpenContent {
  readonly jobId: JobId;
  /** Index of the file in its job; with the job id it names the stored content. */
  readonly fileIndex: number;
  readonly layout: PieceLayout;
  /** With a manifest every piece is verified; without one pieces are taken as they come. */
  readonly manifest?: { readonly contentId: ContentId; readonly bytes: Uint8Array };
  /** SHA-256 the whole file must have, where the job names one. */
  readonly contentDigest?: Uint8Array;
  /**
   * Absolute path the file is published under. Absent: it is never published, only read; its part
   * file lies in the store's own spool directory.
   */
  readonly destination?: string;
  /**
   * What the origin said the file was (`validatorKey`), for contents without a manifest: stored
   * progress of another validator is discarded. Absent: progress cannot be resumed. Progress is
   * kept where the stored layout is the beginning of the new one: ranges were added.
   */
  readonly validatorKey?: string;
}

/** A signed manifest that was accepted, under one key of its publisher (R-MAN-06). */
export interface AcceptedManifest {
  /** SHA-256 of the public key, in hex. */
  readonly keyId: string;
  /** Whether this key has signed it, or only others of its publisher. */
  readonly hasSigned: boolean;
  readonly product: string;
  readonly sequence: number;
  /** When the publisher signed it. */
  readonly issuedAt: UnixMillis;
  readonly contentId: ContentId;
}

/** A signed announcement that was accepted, byte for byte. */
export interface StoredAnnouncement {
  /** `urlTag` of the URL it is about, in hex. */
  readonly tag: string;
  readonly bytes: Uint8Array;
}

export type StoreCommand =
  /** Answered by `stateLoaded` or `stateFailed`. The first command of every run. */
  | { readonly type: "loadState" }
  /** Durable before it is answered by `jobSaved`. */
  | { readonly type: "saveJob"; readonly revision: number; readonly job: JobRecord }
  /**
   * Saves a job that is over, forgets its contents' records and removes its part files, all in one
   * transaction. Answered by `jobEnded`.
   */
  | { readonly type: "endJob"; readonly job: JobRecord }
  /**
   * Remembers manifests in place of those of the same keys and products; of too many the earliest
   * are forgotten. No answer.
   */
  | { readonly type: "saveAccepted"; readonly accepted: readonly AcceptedManifest[] }
  /**
   * Keeps an announcement in place of the one about the same URL; of too many the earliest are
   * forgotten. No answer.
   */
  | { readonly type: "saveAnnouncement"; readonly announcement: StoredAnnouncement }
  /**
   * Remembers how peers and addresses have behaved, each in the place of what was known of it, and
   * forgets others. No answer: where there is no room on the disk, it holds for this run only.
   */
  | {
      readonly type: "saveConduct";
      readonly records: readonly ConductRecord[];
      readonly forgotten: readonly { readonly kind: SubjectKind; readonly subject: string }[];
    }
  /**
   * Remembers these peers as hints for the next run, in the place of all before. No answer: where
   * there is no room on the disk, they hold for this run only.
   */
  | { readonly type: "savePeers"; readonly peers: readonly RememberedPeer[] }
  /** Remembers the month's uploads. No answer. */
  | { readonly type: "saveUsage"; readonly usage: MonthUsage }
  /** Forgets the record of a job that is over. No answer. */
  | { readonly type: "forgetJob"; readonly jobId: JobId }
  /**
   * Creates or resumes the part file; answered by `contentOpened` or `contentFailed`. Missing pieces
   * whose bytes lie elsewhere on this machine are then stored without being asked for: see there.
   */
  | { readonly type: "openContent"; readonly transferId: TransferId; readonly spec: OpenContent }
  /**
   * Verifies (with a manifest) and writes one piece. The payload travels beside; the store owns and
   * releases it. Answered by `pieceStored`, `pieceCorrupt` or `contentFailed`.
   */
  | {
      readonly type: "storePiece";
      readonly transferId: TransferId;
      readonly piece: PieceIndex;
      readonly bufferId: BufferId;
    }
  /** Syncs and commits everything stored so far; answered by `piecesCommitted` or `contentFailed`. */
  | { readonly type: "commitPieces"; readonly transferId: TransferId }
  /** Reads one committed piece and verifies it (R-CACHE-02); `pieceRead` or `pieceLost`. */
  | {
      readonly type: "readPiece";
      readonly transferId: TransferId;
      readonly piece: PieceIndex;
      readonly requestId: RequestId;
    }
  /**
   * The final check (R-MAN-14): all pieces are committed; reads back when asked to, when the
   * previous stop was unclean, or when there is only a whole-file digest. `contentVerified`,
   * `contentMismatch` or `contentFailed`.
   */
  | { readonly type: "verifyContent"; readonly transferId: TransferId; readonly readBack: boolean }
  /** Moves the part file to its destination, durably; `contentPublished` or `publishFailed`. */
  | {
      readonly type: "publishContent";
      readonly transferId: TransferId;
      readonly overwrite: boolean;
      /** The file's modification time from then on; absent: the time of the last write. */
      readonly modifiedAt?: UnixMillis;
    }
  /**
   * Closes the content: `keep` for later resumption or serving, or `discard` the part file and its
   * record. Answered by `contentClosed`, after which the transfer id is free.
   */
  | {
      readonly type: "closeContent";
      readonly transferId: TransferId;
      readonly outcome: "keep" | "discard";
    }
  /**
   * Opens a complete file on this machine for serving: reads and digests it against the manifest's
   * record. Answered by `contentOpened` (with all pieces) or `contentFailed`.
   */
  | {
      readonly type: "openShared";
      readonly transferId: TransferId;
      readonly contentId: ContentId;
    };

/** A complete content the store can serve: published by a job or shared by hand. */
export interface StoredContent {
  readonly contentId: ContentId;
  readonly manifestBytes: Uint8Array;
  readonly path: string;
  /** A job fetched it with what strangers do not have (R-PRIV-02). Absent: no. */
  readonly isPrivate?: boolean;
}

/** A content of a live job whose part file can be opened again, without asking any network. */
export interface ResumableContent {
  readonly jobId: JobId;
  readonly fileIndex: number;
  /** Bytes of the whole content, and of the pieces that were recorded. */
  readonly length: number;
  readonly storedBytes: number;
  readonly manifest?: { readonly contentId: ContentId; readonly bytes: Uint8Array };
  readonly validatorKey?: string;
}

/** Which pieces of a content are there when it is opened. */
export interface OpenedPieces {
  /** Bit map of committed, re-verified pieces. */
  readonly have: Uint8Array;
  /**
   * Bit map of missing pieces that this machine seems to have in other places. Each is answered by
   * `pieceStored`, or by `pieceCorrupt` when it must be fetched after all. Absent: none.
   */
  readonly reusable?: Uint8Array;
}

export type StoreEvent =
  | {
      readonly type: "stateLoaded";
      readonly jobs: readonly JobRecord[];
      /** Contents of jobs that are not published yet; at most one per file of a job. */
      readonly resumable: readonly ResumableContent[];
      readonly contents: readonly StoredContent[];
      /** The one saved last comes last. Absent: none. */
      readonly conduct?: readonly ConductRecord[];
      /** The one seen last comes last. Absent: none. */
      readonly peers?: readonly RememberedPeer[];
      /** The earliest first. Absent: none. */
      readonly accepted?: readonly AcceptedManifest[];
      /** The one saved last comes last. Absent: none. */
      readonly announcements?: readonly StoredAnnouncement[];
      /** Of the last month in which anything was counted. Absent: nothing was. */
      readonly usage?: MonthUsage;
    }
  /** The answer to `loadState`, or at any time: nothing is durable any more, no wait is answered. */
  | { readonly type: "stateFailed"; readonly error: ErrorInfo }
  | { readonly type: "jobSaved"; readonly jobId: JobId; readonly revision: number }
  /** `undeletedCount`: part files that could not be removed now; they are tried again later. */
  | { readonly type: "jobEnded"; readonly jobId: JobId; readonly undeletedCount: number }
  | ({ readonly type: "contentOpened"; readonly transferId: TransferId } & OpenedPieces)
  | { readonly type: "pieceStored"; readonly transferId: TransferId; readonly piece: PieceIndex }
  | { readonly type: "pieceCorrupt"; readonly transferId: TransferId; readonly piece: PieceIndex }
  | {
      readonly type: "piecesCommitted";
      readonly transferId: TransferId;
      readonly pieces: readonly PieceIndex[];
    }
  | {
      readonly type: "pieceRead";
      readonly transferId: TransferId;
      readonly requestId: RequestId;
      readonly bufferId: BufferId;
    }
  /** A claimed piece cannot be read or no longer matches: it is missing from now on (R-FS-10). */
  | {
      readonly type: "pieceLost";
      readonly transferId: TransferId;
      readonly requestId: RequestId;
      readonly piece: PieceIndex;
    }
  | { readonly type: "contentVerified"; readonly transferId: TransferId }
  | {
      readonly type: "contentMismatch";
      readonly transferId: TransferId;
      /** Pieces found wrong and cleared; empty when only the whole-file digest is wrong. */
      readonly pieces: readonly PieceIndex[];
    }
  | { readonly type: "contentPublished"; readonly transferId: TransferId }
  | {
      readonly type: "publishFailed";
      readonly transferId: TransferId;
      readonly error: ErrorInfo;
    }
  | { readonly type: "contentClosed"; readonly transferId: TransferId }
  /** Opening, writing or syncing failed. Pieces not yet committed count as missing (R-FS-09). */
  | { readonly type: "contentFailed"; readonly transferId: TransferId; readonly error: ErrorInfo }
  /** The content is not on offer any more: it has expired, or its room was needed. */
  | { readonly type: "contentEvicted"; readonly contentId: ContentId }
  /** A complete file was shared by hand and can be opened with `openShared`. */
  | { readonly type: "contentShared"; readonly content: StoredContent };

/** Who is to blame for a piece. */
export type PieceSource =
  | { readonly kind: "peer"; readonly peerId: PeerId }
  | { readonly kind: "origin" };

/**
 * Units: numbers that must not be mixed up carry a flavour. A plain number may be given where a
 * flavour is asked for, but a `PieceIndex` is refused where a `ByteOffset` belongs. The flavour is
 * a type only and costs nothing at run time.
 */
declare const flavour: unique symbol;

export type Flavoured<Base, Name extends string> = Base & { readonly [flavour]?: Name };

/** A monotonic instant or a length of time, in milliseconds. Never wall-clock time. */
export type Millis = Flavoured<number, "Millis">;
/** A wall-clock instant in milliseconds since 1970, for display, expiry and file times only. */
export type UnixMillis = Flavoured<number, "UnixMillis">;
/** A place in a content, counted from 0. */
export type PieceIndex = Flavoured<number, "PieceIndex">;
/** A position in a content or file, in bytes from its start. */
export type ByteOffset = Flavoured<number, "ByteOffset">;

/** CIDv1 (dag-cbor, sha2-256) of the manifest's bytes, as lower-case base32 text. */
export type ContentId = Flavoured<string, "ContentId">;
/** A peer's libp2p id as text. */
export type PeerId = Flavoured<string, "PeerId">;
/** A job's UUID as text. */
export type JobId = Flavoured<string, "JobId">;

/** Names one transfer inside one run of one agent; never persisted. */
export type TransferId = Flavoured<number, "TransferId">;
/** Names one question to a port; unique inside one run of one agent. */
export type RequestId = Flavoured<number, "RequestId">;
/** Names bytes that the engine holds between two ports. `NO_BUFFER` when there are none. */
export type BufferId = Flavoured<number, "BufferId">;

export const NO_BUFFER: BufferId = 0;
export const KiB = 1024;
export const MiB = 1024 * 1024;

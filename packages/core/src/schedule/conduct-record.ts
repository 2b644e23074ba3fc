/**
 * What is remembered of a peer or an address that misbehaved, as it is stored: plain JSON, with
 * times of the wall clock. Every value read back is validated like network input (R-DB-05), and
 * clamped by whoever uses it (R-TIME-03).
 */
import { isCount, isList, isOneOf, isRecordOf, isText } from "../job/shape.ts";
import type { Offence } from "../ports/swarm-port.ts";
import { LIMITS } from "../registry/limits.ts";
import type { UnixMillis } from "../units.ts";

/** Threat model section 14: what each offence costs. */
export const PENALTIES: Readonly<Record<Offence, number>> = {
  malformedFrame: 25,
  surplusBytes: 25,
  corruptPiece: 50,
  corruptManifest: 50,
  notFound: 5,
  stall: 10,
  requestFlood: 5,
};

export const SCORE_MIN = -100;
export const SCORE_MAX = 50;
/** R-BAN-01 */
export const BAN_MS_MAX = 7 * 24 * 3_600_000;
/** R-BAN-02: what counts against an address, of offences and of banned ids each. */
export const ADDRESS_MARKS_MAX = 3;

/** An `address` is what `addressKey` makes of a host. */
export type SubjectKind = "peer" | "address";

export interface ConductRecord {
  readonly kind: SubjectKind;
  /** The peer's id, or the address. */
  readonly subject: string;
  /** As it was at `changedAt`; addresses have none: 0. */
  readonly score: number;
  readonly changedAt: UnixMillis;
  /** Corrupt pieces and manifests that may yet lead to a ban. */
  readonly corruptAt: readonly UnixMillis[];
  /** Of an address: when peers of it were banned. */
  readonly bannedPeersAt: readonly UnixMillis[];
  /** Bans so far, the present one included. */
  readonly banCount: number;
  readonly ban?: { readonly at: UnixMillis; readonly until: UnixMillis; readonly offence: Offence };
}

const INSTANT = isCount(8.64e15);
const MARKS = isList(INSTANT, ADDRESS_MARKS_MAX);

const isConductShape = isRecordOf(
  {
    kind: isOneOf(["peer", "address"] satisfies SubjectKind[]),
    subject: (value) => isText(LIMITS.nameLengthMax)(value) && value !== "",
    score: (value) => typeof value === "number" && value >= SCORE_MIN && value <= SCORE_MAX,
    changedAt: INSTANT,
    corruptAt: MARKS,
    bannedPeersAt: MARKS,
    banCount: isCount(),
  },
  {
    ban: isRecordOf({ at: INSTANT, until: INSTANT, offence: isOneOf(Object.keys(PENALTIES)) }),
  },
);

/** The record, or `undefined` when it is not one. */
export function parseConductRecord(value: unknown): ConductRecord | undefined {
  return isConductShape(value) ? (value as ConductRecord) : undefined;
}

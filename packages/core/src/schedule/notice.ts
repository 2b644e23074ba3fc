/**
 * What the scheduler tells those who watch: the one vocabulary from which progress, logs, metrics
 * and reports are made. Notices are facts, in order; nobody has to read them.
 */
import type { Peering } from "../policy/peering.ts";
import type { ErrorInfo } from "../registry/errors.ts";
import type { ContentId, JobId, PeerId, PieceIndex, TransferId } from "../units.ts";
import type { Offence } from "../ports/swarm-port.ts";
import type { OriginReason } from "../registry/reasons.ts";
import type { VerbOutcome } from "./snapshot.ts";

export type Notice =
  /** The stored state is in: jobs can be listed and created. */
  | { readonly type: "ready" }
  /** The stored state cannot be used; the agent must stop. */
  | { readonly type: "unusable"; readonly error: ErrorInfo }
  /** Something in the job's snapshot changed. May come many times a second. */
  | { readonly type: "jobChanged"; readonly jobId: JobId }
  /** A verb has taken durable effect, or failed. Tickets come from the verbs' results. */
  | {
      readonly type: "ticketSettled";
      readonly ticket: number;
      readonly error?: ErrorInfo;
      readonly outcome?: VerbOutcome;
    }
  /** A signed manifest beside a file was not used; the file is fetched as if there were none. */
  | {
      readonly type: "manifestRefused";
      readonly transferId: TransferId;
      readonly error: ErrorInfo;
    }
  | {
      readonly type: "pieceStored";
      readonly transferId: TransferId;
      readonly piece: PieceIndex;
      /** `reuse`: it was found in another content on this machine. */
      readonly from: "origin" | "reuse" | PeerId;
    }
  | {
      readonly type: "originAsked";
      readonly transferId: TransferId;
      readonly firstPiece: PieceIndex;
      readonly pieceCount: number;
      readonly reason: OriginReason;
    }
  | { readonly type: "peerConnected"; readonly peerId: PeerId }
  | { readonly type: "peerDisconnected"; readonly peerId: PeerId; readonly reason: string }
  | { readonly type: "peerOffended"; readonly peerId: PeerId; readonly offence: Offence }
  | { readonly type: "peerBanned"; readonly peerId: PeerId; readonly offence: Offence }
  /** No peer may come from there for a while; of IPv6 it is a network (R-BAN-02). */
  | { readonly type: "addressBanned"; readonly address: string; readonly offence: Offence }
  /** Policy lets this agent take part in peering in another way than before. */
  | { readonly type: "policyChanged"; readonly peering: Peering }
  /** A content became available to peers, or ceased to be. */
  | { readonly type: "contentServed"; readonly contentId: ContentId; readonly served: boolean };

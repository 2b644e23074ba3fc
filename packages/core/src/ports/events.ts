/** Everything that can enter the scheduler from a port, and everything it can want from one. */
import type { OriginCommand, OriginEvent } from "./origin-port.ts";
import type { StoreCommand, StoreEvent } from "./store-port.ts";
import type { BufferId, JobId } from "../units.ts";
import type { SwarmCommand, SwarmEvent } from "./swarm-port.ts";

export type SchedulerEvent = StoreEvent | OriginEvent | SwarmEvent;

/** A command and the port it is for. `engine` is for bytes that leave the ports: back to
 * their pool, or to a stream. */
export type SchedulerCommand =
  | { readonly port: "store"; readonly command: StoreCommand }
  | { readonly port: "origin"; readonly command: OriginCommand }
  | { readonly port: "swarm"; readonly command: SwarmCommand }
  | { readonly port: "engine"; readonly command: EngineCommand };

export type EngineCommand =
  | { readonly type: "releaseBuffer"; readonly bufferId: BufferId }
  /** Hands a piece's bytes to the stream attached to the file; `sinkTaken` or `sinkFailed` follows. */
  | {
      readonly type: "deliverPiece";
      readonly jobId: JobId;
      readonly fileIndex: number;
      readonly bufferId: BufferId;
    };

/** Ends connections. Knows how libp2p may fail at that. Used by the swarm, its links and their table. */
import type { Connection } from "@libp2p/interface";

/** Ends a connection without waiting for anything, whatever state it is in. */
export function abortConnection(connection: Connection, reason: string): void {
  try {
    connection.abort(new Error(reason));
  } catch {
    // Yamux says goodbye after it has closed its streams, whose listeners may have ended the
    // connection already; then it has nothing to say it on.
  }
}

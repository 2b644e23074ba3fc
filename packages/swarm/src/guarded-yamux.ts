/**
 * Yamux for connections with strangers. Two things a peer could do to libp2p's are stopped here:
 *
 * - It collects a data frame of whatever length its header names, up to 4 GiB, before it looks at
 *   how much it had allowed. Here a connection ends when more than that is waiting (R-PEER-20).
 * - When it ends a connection because of broken frames, it says goodbye on it afterwards. If a
 *   stream's listener has ended the connection by then, that throws inside the socket's callback,
 *   which would end the process.
 *
 * The decoder is private to yamux; a test watches that it is still there.
 */
import type { StreamMuxerFactory } from "@libp2p/interface";
import { yamux } from "@libp2p/yamux";
import type { YamuxMuxerInit } from "@libp2p/yamux";
import { KiB, LIMITS } from "@shoal/core";

/** What is used of a yamux muxer beyond its interface. */
interface YamuxInternals {
  readonly decoder?: { readonly buffer?: { readonly byteLength: number } };
}

/** The longest legal frame, and what may have come with its end. */
const WAITING_BYTES_MAX = LIMITS.streamReadBytesMax + 64 * KiB;

/** Like libp2p's `yamux`, guarded. */
export function guardedYamux(init: YamuxMuxerInit): () => StreamMuxerFactory {
  return () => {
    const factory: StreamMuxerFactory = yamux(init)();
    const createStreamMuxer = factory.createStreamMuxer.bind(factory);
    factory.createStreamMuxer = (connection) => {
      const muxer = createStreamMuxer(connection);
      const abort = muxer.abort.bind(muxer);
      muxer.abort = (error) => {
        try {
          abort(error);
        } catch {
          // It had nothing left to say goodbye on.
        }
      };
      const { decoder } = muxer as unknown as YamuxInternals;
      connection.addEventListener("message", () => {
        if ((decoder?.buffer?.byteLength ?? 0) <= WAITING_BYTES_MAX) return;
        const error = new Error("the peer sent a frame larger than we allow");
        muxer.abort(error);
        connection.abort(error);
      });
      return muxer;
    };
    return factory;
  };
}

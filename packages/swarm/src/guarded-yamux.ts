/**
 * Yamux for connections with strangers. Three things a peer could do to libp2p's are stopped here:
 *
 * - It collects a data frame of whatever length its header names, up to 4 GiB, before it looks at
 *   how much it had allowed. Here frames are not collected (`partwise-decoder.ts`, R-PEER-20).
 * - Its bounds are per stream. Here streams are refused while all peers together hold too much, and
 *   what they hold is measured (R-PEER-20).
 * - When it ends a connection because of broken frames, it says goodbye on it afterwards. If a
 *   stream's listener has ended the connection by then, that throws inside the socket's callback,
 *   which would end the process.
 *
 * The decoder and the method are yamux's own; tests watch that they are still there.
 */
import type { Stream, StreamMuxerFactory } from "@libp2p/interface";
import { yamux } from "@libp2p/yamux";
import type { YamuxMuxerInit } from "@libp2p/yamux";
import { PartwiseDecoder } from "./partwise-decoder.ts";
import type { BufferHolder, PeerBuffers } from "./peer-buffers.ts";
import { isReadAtOnce } from "./read-ahead.ts";
import { SocketConnection } from "./socket-connection.ts";

/** What is used of a yamux muxer beyond its interface. */
interface YamuxInternals {
  decoder?: { readonly emitFrames?: unknown };
  onRemoteStream?: (stream: Stream) => void;
}

/** Like libp2p's `yamux`, guarded. */
export function guardedYamux(init: YamuxMuxerInit, buffers: PeerBuffers): () => StreamMuxerFactory {
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
      const internals = muxer as unknown as YamuxInternals;
      if (typeof internals.decoder?.emitFrames === "function") {
        const keeps = (id: number): boolean => !isReadAtOnce(streamOf(muxer.streams, id));
        internals.decoder = new PartwiseDecoder(keeps);
        if (connection instanceof SocketConnection) connection.lendBytes();
      }
      const end = (reason: string): void => {
        const error = new Error(reason);
        muxer.abort(error);
        connection.abort(error);
      };
      const holder: BufferHolder = {
        measure: () => streamBytes(muxer.streams),
        shed: end,
      };
      buffers.add(holder);
      connection.addEventListener("close", () => buffers.remove(holder));
      connection.addEventListener("message", () => buffers.changed(holder));
      const accept = internals.onRemoteStream?.bind(muxer);
      internals.onRemoteStream = (stream) => {
        if (buffers.isCrowded()) stream.abort(new Error("peers together hold too much memory"));
        else accept?.(stream);
      };
      return muxer;
    };
    return factory;
  };
}

function streamOf(streams: readonly Stream[], id: number): Stream | undefined {
  return streams.find((stream) => "streamId" in stream && stream.streamId === id);
}

function streamBytes(streams: readonly Stream[]): number {
  let bytes = 0;
  for (const { readBufferLength, writeBufferLength } of streams) {
    bytes += readBufferLength + writeBufferLength;
  }
  return bytes;
}

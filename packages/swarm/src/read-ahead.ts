/**
 * Lets a peer send ahead on a stream from its first byte, and tells it seldom that it may send more.
 * Knows yamux's flow control. Used by links.
 */
import type { Stream } from "@libp2p/interface";

/** The parts of a yamux stream that decide how much its peer may send ahead. */
interface YamuxCredit {
  recvWindow?: number;
  recvWindowCapacity?: number;
  state?: number;
  sendWindowUpdate?(): void;
}

/** Yamux's number for a stream that both ends know of. */
const ESTABLISHED = 3;
const READ_AT_ONCE = new WeakSet<Stream>();

/**
 * Lets the peer send `bytes` ahead from the start. Yamux begins with 256 KiB and doubles that by a
 * measured round trip; measured with pieces of 1 MiB, that costs a seventh of the speed. It also
 * gives back what it has taken with every frame: here when half of it has been taken, because each
 * time is a write at this end and a wake-up at the other. The fields are private to yamux: where
 * they are missing, transfers are slower and all else works.
 */
export function allowReadAhead(stream: Stream, bytes: number): void {
  const yamux = stream as unknown as YamuxCredit;
  if (typeof yamux.recvWindow !== "number" || yamux.recvWindow >= bytes) return;
  yamux.recvWindow = bytes;
  const sendWindowUpdate = yamux.sendWindowUpdate?.bind(yamux);
  sendWindowUpdate?.();
  if (sendWindowUpdate === undefined || yamux.recvWindowCapacity === undefined) return;
  yamux.sendWindowUpdate = () => {
    const { recvWindow = 0, recvWindowCapacity = 0, state } = yamux;
    if (state !== ESTABLISHED || recvWindowCapacity <= 0.5 * recvWindow) sendWindowUpdate();
  };
}

/** Promises that whoever listens to the stream keeps none of the bytes it is given. */
export function readAtOnce(stream: Stream): void {
  READ_AT_ONCE.add(stream);
}

export function isReadAtOnce(stream: Stream | undefined): boolean {
  return stream !== undefined && READ_AT_ONCE.has(stream);
}

/**
 * Copies bytes into a piece's buffer, whose memory threads share: adapters do so with everything
 * that comes. Beside the digests this is the one native function that core uses.
 *
 * The plain version is `target.set(bytes, at)`, but V8 copies word by word into shared memory.
 * Node's copy of a part of a buffer is the system's `memmove`: measured with parts of 256 KiB, a
 * quarter of the time. So that it always is a part, the last byte goes by itself.
 */
export function copyInto(target: Uint8Array, at: number, bytes: Uint8Array): void {
  const { buffer, byteOffset, length } = bytes;
  if (length === 0) return;
  Buffer.from(buffer).copy(target, at, byteOffset, byteOffset + length - 1);
  target[at + length - 1] = bytes[length - 1]!;
}

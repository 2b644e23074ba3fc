/**
 * Has a socket read into one piece of memory, over and over, and hands on what has come in one turn
 * of the event loop together. Otherwise Node allocates memory for every TLS record, 64 times a MiB,
 * all of which the garbage collector must find again: measured, a third of the receiver's
 * processor time.
 *
 *   | handed on | come in this turn | free, while a record fits ──▶ | then from the front again
 *
 * Node can read so for sockets it makes (`onread`), and not for those it is given. The fields that
 * make the difference are private: where they are missing nothing is changed, and a test watches
 * that they are there. Knows sockets and bytes. Used by TLS connections.
 */
import { Socket } from "node:net";
import { KiB } from "@shoal/core";

/** What is used of a socket beyond its interface. */
interface SocketInternals {
  readonly _handle?: { readonly useUserBuffer?: (buffer: Uint8Array) => void } | null;
  [field: symbol]: unknown;
}

/** Held by every connection; what comes in one turn is seldom more. */
const SLAB_LENGTH = 256 * KiB;
/** The longest plaintext of a TLS record. */
const RECORD_LENGTH_MAX = 16 * KiB;

export class SocketSlab {
  readonly #memory = new Uint8Array(SLAB_LENGTH);
  readonly #take: (bytes: Uint8Array) => void;
  #begin = 0;
  #end = 0;
  #isFlushDue = false;

  private constructor(take: (bytes: Uint8Array) => void) {
    this.#take = take;
  }

  /**
   * From now on calls `take` with what comes; the bytes are good until it returns. `undefined`, and
   * nothing has changed: the socket cannot be read so.
   */
  static attach(socket: Socket, take: (bytes: Uint8Array) => void): SocketSlab | undefined {
    const internals = socket as unknown as SocketInternals;
    const { _handle: handle } = internals;
    if (FIELDS === undefined || typeof handle?.useUserBuffer !== "function") return undefined;
    const slab = new SocketSlab(take);
    const memory = slab.#memory;
    internals[FIELDS.buffer] = memory;
    internals[FIELDS.callback] = (count: number) => slab.#received(count);
    internals[FIELDS.generator] = () => slab.#free();
    handle.useUserBuffer(memory);
    return slab;
  }

  /** Hands on what has come. */
  flush(): void {
    if (this.#end === this.#begin) return;
    const bytes = this.#memory.subarray(this.#begin, this.#end);
    this.#begin = this.#end;
    this.#take(bytes);
  }

  /** Returns that more may come. */
  #received(count: number): boolean {
    this.#end += count;
    if (!this.#isFlushDue) {
      this.#isFlushDue = true;
      setImmediate(() => {
        this.#isFlushDue = false;
        this.flush();
      });
    }
    return true;
  }

  /** Where the next record goes. */
  #free(): Uint8Array {
    if (SLAB_LENGTH - this.#end >= RECORD_LENGTH_MAX) return this.#memory.subarray(this.#end);
    this.flush();
    this.#begin = 0;
    this.#end = 0;
    return this.#memory;
  }
}

/** The names of the private fields; `undefined` in a Node that has others. */
const FIELDS = findFields();

function findFields(): Record<"buffer" | "callback" | "generator", symbol> | undefined {
  const probe = new Socket({ onread: { buffer: new Uint8Array(1), callback: () => true } });
  const fields = Object.getOwnPropertySymbols(probe);
  const named = (name: string): symbol | undefined =>
    fields.find(({ description }) => description === name);
  const [buffer, callback, generator] = ["kBuffer", "kBufferCb", "kBufferGen"].map(named);
  probe.destroy();
  if (buffer === undefined || callback === undefined || generator === undefined) return undefined;
  return { buffer, callback, generator };
}

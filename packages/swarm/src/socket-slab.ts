/**
 * Has a socket read into one piece of memory, over and over, and hands on what has come in one turn
 * of the event loop together. Otherwise Node allocates memory for every TLS record, 64 times a MiB,
 * all of which the garbage collector must find again: measured, a third of the receiver's
 * processor time.
 *
 *   | come in this turn | free, while a record fits ──▶ | then, and every turn, from the front again
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
  readonly #readInto: (memory: Uint8Array) => void;
  /** The memory from each place on at which a record begins as long as all before it were full. */
  readonly #places: Uint8Array[] = [];
  #begin = 0;
  #end = 0;
  #isFlushDue = false;

  private constructor(take: (bytes: Uint8Array) => void, readInto: (memory: Uint8Array) => void) {
    this.#take = take;
    this.#readInto = readInto;
    for (let at = 0; at < SLAB_LENGTH; at += RECORD_LENGTH_MAX) {
      this.#places.push(this.#memory.subarray(at));
    }
  }

  /**
   * From now on calls `take` with what comes; the bytes are good until it returns. `undefined`, and
   * nothing has changed: the socket cannot be read so.
   */
  static attach(socket: Socket, take: (bytes: Uint8Array) => void): SocketSlab | undefined {
    const internals = socket as unknown as SocketInternals;
    const { _handle: handle } = internals;
    if (FIELDS === undefined || typeof handle?.useUserBuffer !== "function") return undefined;
    const readInto = (memory: Uint8Array): void => {
      internals[FIELDS.buffer] = memory;
      internals._handle?.useUserBuffer?.(memory);
    };
    const slab = new SocketSlab(take, readInto);
    internals[FIELDS.callback] = (count: number) => slab.#received(count);
    internals[FIELDS.generator] = () => slab.#free();
    readInto(slab.#memory);
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
      setImmediate(() => this.#turnEnded());
    }
    return true;
  }

  /** Begins at the front again, unless more has come meanwhile or nothing since the last time. */
  #turnEnded(): void {
    this.#isFlushDue = false;
    this.flush();
    if (this.#end === 0 || this.#end !== this.#begin) return;
    this.#begin = 0;
    this.#end = 0;
    this.#readInto(this.#memory);
  }

  /** Where the next record goes. */
  #free(): Uint8Array {
    const end = this.#end;
    if (SLAB_LENGTH - end >= RECORD_LENGTH_MAX) {
      const isPlace = end % RECORD_LENGTH_MAX === 0;
      return isPlace ? this.#places[end / RECORD_LENGTH_MAX]! : this.#memory.subarray(end);
    }
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

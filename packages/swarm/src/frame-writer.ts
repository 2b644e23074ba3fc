/**
 * The only writer of a stream. Control frames leave first, then answers in turns, one slice each,
 * so that neither a claim nor a small answer waits behind a long one.
 *
 *   control frames ──▶ ┌──────┐          ┌────────┐   flushed   the next turn; answers whose
 *   answers, in turns ▶│ turn │ ──send──▶│ stream │ ──────────▶ last slice it held are done
 *                      └──────┘          └────────┘
 *
 * One turn at a time is in the stream, at most 512 KiB of slices and 64 KiB of control frames. The
 * next is made when the stream is empty and may be written; that is tested by state, because
 * libp2p's drain event alone says neither. By then the bytes have been encrypted, so a payload may
 * be given back. A peer that takes longer for a turn than the least rate allows has stalled
 * (R-PEER-27).
 *
 * Knows frames and lengths. Knows neither contents nor why an answer is sent. Used by the link.
 */
import type { Stream } from "@libp2p/interface";
import { assert, LIMITS } from "@shoal/core";
import { Uint8ArrayList } from "uint8arraylist";
import { encodePieceDataHeader } from "./frames.ts";

/** An answer on its way out. The writer only reads `bytes`; the link owns them. */
export interface Answer {
  readonly id: number;
  readonly bytes: Uint8Array;
  /** Gives the payload back to its pool. */
  readonly release: () => void;
}

/** What the writer asks and tells its link. None of it may throw. */
export interface FrameWriterObserver {
  /** All bytes of the answer are in the stream; the request is no longer open. */
  answered(id: number): void;
  /** The answer took too long and is given up; some of its slices may have left. */
  answerExpired(id: number): void;
  /** The writer is done with the answer's bytes, whether they were sent or not. */
  answerFinished(answer: Answer, sentBytes: number): void;
  /** The peer does not read, or the stream broke. The link must be closed. */
  writeFailed(reason: string): void;
}

interface Outgoing {
  readonly answer: Answer;
  readonly sliceLength: number;
  readonly deadlineAt: number;
  sentBytes: number;
  /** A slice of it is in the stream. */
  inTurn: boolean;
  /** No more slices are wanted. */
  stopped: boolean;
}

export class FrameWriter {
  readonly #stream: Stream;
  readonly #observer: FrameWriterObserver;
  readonly #stallTimeoutMs: number;
  readonly #control: Uint8Array[] = [];
  #controlBytes = 0;
  /** In the order of their turns. */
  readonly #outgoing = new Map<number, Outgoing>();
  /** Answers with a slice in the stream's current turn. */
  #inTurn: Outgoing[] = [];
  #state: "idle" | "running" | "closed" = "idle";
  #wake: () => void = () => {};

  constructor(
    deps: { stream: Stream; observer: FrameWriterObserver },
    options: { stallTimeoutMs: number },
  ) {
    this.#stream = deps.stream;
    this.#observer = deps.observer;
    this.#stallTimeoutMs = options.stallTimeoutMs;
    // libp2p continues with its own buffer in a microtask of its own, queued by a listener that is
    // older than these; waking up in a later microtask sees the result.
    const wake = (): void => queueMicrotask(() => this.#wake());
    this.#stream.addEventListener("drain", wake);
    this.#stream.addEventListener("idle", wake);
  }

  /** Sends the first frame of the stream, which must leave even if the link ends at once. */
  sendFirst(frame: Uint8Array): void {
    this.#send(frame);
  }

  /** Bytes of control frames that wait. */
  get controlBytes(): number {
    return this.#controlBytes;
  }

  /** Queues a control frame. The queue is bounded; a peer that lets it fill up has stalled. */
  sendControl(frame: Uint8Array): void {
    if (this.#state === "closed") return;
    this.#controlBytes += frame.length;
    if (this.#controlBytes > LIMITS.controlQueueBytesMax) {
      return this.#observer.writeFailed("it does not read its control frames");
    }
    this.#control.push(frame);
    this.#start();
  }

  /** Queues an answer; ends with `answerFinished`. Takes over the payload. */
  sendAnswer(answer: Answer): void {
    if (this.#state === "closed") return this.#observer.answerFinished(answer, 0);
    const { length } = answer.bytes;
    assert(length > 0, "an answer has bytes");
    const slices = Math.ceil(length / LIMITS.sliceBytesMax);
    const rateMs = (length / LIMITS.uploadRateBytesPerSecMin) * 1_000;
    this.#outgoing.set(answer.id, {
      answer,
      // Equal slices: a piece of 1 MiB does not end in a slice of a few bytes.
      sliceLength: Math.ceil(length / slices),
      deadlineAt: performance.now() + Math.max(LIMITS.uploadTimeoutMsMin, rateMs),
      sentBytes: 0,
      inTurn: false,
      stopped: false,
    });
    this.#start();
  }

  /** Sends no more of an answer. `answerFinished` follows, at once unless a slice is leaving. */
  stopAnswer(id: number): void {
    const outgoing = this.#outgoing.get(id);
    if (outgoing === undefined) return;
    this.#outgoing.delete(id);
    outgoing.stopped = true;
    if (!outgoing.inTurn) this.#observer.answerFinished(outgoing.answer, outgoing.sentBytes);
  }

  /** Writes nothing more; `answerFinished` for every answer. The stream must be aborted before. */
  close(): void {
    if (this.#state === "closed") return;
    this.#state = "closed";
    this.#control.length = 0;
    this.#controlBytes = 0;
    this.#wake();
    const left = new Set([...this.#outgoing.values(), ...this.#inTurn]);
    this.#outgoing.clear();
    this.#inTurn = [];
    for (const { answer, sentBytes } of left) this.#observer.answerFinished(answer, sentBytes);
  }

  #start(): void {
    if (this.#state !== "idle") return;
    this.#state = "running";
    // Frames of the same tick share one turn.
    queueMicrotask(() => void this.#run());
  }

  async #run(): Promise<void> {
    for (;;) {
      if (this.#state === "closed") return;
      const turn = this.#takeTurn();
      if (turn === undefined) {
        if (this.#control.length > 0) continue; // an answer expired just now
        this.#state = "idle";
        return;
      }
      if (!this.#send(turn)) return;
      for (const { answer } of this.#inTurn) {
        if (!this.#outgoing.has(answer.id)) this.#observer.answered(answer.id);
      }
      if (!this.#isFlushed() && !(await this.#flushed())) return;
      this.#finishTurn();
    }
  }

  #send(turn: Uint8Array | Uint8ArrayList): boolean {
    try {
      this.#stream.send(turn);
      return true;
    } catch (error) {
      this.#observer.writeFailed(error instanceof Error ? error.message : "the stream is closed");
      return false;
    }
  }

  /** The next turn's bytes, or `undefined` when there is nothing to send. */
  #takeTurn(): Uint8ArrayList | undefined {
    const turn = new Uint8ArrayList();
    let taken = 0;
    for (; taken < this.#control.length; taken++) {
      const frame = this.#control[taken]!;
      if (turn.length > 0 && turn.length + frame.length > LIMITS.controlFrameBytesMax) break;
      turn.append(frame);
    }
    this.#control.splice(0, taken);
    this.#controlBytes -= turn.length;
    let room: number = LIMITS.sliceBytesMax;
    for (const outgoing of this.#outgoing.values()) {
      const { answer } = outgoing;
      if (performance.now() > outgoing.deadlineAt) {
        this.stopAnswer(answer.id);
        this.#observer.answerExpired(answer.id);
        continue;
      }
      const begin = outgoing.sentBytes;
      const end = Math.min(answer.bytes.length, begin + outgoing.sliceLength);
      if (end - begin > room) break;
      room -= end - begin;
      turn.append(encodePieceDataHeader(answer.id, end - begin), answer.bytes.subarray(begin, end));
      outgoing.sentBytes = end;
      outgoing.inTurn = true;
      this.#inTurn.push(outgoing);
    }
    for (const outgoing of this.#inTurn) this.#requeue(outgoing);
    return turn.length === 0 ? undefined : turn;
  }

  /** Puts an answer at the back of the line, or out of it when nothing of it is left. */
  #requeue(outgoing: Outgoing): void {
    const { answer, sentBytes } = outgoing;
    this.#outgoing.delete(answer.id);
    if (sentBytes < answer.bytes.length) this.#outgoing.set(answer.id, outgoing);
  }

  #finishTurn(): void {
    const turn = this.#inTurn;
    this.#inTurn = [];
    for (const outgoing of turn) {
      outgoing.inTurn = false;
      const isDone = outgoing.sentBytes === outgoing.answer.bytes.length;
      if (isDone || outgoing.stopped) {
        this.#observer.answerFinished(outgoing.answer, outgoing.sentBytes);
      }
    }
  }

  #isFlushed(): boolean {
    return !this.#stream.writableNeedsDrain && this.#stream.writeBufferLength === 0;
  }

  /** Waits until the turn has left; false when the writer closed or the peer stalled. */
  async #flushed(): Promise<boolean> {
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const timer = setTimeout(() => {
      this.#observer.writeFailed(`it took nothing for ${this.#stallTimeoutMs} ms`);
      resolve(false);
    }, this.#stallTimeoutMs);
    this.#wake = () => {
      if (this.#state === "closed") resolve(false);
      else if (this.#isFlushed()) resolve(true);
    };
    try {
      return await promise;
    } finally {
      clearTimeout(timer);
      this.#wake = () => {};
    }
  }
}

/**
 * Frames of the job socket: lengths, one JSON message, and perhaps bytes beside it. Layout and
 * bounds are those of docs/job-socket.md; golden bytes are in `test/remote/frames.test.ts`.
 *
 *    0             4               8
 *    ┌─────────────┬───────────────┬────────┬──────────┐
 *    │ JSON length │ binary length │ JSON … │ binary … │    lengths big-endian, in bytes
 *    └─────────────┴───────────────┴────────┴──────────┘
 *
 * Lengths are checked before anything is stored. Every byte is copied once, into memory of its
 * frame. Knows no message. Used at both ends.
 */
import type { Readable } from "node:stream";
import { LIMITS, ShoalError } from "@shoal/core";
import type { Millis } from "@shoal/core";

export interface Frame {
  /** Any JSON that is not nested more deeply than `jsonDepthMax`. */
  readonly message: unknown;
  /** Memory of its own, which the receiver may keep. Empty where the message has no bytes. */
  readonly binary: Uint8Array;
}

export interface FrameBounds {
  readonly binaryBytesMax: number;
  /** From a frame's first byte to its last, not counting the time nobody asks for a frame. */
  readonly timeoutMs?: Millis;
}

const HEADER_LENGTH = 8;
const NOTHING = new Uint8Array(0);

/**
 * The bytes of a frame up to its binary part. `ERR_USAGE` for what is no JSON, for numbers that
 * JSON has no words for, and for what is too long.
 */
export function encodeFrame(message: object, binaryLength = 0): Uint8Array {
  let text: string;
  try {
    text = JSON.stringify(message, refuseLossy);
  } catch (cause) {
    if (cause instanceof ShoalError) throw cause;
    throw new ShoalError("ERR_USAGE", "a value cannot be written as JSON", { cause });
  }
  const jsonLength = Buffer.byteLength(text);
  if (jsonLength > LIMITS.jobFrameJsonBytesMax) {
    throw new ShoalError("ERR_USAGE", `${jsonLength} bytes are too many for one call`);
  }
  const bytes = Buffer.allocUnsafe(HEADER_LENGTH + jsonLength);
  bytes.writeUInt32BE(jsonLength, 0);
  bytes.writeUInt32BE(binaryLength, 4);
  bytes.write(text, HEADER_LENGTH);
  checkStructure(bytes.subarray(HEADER_LENGTH));
  return bytes;
}

/** JSON would turn these numbers into `null`, which takes values back. */
function refuseLossy(name: string, value: unknown): unknown {
  if (typeof value !== "number" || Number.isFinite(value)) return value;
  throw new ShoalError("ERR_USAGE", `${name} is ${value}`);
}

/**
 * The frames that come in, in order; the socket is read as they are asked for. Ends with the
 * socket, which it destroys when it is left early. Throws what the socket fails with, `ERR_USAGE`
 * where a frame is not as documented, `ERR_TIMEOUT` where it takes too long.
 */
export async function* readFrames(
  socket: Readable,
  { binaryBytesMax, timeoutMs = Infinity }: FrameBounds,
): AsyncGenerator<Frame, undefined, undefined> {
  const decoder = new FrameDecoder(binaryBytesMax);
  let dueAt = Infinity;
  let timer: NodeJS.Timeout | undefined;
  const late = (): void => void socket.destroy(new ShoalError("ERR_TIMEOUT", "half a frame"));
  try {
    for await (const chunk of socket) {
      clearTimeout(timer);
      for (const frame of decoder.take(chunk as Uint8Array)) {
        dueAt = Infinity;
        yield frame;
      }
      if (!decoder.isBusy || timeoutMs === Infinity) continue;
      if (dueAt === Infinity) dueAt = performance.now() + timeoutMs;
      timer = setTimeout(late, Math.max(0, dueAt - performance.now()));
    }
  } finally {
    clearTimeout(timer);
  }
  return undefined;
}

/** Puts frames together from chunks of any length. */
export class FrameDecoder {
  readonly #binaryBytesMax: number;
  readonly #header = Buffer.alloc(HEADER_LENGTH);
  #stage: "header" | "json" | "binary" = "header";
  /** What is being filled, and how far. */
  #target: Uint8Array = this.#header;
  #filled = 0;
  #message: unknown;

  constructor(binaryBytesMax: number) {
    this.#binaryBytesMax = binaryBytesMax;
  }

  /** Whether a frame has begun and not ended. */
  get isBusy(): boolean {
    return this.#stage !== "header" || this.#filled > 0;
  }

  /** The frames that `chunk` completes. Throws `ERR_USAGE`, after which it is of no more use. */
  *take(chunk: Uint8Array): Generator<Frame, undefined, undefined> {
    let offset = 0;
    while (true) {
      const count = Math.min(this.#target.length - this.#filled, chunk.length - offset);
      this.#target.set(chunk.subarray(offset, offset + count), this.#filled);
      offset += count;
      this.#filled += count;
      if (this.#filled < this.#target.length) return undefined;
      const frame = this.#advance();
      if (frame !== undefined) yield frame;
    }
  }

  /** header -> json -> binary -> header; the frame when it is complete. */
  #advance(): Frame | undefined {
    switch (this.#stage) {
      case "header":
        this.#checkHeader();
        this.#fill("json", this.#header.readUInt32BE(0));
        return undefined;
      case "json":
        this.#message = parseMessage(this.#target);
        this.#fill("binary", this.#header.readUInt32BE(4));
        return undefined;
      case "binary": {
        const frame = { message: this.#message, binary: this.#target };
        this.#message = undefined;
        this.#stage = "header";
        this.#target = this.#header;
        this.#filled = 0;
        return frame;
      }
    }
  }

  #checkHeader(): void {
    const jsonLength = this.#header.readUInt32BE(0);
    const binaryLength = this.#header.readUInt32BE(4);
    if (jsonLength > LIMITS.jobFrameJsonBytesMax || binaryLength > this.#binaryBytesMax) {
      throw new ShoalError("ERR_USAGE", "a frame is too long");
    }
  }

  #fill(stage: "json" | "binary", length: number): void {
    this.#stage = stage;
    // Memory that was never written costs nothing, so a length alone does not either.
    this.#target = length === 0 ? NOTHING : Buffer.allocUnsafeSlow(length);
    this.#filled = 0;
  }
}

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function parseMessage(bytes: Uint8Array): unknown {
  checkStructure(bytes);
  try {
    return JSON.parse(decoder.decode(bytes));
  } catch (cause) {
    throw new ShoalError("ERR_USAGE", "a frame holds no JSON", { cause });
  }
}

/**
 * Throws `ERR_USAGE` where JSON is nested too deeply or has too many values, before it is parsed:
 * megabytes of brackets would become a hundred of objects. Whether it is JSON is not looked at.
 */
function checkStructure(json: Uint8Array): void {
  let depth = 0;
  let partCount = 0;
  let isInText = false;
  for (let i = 0; i < json.length; i++) {
    const byte = json[i]!;
    if (isInText) {
      if (byte === BACKSLASH) i++;
      else isInText = byte !== QUOTE;
    } else if (byte === QUOTE) isInText = true;
    else if (byte === OPEN_BRACKET || byte === OPEN_BRACE) {
      depth++;
      partCount++;
      if (depth > LIMITS.jsonDepthMax) throw new ShoalError("ERR_USAGE", "it nests too deeply");
    } else if (byte === CLOSE_BRACKET || byte === CLOSE_BRACE) depth--;
    else if (byte === COMMA) partCount++;
  }
  if (partCount > LIMITS.jsonPartsMax) {
    throw new ShoalError("ERR_USAGE", `${partCount} values are too many for one call`);
  }
}

const QUOTE = 0x22;
const COMMA = 0x2c;
const OPEN_BRACKET = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE_BRACKET = 0x5d;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;

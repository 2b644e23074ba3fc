/**
 * Parses one HTTP/1.x response at a time out of the bytes of a connection, strictly by RFC 9112:
 * what has two readings is refused, so that nobody can smuggle one answer into another.
 *
 *   status -> fields -> (informational: status) -> body by length | chunks | close -> over
 *
 * Knows framing alone; what statuses and fields mean is for the listener. The bytes of bodies are
 * passed on as they came, without a copy. Called by `http-connection.ts`.
 */
import { LIMITS } from "@shoal/core";

/** Name, value, name, value, as received but for white space around values. */
export type RawFields = readonly string[];

export interface RawHead {
  readonly status: number;
  readonly reason: string;
  readonly fields: RawFields;
}

/** How a response can fail to be one. */
export type ParseFault =
  | "notHttp"
  | "headTooLong"
  /** The connection ended within the body. */
  | "endedEarly"
  /** The connection ended before or within the head. */
  | "noAnswer";

export interface ResponseListener {
  onHead(head: RawHead): void;
  /** Valid during the call alone. */
  onBytes(bytes: Uint8Array): void;
  /** `keepAlive`: the server said nothing against another request on the connection. */
  onEnd(keepAlive: KeepAlive): void;
  onFault(fault: ParseFault): void;
}

export interface KeepAlive {
  readonly isAllowed: boolean;
  /** What the server allows between two requests, where it says so. */
  readonly timeoutSec?: number;
}

type State =
  | "status"
  | "fields"
  | "length"
  | "close"
  | "chunkSize"
  | "chunk"
  | "chunkEnd"
  | "trailers";

const LF = 0x0a;
const STATUS_LINE = /^HTTP\/1\.([01]) ([1-5]\d\d)(?: ([\t\u0020-\u007e\u0080-\u00ff]*))?$/;
const STATUS_PREFIX = "HTTP/1.";
const FIELD = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[\t ]*([\t\u0020-\u007e\u0080-\u00ff]*)$/;
/** Extensions are passed over. */
const CHUNK_SIZE = /^([0-9A-Fa-f]{1,13})(?:[\t ]*;[\t\u0020-\u007e\u0080-\u00ff]*)?$/;
const DECIMAL = /^\d{1,16}$/;

export class ResponseParser {
  readonly #listener: ResponseListener;
  #state: State | "over" = "status";
  /** The part of a line that has come, one character for each byte. */
  #line = "";
  /** Of the head, of the trailers, or of the line of a chunk's size. */
  #lineBytes = 0;
  #minorVersion = "1";
  #status = 0;
  #reason = "";
  #fields: string[] = [];
  /** Of the body, or of the chunk. */
  #remaining = 0;
  /** Nothing more is taken for now. */
  isHeld = false;

  constructor(listener: ResponseListener) {
    this.#listener = listener;
  }

  get isOver(): boolean {
    return this.#state === "over";
  }

  /** Nothing is heard of the response afterwards. */
  stop(): void {
    this.#state = "over";
  }

  /** Takes the next bytes; returns how many: not those after its end, nor while it is held. */
  push(bytes: Uint8Array): number {
    let offset = 0;
    while (offset < bytes.length && this.#state !== "over" && !this.isHeld) {
      offset +=
        this.#state === "length" || this.#state === "close" || this.#state === "chunk"
          ? this.#takeBody(offset === 0 ? bytes : bytes.subarray(offset))
          : this.#takeLine(bytes, offset);
    }
    return offset;
  }

  /** The connection has ended. */
  end(): void {
    if (this.#state === "over") return;
    if (this.#state === "close") this.#finish();
    else
      this.#fault(this.#state === "status" || this.#state === "fields" ? "noAnswer" : "endedEarly");
  }

  #takeBody(bytes: Uint8Array): number {
    const isBounded = this.#state !== "close";
    const length = isBounded ? Math.min(bytes.length, this.#remaining) : bytes.length;
    this.#remaining -= length;
    this.#listener.onBytes(length === bytes.length ? bytes : bytes.subarray(0, length));
    if (this.isOver) return length;
    if (isBounded && this.#remaining === 0) {
      if (this.#state === "chunk") this.#state = "chunkEnd";
      else this.#finish();
    }
    return length;
  }

  /** Takes bytes up to the end of the line, and the line when it is whole. */
  #takeLine(bytes: Uint8Array, offset: number): number {
    const at = bytes.indexOf(LF, offset);
    const end = at < 0 ? bytes.length : at + 1;
    this.#lineBytes += end - offset;
    if (this.#lineBytes > LIMITS.responseHeaderBytesMax) {
      this.#fault("headTooLong");
      return end - offset;
    }
    this.#line += latin1(bytes.subarray(offset, end));
    if (at >= 0) this.#takeWholeLine();
    else if (this.#state === "status") {
      const begun = this.#line.slice(0, STATUS_PREFIX.length);
      if (!STATUS_PREFIX.startsWith(begun)) this.#fault("notHttp");
    }
    return end - offset;
  }

  #takeWholeLine(): void {
    const text = this.#line;
    this.#line = "";
    if (!text.endsWith("\r\n")) return this.#fault("notHttp");
    const line = text.slice(0, -2);
    switch (this.#state) {
      case "status":
        return this.#takeStatus(line);
      case "fields":
        return line === "" ? this.#takeHead() : this.#takeField(line);
      case "chunkSize":
        return this.#takeChunkSize(line);
      case "chunkEnd":
        this.#lineBytes = 0;
        if (line === "") this.#state = "chunkSize";
        else this.#fault("notHttp");
        return;
      default:
        // Trailers say nothing that is needed.
        if (line === "") this.#finish();
        else if (!FIELD.test(line)) this.#fault("notHttp");
    }
  }

  #takeStatus(line: string): void {
    const [, minorVersion, status, reason = ""] = STATUS_LINE.exec(line) ?? [];
    if (minorVersion === undefined) return this.#fault("notHttp");
    this.#minorVersion = minorVersion;
    this.#status = Number(status);
    this.#reason = reason;
    this.#fields = [];
    this.#state = "fields";
  }

  #takeField(line: string): void {
    const [, name, value] = FIELD.exec(line) ?? [];
    if (name === undefined || value === undefined) return this.#fault("notHttp");
    this.#fields.push(name, value.trim());
  }

  #takeHead(): void {
    this.#lineBytes = 0;
    const isFinal = this.#status >= 200;
    const framing = isFinal ? this.#framing() : undefined;
    if (isFinal && framing === undefined) return this.#fault("notHttp");
    // Before the listener hears of it: it may stop the parser.
    this.#state = framing?.state ?? "status";
    this.#remaining = framing?.length ?? 0;
    const [status, reason, fields] = [this.#status, this.#reason, this.#fields];
    this.#listener.onHead({ status, reason, fields });
    if (this.#state === "length" && this.#remaining === 0) this.#finish();
  }

  /** RFC 9112, section 6.3, for answers to GET; `undefined` where it has two readings. */
  #framing(): { readonly state: State; readonly length: number } | undefined {
    const codings = this.#valuesOf("transfer-encoding");
    const lengths = this.#valuesOf("content-length");
    const hasBody = this.#status !== 204 && this.#status !== 304;
    if (codings.length > 0) {
      const isChunked = codings.length === 1 && codings[0]?.toLowerCase() === "chunked";
      if (!isChunked || lengths.length > 0) return undefined;
      return hasBody ? { state: "chunkSize", length: 0 } : { state: "length", length: 0 };
    }
    const [length] = lengths;
    if (length === undefined) return { state: hasBody ? "close" : "length", length: 0 };
    if (lengths.length > 1 || !DECIMAL.test(length)) return undefined;
    if (!Number.isSafeInteger(Number(length))) return undefined;
    return { state: "length", length: hasBody ? Number(length) : 0 };
  }

  #takeChunkSize(line: string): void {
    this.#lineBytes = 0;
    const [, size] = CHUNK_SIZE.exec(line) ?? [];
    if (size === undefined) return this.#fault("notHttp");
    this.#remaining = Number.parseInt(size, 16);
    this.#state = this.#remaining === 0 ? "trailers" : "chunk";
  }

  #finish(): void {
    const isDelimited = this.#state !== "close";
    this.#state = "over";
    const words = this.#valuesOf("connection")
      .join(",")
      .toLowerCase()
      .split(/[\t ,]+/);
    const isAllowed = isDelimited && this.#minorVersion === "1" && !words.includes("close");
    const hint = /(?:^|[\t ,])timeout=(\d{1,9})(?:$|[\t ,])/i;
    const [, timeout] = hint.exec(this.#valuesOf("keep-alive").join(",")) ?? [];
    this.#listener.onEnd({ isAllowed, ...(timeout && { timeoutSec: Number(timeout) }) });
  }

  #valuesOf(name: string): readonly string[] {
    const values: string[] = [];
    for (let i = 0; i < this.#fields.length; i += 2) {
      if (this.#fields[i]?.toLowerCase() === name) values.push(this.#fields[i + 1] ?? "");
    }
    return values;
  }

  #fault(fault: ParseFault): void {
    this.#state = "over";
    this.#listener.onFault(fault);
  }
}

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
}

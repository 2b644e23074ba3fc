/**
 * Requests as the DO-compatible listener takes them off a connection: one line, header fields, at
 * most a small body that nobody reads. The SDK of Microsoft's client sends targets without a leading
 * slash, which Node's own HTTP server refuses; this parser knows both forms and little else.
 *
 *   METHOD SP target SP HTTP/1.x CRLF   *(name: value CRLF)   CRLF   [body of Content-Length bytes]
 *
 * Knows bytes; what a target means is `api-call.ts`'s. Never throws. Called by `RestConnection`.
 */
import { LIMITS } from "@shoal/core";

export interface RestRequest {
  /** As sent: methods are told apart by case. */
  readonly method: string;
  /** As sent, with or without a leading slash. */
  readonly target: string;
  /** What a browser sends along, or a name that may have been made to lead here (R-API-03, -04). */
  readonly isFromBrowser: boolean;
}

/** What came of some bytes: `usedCount` of them are consumed. */
export type Parsed =
  | { readonly kind: "more"; readonly usedCount: number }
  | { readonly kind: "request"; readonly usedCount: number; readonly request: RestRequest }
  /** Nothing more can be read from this connection. */
  | { readonly kind: "malformed" };

const MALFORMED: Parsed = { kind: "malformed" };
const CR = 0x0d;
const LF = 0x0a;
const TAB = 0x09;
const SPACE = 0x20;
const END_OF_HEAD = "\r\n\r\n";
/** The characters of a target are those that the reference agent takes. */
const REQUEST_LINE = /^([A-Za-z]+) ([A-Za-z0-9\-_.!~*'()%:@&=+$,/?]+) HTTP\/1\.[0-9]$/i;
const FIELD = /^([A-Za-z0-9!#$%&'*+\-.^_`|~]+):[\t ]*([\t\x20-\x7e\x80-\xff]*)$/;

export class RestRequestParser {
  #held: Buffer = Buffer.alloc(0);

  /** Some of a request is here, and the rest is not. */
  get isInside(): boolean {
    return this.#held.length > 0;
  }

  /** Takes bytes up to the end of the request they belong to. */
  take(bytes: Buffer): Parsed {
    const before = this.#held.length;
    const room = LIMITS.doRestRequestBytesMax - before;
    const held = Buffer.concat([this.#held, bytes.subarray(0, room)]);
    const text = held.toString("latin1");
    if (hasWrongByte(held)) return MALFORMED;
    const lineEnd = text.indexOf("\r\n");
    const line = lineEnd < 0 ? undefined : REQUEST_LINE.exec(text.slice(0, lineEnd));
    if (line === null) return MALFORMED;
    const headEnd = text.indexOf(END_OF_HEAD);
    const [, method = "", target = ""] = line ?? [];
    const fields = readFields(headEnd < 0 ? "" : text.slice(lineEnd + 2, headEnd + 2));
    if (fields === undefined) return MALFORMED;
    const { bodyLength, isFromBrowser } = fields;
    const end = headEnd + END_OF_HEAD.length + bodyLength;
    if (headEnd >= 0 && end <= held.length) {
      this.#held = Buffer.alloc(0);
      const request = { method, target, isFromBrowser };
      return { kind: "request", usedCount: end - before, request };
    }
    const isTooLong = bytes.length >= room || (headEnd >= 0 && end > LIMITS.doRestRequestBytesMax);
    if (isTooLong) return MALFORMED;
    this.#held = held;
    return { kind: "more", usedCount: bytes.length };
  }
}

/** Half a line end, or another control character; in the head alone: a body may hold anything. */
function hasWrongByte(held: Buffer): boolean {
  const headEnd = held.indexOf(END_OF_HEAD);
  const end = headEnd < 0 ? held.length : headEnd;
  for (let i = 0; i < end; i++) {
    const byte = held[i] ?? 0;
    // The other half of a pair at the very end may still come.
    if (byte === CR && i + 1 < held.length && held[i + 1] !== LF) return true;
    if (byte === LF && held[i - 1] !== CR) return true;
    if (byte < SPACE && byte !== CR && byte !== LF && byte !== TAB) return true;
  }
  return false;
}

interface Fields {
  readonly bodyLength: number;
  readonly isFromBrowser: boolean;
}

/** `undefined` where they are not what they should be. A body is counted, never chunked. */
function readFields(text: string): Fields | undefined {
  let bodyLength: number | undefined;
  let isFromBrowser = false;
  for (const line of text.split("\r\n").slice(0, -1)) {
    const [, name = "", value = ""] = FIELD.exec(line) ?? [];
    switch (name.toLowerCase()) {
      case "":
      case "transfer-encoding":
        return undefined;
      case "content-length":
        if (bodyLength !== undefined || !/^[0-9]{1,9}[\t ]*$/.test(value)) return undefined;
        bodyLength = Number(value);
        break;
      case "host":
        if (!isAddress(value.trim())) isFromBrowser = true;
        break;
      case "origin":
      case "sec-fetch-site":
        isFromBrowser = true;
        break;
      default:
    }
  }
  return { bodyLength: bodyLength ?? 0, isFromBrowser };
}

/** An address, or this machine by its usual name, with or without a port: no other name. */
function isAddress(host: string): boolean {
  return /^([0-9.]+|\[[0-9A-Fa-f:.]+\]|localhost)?(:[0-9]{1,5})?$/i.test(host);
}

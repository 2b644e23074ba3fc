/**
 * Asks a proxy for a tunnel: CONNECT and its answer, on a socket that is connected to the proxy.
 * Whatever the proxy says beyond the head of a success is refused, as TLS servers never speak first.
 *
 * Knows one request of HTTP; the socket's errors, end and deadline are its caller's. Called by
 * `dial.ts`.
 */
import type { Socket } from "node:net";
import { LIMITS } from "@shoal/core";
import { proxyRefusal } from "./failure.ts";
import type { Refusal } from "./failure.ts";

const END_OF_HEAD = "\r\n\r\n";

export interface TunnelRequest {
  /** Host and port at the far end, as in a URL. */
  readonly authority: string;
  readonly authorization?: string;
}

/** Calls `done` at most once: never when the socket ends first. Without a refusal, it is open. */
export function openTunnel(
  socket: Socket,
  { authority, authorization }: TunnelRequest,
  done: (refusal?: Refusal) => void,
): void {
  let text = "";
  const settle = (refusal?: Refusal): void => {
    socket.off("data", read);
    socket.pause();
    done(refusal);
  };
  const read = (bytes: Buffer): void => {
    text += bytes.toString("latin1");
    const end = text.indexOf(END_OF_HEAD);
    if (end < 0 && text.length <= LIMITS.responseHeaderBytesMax) return;
    const [, status] = /^HTTP\/1\.[01] ([1-5]\d\d)(?: [^\r\n]*)?\r\n/.exec(text) ?? [];
    if (end < 0 || status === undefined) return settle(proxyRefusal("its answer is not HTTP"));
    if (!status.startsWith("2")) return settle(proxyRefusal(Number(status)));
    const isMore = text.length > end + END_OF_HEAD.length;
    settle(isMore ? proxyRefusal("it sent more than its answer") : undefined);
  };
  socket.on("data", read);
  const proof = authorization === undefined ? "" : `Proxy-Authorization: ${authorization}\r\n`;
  socket.write(`CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n${proof}\r\n`);
}

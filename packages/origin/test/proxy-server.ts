/**
 * A forward proxy for tests, on 127.0.0.1: requests in absolute form, and tunnels. It resolves no
 * names; every host is 127.0.0.1, so that URLs may name hosts that do not exist.
 */
import { createServer, request as askHttp } from "node:http";
import type { IncomingHttpHeaders, RequestListener } from "node:http";
import { createServer as createSecureServer } from "node:https";
import { connect } from "node:net";
import type { Socket } from "node:net";
import { started } from "./origin-harness.ts";
import type { TestServer } from "./origin-harness.ts";

/** One request as the proxy saw it. */
export interface ProxiedRequest {
  readonly method: string;
  /** A whole URL, or a host and port. */
  readonly target: string;
  readonly headers: IncomingHttpHeaders;
}

export interface TestProxy extends TestServer {
  readonly proxyUrl: string;
  readonly requests: readonly ProxiedRequest[];
}

export interface ProxyBehaviour {
  /** `user:password` to ask for. Default: none. */
  readonly credentials?: string;
  /** What to write in place of an answer to CONNECT. */
  readonly tunnelAnswer?: string;
  /** Key and certificate, for a proxy that is itself reached over TLS. */
  readonly identity?: { readonly key: string; readonly cert: string };
}

export async function serveProxy(behaviour: ProxyBehaviour = {}): Promise<TestProxy> {
  const { credentials, tunnelAnswer, identity } = behaviour;
  const requests: ProxiedRequest[] = [];
  const wanted =
    credentials === undefined ? undefined : `Basic ${Buffer.from(credentials).toString("base64")}`;
  const forward: RequestListener = ({ method = "", url = "", headers }, response) => {
    requests.push({ method, target: url, headers });
    if (wanted !== undefined && headers["proxy-authorization"] !== wanted) {
      response.writeHead(407, { "proxy-authenticate": "Basic" }).end("who are you?");
      return;
    }
    const { "proxy-authorization": _, ...others } = headers;
    const { port, pathname, search } = new URL(url);
    const path = pathname + search;
    askHttp({ host: "127.0.0.1", port, path, headers: others, agent: false }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.rawHeaders);
      answer.pipe(response);
    })
      .on("error", () => response.writeHead(502).end())
      .end();
  };
  const server = identity ? createSecureServer(identity, forward) : createServer(forward);
  server.on("connect", ({ method = "", url = "", headers }, socket: Socket) => {
    requests.push({ method, target: url, headers });
    socket.on("error", () => {});
    if (wanted !== undefined && headers["proxy-authorization"] !== wanted) {
      socket.end("HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n");
      return;
    }
    if (tunnelAnswer !== undefined) {
      socket.on("end", () => socket.end()).resume();
      socket.write(tunnelAnswer, "latin1");
      return;
    }
    const port = Number(/:(\d+)$/.exec(url)?.[1]);
    const far = connect(port, "127.0.0.1", () => {
      socket.write("HTTP/1.1 200 Connection established\r\nvia: 1.1 test\r\n\r\n");
      far.pipe(socket).pipe(far);
    });
    far.on("error", () => socket.destroy());
    socket.on("close", () => far.destroy());
  });
  const scheme = identity === undefined ? "http:" : "https:";
  const handle = await started(server, scheme);
  const login = credentials === undefined ? "" : `${credentials}@`;
  const proxyUrl = `${scheme}//${login}127.0.0.1:${handle.port}`;
  return Object.assign(handle, { proxyUrl, requests });
}

/**
 * Serves the REST API on a Unix socket, on an inherited descriptor, and on a TCP port of 127.0.0.1.
 *
 *   connection ─▶ gate ─▶ guard ─▶ application ─▶ routes ─▶ AgentService
 *
 * Knows listeners; who may ask is the guard's, what is answered is the routes'. Loaded by `startRest`
 * when it is asked for.
 */
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { chmod } from "node:fs/promises";
import { createServer } from "node:http";
import type { IncomingMessage, RequestListener, Server, ServerResponse } from "node:http";
import type { AddressInfo, ListenOptions } from "node:net";
import type { Duplex } from "node:stream";
import { LIMITS, ShoalError } from "@shoal/core";
import { ConnectionGate } from "./connection-gate.ts";
import { EventHub } from "./event-hub.ts";
import { preparePlace } from "./listen-place.ts";
import { PROBLEM_TYPE, problemOf } from "./problem.ts";
import { refusalOf, SECURITY_HEADER_TEXT, setSecurityHeaders } from "./request-guard.ts";
import { createRestApp } from "./rest-app.ts";
import type { RestApp, RouteDeps } from "./rest-app.ts";
import { apiFilesOf } from "./rest-options.ts";
import type { ApiOptions, RestDeps, RestListener, TcpOptions } from "./rest-options.ts";
import { addAgentRoutes } from "./routes/agent-routes.ts";
import { addJobRoutes } from "./routes/job-routes.ts";
import { addProbeRoutes } from "./routes/probe-routes.ts";
import { addEventRoutes, addStreamRoutes } from "./routes/stream-routes.ts";
import { ServedStreams } from "./served-streams.ts";
import { openToken, proofOf, TokenGate, writePortFile } from "./token-gate.ts";

/** On the socket everybody is at `localhost`. */
const SOCKET_HOSTS: ReadonlySet<string> = new Set(["localhost"]);
const CHECK_INTERVAL_MS = 1_000;

export async function openRest(deps: RestDeps, options: ApiOptions): Promise<RestListener> {
  await using opened = new AsyncDisposableStack();
  const hub = new EventHub(deps.service);
  opened.defer(() => hub.close());
  const { fd, tcp } = options;
  const path = apiFilesOf(options).socketPath;
  try {
    if (fd !== undefined) opened.use(await listen({ ...deps, hub }, { fd }));
    else if (path !== undefined) await listenOnSocket({ ...deps, hub }, { options, path, opened });
    const url =
      tcp === undefined
        ? undefined
        : await listenOnPort({ ...deps, hub }, { tcp, options, opened });
    const open = opened.move();
    let closed: Promise<void> | undefined;
    const close = (): Promise<void> => (closed ??= open.disposeAsync());
    return { socketPath: path, url, close, [Symbol.asyncDispose]: close };
  } catch (cause) {
    if (cause instanceof ShoalError) throw cause;
    throw new ShoalError("ERR_LISTEN_FAILED", path ?? "the API", { cause });
  }
}

type ListenDeps = RestDeps & { readonly hub: EventHub };

function isPipe(path: string): boolean {
  return path.startsWith("\\\\");
}

async function listenOnSocket(
  deps: ListenDeps,
  place: { options: ApiOptions; path: string; opened: AsyncDisposableStack },
): Promise<void> {
  const { options, path, opened } = place;
  const mode = options.socketMode ?? 0o600;
  if (!isPipe(path)) await preparePlace(path, { isGroupAllowed: (mode & 0o070) !== 0 });
  opened.use(await listen(deps, { path }));
  if (!isPipe(path)) await chmod(path, mode & 0o660);
}

async function listenOnPort(
  deps: ListenDeps,
  place: { tcp: TcpOptions; options: ApiOptions; opened: AsyncDisposableStack },
): Promise<string> {
  const { tcp, options, opened } = place;
  const { tokenFile, portFile } = apiFilesOf(options);
  if (tokenFile === undefined || portFile === undefined) {
    throw new ShoalError("ERR_USAGE", "the API's port needs a token file");
  }
  const token = await openToken(tokenFile);
  const address = { host: "127.0.0.1", port: tcp.port };
  const listener = opened.use(await listen(deps, address, token));
  const { port } = listener;
  const facts = { pid: process.pid, port, startedAt: Date.now(), instanceId: randomUUID() };
  opened.defer(await writePortFile(portFile, facts));
  return `http://127.0.0.1:${port}`;
}

interface Listening extends AsyncDisposable {
  readonly port: number;
}

async function listen(
  deps: ListenDeps,
  address: ListenOptions & { readonly fd?: number },
  token?: string,
): Promise<Listening> {
  const gate = new ConnectionGate();
  const streams = new ServedStreams();
  const server = serverOf(gate, token);
  const portOf = (): number => (server.address() as AddressInfo).port;
  const routeDeps: RouteDeps = {
    ...deps,
    gate,
    streams,
    hidesSecrets: token !== undefined,
    prove: token === undefined ? undefined : (nonce) => proofOf(token, nonce, portOf()),
    document: describeRoutes,
  };
  const guard = {
    hosts: SOCKET_HOSTS,
    token: token === undefined ? undefined : new TokenGate(token),
  };
  const app = createRestApp(routeDeps, (handler) => {
    const answerBy =
      (answer: RequestListener): RequestListener =>
      (request, response) => {
        if (!gate.begin(request, response)) return;
        setSecurityHeaders(response);
        const refusal = refusalOf(request, guard);
        if (refusal === undefined) answer(request, response);
        else refuse(request, response, new ShoalError(refusal));
      };
    server.on("request", answerBy(handler));
    // Node would answer by itself, whoever asks.
    server.on("checkExpectation", answerBy(refuseExpectation));
    return server;
  });
  addRoutes(app, routeDeps);
  await app.ready();
  try {
    server.listen(address);
    await once(server, "listening");
  } catch (error) {
    await app.close();
    throw error;
  }
  // One connection that cannot be accepted is no reason to stop.
  server.on("error", (error) => deps.onFault?.(error));
  const port = token === undefined ? 0 : portOf();
  if (token !== undefined) guard.hosts = new Set([`127.0.0.1:${port}`, `localhost:${port}`]);
  const close = async (): Promise<void> => {
    streams.close();
    const ended = once(server, "close");
    server.close();
    gate.destroyAll();
    await ended;
    await app.close();
  };
  return { port, [Symbol.asyncDispose]: close };
}

function serverOf(gate: ConnectionGate, token: string | undefined): Server {
  const isOnSocket = token === undefined;
  const server = createServer({
    maxHeaderSize: LIMITS.restHeaderBytesMax,
    headersTimeout: LIMITS.restHeaderTimeoutMs,
    requestTimeout: LIMITS.restRequestTimeoutMs,
    keepAliveTimeout: isOnSocket ? LIMITS.restSocketIdleTimeoutMs : LIMITS.restIdleTimeoutMs,
    connectionsCheckingInterval: CHECK_INTERVAL_MS,
    // Checked by the guard, which has words for it.
    requireHostHeader: false,
    noDelay: true,
  });
  server.maxConnections = ConnectionGate.connectionsMax;
  server.on("connection", (socket) => gate.accept(socket));
  server.on("clientError", refuseBytes);
  return server;
}

function addRoutes(app: RestApp, deps: RouteDeps): void {
  addProbeRoutes(app, deps);
  addJobRoutes(app, deps);
  addStreamRoutes(app, deps);
  addEventRoutes(app, deps);
  addAgentRoutes(app, deps);
}

let described: Promise<object> | undefined;

/** The API's document, which is the same on every listener: made when it is first asked for. */
export function describeRoutes(): Promise<object> {
  return (described ??= makeDocument());
}

/** Of the routes as they would be served, by an application that is bound to nothing. */
async function makeDocument(): Promise<object> {
  const { describeApi } = await import("./api-document.ts");
  // Nobody asks: what the routes would answer with is not looked at.
  const nothing = { streams: new ServedStreams(), gate: new ConnectionGate(), hidesSecrets: true };
  const deps = { ...nothing, service: {} } as unknown as RouteDeps;
  const app = createRestApp(deps, (handler) => createServer(handler));
  await describeApi(app);
  addRoutes(app, deps);
  await app.ready();
  const document = app.swagger();
  await app.close();
  return document;
}

/** Its body is not read, so the connection ends with the answer. */
function refuse(request: IncomingMessage, response: ServerResponse, error: ShoalError): void {
  const problem = problemOf(error);
  const body = JSON.stringify(problem);
  const wait = error.code === "ERR_TOO_MANY_REQUESTS" ? { "retry-after": "60" } : {};
  response.writeHead(problem.status, {
    ...wait,
    "content-type": PROBLEM_TYPE,
    "content-length": Buffer.byteLength(body),
    connection: "close",
  });
  response.end(body, () => request.socket.destroySoon());
}

function refuseExpectation(request: IncomingMessage, response: ServerResponse): void {
  refuse(request, response, new ShoalError("ERR_USAGE", "this expectation cannot be met"));
}

const BAD_BYTES: Readonly<Record<string, readonly [number, string]>> = {
  HPE_HEADER_OVERFLOW: [431, "Request Header Fields Too Large"],
  ERR_HTTP_REQUEST_TIMEOUT: [408, "Request Timeout"],
};

/** What is no request is answered shortly, if it still can be, and the connection ends. */
function refuseBytes(error: NodeJS.ErrnoException, socket: Duplex): void {
  const [status, words] = BAD_BYTES[error.code ?? ""] ?? [400, "Bad Request"];
  if (!socket.writable || error.code === "ECONNRESET") {
    socket.destroy();
    return;
  }
  const head = `HTTP/1.1 ${status} ${words}\r\nconnection: close\r\ncontent-length: 0\r\n`;
  socket.end(`${head}${SECURITY_HEADER_TEXT}\r\n`, () => socket.destroy());
}

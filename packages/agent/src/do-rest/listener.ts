/**
 * The listener of the DO-compatible API: 127.0.0.1 and nothing else (R-API-01), the first port from
 * 50000 that is free, and a bounded number of callers, of whom the one that was quiet longest makes
 * room for a new one. The SDK connects again by itself.
 *
 * Knows ports and callers. Called by `startDoRest`.
 */
import { createServer } from "node:net";
import type { Server, Socket } from "node:net";
import { LIMITS, ShoalError } from "@shoal/core";
import type { Millis } from "@shoal/core";
import { RestConnection } from "./connection.ts";
import type { RestHandler } from "./connection.ts";

/** Inclusive. */
export interface PortRange {
  readonly first: number;
  readonly last: number;
}

export const DO_REST_PORTS: PortRange = { first: 50_000, last: 60_999 };
const HOST = "127.0.0.1";

export interface RestListenerDeps {
  readonly handle: RestHandler;
  readonly onFault: (error: unknown) => void;
}

export interface RestListenerOptions {
  readonly ports?: PortRange;
  readonly connectionsMax?: number;
  readonly requestTimeoutMs?: Millis;
}

export class RestListener {
  readonly port: number;
  readonly #server: Server;
  readonly #deps: RestListenerDeps;
  readonly #options: Required<Omit<RestListenerOptions, "ports">>;
  /** Those that were quiet longest come first. */
  readonly #connections = new Set<RestConnection>();

  private constructor(server: Server, deps: RestListenerDeps, options: RestListenerOptions) {
    this.#server = server;
    this.#deps = deps;
    this.port = portOf(server);
    const { connectionsMax = LIMITS.doRestConnectionsMax } = options;
    const { requestTimeoutMs = LIMITS.doRestRequestTimeoutMs } = options;
    this.#options = { connectionsMax, requestTimeoutMs };
    server.on("connection", (socket) => this.#connected(socket));
    // Descriptors may run out; the listener goes on.
    server.on("error", deps.onFault);
  }

  /** Rejects with `ERR_LISTEN_FAILED`. */
  static async open(
    deps: RestListenerDeps,
    options: RestListenerOptions = {},
  ): Promise<RestListener> {
    const server = createServer({ allowHalfOpen: true });
    const { first, last } = options.ports ?? DO_REST_PORTS;
    for (let port = first; port <= last; port++) {
      const problem = await listen(server, port);
      if (problem === undefined) return new RestListener(server, deps, options);
      if (problem.code === "EADDRINUSE") continue;
      throw new ShoalError("ERR_LISTEN_FAILED", `${HOST}:${port}`, { cause: problem });
    }
    throw new ShoalError("ERR_LISTEN_FAILED", `${HOST}: ports ${first} to ${last} are in use`);
  }

  get connectionCount(): number {
    return this.#connections.size;
  }

  async close(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#server.close(() => resolve());
    for (const connection of this.#connections) connection.destroy();
    await promise;
  }

  #connected(socket: Socket): void {
    const connection: RestConnection = new RestConnection(
      socket,
      {
        handle: this.#deps.handle,
        onFault: this.#deps.onFault,
        onActivity: () => this.#noteActivity(connection),
        onClosed: () => void this.#connections.delete(connection),
      },
      this.#options,
    );
    this.#connections.add(connection);
    if (this.#connections.size <= this.#options.connectionsMax) return;
    const all = [...this.#connections];
    (all.find(({ isAtWork }) => !isAtWork) ?? all[0])?.destroy();
  }

  #noteActivity(connection: RestConnection): void {
    if (this.#connections.delete(connection)) this.#connections.add(connection);
  }
}

function listen(server: Server, port: number): Promise<NodeJS.ErrnoException | undefined> {
  const { promise, resolve } = Promise.withResolvers<NodeJS.ErrnoException | undefined>();
  const onListening = (): void => resolve(undefined);
  server.once("listening", onListening).once("error", resolve);
  server.listen({ host: HOST, port, exclusive: true });
  return promise.finally(() => server.off("listening", onListening).off("error", resolve));
}

function portOf(server: Server): number {
  const address = server.address();
  return typeof address === "object" && address !== null ? address.port : 0;
}

/**
 * Counts the connections of one listener (R-API-09): 64 that ask, and apart from them those that
 * carry events or a job's bytes. Who is slow, half-open or idle delays nobody: when there are too
 * many, the one that has asked nothing for longest goes first, and who does not take what is sent is
 * disconnected.
 *
 *   asking ─hold─▶ carrying events or bytes ─▶ closed
 *
 * Knows sockets, not what is said on them. Called by the REST server.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { LIMITS } from "@shoal/core";

const SWEEP_INTERVAL_MS = 5_000;
const HELD_MAX = { watcher: LIMITS.restWatchersMax, stream: LIMITS.restStreamsMax } as const;

export type HoldKind = keyof typeof HELD_MAX;

interface Connection {
  /** Requests that are not answered. */
  openCount: number;
  held: HoldKind | undefined;
  /** What had left when it was last looked at, and since when no more has. */
  sentBytes: number;
  stalledAt: number | undefined;
}

export class ConnectionGate {
  /** The one that has asked nothing for longest is the first. */
  readonly #connections = new Map<Socket, Connection>();
  readonly #heldCounts = { watcher: 0, stream: 0 };
  #sweep: NodeJS.Timeout | undefined;

  /** Connections that may exist at a time. */
  static readonly connectionsMax =
    LIMITS.restConnectionsMax + LIMITS.restWatchersMax + LIMITS.restStreamsMax;

  accept(socket: Socket): void {
    if (this.#askingCount >= LIMITS.restConnectionsMax && !this.#dropIdle()) {
      socket.destroy();
      return;
    }
    this.#connections.set(socket, {
      openCount: 0,
      held: undefined,
      sentBytes: 0,
      stalledAt: undefined,
    });
    this.#sweep ??= setInterval(() => this.#dropStalled(), SWEEP_INTERVAL_MS).unref();
    socket.once("close", () => this.#forget(socket));
  }

  /** False: the connection has asked too much at once, and is gone. */
  begin({ socket }: IncomingMessage, response: ServerResponse): boolean {
    const connection = this.#connections.get(socket);
    if (connection === undefined) return false;
    if (connection.openCount >= LIMITS.restPipelinedMax) {
      socket.destroy();
      return false;
    }
    connection.openCount++;
    if (this.#askingCount > LIMITS.restConnectionsKeptMax)
      response.setHeader("connection", "close");
    response.once("close", () => {
      connection.openCount--;
      if (!this.#connections.delete(socket)) return;
      this.#connections.set(socket, connection);
    });
    return true;
  }

  /** False: there are enough of this kind. Otherwise the connection is counted apart until its end. */
  hold(socket: Socket, kind: HoldKind): boolean {
    const connection = this.#connections.get(socket);
    if (connection === undefined || this.#heldCounts[kind] >= HELD_MAX[kind]) return false;
    if (connection.held !== undefined) return false;
    connection.held = kind;
    this.#heldCounts[kind]++;
    return true;
  }

  destroyAll(): void {
    for (const socket of this.#connections.keys()) socket.destroy();
  }

  get #askingCount(): number {
    return this.#connections.size - this.#heldCounts.watcher - this.#heldCounts.stream;
  }

  #forget(socket: Socket): void {
    const connection = this.#connections.get(socket);
    if (connection?.held !== undefined) this.#heldCounts[connection.held]--;
    this.#connections.delete(socket);
    if (this.#connections.size > 0) return;
    clearInterval(this.#sweep);
    this.#sweep = undefined;
  }

  #dropIdle(): boolean {
    for (const [socket, { openCount, held }] of this.#connections) {
      if (openCount > 0 || held !== undefined) continue;
      this.#forget(socket);
      socket.destroy();
      return true;
    }
    return false;
  }

  #dropStalled(): void {
    const now = performance.now();
    for (const [socket, connection] of this.#connections) {
      const sentBytes = socket.bytesWritten - socket.writableLength;
      const hasMoved = socket.writableLength === 0 || sentBytes !== connection.sentBytes;
      connection.sentBytes = sentBytes;
      if (hasMoved) connection.stalledAt = undefined;
      else connection.stalledAt ??= now;
      if (now - (connection.stalledAt ?? now) >= LIMITS.restRequestTimeoutMs) socket.destroy();
    }
  }
}

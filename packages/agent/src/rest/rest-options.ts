/**
 * Where the REST API is served, and what it is made of. Knows names alone, so that whoever starts an
 * agent without the API loads nothing of it. Used by `startAgent` and by the server.
 */
import { dirname, join, resolve } from "node:path";
import type { AgentService } from "../service/agent-service.ts";

/** The API on 127.0.0.1, for those who have the token. */
export interface TcpOptions {
  /** 0: any free one; the port file says which. */
  readonly port: number;
  /**
   * Holds the token, 256 random bits as 64 hex digits with mode 0600, in a private directory. Made
   * where there is none; remove it to have another. Default: `agent.token` beside the socket.
   */
  readonly tokenFile?: string;
  /** Says which process listens on which port. Default: `agent.port` beside the token. */
  readonly portFile?: string;
}

export interface ApiOptions {
  /**
   * A Unix socket, in a directory that is created, or is private to the user already; or
   * `\\.\pipe\name` on Windows.
   */
  readonly socketPath?: string;
  /** Default 0o600. 0o660 lets the directory's group in, whose mode may then be 0750. */
  readonly socketMode?: number;
  /** A descriptor that listens already (socket activation), in place of `socketPath`. */
  readonly fd?: number;
  readonly tcp?: TcpOptions;
  /** A place that cannot be had is a warning, and the agent runs without. Default false. */
  readonly isOptional?: boolean;
}

/** Where the API's files are, whether they are there or not; absolute. */
export interface ApiFiles {
  readonly socketPath?: string;
  readonly tokenFile?: string;
  readonly portFile?: string;
}

export function apiFilesOf({ socketPath, tcp = { port: 0 } }: ApiOptions): ApiFiles {
  // A pipe of Windows has a path of its own kind.
  const isPipe = socketPath?.startsWith("\\\\") === true;
  const path = isPipe || socketPath === undefined ? socketPath : resolve(socketPath);
  const beside = path === undefined ? undefined : join(dirname(path), "agent.token");
  const token = tcp.tokenFile ?? beside;
  const tokenFile = token === undefined ? undefined : resolve(token);
  const port = tcp.portFile ?? (tokenFile && join(dirname(tokenFile), "agent.port"));
  return {
    ...(path !== undefined && { socketPath: path }),
    ...(tokenFile !== undefined && { tokenFile }),
    ...(port !== undefined && { portFile: resolve(port) }),
  };
}

export interface RestDeps {
  /** Answers everything; it is the service of whoever may open the socket or has the token. */
  readonly service: AgentService;
  /** In Prometheus' text format. Absent: `/metrics` is not there. */
  readonly metricsText?: () => Promise<string>;
  /** Hears of mistakes in the agent itself. Nothing of what callers say is in them by design. */
  readonly onFault?: (error: unknown) => void;
}

export interface RestListener extends AsyncDisposable {
  /** Absolute; absent where there is no socket of a path. */
  readonly socketPath: string | undefined;
  /** Such as `http://127.0.0.1:7070`; absent without TCP. */
  readonly url: string | undefined;
  /** Ends every connection, and removes the socket and the port file. Idempotent; jobs go on. */
  close(): Promise<void>;
}

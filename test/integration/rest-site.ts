/**
 * Where the REST API is tested: a real agent with a socket and a TCP port, and callers who write what
 * they like on a connection.
 */
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { connect } from "node:net";
import type { Socket } from "node:net";
import { join } from "node:path";
import { startAgent } from "@shoal/agent";
import type { Agent } from "@shoal/agent";
import { TestSite } from "./harness.ts";

/** An answer as it came. */
export interface RawAnswer {
  readonly status: number;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

export interface Request {
  readonly method?: string;
  readonly path?: string;
  /** In place of those of `RestSite.headers`; null leaves one out. */
  readonly headers?: Readonly<Record<string, string | null>>;
  readonly body?: string | object;
}

export class RestSite implements AsyncDisposable {
  readonly site: TestSite;
  readonly agent: Agent;
  readonly token: string;
  readonly port: number;

  private constructor(site: TestSite, agent: Agent, token: string) {
    this.site = site;
    this.agent = agent;
    this.token = token;
    this.port = Number(new URL(agent.apiUrl ?? "").port);
  }

  static async open(): Promise<RestSite> {
    const site = await TestSite.create();
    const directory = join(site.directory, "run");
    const agent = await startAgent({
      stateDirectory: join(site.directory, "state"),
      mdns: false,
      listen: [],
      api: { socketPath: join(directory, "agent.sock"), tcp: { port: 0 } },
    });
    const token = (await readFile(join(directory, "agent.token"), "utf8")).trim();
    site.use(agent);
    return new RestSite(site, agent, token);
  }

  get runDirectory(): string {
    return join(this.site.directory, "run");
  }

  get socketPath(): string {
    return this.agent.socketPath ?? "";
  }

  async connect(where: "socket" | "port"): Promise<Socket> {
    const { socketPath, port } = this;
    const to = where === "socket" ? { path: socketPath } : { port, host: "127.0.0.1" };
    const socket = connect(to);
    socket.on("error", () => {});
    await once(socket, "connect");
    return socket;
  }

  /** What a well-behaved caller on the TCP port sends. */
  bytesOf({ method = "GET", path = "/v1/agent", headers = {}, body }: Request): Buffer {
    const text = typeof body === "object" ? JSON.stringify(body) : body;
    const all: Readonly<Record<string, string | null>> = {
      host: `127.0.0.1:${this.port}`,
      authorization: `Bearer ${this.token}`,
      ...(text !== undefined && {
        "content-type": "application/json",
        "content-length": String(Buffer.byteLength(text)),
      }),
      ...headers,
    };
    const lines = Object.entries(all).filter(([, value]) => value !== null);
    const head = lines.map(([name, value]) => `${name}: ${value}\r\n`).join("");
    return Buffer.from(`${method} ${path} HTTP/1.1\r\n${head}\r\n${text ?? ""}`);
  }

  /** One request on the TCP port, on a connection of its own. */
  ask(request: Request = {}): Promise<RawAnswer> {
    return this.send(
      this.bytesOf({ ...request, headers: { connection: "close", ...request.headers } }),
    );
  }

  /** What comes back for the bytes, until the connection ends. */
  async send(bytes: Buffer | string, where: "socket" | "port" = "port"): Promise<RawAnswer> {
    const socket = await this.connect(where);
    socket.write(bytes);
    return await answerOn(socket);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.site[Symbol.asyncDispose]();
  }
}

/** Everything up to the end of the connection, as one answer. Status 0: nothing came. */
export async function answerOn(socket: Socket, deadlineMs = 15_000): Promise<RawAnswer> {
  const chunks: Buffer[] = [];
  socket.on("data", (chunk: Buffer) => void chunks.push(chunk));
  if (!socket.closed) await once(socket, "close", { signal: AbortSignal.timeout(deadlineMs) });
  return parseAnswer(Buffer.concat(chunks).toString("latin1"));
}

export function parseAnswer(text: string): RawAnswer {
  const end = text.indexOf("\r\n\r\n");
  const [statusLine = "", ...lines] = text.slice(0, Math.max(end, 0)).split("\r\n");
  const headers = Object.fromEntries(
    lines.map((line) => {
      const colon = line.indexOf(":");
      return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
    }),
  );
  const raw = text.slice(end + 4);
  const body = headers["transfer-encoding"] === "chunked" ? unchunked(raw) : raw;
  return { status: Number(statusLine.split(" ")[1] ?? 0), headers, body };
}

function unchunked(text: string): string {
  let body = "";
  let rest = text;
  while (rest !== "") {
    const lineEnd = rest.indexOf("\r\n");
    const length = Number.parseInt(rest.slice(0, lineEnd), 16);
    if (!(length > 0)) break;
    body += rest.slice(lineEnd + 2, lineEnd + 2 + length);
    rest = rest.slice(lineEnd + 4 + length);
  }
  return body;
}

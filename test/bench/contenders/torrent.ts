/**
 * What BitTorrent programs need beside themselves: a torrent, made by mktorrent, and a tracker on
 * loopback that knows nothing but who has announced itself since it was last told to forget.
 */
import { execFile } from "node:child_process";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { once } from "node:events";
import { join } from "node:path";
import { promisify } from "node:util";
import type { TestContent, TestSite } from "../../integration/harness.ts";
import { until } from "../../integration/harness.ts";

const run = promisify(execFile);
/** 2 to this: pieces of 1 MiB, as Shoal's are. */
const PIECE_LENGTH_LOG2 = 20;
const ANNOUNCE_TIMEOUT_MS = 20_000;

export class Tracker implements AsyncDisposable {
  readonly url: string;
  readonly #server: ReturnType<typeof createServer>;
  readonly #ports = new Set<number>();

  private constructor(server: ReturnType<typeof createServer>) {
    this.#server = server;
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/announce`;
    server.on("request", (request, response) => {
      const { searchParams } = new URL(request.url ?? "", this.url);
      const port = Number(searchParams.get("port"));
      if (searchParams.get("event") === "stopped") this.#ports.delete(port);
      else this.#ports.add(port);
      const others = [...this.#ports].filter((other) => other !== port);
      const peers = Buffer.concat(
        others.map((other) => Buffer.from([127, 0, 0, 1, other >>> 8, other & 0xff])),
      );
      const head = `d8:intervali1e12:min intervali1e5:peers${peers.length}:`;
      response.end(Buffer.concat([Buffer.from(head), peers, Buffer.from("e")]));
    });
  }

  static async start(): Promise<Tracker> {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    return new Tracker(server);
  }

  forget(): void {
    this.#ports.clear();
  }

  /** Resolves when somebody has announced itself. */
  async announced(): Promise<void> {
    await until(() => this.#ports.size > 0, "somebody has announced itself", ANNOUNCE_TIMEOUT_MS);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, "close");
  }
}

export interface Torrent {
  readonly path: string;
  readonly tracker: Tracker;
}

/** `undefined` where mktorrent is not installed. */
export async function makeTorrent(
  site: TestSite,
  content: TestContent,
): Promise<Torrent | undefined> {
  const tracker = site.use(await Tracker.start());
  const path = join(site.directory, `${content.name}.torrent`);
  const place = ["-l", `${PIECE_LENGTH_LOG2}`, "-a", tracker.url, "-o", path];
  try {
    await run("mktorrent", [...place, content.path]);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
  return { path, tracker };
}

/**
 * A relay in front of a web server: passes so many bytes of answers, then holds until it is opened.
 * It makes "in the middle of a download" a place instead of a moment, whatever the server is.
 */
import { once } from "node:events";
import { connect, createServer } from "node:net";
import type { AddressInfo, Socket } from "node:net";

export interface Relay extends AsyncDisposable {
  /** The server's URL, through the relay. */
  readonly url: string;
  /** Bytes of answers that have passed, heads included. */
  readonly passedBytes: number;
  readonly isHolding: boolean;
  /** Most connections that were open at a time. */
  readonly connectionsPeak: number;
  /** Lets everything pass from now on. */
  open(): void;
}

/** Holds once `holdAtBytes` have passed. Default: never. */
export async function startRelay(target: string, holdAtBytes = Infinity): Promise<Relay> {
  const { port } = new URL(target);
  const pairs = new Map<Socket, Socket>();
  let passedBytes = 0;
  let heldAt = holdAtBytes;
  let connectionsPeak = 0;
  const server = createServer((client) => {
    const upstream = connect(Number(port), "127.0.0.1");
    pairs.set(client, upstream);
    connectionsPeak = Math.max(connectionsPeak, pairs.size);
    const end = (): void => {
      pairs.delete(client);
      client.destroy();
      upstream.destroy();
    };
    for (const socket of [client, upstream]) socket.on("error", end).on("close", end);
    client.pipe(upstream);
    upstream.on("data", (bytes) => {
      passedBytes += bytes.length;
      const isWilling = client.write(bytes);
      if (passedBytes >= heldAt) for (const each of pairs.values()) each.pause();
      else if (!isWilling) upstream.pause();
    });
    client.on("drain", () => passedBytes < heldAt && upstream.resume());
    if (passedBytes >= heldAt) upstream.pause();
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    get passedBytes() {
      return passedBytes;
    },
    get isHolding() {
      return passedBytes >= heldAt;
    },
    get connectionsPeak() {
      return connectionsPeak;
    },
    open() {
      heldAt = Infinity;
      for (const each of pairs.values()) each.resume();
    },
    async [Symbol.asyncDispose]() {
      for (const client of pairs.keys()) client.destroy();
      server.close();
      await once(server, "close");
    },
  };
}

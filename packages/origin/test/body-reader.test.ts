import type { RequestListener } from "node:http";
import { describe, expect, it } from "vitest";
import { createBodyReader } from "../src/index.ts";
import { serveHttp, serveRaw } from "./origin-harness.ts";

const BYTES = Buffer.alloc(3 * 1024 * 1024, "body-reader");

/** Reads all there is at the server. */
async function readAll(
  port: number,
  { signal = new AbortController().signal, onWrite = async () => {} }: Partial<Options> = {},
): Promise<Buffer> {
  const reader = createBodyReader({});
  const parts: Uint8Array[] = [];
  const write = async (bytes: Uint8Array): Promise<void> => {
    await onWrite();
    parts.push(bytes);
  };
  try {
    await reader.read(`http://127.0.0.1:${port}/x`, { signal, write });
  } finally {
    reader.close();
  }
  return Buffer.concat(parts);
}

interface Options {
  readonly signal: AbortSignal;
  readonly onWrite: () => Promise<void>;
}

describe("a whole body", () => {
  it.for([
    [200, {}],
    [200, { "content-length": String(BYTES.length) }],
    [203, {}],
  ] as const)("is read with status %i and fields %o", async ([status, headers]) => {
    await using server = await serveHttp((_, response) => {
      response.writeHead(status, headers).end(BYTES);
    });
    expect((await readAll(server.port)).equals(BYTES)).toBe(true);
  });

  it("is nothing with status 204", async () => {
    await using server = await serveHttp((_, response) => void response.writeHead(204).end());
    expect(await readAll(server.port)).toHaveLength(0);
  });

  it("comes after redirects", async () => {
    await using server = await serveHttp((request, response) => {
      if (request.url === "/x") response.writeHead(302, { location: "/y" }).end();
      else response.end("there");
    });
    expect((await readAll(server.port)).toString()).toBe("there");
  });

  it("comes in order to a taker that is slow, and waits for it", async () => {
    await using server = await serveHttp((_, response) => void response.end(BYTES));
    let isTaking = false;
    const onWrite = async (): Promise<void> => {
      expect(isTaking).toBe(false);
      isTaking = true;
      await new Promise((resolve) => setImmediate(resolve));
      isTaking = false;
    };
    expect((await readAll(server.port, { onWrite })).equals(BYTES)).toBe(true);
  });

  it("whose taker fails is given up with its reason", async () => {
    await using server = await serveHttp((_, response) => void response.end(BYTES));
    const onWrite = async (): Promise<void> => Promise.reject(new Error("full"));
    await expect(readAll(server.port, { onWrite })).rejects.toThrow("full");
  });

  it("is not waited for when the caller says so", async () => {
    const hold: RequestListener = (_, response) => void response.write("begun");
    await using server = await serveHttp(hold);
    const aborter = new AbortController();
    const reading = readAll(server.port, {
      signal: aborter.signal,
      onWrite: async () => aborter.abort(new Error("enough")),
    });
    await expect(reading).rejects.toThrow("enough");
  });

  it.for([404, 503])("that is answered with %i is none", async (status) => {
    await using server = await serveHttp((_, response) => void response.writeHead(status).end());
    await expect(readAll(server.port)).rejects.toMatchObject({ originStatus: status });
  });

  it("that ends before its length has failed", async () => {
    await using server = await serveHttp((_, response) => {
      response.writeHead(200, { "content-length": 10 });
      response.write("five!", () => response.destroy());
    });
    await expect(readAll(server.port)).rejects.toMatchObject({ code: "ERR_ORIGIN_UNAVAILABLE" });
  });

  it("whose end is the end of the connection could be any part of the file", async () => {
    await using server = await serveRaw((socket) => {
      socket.end("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\npart");
    });
    await expect(readAll(server.port)).rejects.toMatchObject({ code: "ERR_ORIGIN_PROTOCOL" });
  });
});

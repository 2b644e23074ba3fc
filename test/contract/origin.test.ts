/** The origin contract, on the adapter over HTTP and on the simulated one. */
import { once } from "node:events";
import { createServer } from "node:http";
import type { IncomingHttpHeaders, Server, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { KiB, MiB, PieceBufferPool, PieceLayout, Random } from "@shoal/core";
import type { OriginEvent, PieceBytes } from "@shoal/core";
import { createOrigin, sidecarUrl } from "@shoal/origin";
import { Downlink, SimOrigin, SimOriginServer, SimPayloads, VirtualClock } from "@shoal/sim";
import type { SimPayload } from "@shoal/sim";
import { EventLog } from "./event-log.ts";
import { describeOriginContract } from "./origin-contract.ts";
import type { OriginHarness } from "./origin-contract.ts";

// Long enough that no socket swallows the whole file at once.
const LAYOUT = PieceLayout.fixed(40 * MiB + 5, MiB);
const ETAG = '"one"';
const NOTHING = new Uint8Array();
const MANIFEST = new Uint8Array(100 * KiB).fill(7);

describeOriginContract("over HTTP", openReal);
describeOriginContract("simulated", openSimulated);

async function openReal(): Promise<OriginHarness<PieceBytes>> {
  const content = Buffer.alloc(LAYOUT.contentLength, 3);
  const manifestPath = sidecarUrl(new URL("http://127.0.0.1/file")).pathname;
  const received = { home: [] as IncomingHttpHeaders[], other: [] as IncomingHttpHeaders[] };
  const other = createServer(({ headers }, response) => {
    received.other.push(headers);
    answerRange(response, content, headers.range);
  });
  const server = createServer(({ url = "", headers }, response) => {
    received.home.push(headers);
    if (url === "/leaving") return answer(response, 302, NOTHING, { location: otherBase });
    if (url === "/document") return answer(response, 200, MANIFEST, {});
    if (url === "/file") return answerRange(response, content, headers.range);
    if (url === "/unranged") return answer(response, 200, content, { etag: ETAG });
    if (url === manifestPath) return answer(response, 200, MANIFEST, {});
    if (url === "/busy") return answer(response, 503, NOTHING, { "retry-after": "7" });
    return answer(response, 404, NOTHING, {});
  });
  const base = await listen(server);
  const otherBase = await listen(other);
  const pool = new PieceBufferPool();
  const log = new EventLog<OriginEvent, PieceBytes>();
  return {
    port: createOrigin({ pool, sink: log.sink }),
    log,
    urls: {
      file: `${base}/file`,
      unranged: `${base}/unranged`,
      missing: `${base}/missing`,
      busy: `${base}/busy`,
      refused: `http://127.0.0.1:${await unusedPort()}/file`,
      document: `${base}/document`,
    },
    address: "127.0.0.1",
    headerWitness: {
      leaving: `${base}/leaving`,
      received: (name) => ({
        home: received.home.flatMap((headers) => headers[name] ?? []),
        other: received.other.flatMap((headers) => headers[name] ?? []),
      }),
    },
    layout: LAYOUT,
    etag: ETAG,
    manifest: MANIFEST,
    now: () => performance.now(),
    byteLength: ({ bytes }) => bytes.length,
    release: (payload) => payload.release(),
    borrowed: () => pool.borrowed,
    close: async () => {
      for (const each of [server, other]) {
        each.closeAllConnections();
        each.close();
        await once(each, "close");
      }
    },
  };
}

function openSimulated(): Promise<OriginHarness<SimPayload>> {
  const clock = new VirtualClock();
  const random = new Random(1);
  const payloads = new SimPayloads();
  const log = new EventLog<OriginEvent, SimPayload>(clock);
  const file = { length: LAYOUT.contentLength, validator: { etag: ETAG } };
  const server = new SimOriginServer({ clock, random }, { rateBytesPerSec: 100 * MiB });
  server.setFile("http://origin/file", { ...file, manifest: MANIFEST });
  server.setFile("http://origin/unranged", { ...file, hasRanges: false });
  server.setFile("http://origin/document", {
    length: MANIFEST.length,
    validator: {},
    bytes: MANIFEST,
  });
  server.setFile("http://origin/busy", {
    ...file,
    trouble: { kind: "status", status: 503, retryAfterMs: 7_000 },
  });
  server.setFile("http://origin/refused", { ...file, trouble: { kind: "down" } });
  const downlink = new Downlink(100 * MiB);
  return Promise.resolve({
    port: new SimOrigin({ clock, server, downlink, payloads, sink: log.sink }),
    log,
    urls: {
      file: "http://origin/file",
      unranged: "http://origin/unranged",
      missing: "http://origin/missing",
      busy: "http://origin/busy",
      refused: "http://origin/refused",
      document: "http://origin/document",
    },
    address: "192.0.2.1",
    layout: LAYOUT,
    etag: ETAG,
    manifest: MANIFEST,
    now: () => clock.now(),
    byteLength: ({ byteLength }) => byteLength,
    release: (payload) => payloads.release(payload),
    borrowed: () => payloads.borrowed,
    close: () => Promise.resolve(),
  });
}

function answer(
  response: ServerResponse,
  status: number,
  body: Uint8Array,
  fields: Record<string, string>,
): void {
  response.writeHead(status, { "content-length": body.length, ...fields });
  response.end(body);
}

function answerRange(response: ServerResponse, content: Buffer, range: string | undefined): void {
  const match = /^bytes=(\d+)-(\d+)$/.exec(range ?? "");
  if (match === null) return answer(response, 200, content, { etag: ETAG });
  const first = Number(match[1]);
  const last = Math.min(Number(match[2]), content.length - 1);
  answer(response, 206, content.subarray(first, last + 1), {
    etag: ETAG,
    "content-range": `bytes ${first}-${last}/${content.length}`,
  });
}

async function listen(server: Server): Promise<string> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** A port that was free a moment ago. */
async function unusedPort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

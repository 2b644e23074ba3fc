import { randomBytes } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createServer } from "node:net";
import type { AddressInfo, Socket } from "node:net";
import { once } from "node:events";
import { startAgent } from "@shoal/agent";
import type { Agent, ErrorCode } from "@shoal/agent";
import { MiB } from "@shoal/core";
import { describeFile } from "@shoal/store";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { sha256Of, TestSite } from "./harness.ts";

const LENGTH = 2 * MiB + 77;
const ETAG = 'etag: "v1"\r\n';

/** One request as far as it matters here. */
interface Asked {
  readonly start: number;
  /** Exclusive. */
  readonly end: number;
  readonly isProbe: boolean;
  readonly isRanged: boolean;
  /** How many bodies were asked for before. */
  readonly nth: number;
}

/** Writes something other than the right answer; `false` leaves that to the honest server. */
type Trick = (socket: Socket, asked: Asked, bytes: Buffer) => boolean;

interface Case {
  readonly says: string;
  readonly trick: Trick;
  /** How a job without a manifest ends; `right` is the file. */
  readonly plain: "right" | ErrorCode;
  /** How a job with a pinned content ends. Default: the same. */
  readonly pinned?: "right" | ErrorCode;
}

const first =
  (trick: Trick): Trick =>
  (socket, asked, bytes) =>
    !asked.isProbe && asked.nth === 0 && trick(socket, asked, bytes);

const always =
  (trick: Trick): Trick =>
  (socket, asked, bytes) =>
    !asked.isProbe && trick(socket, asked, bytes);

const head = ({ start, end }: Asked, more = `content-length: ${end - start}\r\n`): string =>
  `HTTP/1.1 206 Partial Content\r\ncontent-range: bytes ${start}-${end - 1}/${LENGTH}\r\n${ETAG}${more}\r\n`;

const say = (socket: Socket, ...parts: readonly (string | Buffer)[]): true => {
  for (const part of parts) socket.write(part, "latin1");
  return true;
};

const CASES: readonly Case[] = [
  {
    says: "cuts a body short",
    trick: first((socket, asked, bytes) => {
      say(socket, head(asked), bytes.subarray(asked.start, asked.end - 1_000));
      socket.end();
      return true;
    }),
    plain: "right",
  },
  {
    says: "sends a body without an end",
    trick: first((socket, asked, bytes) => {
      say(socket, head(asked, ""), bytes.subarray(asked.start, asked.end));
      return say(socket, "more", "and more");
    }),
    plain: "right",
  },
  {
    says: "sends surplus bytes after each body",
    trick: always((socket, asked, bytes) => {
      const surplus = Buffer.from(`${head(asked)}${"Z".repeat(3_000)}`);
      return say(
        socket,
        Buffer.concat([Buffer.from(head(asked)), bytes.subarray(asked.start, asked.end), surplus]),
      );
    }),
    plain: "right",
  },
  {
    says: "says two lengths at once",
    trick: first((socket, asked) =>
      say(socket, head(asked, "content-length: 5\r\ntransfer-encoding: chunked\r\n"), "0\r\n\r\n"),
    ),
    plain: "right",
  },
  {
    says: "sends chunks that do not add up",
    trick: first((socket, asked) =>
      say(socket, head(asked, "transfer-encoding: chunked\r\n"), "zz\r\nabc\r\n0\r\n\r\n"),
    ),
    plain: "right",
  },
  {
    says: "answers every range with another one, and whole files rightly",
    trick: (socket, asked, bytes) =>
      asked.isRanged &&
      !asked.isProbe &&
      say(
        socket,
        head({ ...asked, start: asked.start + 1 }),
        bytes.subarray(asked.start + 1, asked.end),
      ),
    plain: "right",
  },
  {
    says: "answers every range with several parts, and whole files rightly",
    trick: (socket, asked) =>
      asked.isRanged &&
      !asked.isProbe &&
      say(
        socket,
        `HTTP/1.1 206 P\r\n${ETAG}content-type: multipart/byteranges; boundary=x\r\ncontent-length: 3\r\n\r\n--x`,
      ),
    plain: "right",
  },
  {
    says: "answers every range with the whole file",
    trick: (socket, asked, bytes) =>
      asked.isRanged &&
      say(socket, `HTTP/1.1 200 OK\r\n${ETAG}content-length: ${LENGTH}\r\n\r\n`, bytes),
    plain: "right",
  },
  {
    says: "changes its validator with every answer",
    trick: always((socket, asked, bytes) =>
      say(
        socket,
        head(asked).replace('"v1"', `"v${asked.nth + 2}"`),
        bytes.subarray(asked.start, asked.end),
      ),
    ),
    plain: "ERR_REMOTE_CHANGING",
    pinned: "right",
  },
  {
    says: "leaves its validator out",
    trick: always((socket, asked, bytes) =>
      say(socket, head(asked).replace(ETAG, ""), bytes.subarray(asked.start, asked.end)),
    ),
    plain: "ERR_REMOTE_CHANGING",
    pinned: "right",
  },
  {
    says: "compresses",
    trick: always((socket, asked, bytes) =>
      say(
        socket,
        `HTTP/1.1 ${asked.isRanged ? 206 : 200} OK\r\ncontent-encoding: gzip\r\n${ETAG}` +
          `content-range: bytes ${asked.start}-${asked.end - 1}/${LENGTH}\r\n` +
          `content-length: ${asked.end - asked.start}\r\n\r\n`,
        bytes.subarray(asked.start, asked.end),
      ),
    ),
    plain: "ERR_ORIGIN_PROTOCOL",
  },
  {
    says: "redirects in a loop",
    trick: always((socket) =>
      say(socket, "HTTP/1.1 302 Found\r\nlocation: ?again\r\ncontent-length: 0\r\n\r\n"),
    ),
    plain: "ERR_REDIRECT_REFUSED",
  },
  {
    says: "answers 304 to everything",
    trick: always((socket) => say(socket, "HTTP/1.1 304 Not Modified\r\n\r\n")),
    plain: "ERR_ORIGIN_PROTOCOL",
  },
  {
    says: "floods with fields",
    trick: always((socket) => say(socket, "HTTP/1.1 206 P\r\n", "x: y\r\n".repeat(10_000))),
    plain: "ERR_ORIGIN_PROTOCOL",
  },
  {
    says: "sends other bytes under the same validator",
    trick: always((socket, asked) =>
      say(socket, head(asked), Buffer.alloc(asked.end - asked.start, 1)),
    ),
    plain: "ERR_CONTENT_MISMATCH",
    pinned: "ERR_ORIGIN_CONTENT_MISMATCH",
  },
  {
    says: "is busy for a second",
    trick: first((socket) =>
      say(socket, "HTTP/1.1 503 Busy\r\nretry-after: 1\r\ncontent-length: 0\r\n\r\n"),
    ),
    plain: "right",
  },
];

/** An honest server of one file, but for the trick. No sidecar: that is a 404. */
async function serveTricks(bytes: Buffer, trick: Trick) {
  let nth = 0;
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket.on("error", () => {}).on("close", () => sockets.delete(socket)));
    let text = "";
    socket.on("data", (part) => {
      text += part.toString("latin1");
      for (let at = text.indexOf("\r\n\r\n"); at >= 0; at = text.indexOf("\r\n\r\n")) {
        const request = text.slice(0, at);
        text = text.slice(at + 4);
        if (!request.startsWith("GET /file.bin") || request.startsWith("GET /file.bin.shoal")) {
          say(socket, "HTTP/1.1 404 No\r\ncontent-length: 0\r\n\r\n");
          continue;
        }
        const [, from, last] = /^range: bytes=(\d+)-(\d+)/im.exec(request) ?? [];
        const isRanged = from !== undefined;
        const start = Number(from ?? 0);
        const end = Math.min(Number(last ?? LENGTH - 1) + 1, LENGTH);
        const isProbe = isRanged && start === 0 && end === 1;
        const asked = { start, end, isProbe, isRanged, nth };
        if (!isProbe) nth++;
        if (trick(socket, asked, bytes)) continue;
        const whole = `HTTP/1.1 200 OK\r\n${ETAG}content-length: ${LENGTH}\r\n\r\n`;
        say(socket, isRanged ? head(asked) : whole, bytes.subarray(start, end));
      }
    });
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/file.bin`,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };
}

describe.concurrent("a job whose origin", () => {
  let site: TestSite;
  let agent: Agent;
  beforeAll(async () => {
    site = await TestSite.create();
    agent = site.use(
      await startAgent({
        stateDirectory: join(site.directory, "state"),
        listen: [],
        mdns: false,
        settings: { retryDelayMsMin: 50, retryDelayMsMax: 200, originFailuresMax: 4 },
      }),
    );
  });
  afterAll(() => site[Symbol.asyncDispose]());

  const named = CASES.flatMap((each, index) => [
    { ...each, index, kind: "digest" as const, outcome: each.plain },
    { ...each, index, kind: "pieces" as const, outcome: each.pinned ?? each.plain },
  ]);

  test.each(named)(
    "$says ends with: $outcome (checked by $kind; R-HTTP-10, R-HTTP-11, R-HTTP-12)",
    async ({ trick, kind, index, outcome }) => {
      // Of its own, or it would be found on this machine.
      const bytes = randomBytes(LENGTH);
      const path = join(site.directory, `${index}-${kind}.source`);
      await writeFile(path, bytes);
      const { bytes: manifest } = await describeFile(path);
      const sha256 = await sha256Of(path);
      await using server = await serveTricks(bytes, trick);
      const destination = join(site.directory, `${index}-${kind}`);
      const check = kind === "digest" ? { sha256 } : { manifest };
      const job = await agent.jobs.createJob({
        files: [{ url: server.url, destination, ...check }],
        failOnTransient: true,
      });
      const code = await job.transferred.then(
        () => "right",
        (error: unknown) => (error as { code?: string }).code ?? String(error),
      );
      await (code === "right" ? job.acknowledge() : job.cancel());
      const published = await sha256Of(destination).catch(() => "nothing");
      const wanted = outcome === "right" ? sha256 : "nothing";
      expect({ code, published }).toEqual({ code: outcome, published: wanted });
    },
    20_000,
  );
});

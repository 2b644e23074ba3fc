/** The pace of a transfer over real sockets; that it is kept is shown by the port's contract. */
import type { ServerResponse } from "node:http";
import { KiB, PieceLayout } from "@shoal/core";
import { expect, it } from "vitest";
import { askRange, failureOf, Recorder, serveHttp, until } from "./origin-harness.ts";

const COUNT = 8;
const layout = PieceLayout.fixed(COUNT * 64 * KiB, 64 * KiB);
const body = Buffer.alloc(layout.contentLength, 7);
const all = { layout, firstPiece: 0, pieceCount: COUNT, mode: "stream" } as const;
/** A floor far above the paces below, and impatient. */
const IMPATIENT = { bodyTimeoutMs: 100, bodyRateWindowMs: 60, bodyRateBytesPerSecMin: 4_096 * KiB };

/** Of the one transfer that a recorder's requests are of. */
const pace = (recorder: Recorder, rateBytesPerSec: number): void =>
  recorder.origin.execute({ type: "setPace", transferId: 1, rateBytesPerSec });

it("takes no body for slow that is read slowly by its pace (R-HTTP-08)", async () => {
  await using server = await serveHttp((_, response) => {
    response.writeHead(200, { "content-length": body.length }).end(body);
  });
  await using recorder = new Recorder(IMPATIENT);
  const request = askRange(server.url, all);
  pace(recorder, 512 * KiB);
  const startedAt = performance.now();
  const outcome = await recorder.ask(request);
  expect(outcome.pieces.size).toBe(COUNT);
  expect(performance.now() - startedAt).toBeGreaterThan(700);
});

it("still gives up a body that is slower than its pace (R-HTTP-08)", async () => {
  await using server = await serveHttp((_, response) => {
    response.writeHead(200, { "content-length": body.length });
    const timer = setInterval(() => response.write(Buffer.alloc(64, 7)), 10);
    response.on("close", () => clearInterval(timer));
  });
  await using recorder = new Recorder(IMPATIENT);
  const request = askRange(server.url, all);
  pace(recorder, 512 * KiB);
  expect(failureOf(await recorder.ask(request)).message).toContain("too slowly");
});

it("lets a request that waits for its turn be cancelled, and leaves no buffer or timer", async () => {
  await using server = await serveHttp((_, response) => {
    response.writeHead(200, { "content-length": body.length }).end(body);
  });
  await using recorder = new Recorder();
  const request = askRange(server.url, all);
  pace(recorder, 1);
  const { requestId } = recorder.start(request);
  await until(() => recorder.events.some(({ type }) => type === "originAnswered"));
  recorder.origin.execute({ type: "cancelOrigin", requestId });
  expect(recorder.pool.borrowed).toBe(0);
  pace(recorder, 0);
  expect((await recorder.ask(askRange(server.url, all))).pieces.size).toBe(COUNT);
});

it("follows both the pace and the flow of the disk", async () => {
  await using server = await serveHttp((_, response) => {
    response.writeHead(200, { "content-length": body.length }).end(body);
  });
  await using recorder = new Recorder();
  const request = askRange(server.url, all);
  pace(recorder, 2_048 * KiB);
  let isOpen = true;
  recorder.onEvent = () => {
    isOpen = !isOpen;
    recorder.origin.execute({ type: "setFlow", open: isOpen });
    setTimeout(() => recorder.origin.execute({ type: "setFlow", open: true }), 5);
  };
  expect((await recorder.ask(request)).pieces.size).toBe(COUNT);
});

/** Sends `first` at once and whole, and of everything else the head and what `drip` writes. */
const serveOneOfTwo = (drip: (response: ServerResponse) => void) =>
  serveHttp(({ url }, response) => {
    response.writeHead(200, { "content-length": body.length });
    if (url === "/first") response.end(body);
    else drip(response);
  });

it("does not excuse a body that has stopped while another is paced (R-HTTP-08)", async () => {
  await using server = await serveOneOfTwo((response) => response.write("x"));
  await using recorder = new Recorder({ bodyTimeoutMs: 300 });
  pace(recorder, 256 * KiB);
  const first = recorder.ask(askRange(new URL("/first", server.url).href, all));
  const stopped = await recorder.ask(askRange(server.url, all));
  expect(failureOf(stopped).message).toContain("stopped coming");
  expect(recorder.events.map(({ type }) => type)).not.toContain("rangeFinished");
  expect((await first).pieces.size).toBe(COUNT);
});

it("does not excuse a body that drips while another is paced (R-HTTP-08)", async () => {
  await using server = await serveOneOfTwo((response) => {
    const timer = setInterval(() => response.write("x"), 300);
    response.on("close", () => clearInterval(timer));
  });
  await using recorder = new Recorder({ bodyRateWindowMs: 600 });
  pace(recorder, 384 * KiB);
  const first = recorder.ask(askRange(new URL("/first", server.url).href, all));
  const dripping = await recorder.ask(askRange(server.url, all));
  expect(failureOf(dripping).message).toContain("too slowly");
  expect(recorder.events.map(({ type }) => type)).not.toContain("rangeFinished");
  expect((await first).pieces.size).toBe(COUNT);
});

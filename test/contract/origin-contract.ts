/**
 * The origin port's contract (core `ports/origin-port.ts`), as tests that every adapter passes. The
 * harness provides one agent's adapter and the servers it talks to.
 */
import { MiB, NO_BUFFER, PieceLayout } from "@shoal/core";
import type { OriginCommand, OriginEvent, Port, RequestId } from "@shoal/core";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { EventLog } from "./event-log.ts";

/** URLs that behave in the ways the suite asks about. */
export interface OriginUrls {
  /** The file: `layout.contentLength` bytes with a strong ETag, ranges, and a manifest beside it. */
  readonly file: string;
  /** The same file at a server that ignores `Range`, without a manifest. */
  readonly unranged: string;
  /** Status 404. */
  readonly missing: string;
  /** Status 503 with `Retry-After: 7`. */
  readonly busy: string;
  /** Nothing listens there. */
  readonly refused: string;
  /** A document of its own: the bytes of `manifest`, without one beside it. */
  readonly document: string;
}

/** How to see which header fields reach which server. Simulated origins have no header fields. */
export interface HeaderWitness {
  /** At the origin of `file`; redirects to the same file at another origin. */
  readonly leaving: string;
  /** Values of the field that have arrived, at the origin of `file` and at the other. */
  received(name: string): { readonly home: readonly string[]; readonly other: readonly string[] };
}

export interface OriginHarness<Payload> {
  readonly port: Port<OriginCommand, Payload>;
  readonly log: EventLog<OriginEvent, Payload>;
  readonly urls: OriginUrls;
  /** At least ten pieces, the last of them shorter. */
  readonly layout: PieceLayout;
  readonly etag: string;
  readonly manifest: Uint8Array;
  /** The server's address without port. */
  readonly address: string;
  readonly headerWitness?: HeaderWitness;
  /** The time the adapter goes by, in milliseconds. */
  now(): number;
  byteLength(payload: Payload): number;
  release(payload: Payload): void;
  /** Payloads that are out. */
  borrowed(): number;
  close(): Promise<void>;
}

type OriginRequestOptions = NonNullable<Extract<OriginCommand, { type: "probeOrigin" }>["request"]>;
type RangeOptions = Partial<Omit<Extract<OriginCommand, { type: "fetchRange" }>, "type">>;

export function describeOriginContract<Payload>(
  name: string,
  open: () => Promise<OriginHarness<Payload>>,
): void {
  describe(`origin port, ${name}`, () => {
    let harness: OriginHarness<Payload>;
    let lastRequestId = 0;

    beforeEach(async () => {
      harness = await open();
      lastRequestId = 0;
    });

    afterEach(async () => {
      await harness.port.close();
      for (const payload of harness.log.takeAll()) harness.release(payload);
      const borrowed = harness.borrowed();
      await harness.close();
      expect(borrowed, "payloads nobody owns").toBe(0);
    });

    const fetchRange = (options: RangeOptions): RequestId => {
      const requestId = ++lastRequestId;
      harness.port.execute({
        type: "fetchRange",
        requestId,
        transferId: 1,
        url: harness.urls.file,
        layout: harness.layout,
        firstPiece: 0,
        pieceCount: 1,
        mode: "range",
        fresh: false,
        ...options,
      });
      return requestId;
    };
    const probe = (url: string, request: OriginRequestOptions = {}): RequestId => {
      const requestId = ++lastRequestId;
      harness.port.execute({ type: "probeOrigin", requestId, transferId: 1, url, request });
      return requestId;
    };
    const fetchManifest = (url: string, place: "sidecar" | "exact" = "sidecar"): RequestId => {
      const requestId = ++lastRequestId;
      harness.port.execute({ type: "fetchManifest", requestId, transferId: 1, url, place });
      return requestId;
    };
    /** Everything that was under way before has been said when this resolves. */
    const fence = async (): Promise<void> => {
      const requestId = probe(harness.urls.file);
      await harness.log.until("originProbed", { requestId });
    };
    const piecesOf = (requestId: RequestId): number[] =>
      harness.log
        .all("rangePiece")
        .filter((event) => event.requestId === requestId)
        .map(({ piece }) => piece);
    const failureOf = async (requestId: RequestId) =>
      (await harness.log.until("originFailed", { requestId })).failure;

    it("tells length, strong validator and whether ranges work", async () => {
      const requestId = probe(harness.urls.file);
      const probed = await harness.log.until("originProbed", { requestId });
      expect(probed.length).toBe(harness.layout.contentLength);
      expect(probed.validator.etag).toBe(harness.etag);
      expect(probed.acceptsRanges).toBe(true);
      const other = probe(harness.urls.unranged);
      const unranged = await harness.log.until("originProbed", { requestId: other });
      expect(unranged.acceptsRanges).toBe(false);
    });

    it("fetches the manifest beside a file, or says that there is none", async () => {
      const requestId = fetchManifest(harness.urls.file);
      const fetched = await harness.log.until("manifestFetched", { requestId });
      expect(Buffer.from(fetched.bytes).equals(harness.manifest)).toBe(true);
      expect(fetched.overTls).toBe(false);
      const missing = await failureOf(fetchManifest(harness.urls.missing));
      expect(missing).toMatchObject({ kind: "fatal", error: { code: "ERR_MANIFEST_UNAVAILABLE" } });
    });

    it("fetches a document at its exact URL", async () => {
      const { log, urls, manifest } = harness;
      const requestId = fetchManifest(urls.document, "exact");
      const fetched = await log.until("manifestFetched", { requestId });
      expect(Buffer.from(fetched.bytes).equals(manifest)).toBe(true);
      const missing = await failureOf(fetchManifest(urls.missing, "exact"));
      expect(missing).toMatchObject({ kind: "fatal", error: { code: "ERR_MANIFEST_UNAVAILABLE" } });
      const tooLong = await failureOf(fetchManifest(urls.file, "exact"));
      expect(tooLong).toMatchObject({ kind: "fatal", error: { code: "ERR_MANIFEST_MALFORMED" } });
    });

    it("emits every piece of a range once and in order, and then that it is finished", async () => {
      const { layout, log } = harness;
      const last = layout.pieceCount - 1;
      const requestId = fetchRange({ firstPiece: last - 3, pieceCount: 4 });
      const finished = await log.until("rangeFinished", { requestId });
      expect(finished.validator.etag).toBe(harness.etag);
      expect(piecesOf(requestId)).toEqual([last - 3, last - 2, last - 1, last]);
      expect(log.about(requestId).at(-1)).toBe(finished);
      for (const event of log.all("rangePiece")) {
        const payload = log.take(event);
        expect(harness.byteLength(payload)).toBe(layout.length(event.piece));
        expect(event.bufferId).toBe(NO_BUFFER);
        harness.release(payload);
      }
    });

    it("fetches pieces that lie elsewhere in a remote file, and checks that file", async () => {
      const { layout, log, etag } = harness;
      const { contentLength: length } = layout;
      const part = layout.length(0) / 4;
      const packed = PieceLayout.explicit(Uint32Array.of(5, part, part, 7));
      const question = { layout: packed, firstPiece: 1, pieceCount: 2, validator: { etag } };
      const remote = { start: length - 2 * part, length };
      const requestId = fetchRange({ ...question, remote });
      await log.until("rangeFinished", { requestId });
      expect(piecesOf(requestId)).toEqual([1, 2]);
      for (const event of log.all("rangePiece")) {
        const payload = log.take(event);
        expect(harness.byteLength(payload)).toBe(part);
        harness.release(payload);
      }
      const longer = { start: 0, length: length + 1 };
      const other = fetchRange({ layout: packed, firstPiece: 1, pieceCount: 2, remote: longer });
      expect((await failureOf(other)).kind).toBe("changed");
      const { unranged } = harness.urls;
      expect((await failureOf(fetchRange({ ...question, remote, url: unranged }))).kind).toBe(
        "rangeUnsupported",
      );
    });

    it("keeps ranges under way at the same time apart", async () => {
      const first = fetchRange({ firstPiece: 0, pieceCount: 3 });
      const second = fetchRange({ firstPiece: 5, pieceCount: 3, transferId: 2 });
      await harness.log.until("rangeFinished", { requestId: first });
      await harness.log.until("rangeFinished", { requestId: second, transferId: 2 });
      expect(piecesOf(first)).toEqual([0, 1, 2]);
      expect(piecesOf(second)).toEqual([5, 6, 7]);
    });

    it("streams the whole file for servers without ranges and drops what was not asked", async () => {
      const { unranged } = harness.urls;
      const refused = fetchRange({ url: unranged, firstPiece: 2, pieceCount: 2 });
      expect((await failureOf(refused)).kind).toBe("rangeUnsupported");
      const { pieceCount } = harness.layout;
      const streamed = fetchRange({
        url: unranged,
        mode: "stream",
        firstPiece: 2,
        pieceCount: pieceCount - 2,
      });
      await harness.log.until("rangeFinished", { requestId: streamed });
      expect(piecesOf(streamed)[0]).toBe(2);
      expect(piecesOf(streamed)).toHaveLength(pieceCount - 2);
    });

    it("names failures by what they mean, each once", async () => {
      const missing = fetchRange({ url: harness.urls.missing });
      const busy = fetchRange({ url: harness.urls.busy });
      const refused = fetchRange({ url: harness.urls.refused });
      expect(await failureOf(missing)).toMatchObject({
        kind: "fatal",
        error: { code: "ERR_ORIGIN_NOT_FOUND" },
      });
      expect(await failureOf(busy)).toMatchObject({
        kind: "transient",
        error: { code: "ERR_ORIGIN_UNAVAILABLE" },
        retryAfterMs: 7_000,
      });
      expect(await failureOf(refused)).toMatchObject({
        kind: "transient",
        error: { code: "ERR_ORIGIN_UNREACHABLE" },
      });
      await fence();
      const typesAbout = (requestId: RequestId) =>
        harness.log.about(requestId).map(({ type }) => type);
      expect(typesAbout(missing)).toEqual(["originAnswered", "originFailed"]);
      expect(typesAbout(busy)).toEqual(["originAnswered", "originFailed"]);
      expect(typesAbout(refused)).toEqual(["originFailed"]);
    });

    it("tells once what the server answered, before what it leads to", async () => {
      const { urls, address, log, etag } = harness;
      const cases = [
        [probe(urls.file), 206, "originProbed"],
        [probe(urls.unranged), 200, "originProbed"],
        [fetchManifest(urls.document, "exact"), 200, "manifestFetched"],
        [fetchRange({ pieceCount: 2 }), 206, "rangeFinished"],
        [fetchRange({ url: urls.unranged }), 200, "originFailed"],
        [fetchRange({ url: urls.missing }), 404, "originFailed"],
        [fetchRange({ url: urls.busy }), 503, "originFailed"],
      ] as const;
      for (const [requestId, status, end] of cases) {
        await log.until(end, { requestId });
        const [answered, ...rest] = log.about(requestId);
        expect(answered).toMatchObject({ type: "originAnswered", response: { status, address } });
        expect(rest.some(({ type }) => type === "originAnswered")).toBe(false);
      }
      const { response } = await log.until("originAnswered", { requestId: cases[3][0] });
      expect(response.url).toBe(urls.file);
      expect(response.headers).toMatch(/^HTTP\/1\.1 206 [^\r\n]*\r\n/);
      expect(response.headers.toLowerCase()).toContain(`\r\netag: ${etag}\r\n`);
    });

    it("names the status where that is what failed", async () => {
      const { urls } = harness;
      const missing = await failureOf(fetchRange({ url: urls.missing }));
      const busy = await failureOf(probe(urls.busy));
      const unranged = await failureOf(fetchRange({ url: urls.unranged }));
      const refused = await failureOf(probe(urls.refused));
      expect(missing.error.originStatus).toBe(404);
      expect(busy.error.originStatus).toBe(503);
      expect(unranged.error).not.toHaveProperty("originStatus");
      expect(refused.error).not.toHaveProperty("originStatus");
    });

    it("sends a job's header fields to its origin and no other (R-HTTP-05)", async (context) => {
      const { headerWitness: witness, log, urls } = harness;
      // Only real requests have header fields; the simulated origin ignores them.
      if (witness === undefined) return context.skip("a simulated origin has no header fields");
      const request = { headers: [["X-Key", "sesame"]] } as const;
      for (const url of [urls.file, witness.leaving]) {
        const requestId = probe(url, request);
        await log.until("originProbed", { requestId });
      }
      expect(witness.received("x-key")).toEqual({ home: ["sesame", "sesame"], other: [] });
    });

    it("says that a file has changed when its validator differs (R-HTTP-11)", async () => {
      const requestId = fetchRange({ validator: { etag: '"another"' } });
      expect((await failureOf(requestId)).kind).toBe("changed");
      const same = fetchRange({ validator: { etag: harness.etag } });
      await harness.log.until("rangeFinished", { requestId: same });
      expect(piecesOf(requestId)).toEqual([]);
    });

    it("emits nothing about a request after it was cancelled", async () => {
      const { log, port, layout } = harness;
      const atOnce = fetchRange({ pieceCount: layout.pieceCount });
      port.execute({ type: "cancelOrigin", requestId: atOnce });
      const requestId = fetchRange({ pieceCount: layout.pieceCount });
      await log.until("rangePiece", { requestId });
      port.execute({ type: "cancelOrigin", requestId });
      const { length } = log.about(requestId);
      port.execute({ type: "cancelOrigin", requestId });
      await fence();
      expect(log.about(requestId)).toHaveLength(length);
      expect(log.about(atOnce)).toHaveLength(0);
    });

    it("emits at most one more piece per request while the flow is stopped", async () => {
      const { log, port, layout } = harness;
      const requestId = fetchRange({ pieceCount: layout.pieceCount });
      await log.until("rangePiece", { requestId });
      port.execute({ type: "setFlow", open: false });
      const before = piecesOf(requestId).length;
      await fence();
      await fence();
      const stopped = piecesOf(requestId).length;
      expect(stopped).toBeLessThanOrEqual(before + 1);
      expect(stopped).toBeLessThan(layout.pieceCount);
      port.execute({ type: "setFlow", open: true });
      await log.until("rangeFinished", { requestId });
      expect(piecesOf(requestId)).toEqual(Array.from({ length: layout.pieceCount }, (_, i) => i));
    });

    it("keeps all requests of a transfer to its pace, together and in turn, until it is lifted", async () => {
      const { log, port, layout } = harness;
      const [rateBytesPerSec, pieceCount] = [8 * MiB, 4];
      port.execute({ type: "setPace", transferId: 1, rateBytesPerSec });
      const startedAt = harness.now();
      const asked = [0, pieceCount].map((firstPiece) => fetchRange({ firstPiece, pieceCount }));
      for (const requestId of asked) await log.until("rangeFinished", { requestId });
      const tookMs = harness.now() - startedAt;
      const dueMs = (2 * pieceCount * layout.pieceLengthMax * 1_000) / rateBytesPerSec;
      expect(tookMs / dueMs).toBeGreaterThan(0.85);
      expect(tookMs / dueMs).toBeLessThan(1.15);
      // Neither was made to wait for the other's end.
      const order = log.all("rangePiece").map(({ requestId }) => requestId);
      expect(new Set(order.slice(0, pieceCount)).size).toBe(2);
      const other = fetchRange({ transferId: 2, pieceCount: 2 * pieceCount });
      const unpacedAt = harness.now();
      await log.until("rangeFinished", { requestId: other });
      expect(harness.now() - unpacedAt).toBeLessThan(dueMs / 2);
      port.execute({ type: "setPace", transferId: 1, rateBytesPerSec: 0 });
      const liftedAt = harness.now();
      await log.until("rangeFinished", { requestId: fetchRange({ pieceCount: 2 * pieceCount }) });
      expect(harness.now() - liftedAt).toBeLessThan(dueMs / 2);
    });

    it("obeys a new pace while it waits by the old one", async () => {
      const { log, port } = harness;
      port.execute({ type: "setPace", transferId: 1, rateBytesPerSec: 1 });
      const requestId = fetchRange({ pieceCount: 2 });
      await log.until("originAnswered", { requestId });
      await fence();
      expect(piecesOf(requestId).length).toBeLessThan(2);
      port.execute({ type: "setPace", transferId: 1, rateBytesPerSec: 100 * MiB });
      await log.until("rangeFinished", { requestId });
      expect(log.all("originFailed")).toEqual([]);
    });

    it("emits nothing after it was closed, and closes twice", async () => {
      const { log, port, layout } = harness;
      const requestId = fetchRange({ pieceCount: layout.pieceCount });
      await log.until("rangePiece", { requestId });
      const closing = port.close();
      const { length } = log.events;
      await closing;
      await port.close();
      fetchRange({});
      expect(log.events).toHaveLength(length);
    });
  });
}

/**
 * Piece-hash files through both Microsoft-shaped faces, from the property to the file in its place:
 * `IntegrityCheckInfo` and `IntegrityCheckMandatory` (job-API reference, sections 4.8, 10 and 11;
 * download-API reference, sections 2, 5 and 14).
 */
import { createHash } from "node:crypto";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { HRESULTS } from "@shoal/core";
import type { HResultSymbol } from "@shoal/core";
import {
  BG_JOB_STATE,
  BG_JOB_TYPE,
  createBackgroundCopyManager,
  DODownloadProperty,
  DODownloadState,
  DOFilePropertyId,
  LEGACY_IIDS,
} from "@shoal/jobs/compat";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { until } from "../integration/harness.ts";
import { DownloadSite, FILE_LENGTH, patternOf } from "./download-site.ts";
import type { Client, Way } from "./download-site.ts";
import { Sink } from "./download-verbs.ts";

const PIECE_LENGTH = 65_536;
const content = Buffer.from(patternOf(FILE_LENGTH));
const sha256 = (bytes: Uint8Array): Buffer => createHash("sha256").update(bytes).digest();
const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString("base64");

interface Hashes {
  readonly bytes: Buffer;
  readonly digest: string;
  readonly hashOfHashes: string;
}

/** The piece-hash file of some bytes. */
function hashesOf(bytes: Uint8Array): Hashes {
  const digests = [];
  for (let start = 0; start < bytes.length; start += PIECE_LENGTH) {
    digests.push(sha256(bytes.subarray(start, start + PIECE_LENGTH)));
  }
  const hashOfHashes = base64(sha256(Buffer.concat(digests)));
  const file = {
    MajorVersion: 1,
    MinorVersion: 0,
    HashOfHashes: hashOfHashes,
    ContentLength: bytes.length,
    PieceSize: PIECE_LENGTH,
    Pieces: digests.map(base64),
  };
  const text = Buffer.from(JSON.stringify(file));
  return { bytes: text, digest: base64(sha256(text)), hashOfHashes };
}

const right = hashesOf(content);
const other = hashesOf(Buffer.from(content).fill(0, 100_000, 100_001));
const WRONG = base64(sha256(Buffer.from("something else")));
const NO_JSON = Buffer.from("not JSON");
const served: Readonly<Record<string, Uint8Array>> = {
  "/right": right.bytes,
  "/other": other.bytes,
  "/malformed": NO_JSON,
};

type Info = Readonly<Record<string, string>>;
const CASES: ReadonlyArray<
  readonly [name: string, place: string, info: Info, isMandatory: boolean, HResultSymbol]
> = [
  ["of the right digest", "/right", { PiecesHashFileDigest: right.digest }, true, "S_OK"],
  ["of the right hash of hashes", "/right", { HashOfHashes: right.hashOfHashes }, true, "S_OK"],
  [
    "of both, with the algorithm named",
    "/right",
    {
      PiecesHashFileDigest: right.digest,
      HashOfHashes: right.hashOfHashes,
      PiecesHashFileDigestAlgorithm: "SHA256",
    },
    true,
    "S_OK",
  ],
  [
    "of a wrong digest",
    "/right",
    { PiecesHashFileDigest: WRONG },
    true,
    "DO_E_METAINFO_DIGEST_MATCH",
  ],
  ["of a wrong hash of hashes", "/right", { HashOfHashes: WRONG }, true, "DO_E_METAINFO_HOH_MATCH"],
  [
    "that is no JSON",
    "/malformed",
    { PiecesHashFileDigest: base64(sha256(NO_JSON)) },
    true,
    "DO_E_METAINFO_CONTENT",
  ],
  [
    "that is not there",
    "/missing",
    { PiecesHashFileDigest: right.digest },
    true,
    "DO_E_INTEGRITYCHECKINFO_UNAVAILABLE",
  ],
  ["of other bytes", "/other", { PiecesHashFileDigest: other.digest }, true, "DO_E_BAD_PIECE_HASH"],
  ["of a wrong digest", "/right", { PiecesHashFileDigest: WRONG }, false, "S_OK"],
  ["that is not there", "/missing", { PiecesHashFileDigest: right.digest }, false, "S_OK"],
];

/** One file of one face, from its making to its end. */
interface Subject {
  /** Where it goes on its own: all there, or failed. Its code. */
  run(): Promise<number>;
  /** Puts the file in its place, or gives it up. */
  end(how: "keep" | "drop"): Promise<unknown>;
}

interface Order {
  readonly client: Client;
  readonly url: string;
  /** Where it goes. */
  readonly sink: string | WritableStream<Uint8Array>;
  readonly info: string;
  readonly isMandatory: boolean;
}

async function viaDownload({ client, url, sink, info, isMandatory }: Order): Promise<Subject> {
  const p = DODownloadProperty;
  const download = await client.manager.CreateDownload();
  const isPath = typeof sink === "string";
  await download.SetProperty(p.DODownloadProperty_Uri, url);
  await download.SetProperty(
    isPath ? p.DODownloadProperty_LocalPath : p.DODownloadProperty_StreamInterface,
    sink,
  );
  await download.SetProperty(p.DODownloadProperty_IntegrityCheckInfo, info);
  await download.SetProperty(p.DODownloadProperty_IntegrityCheckMandatory, isMandatory);
  return {
    run: async () => {
      await download.Start(null);
      await until(async () => {
        const { State, Error: error } = await download.GetStatus();
        return State === DODownloadState.DODownloadState_Transferred || error !== HRESULTS.S_OK;
      }, "all bytes, or an error");
      return (await download.GetStatus()).Error;
    },
    end: (how) => (how === "keep" ? download.Finalize() : download.Abort()),
  };
}

async function viaJob({ client, url, sink, info, isMandatory }: Order): Promise<Subject> {
  const p = DOFilePropertyId;
  const manager = createBackgroundCopyManager(client.service);
  const { job } = await manager.CreateJob("test", BG_JOB_TYPE.BG_JOB_TYPE_DOWNLOAD);
  const file = await job
    .queryInterface(LEGACY_IIDS.IDeliveryOptimizationJob2)
    .AddFile("id", url, null, LEGACY_IIDS.IDeliveryOptimizationFile);
  const file2 = file.queryInterface(LEGACY_IIDS.IDeliveryOptimizationFile2);
  const isPath = typeof sink === "string";
  await file2.SetProperty(
    isPath ? p.DOFilePropertyId_DownloadSinkFilePath : p.DOFilePropertyId_DownloadSinkInterface,
    sink,
  );
  await file2.SetProperty(p.DOFilePropertyId_IntegrityCheckInfo, info);
  await file2.SetProperty(p.DOFilePropertyId_IntegrityCheckMandatory, isMandatory);
  return {
    run: async () => {
      await job.Resume();
      const isOver = async (): Promise<boolean> => {
        const { BG_JOB_STATE_TRANSFERRED, BG_JOB_STATE_ERROR } = BG_JOB_STATE;
        const states: readonly number[] = [BG_JOB_STATE_TRANSFERRED, BG_JOB_STATE_ERROR];
        return states.includes(await job.GetState());
      };
      await until(isOver, "all bytes, or an error");
      if ((await job.GetState()) === BG_JOB_STATE.BG_JOB_STATE_TRANSFERRED) return HRESULTS.S_OK;
      const error = await job.GetError();
      expect(await (await error.GetFile()).GetRemoteName()).toBe(url);
      return (await error.GetError()).code;
    },
    end: (how) => (how === "keep" ? job.Complete() : job.Cancel()),
  };
}

export function integrityCheckContract(way: Way): void {
  describe.each([
    ["downloads", viaDownload],
    ["jobs", viaJob],
  ])(`piece-hash files of %s, ${way},`, (_face, make) => {
    let site: DownloadSite;
    let client: Client;
    let place: string;
    const server = createServer(({ url }, response) => {
      const bytes = served[url ?? ""];
      if (bytes === undefined) return void response.writeHead(404).end();
      response.writeHead(200, { "content-length": bytes.length }).end(bytes);
    });
    beforeAll(async () => {
      site = await DownloadSite.open(way, { originFailuresMax: 1, retryDelayMsMin: 1 });
      client = await site.client();
      server.listen(0, "127.0.0.1");
      await once(server, "listening");
      place = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    });
    afterAll(async () => {
      server.closeAllConnections();
      server.close();
      await site[Symbol.asyncDispose]();
    });
    const order = (sink: Order["sink"], path: string, info: Info): Order => ({
      client,
      url: site.fileUrl,
      sink,
      info: JSON.stringify({ PiecesHashFileUrl: place + path, ...info }),
      isMandatory: true,
    });

    test.each(CASES)("%s: %s %o, mandatory %s: %s", async (_, where, info, isMandatory, symbol) => {
      const path = site.path();
      const subject = await make({ ...order(path, where, info), isMandatory });
      expect(nameOf(await subject.run())).toBe(symbol);
      await subject.end(symbol === "S_OK" ? "keep" : "drop");
      const found = await readFile(path).catch(() => undefined);
      expect(found?.equals(content)).toBe(symbol === "S_OK" ? true : undefined);
    });

    test("check the bytes of a stream before it gets them", async () => {
      const sink = new Sink();
      const info = { PiecesHashFileDigest: right.digest };
      const subject = await make(order(sink.stream, "/right", info));
      expect(nameOf(await subject.run())).toBe("S_OK");
      expect(sink.bytes.equals(content)).toBe(true);
      await subject.end("keep");
      await expect.poll(() => sink.end).toBe("closed");
      const bad = new Sink();
      const wrong = { PiecesHashFileDigest: other.digest };
      const failing = await make(order(bad.stream, "/other", wrong));
      expect(nameOf(await failing.run())).toBe("DO_E_BAD_PIECE_HASH");
      expect(bad.bytes.equals(content.subarray(0, bad.bytes.length))).toBe(true);
      expect(bad.bytes.length).toBeLessThanOrEqual(PIECE_LENGTH);
      await failing.end("drop");
      await expect.poll(() => bad.end).toBeInstanceOf(Error);
    });

    test("give a slow stream no piece before it has taken the one before", async () => {
      const gates: Array<PromiseWithResolvers<void>> = [];
      const chunks: Uint8Array[] = [];
      const slow = new WritableStream<Uint8Array>({
        write: (chunk) => {
          chunks.push(chunk);
          const gate = Promise.withResolvers<void>();
          gates.push(gate);
          return gate.promise;
        },
      });
      const info = { HashOfHashes: right.hashOfHashes };
      const subject = await make(order(slow, "/right", info));
      const running = subject.run();
      for (let start = 0, taken = 0; start < FILE_LENGTH; start += PIECE_LENGTH, taken++) {
        await expect.poll(() => gates.length).toBe(taken + 1);
        gates[taken]?.resolve();
      }
      expect(nameOf(await running)).toBe("S_OK");
      expect(Buffer.concat(chunks).equals(content)).toBe(true);
      await subject.end("keep");
    });

    test("fail with a stream that throws in the middle", async () => {
      let count = 0;
      const failing = new WritableStream<Uint8Array>({
        write: () => {
          if (++count > 1) throw new Error("the disk of the caller is full");
        },
      });
      const info = { HashOfHashes: right.hashOfHashes };
      const subject = await make(order(failing, "/right", info));
      expect(nameOf(await subject.run())).toBe("E_ABORT");
      await subject.end("drop");
    });
  });
}

function nameOf(hresult: number): string | undefined {
  return Object.entries(HRESULTS).find(([, value]) => value === hresult)?.[0];
}

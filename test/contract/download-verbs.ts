/** The contract of a download's verbs: download-API reference, sections 6, 7 and 10. */
import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { HRESULTS } from "@shoal/core";
import type { HResultSymbol } from "@shoal/core";
import { DO_LENGTH_TO_EOF, DODownloadProperty, DODownloadState } from "@shoal/jobs/compat";
import type { DO_DOWNLOAD_RANGES_INFO, IDODownload } from "@shoal/jobs/compat";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { DownloadSite, FILE_LENGTH, outcomeOf, patternOf, reaches } from "./download-site.ts";
import type { Client, Way } from "./download-site.ts";

const p = DODownloadProperty;
const {
  DODownloadState_Created: created,
  DODownloadState_Transferring: transferring,
  DODownloadState_Transferred: transferred,
  DODownloadState_Finalized: finalized,
  DODownloadState_Aborted: aborted,
  DODownloadState_Paused: paused,
} = DODownloadState;

const VERBS = ["Start", "Pause", "Finalize", "Abort"] as const;
const no = "DO_E_INVALID_STATE";

/** Download-API reference 7: what each verb leads to, in the order of `VERBS`. */
const CELLS: ReadonlyArray<readonly [DODownloadState, ReadonlyArray<DODownloadState | typeof no>]> =
  [
    [created, [transferring, created, no, aborted]],
    [transferring, [transferring, paused, no, aborted]],
    [transferred, [transferred, transferred, finalized, aborted]],
    [paused, [transferring, paused, no, aborted]],
    [finalized, [no, no, finalized, no]],
    [aborted, [no, no, no, aborted]],
  ];

const failure = (symbol: HResultSymbol): object => ({
  name: "HResultError",
  symbol,
  hresult: HRESULTS[symbol],
});

/** Ranges as callers write them: pairs of offset and length. */
export function ranges(
  ...pairs: ReadonlyArray<readonly [offset: bigint | number, length: bigint | number]>
): DO_DOWNLOAD_RANGES_INFO {
  const Ranges = pairs.map(([offset, length]) => ({
    Offset: BigInt(offset),
    Length: BigInt(length),
  }));
  return { RangeCount: Ranges.length, Ranges };
}

/** Takes bytes, and tells how it ended. */
export class Sink {
  readonly chunks: Uint8Array[] = [];
  end: unknown;
  readonly stream = new WritableStream<Uint8Array>({
    write: (chunk) => void this.chunks.push(chunk),
    close: () => void (this.end = "closed"),
    abort: (reason: unknown) => void (this.end = reason),
  });

  get bytes(): Buffer {
    return Buffer.concat(this.chunks);
  }
}

const file = Buffer.from(patternOf(FILE_LENGTH));
const partOf = (...pairs: ReadonlyArray<readonly [number, number]>): Buffer =>
  Buffer.concat(pairs.map(([offset, length]) => file.subarray(offset, offset + length)));

export function downloadVerbsContract(way: Way): void {
  describe(`verbs of downloads, ${way},`, () => {
    let site: DownloadSite;
    let client: Client;
    beforeAll(async () => {
      site = await DownloadSite.open(way, { jobsPerOwnerMax: 5_000, activeJobsMax: 100 });
      client = await site.client();
    });
    afterAll(() => site[Symbol.asyncDispose]());

    /** With a URL, and a path unless a stream is given. */
    const make = async (sink?: Sink, path = site.path()): Promise<IDODownload> => {
      const download = await client.manager.CreateDownload();
      await download.SetProperty(p.DODownloadProperty_Uri, site.fileUrl);
      if (sink === undefined) await download.SetProperty(p.DODownloadProperty_LocalPath, path);
      else await download.SetProperty(p.DODownloadProperty_StreamInterface, sink.stream);
      return download;
    };

    const cells = CELLS.flatMap(([state, results]) =>
      VERBS.map((verb, index) => [verb, state, results[index] ?? no] as const),
    );
    test.each(cells)("%s in state %d leads to %s", async (verb, state, result) => {
      const download = await site.download(client, state);
      const acting = verb === "Start" ? download.Start(null) : download[verb]();
      expect(await outcomeOf(acting)).toBe(result === no ? no : "ok");
      expect((await download.GetStatus()).State).toBe(result === no ? state : result);
      await download.Abort().catch(() => {});
    });

    test("put the file at its place when it is finalized and not before", async () => {
      const path = site.path();
      const download = await make(undefined, path);
      await download.Start(null);
      await reaches(download, transferred);
      expect(existsSync(path)).toBe(false);
      expect(await download.GetStatus()).toEqual({
        BytesTotal: BigInt(FILE_LENGTH),
        BytesTransferred: BigInt(FILE_LENGTH),
        State: transferred,
        Error: HRESULTS.S_OK,
        ExtendedError: HRESULTS.S_OK,
      });
      expect(await download.GetProperty(p.DODownloadProperty_TotalSizeBytes)).toBe(
        BigInt(FILE_LENGTH),
      );
      expect(await download.GetProperty(p.DODownloadProperty_HttpStatusCode)).toBe(206);
      expect(await download.GetProperty(p.DODownloadProperty_HttpServerIPAddress)).toBe(
        "127.0.0.1",
      );
      expect(await download.GetProperty(p.DODownloadProperty_HttpRedirectionTarget)).toBe(
        site.fileUrl,
      );
      const headers = await download.GetProperty(p.DODownloadProperty_HttpResponseHeaders);
      expect(headers).toMatch(/^HTTP\/1\.1 206 /);
      await download.Finalize();
      expect(await readFile(path)).toEqual(file);
    });

    test("make the directories of the destination", async () => {
      const path = join(site.path(), "deeper", "file");
      const download = await make(undefined, path);
      await download.Start(null);
      await reaches(download, transferred);
      await download.Finalize();
      expect(await readFile(path)).toEqual(file);
    });

    test("leave a download as it was when a directory cannot be made", async () => {
      const blocking = site.path();
      await writeFile(blocking, "a file");
      const download = await make(undefined, join(blocking, "file"));
      await expect(download.Start(null)).rejects.toMatchObject(failure("ERROR_PATH_NOT_FOUND"));
      expect((await download.GetStatus()).State).toBe(created);
    });

    test("replace a file that lies at the destination", async () => {
      const path = site.path();
      await writeFile(path, "before");
      const download = await make(undefined, path);
      await download.Start(null);
      await reaches(download, transferred);
      await download.Finalize();
      expect(await readFile(path)).toEqual(file);
    });

    test("keep a download that cannot be put at its place, to be finalized again", async () => {
      const path = site.path();
      const download = await make(undefined, path);
      await download.Start(null);
      await reaches(download, transferred);
      await mkdir(path);
      await expect(download.Finalize()).rejects.toMatchObject(failure("ERROR_FILE_EXISTS"));
      expect((await download.GetStatus()).State).toBe(transferred);
      await download.Abort();
    });

    test("remove what was fetched when it is aborted", async () => {
      const path = join(site.path(), "file");
      const download = await make(undefined, path);
      await download.Start(null);
      await reaches(download, transferred);
      await download.Abort();
      expect(await readdir(dirname(path))).toEqual([]);
    });

    test("start only what has an address and a sink", async () => {
      const download = await client.manager.CreateDownload();
      const starts = (symbol: HResultSymbol): Promise<void> =>
        expect(download.Start(null)).rejects.toMatchObject(failure(symbol));
      await starts("DO_E_DOWNLOAD_NO_URI");
      await download.SetProperty(p.DODownloadProperty_ContentId, "of another system");
      await starts("DO_E_INVALID_CONTENT_ID");
      await download.SetProperty(p.DODownloadProperty_Uri, site.fileUrl);
      await starts("DO_E_FILE_DOWNLOADSINK_UNSPECIFIED");
      await download.SetProperty(p.DODownloadProperty_LocalPath, site.path());
      await download.SetProperty(p.DODownloadProperty_IntegrityCheckMandatory, true);
      await starts("DO_E_INTEGRITYCHECKINFO_UNSPECIFIED");
      const bad = download.SetProperty(p.DODownloadProperty_StreamInterface, new Sink().stream);
      await expect(bad).rejects.toMatchObject(failure("DO_E_FILE_DOWNLOADSINK_ALREADY_SET"));
      expect((await download.GetStatus()).State).toBe(created);
    });

    test("refuse a destination that belongs to another download", async () => {
      const path = site.path();
      const download = await make(undefined, path);
      await expect(make(undefined, path)).rejects.toMatchObject(failure("EEXIST"));
      await download.Abort();
      await (await make(undefined, path)).Abort();
    });

    const bad: ReadonlyArray<readonly [string, unknown, HResultSymbol]> = [
      ["zero length", ranges([0, 0]), "DO_E_INVALID_RANGE"],
      ["a negative offset", ranges([-1, 5]), "DO_E_INVALID_RANGE"],
      ["a huge offset", ranges([2n ** 60n, 5]), "DO_E_INVALID_RANGE"],
      ["an overlap", ranges([0, 10], [5, 10]), "DO_E_OVERLAPPING_RANGES"],
      ["fewer than counted", { RangeCount: 2, Ranges: [] }, "E_INVALIDARG"],
      ["numbers", { RangeCount: 1, Ranges: [{ Offset: 0, Length: 1 }] }, "E_INVALIDARG"],
      ["nothing", { RangeCount: 1, Ranges: [null] }, "E_INVALIDARG"],
      ["a text", "ranges", "E_INVALIDARG"],
      ["a hole", { RangeCount: 1, Ranges: Object.assign([], { length: 1 }) }, "E_INVALIDARG"],
      [
        "too many",
        ranges(...Array.from({ length: 501 }, (_, i) => [i * 2, 1] as const)),
        "BG_E_TOO_MANY_RANGES_IN_FILE",
      ],
    ];
    test.each(bad)("refuse ranges with %s", async (_name, info, symbol) => {
      const download = await make();
      const starting = download.Start(info as DO_DOWNLOAD_RANGES_INFO);
      await expect(starting).rejects.toMatchObject(failure(symbol));
      expect((await download.GetStatus()).State).toBe(created);
      await download.Start(null);
      await reaches(download, transferred);
      expect((await download.GetStatus()).BytesTotal).toBe(BigInt(FILE_LENGTH));
      await download.Abort();
    });

    test("fail on ranges beyond the end of the file", async () => {
      const download = await make();
      await download.Start(ranges([FILE_LENGTH, 10]));
      await reaches(download, paused);
      expect((await download.GetStatus()).Error).toBe(HRESULTS.DO_E_INVALID_RANGE);
      await download.Abort();
    });

    test("write ranges to a file in the order given, and further ones behind them", async () => {
      const path = site.path();
      const download = await make(undefined, path);
      await download.Start(ranges([5_000, 1_000], [0, 100]));
      await reaches(download, transferred);
      await expect(download.Start(ranges([50, 100]))).rejects.toMatchObject(
        failure("DO_E_OVERLAPPING_RANGES"),
      );
      await download.Start(null);
      expect((await download.GetStatus()).State).toBe(transferred);
      await download.Start(ranges([200_000, DO_LENGTH_TO_EOF]));
      await reaches(download, transferred);
      await download.Finalize();
      expect(await readFile(path)).toEqual(partOf([5_000, 1_000], [0, 100], [200_000, 100_000]));
    });

    test("refuse ranges where the whole file was asked for, or bytes are on their way", async () => {
      const unexpected = failure("DO_E_DOWNLOAD_RANGES_UNEXPECTED");
      const whole = ranges([0, DO_LENGTH_TO_EOF]);
      const download = await site.download(client, created);
      await download.Start(whole);
      await expect(download.Start(ranges([0, 10]))).rejects.toMatchObject(unexpected);
      await download.Pause();
      await expect(download.Start(ranges([0, 10]))).rejects.toMatchObject(unexpected);
      await download.Start(whole);
      expect((await download.GetStatus()).State).toBe(transferring);
      await download.Abort();
      const done = await site.download(client, transferred);
      await expect(done.Start(ranges([0, 10]))).rejects.toMatchObject(unexpected);
      await done.Abort();
    });

    test("give a stream exactly the 1,100 bytes of two ranges", async () => {
      const sink = new Sink();
      const download = await make(sink);
      await download.Start(ranges([0, 100], [200, 1_000]));
      await reaches(download, transferred);
      expect(sink.bytes).toEqual(partOf([0, 100], [200, 1_000]));
      expect(sink.bytes).toHaveLength(1_100);
      expect(await download.GetProperty(p.DODownloadProperty_TotalSizeBytes)).toBe(1_100n);
      expect(sink.end).toBeUndefined();
      await download.Start(ranges([5_000, 50]));
      await reaches(download, transferred);
      expect(sink.bytes).toEqual(partOf([0, 100], [200, 1_000], [5_000, 50]));
      await download.Finalize();
      await expect.poll(() => sink.end).toBe("closed");
    });

    test("give a stream the whole file when no ranges are named, pauses included", async () => {
      const sink = new Sink();
      const download = await make(sink);
      await download.Start(null);
      await download.Pause();
      await download.Start(null);
      await reaches(download, transferred);
      expect(sink.bytes).toEqual(file);
      expect(await download.GetProperty(p.DODownloadProperty_TotalSizeBytes)).toBe(
        BigInt(FILE_LENGTH),
      );
      await download.Finalize();
    });

    test("abort the stream with the download, and fail with a stream that fails", async () => {
      const sink = new Sink();
      const download = await make(sink);
      await download.SetProperty(p.DODownloadProperty_Uri, site.slowUrl);
      await download.Start(null);
      await download.Abort();
      await expect.poll(() => sink.end).toBeInstanceOf(Error);
      const failing = new Sink();
      await failing.stream.abort(new Error("nobody reads"));
      const other = await make(failing);
      await other.Start(null);
      await reaches(other, paused);
      expect((await other.GetStatus()).Error).toBe(HRESULTS.E_ABORT);
      await expect(other.Start(null)).rejects.toMatchObject(
        failure("DO_E_FILE_DOWNLOADSINK_UNSPECIFIED"),
      );
      await other.Abort();
    });

    test("have their effect once when they are called at once", async () => {
      const download = await make();
      const [first, second] = [ranges([0, 100]), ranges([500, 100])];
      const outcomes = await Promise.allSettled([download.Start(first), download.Start(second)]);
      expect(outcomes[0]?.status).toBe("fulfilled");
      await reaches(download, transferred);
      const ends = await Promise.allSettled([
        download.Finalize(),
        download.Abort(),
        download.Finalize(),
      ]);
      expect(ends.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
      expect((await download.GetStatus()).State).toBe(finalized);
    });
  });
}

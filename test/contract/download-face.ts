/**
 * The contract of the download API beyond single verbs and properties: status and errors, callbacks,
 * enumeration and restarts (download-API reference, sections 8, 9, 11, 13.6 and 17).
 */
import { createServer } from "node:http";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { HRESULTS, USUAL_NETWORK } from "@shoal/core";
import type { HResultSymbol, NetworkState } from "@shoal/core";
import { DODownloadProperty, DODownloadState, DOWNLOAD_IIDS } from "@shoal/jobs/compat";
import type {
  DO_DOWNLOAD_ENUM_CATEGORY,
  DO_DOWNLOAD_STATUS,
  DownloadValue,
  IDODownload,
  IDODownloadStatusCallback,
} from "@shoal/jobs/compat";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { BIG_LENGTH, DownloadSite, FILE_LENGTH, idOf, jobIdOf, reaches } from "./download-site.ts";
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

const failure = (symbol: HResultSymbol): object => ({
  name: "HResultError",
  symbol,
  hresult: HRESULTS[symbol],
});
const ok = { Error: HRESULTS.S_OK, ExtendedError: HRESULTS.S_OK };

/** Hears of every change; may answer with something of its own. */
class Hearer implements IDODownloadStatusCallback {
  readonly heard: DO_DOWNLOAD_STATUS[] = [];
  readonly #answer: (download: IDODownload, status: DO_DOWNLOAD_STATUS) => unknown;

  constructor(answer: (download: IDODownload, status: DO_DOWNLOAD_STATUS) => unknown = () => {}) {
    this.#answer = answer;
  }

  get states(): readonly number[] {
    return this.heard.map(({ State }) => State);
  }

  OnStatusChange(download: IDODownload, status: DO_DOWNLOAD_STATUS): unknown {
    this.heard.push(status);
    return this.#answer(download, status);
  }
}

export function downloadFaceContract(way: Way): void {
  describe(`downloads, ${way},`, () => {
    let site: DownloadSite;
    let client: Client;
    beforeAll(async () => {
      site = await DownloadSite.open(way, { originFailuresMax: 1, retryDelayMsMin: 1 });
      client = await site.client();
    });
    afterEach(() => site.setNetwork(USUAL_NETWORK));
    afterAll(() => site[Symbol.asyncDispose]());

    const make = async (
      values: ReadonlyArray<readonly [DODownloadProperty, DownloadValue]> = [],
      { manager } = client,
    ): Promise<IDODownload> => {
      const download = await manager.CreateDownload();
      await download.SetProperty(p.DODownloadProperty_Uri, site.fileUrl);
      await download.SetProperty(p.DODownloadProperty_LocalPath, site.path());
      for (const [id, value] of values) await download.SetProperty(id, value);
      return download;
    };
    const hears = async (hearer: Hearer, state: DODownloadState): Promise<void> => {
      await expect.poll(() => hearer.states, { timeout: 10_000 }).toContain(state);
    };

    test("know no length before they are started", async () => {
      const download = await make([[p.DODownloadProperty_TotalSizeBytes, 5n]]);
      const status = { BytesTotal: 0n, BytesTransferred: 0n, State: created, ...ok };
      expect(await download.GetStatus()).toEqual(status);
      await download.Abort();
      expect(await download.GetStatus()).toEqual({ ...status, State: aborted });
    });

    test("stop with a fatal error that a new start clears", async () => {
      const download = await make([[p.DODownloadProperty_Uri, site.missingUrl]]);
      await download.Start(null);
      await reaches(download, paused);
      const { Error: error, ExtendedError: extended } = await download.GetStatus();
      expect([error, extended]).toEqual([HRESULTS.HTTP_E_STATUS_NOT_FOUND, HRESULTS.S_OK]);
      expect(await download.GetProperty(p.DODownloadProperty_HttpStatusCode)).toBe(404);
      await download.Pause();
      expect((await download.GetStatus()).Error).toBe(error);
      await download.SetProperty(p.DODownloadProperty_Uri, site.fileUrl);
      await download.Start(null);
      await reaches(download, transferred);
      expect(await download.GetStatus()).toMatchObject(ok);
      await download.Abort();
    });

    const blocks: ReadonlyArray<readonly [HResultSymbol, Partial<NetworkState>]> = [
      ["DO_E_BLOCKED_BY_NO_NETWORK", { isOnline: false }],
      ["DO_E_BLOCKED_BY_COST_TRANSFER_POLICY", { cost: "roaming" }],
      ["DO_E_BLOCKED_BY_CELLULAR_POLICY", { isCellular: true }],
    ];
    test.each(blocks)("wait, paused, with %s as extended error", async (symbol, network) => {
      site.setNetwork({ ...USUAL_NETWORK, ...network });
      const hearer = new Hearer();
      const download = await make([
        // Never asked: the network may not be used.
        [p.DODownloadProperty_Uri, "http://192.0.2.1/f"],
        [p.DODownloadProperty_DisallowOnCellular, true],
        [p.DODownloadProperty_CallbackInterface, hearer],
      ]);
      await download.Start(null);
      await reaches(download, paused);
      const waiting = { State: paused, Error: HRESULTS.S_OK, ExtendedError: HRESULTS[symbol] };
      expect(await download.GetStatus()).toMatchObject(waiting);
      await expect.poll(() => hearer.heard.at(-1)).toMatchObject(waiting);
      await download.Pause();
      expect(await download.GetStatus()).toMatchObject({ State: paused, ...ok });
      site.setNetwork(USUAL_NETWORK);
      expect(await download.GetStatus()).toMatchObject({ State: paused, ...ok });
      await download.Abort();
    });

    test("go on by themselves when the cost policy allows the network", async () => {
      site.setNetwork({ ...USUAL_NETWORK, cost: "roaming" });
      const download = await make([[p.DODownloadProperty_Uri, site.farUrl]]);
      await download.Start(null);
      await reaches(download, paused);
      await download.SetProperty(p.DODownloadProperty_CostPolicy, 0);
      await reaches(download, transferred);
      expect(await download.GetStatus()).toMatchObject(ok);
      await download.Abort();
    });

    test("fail when they make no progress for too long", async () => {
      const silent = await listen(() => {});
      const download = await make([[p.DODownloadProperty_Uri, silent.url]]);
      const jobId = await jobIdOf(download);
      const values = { noProgressTimeoutMs: 200 };
      await client.service.changeJob(jobId, { type: "setJob", values });
      await download.Start(null);
      await reaches(download, paused);
      expect((await download.GetStatus()).Error).toBe(HRESULTS.DO_E_DOWNLOAD_NO_PROGRESS);
      await download.Abort();
      silent.close();
    });

    test("send the header lines they were given, and credentials when challenged", async () => {
      const seen: Array<IncomingMessage["headers"]> = [];
      const origin = await listen(({ headers }, response) => {
        seen.push(headers);
        if (headers.authorization === undefined) response.writeHead(401).end();
        else response.writeHead(200, { "content-length": 4 }).end("data");
      });
      const download = await make([
        [p.DODownloadProperty_Uri, origin.url],
        [p.DODownloadProperty_HttpCustomHeaders, "XCustom1=someValue1\nXCustom2=someValue2\n"],
        [p.DODownloadProperty_HttpCustomAuthHeaders, "Authorization: Basic YWI="],
      ]);
      await download.Start(null);
      await reaches(download, transferred);
      expect(seen[0]).toMatchObject({ xcustom1: "someValue1", xcustom2: "someValue2" });
      expect(seen[0]?.authorization).toBeUndefined();
      expect(seen.at(-1)?.authorization).toBe("Basic YWI=");
      await download.Finalize();
      origin.close();
    });

    test("return from a blocking start when all bytes are there, or with the error", async () => {
      const download = await make([[p.DODownloadProperty_BlockingMode, true]]);
      await download.Start(null);
      expect((await download.GetStatus()).State).toBe(transferred);
      await download.Finalize();
      const missing = await make([
        [p.DODownloadProperty_BlockingMode, true],
        [p.DODownloadProperty_Uri, site.missingUrl],
      ]);
      await expect(missing.Start(null)).rejects.toMatchObject(failure("HTTP_E_STATUS_NOT_FOUND"));
      await missing.Abort();
      const slow = await make([
        [p.DODownloadProperty_BlockingMode, true],
        [p.DODownloadProperty_Uri, site.slowUrl],
      ]);
      const starting = slow.Start(null);
      starting.catch(() => {});
      await reaches(slow, transferring);
      await slow.Pause();
      await expect(starting).rejects.toMatchObject(failure("E_ABORT"));
      await slow.Abort();
    });

    describe("with a callback", () => {
      test("tell each state once, and let it look and pause from inside", async () => {
        const looked: unknown[] = [];
        const hearer = new Hearer(async (download, { State }) => {
          looked.push((await download.GetStatus()).State);
          if (State === transferring) await download.Pause();
        });
        const download = await make([
          [p.DODownloadProperty_Uri, site.slowUrl],
          [p.DODownloadProperty_CallbackInterface, hearer],
        ]);
        await download.Start(null);
        await hears(hearer, paused);
        expect(looked).not.toEqual([]);
        expect((await download.GetStatus()).State).toBe(paused);
        await download.Abort();
        await hears(hearer, aborted);
        expect(hearer.states).toEqual([transferring, paused, aborted]);
      });

      test("never call one that was replaced or removed, and survive one that throws", async () => {
        const [first, second] = [new Hearer(), new Hearer(() => Promise.reject(new Error("no")))];
        const third = new Hearer(() => {
          throw new Error("no");
        });
        const download = await make([
          [p.DODownloadProperty_CallbackInterface, first],
          [p.DODownloadProperty_CallbackInterface, second],
        ]);
        await download.Start(null);
        await hears(second, transferred);
        await download.SetProperty(p.DODownloadProperty_CallbackInterface, null);
        const reading = download.GetProperty(p.DODownloadProperty_CallbackInterface);
        await expect(reading).rejects.toMatchObject(failure("E_NOT_SET"));
        await download.SetProperty(p.DODownloadProperty_CallbackInterface, third);
        await download.Finalize();
        await hears(third, finalized);
        expect(first.heard).toEqual([]);
        expect(second.states).not.toContain(finalized);
      });

      test("tell of bytes by percent, and no more often than that", async () => {
        const hearer = new Hearer();
        const download = await make([
          [p.DODownloadProperty_Uri, site.slowUrl],
          [p.DODownloadProperty_CallbackFreqPercent, 5],
          [p.DODownloadProperty_CallbackFreqSeconds, 3_600],
          [p.DODownloadProperty_CallbackInterface, hearer],
        ]);
        await download.Start(null);
        await expect.poll(() => hearer.heard.length, { timeout: 10_000 }).toBeGreaterThan(2);
        await download.Abort();
        const bytes = hearer.heard
          .filter(({ State }) => State === transferring)
          .map(({ BytesTransferred }) => Number(BytesTransferred));
        for (const [index, count] of bytes.slice(1).entries()) {
          expect(count - (bytes[index] ?? 0)).toBeGreaterThanOrEqual(BIG_LENGTH / 20);
        }
      });
    });

    describe("when enumerated,", () => {
      const finds = async (
        { manager }: Client,
        category: DO_DOWNLOAD_ENUM_CATEGORY | null,
      ): Promise<readonly DownloadValue[]> => {
        const ids: DownloadValue[] = [];
        for (const download of await manager.EnumDownloads(category)) {
          ids.push(await download.GetProperty(p.DODownloadProperty_Id));
        }
        return ids;
      };

      test("are those of the caller, by each category, until they are over", async () => {
        const own = await site.client();
        const none = failure("DO_E_NO_DOWNLOADS");
        await expect(own.manager.EnumDownloads(null)).rejects.toMatchObject(none);
        const path = site.path();
        const first = await make(
          [
            [p.DODownloadProperty_LocalPath, path],
            [p.DODownloadProperty_DisplayName, "first"],
            [p.DODownloadProperty_ContentId, "content 1"],
          ],
          own,
        );
        const second = await own.manager.CreateDownload();
        const other = await make();
        await own.service.createJob({
          jobId: crypto.randomUUID(),
          displayName: "first",
          priority: "normal",
          overwrite: false,
          allowsCellular: true,
          isVolatile: false,
          attributes: {},
          startSuspended: true,
          files: [],
        });
        const id = await idOf(first);
        const secondId = await idOf(second);
        expect(await finds(own, null)).toEqual([id, secondId]);
        const values: ReadonlyArray<readonly [DODownloadProperty, string]> = [
          [p.DODownloadProperty_Id, id.toLowerCase()],
          [p.DODownloadProperty_Uri, site.fileUrl],
          [p.DODownloadProperty_ContentId, "content 1"],
          [p.DODownloadProperty_DisplayName, "first"],
          [p.DODownloadProperty_LocalPath, path],
        ];
        for (const [Property, Value] of values) {
          expect(await finds(own, { Property, Value })).toEqual([id]);
          const absent = own.manager.EnumDownloads({ Property, Value: "elsewhere" });
          await expect(absent).rejects.toMatchObject(none);
        }
        await first.Abort();
        await second.Abort();
        await expect(own.manager.EnumDownloads(null)).rejects.toMatchObject(none);
        await other.Abort();
      });

      test("refuse other categories", async () => {
        const bad: unknown[] = [
          { Property: p.DODownloadProperty_CostPolicy, Value: "1" },
          { Property: 99, Value: "1" },
          { Property: p.DODownloadProperty_Uri, Value: 1 },
          {},
          undefined,
        ];
        for (const category of bad) {
          const enumerating = client.manager.EnumDownloads(category as DO_DOWNLOAD_ENUM_CATEGORY);
          await expect(enumerating).rejects.toMatchObject(failure("E_INVALIDARG"));
        }
      });

      test("are as good as the first object for finishing the download", async () => {
        const own = await site.client();
        const first = await make([], own);
        await first.Start(null);
        const category = {
          Property: p.DODownloadProperty_Id,
          Value: await idOf(first),
        };
        const found = await own.manager.EnumDownloads(category);
        const copy = await found.Clone();
        const { hresult, downloads } = await found.Next(2);
        expect([hresult, downloads.length]).toEqual([HRESULTS.S_FALSE, 1]);
        expect(await found.Next(1)).toEqual({ hresult: HRESULTS.S_FALSE, downloads: [] });
        await found.Reset();
        expect(await found.Skip(1)).toBe(HRESULTS.S_OK);
        expect((await copy.Next(1)).hresult).toBe(HRESULTS.S_OK);
        for (const count of [-1, NaN, null, Symbol("s"), Object.create(null)]) {
          const refused = failure("E_INVALIDARG");
          await expect(found.Next(count as number)).rejects.toMatchObject(refused);
          await expect(found.Skip(count as number)).rejects.toMatchObject(refused);
        }
        const [same] = downloads;
        expect(same?.queryInterface(DOWNLOAD_IIDS.IDODownload)).toBe(same);
        if (same !== undefined) await reaches(same, transferred);
        await same?.Finalize();
        expect(await first.GetStatus()).toMatchObject({
          BytesTransferred: BigInt(FILE_LENGTH),
          State: finalized,
        });
        const enumerating = own.manager.EnumDownloads(category);
        await expect(enumerating).rejects.toMatchObject(failure("DO_E_NO_DOWNLOADS"));
      });
    });

    test("refuse every call with DO_E_NO_SERVICE when the service has closed", async () => {
      const own = await site.client();
      const download = await make([], own);
      own.service.close();
      const calls: ReadonlyArray<() => Promise<unknown>> = [
        () => download.Start(null),
        () => download.Pause(),
        () => download.Finalize(),
        () => download.Abort(),
        () => download.GetStatus(),
        () => download.GetProperty(p.DODownloadProperty_Uri),
        () => download.GetProperty(p.DODownloadProperty_HttpStatusCode),
        () => download.SetProperty(p.DODownloadProperty_Uri, site.fileUrl),
        () => download.SetProperty(p.DODownloadProperty_CallbackInterface, new Hearer()),
        () => own.manager.CreateDownload(),
        () => own.manager.EnumDownloads(null),
      ];
      for (const call of calls) {
        await expect(call()).rejects.toMatchObject(failure("DO_E_NO_SERVICE"));
      }
    });

    test("vanish with the agent unless they are said to be kept", async () => {
      const own = await site.client("restarted");
      const volatile = await make([], own);
      const kept = await make([[p.DODownloadProperty_NonVolatile, true]], own);
      const id = await kept.GetProperty(p.DODownloadProperty_Id);
      await site.restart();
      await expect(volatile.GetStatus()).rejects.toMatchObject(failure("DO_E_NO_SERVICE"));
      const again = await site.client("restarted");
      const found = [...(await again.manager.EnumDownloads(null))];
      expect(
        await Promise.all(found.map((one) => one.GetProperty(p.DODownloadProperty_Id))),
      ).toEqual([id]);
      await found[0]?.Start(null);
      if (found[0] !== undefined) await reaches(found[0], transferred);
      await found[0]?.Finalize();
    });
  });
}

/** An origin that answers as the test says. */
async function listen(
  answer: (request: IncomingMessage, response: ServerResponse) => void,
): Promise<{ readonly url: string; close(): void }> {
  const server: Server = createServer(answer);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/f`,
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}

/** The contract of a download's properties: download-API reference, section 5, row by row. */
import { HRESULTS } from "@shoal/core";
import type { HResultSymbol } from "@shoal/core";
import {
  DODownloadCostPolicy,
  DODownloadProperty,
  DODownloadPropertyEx,
  DODownloadState,
  DOWNLOAD_PROPERTIES,
  GUID_NULL,
  parseGuid,
  SECURITY_FLAGS,
} from "@shoal/jobs/compat";
import type { DownloadValue, IDODownload } from "@shoal/jobs/compat";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { hasOpenssl, TestAuthority } from "../../packages/origin/test/certificates.ts";
import { DownloadSite, idOf, jobIdOf, outcomeOf } from "./download-site.ts";
import type { Client, Way } from "./download-site.ts";

const p = DODownloadProperty;
const digest = Buffer.alloc(32, 7).toString("base64");
const phf = { PiecesHashFileUrl: "http://127.0.0.1:1/phf", HashOfHashes: digest };
/** An object that has no text. */
const UNSAYABLE: unknown = Object.create(null);
const callback = { OnStatusChange: (): void => {} };
/** A value each property takes, and what it reads back as where that is something else. */
const GOOD: ReadonlyArray<readonly [id: DODownloadProperty, value: DownloadValue, back?: unknown]> =
  [
    [p.DODownloadProperty_Uri, "http://127.0.0.1:1/a?b=c"],
    [p.DODownloadProperty_ContentId, "an id of another system"],
    [p.DODownloadProperty_DisplayName, "Größe ✓"],
    [p.DODownloadProperty_LocalPath, "/tmp/shoal-never-written"],
    [p.DODownloadProperty_HttpCustomHeaders, "A=1\r\nB: 2\n", "A: 1\r\nB: 2\r\n"],
    [p.DODownloadProperty_CostPolicy, DODownloadCostPolicy.DODownloadCostPolicy_NoRoaming],
    [p.DODownloadProperty_SecurityFlags, SECURITY_FLAGS.SECURITY_FLAG_IGNORE_UNKNOWN_CA],
    [p.DODownloadProperty_CallbackFreqPercent, 5],
    [p.DODownloadProperty_CallbackFreqSeconds, 0],
    [p.DODownloadProperty_NoProgressTimeoutSeconds, 60],
    [p.DODownloadProperty_ForegroundPriority, true],
    [p.DODownloadProperty_BlockingMode, true],
    [p.DODownloadProperty_CallbackInterface, callback],
    [p.DODownloadProperty_NetworkToken, true],
    [p.DODownloadProperty_CorrelationVector, "cv.1"],
    [p.DODownloadProperty_IntegrityCheckInfo, JSON.stringify(phf)],
    [p.DODownloadProperty_IntegrityCheckMandatory, true],
    [p.DODownloadProperty_TotalSizeBytes, 2n ** 33n],
    [p.DODownloadProperty_DisallowOnCellular, true],
    [p.DODownloadProperty_HttpCustomAuthHeaders, "Authorization: Basic YWI="],
    [p.DODownloadProperty_HttpAllowSecureToNonSecureRedirect, true],
    [p.DODownloadProperty_NonVolatile, true],
  ];
/** Set once more elsewhere, or not at all. */
const NOT_GOOD: readonly number[] = [
  p.DODownloadProperty_StreamInterface,
  p.DODownloadProperty_SecurityContext,
  p.DODownloadProperty_DecryptionInfo,
];

const BAD: ReadonlyArray<readonly [DODownloadProperty, unknown, HResultSymbol]> = [
  [p.DODownloadProperty_Uri, "", "E_INVALIDARG"],
  [p.DODownloadProperty_Uri, "blah", "INET_E_INVALID_URL"],
  [p.DODownloadProperty_Uri, "ftp://127.0.0.1/f", "INET_E_INVALID_URL"],
  [p.DODownloadProperty_Uri, "http://u:p@127.0.0.1/f", "INET_E_INVALID_URL"],
  [p.DODownloadProperty_Uri, `http://127.0.0.1/${"x".repeat(9_000)}`, "INET_E_INVALID_URL"],
  [p.DODownloadProperty_ContentId, "", "E_INVALIDARG"],
  [p.DODownloadProperty_ContentId, "x".repeat(300), "E_INVALIDARG"],
  [p.DODownloadProperty_DisplayName, "x".repeat(257), "E_INVALIDARG"],
  [p.DODownloadProperty_LocalPath, "", "E_INVALIDARG"],
  [p.DODownloadProperty_LocalPath, "relative/path", "E_INVALIDARG"],
  [p.DODownloadProperty_LocalPath, "/tmp/../etc/passwd", "E_INVALIDARG"],
  [p.DODownloadProperty_HttpCustomHeaders, "no separator", "E_INVALIDARG"],
  [p.DODownloadProperty_HttpCustomHeaders, ": no name", "E_INVALIDARG"],
  [p.DODownloadProperty_HttpCustomHeaders, "Range: bytes=0-1", "E_INVALIDARG"],
  [p.DODownloadProperty_HttpCustomHeaders, "X: a\u0000b", "E_INVALIDARG"],
  [p.DODownloadProperty_HttpCustomHeaders, "X: 1\r\n folded", "E_INVALIDARG"],
  [p.DODownloadProperty_CostPolicy, 6, "E_INVALIDARG"],
  [p.DODownloadProperty_SecurityFlags, 0x2, "E_INVALIDARG"],
  [p.DODownloadProperty_SecurityFlags, -1, "E_INVALIDARG"],
  [p.DODownloadProperty_CallbackFreqPercent, 101, "E_INVALIDARG"],
  [p.DODownloadProperty_CallbackFreqSeconds, 0.5, "E_INVALIDARG"],
  [p.DODownloadProperty_CallbackFreqSeconds, NaN, "E_INVALIDARG"],
  [p.DODownloadProperty_CallbackFreqSeconds, 2 ** 32, "E_INVALIDARG"],
  [p.DODownloadProperty_NoProgressTimeoutSeconds, 59, "E_INVALIDARG"],
  [p.DODownloadProperty_CallbackInterface, {}, "E_NOINTERFACE"],
  [p.DODownloadProperty_StreamInterface, {}, "E_NOINTERFACE"],
  [p.DODownloadProperty_SecurityContext, null, "E_INVALIDARG"],
  [p.DODownloadProperty_SecurityContext, new Uint8Array(), "E_INVALIDARG"],
  [p.DODownloadProperty_SecurityContext, new Uint8Array(70_000), "E_INVALIDARG"],
  [p.DODownloadProperty_SecurityContext, Buffer.from("garbage"), "CRYPT_E_FILE_ERROR"],
  [
    p.DODownloadProperty_SecurityContext,
    Buffer.from("-----BEGIN CERTIFICATE-----\nblah\n"),
    "CRYPT_E_FILE_ERROR",
  ],
  [p.DODownloadProperty_CorrelationVector, "x".repeat(5_000), "E_INVALIDARG"],
  [p.DODownloadProperty_DecryptionInfo, "blah", "E_INVALIDARG"],
  [p.DODownloadProperty_DecryptionInfo, '{"KeyData":"AAAA"}', "E_NOTIMPL"],
  [p.DODownloadProperty_IntegrityCheckInfo, "blah", "E_INVALIDARG"],
  [p.DODownloadProperty_IntegrityCheckInfo, "[]", "E_INVALIDARG"],
  [p.DODownloadProperty_IntegrityCheckInfo, "{}", "E_INVALIDARG"],
  [
    p.DODownloadProperty_IntegrityCheckInfo,
    JSON.stringify({ PiecesHashFileUrl: phf.PiecesHashFileUrl }),
    "E_INVALIDARG",
  ],
  [
    p.DODownloadProperty_IntegrityCheckInfo,
    JSON.stringify({ ...phf, HashOfHashes: "AAAA" }),
    "E_INVALIDARG",
  ],
  [
    p.DODownloadProperty_IntegrityCheckInfo,
    JSON.stringify({ ...phf, PiecesHashFileDigestAlgorithm: "MD5" }),
    "E_INVALIDARG",
  ],
  [p.DODownloadProperty_TotalSizeBytes, -1n, "E_INVALIDARG"],
  [p.DODownloadProperty_TotalSizeBytes, 2n ** 64n, "E_INVALIDARG"],
];

/** What a fresh download has; the others are not set. */
const DEFAULTS = new Map<number, DownloadValue>([
  [p.DODownloadProperty_CostPolicy, DODownloadCostPolicy.DODownloadCostPolicy_Standard],
  [p.DODownloadProperty_CallbackFreqSeconds, 1],
  [p.DODownloadProperty_NoProgressTimeoutSeconds, 86_400],
  [p.DODownloadProperty_ForegroundPriority, false],
  [p.DODownloadProperty_BlockingMode, false],
  [p.DODownloadProperty_IntegrityCheckMandatory, false],
  [p.DODownloadProperty_DisallowOnCellular, false],
  [p.DODownloadProperty_HttpAllowSecureToNonSecureRedirect, false],
  [p.DODownloadProperty_NonVolatile, false],
]);

/** Not readable: those of the reference, and credentials (R-API-13). */
const WRITE_ONLY: ReadonlySet<number> = new Set([
  p.DODownloadProperty_SecurityFlags,
  p.DODownloadProperty_SecurityContext,
  p.DODownloadProperty_NetworkToken,
  p.DODownloadProperty_DecryptionInfo,
  p.DODownloadProperty_IntegrityCheckInfo,
  p.DODownloadProperty_HttpCustomAuthHeaders,
]);

const failure = (symbol: HResultSymbol): object => ({
  name: "HResultError",
  symbol,
  hresult: HRESULTS[symbol],
});

export function downloadPropertiesContract(way: Way): void {
  describe(`properties of downloads, ${way},`, () => {
    let site: DownloadSite;
    let client: Client;
    beforeAll(async () => {
      site = await DownloadSite.open(way, { jobsPerOwnerMax: 5_000, jobsMax: 5_000 });
      client = await site.client();
    });
    afterAll(() => site[Symbol.asyncDispose]());

    const fresh = (): Promise<IDODownload> => client.manager.CreateDownload();
    const nameOf = (id: number): string =>
      DOWNLOAD_PROPERTIES.get(id)?.name.replace("DODownloadProperty_", "") ?? `${id}`;

    test("have the documented defaults, or are not set (R-API-13)", async () => {
      const download = await fresh();
      const id = await idOf(download);
      expect(parseGuid(id)).toBe(id);
      for (const [property, { name }] of DOWNLOAD_PROPERTIES) {
        const known = property === p.DODownloadProperty_Id ? id : DEFAULTS.get(property);
        const unknown = WRITE_ONLY.has(property) ? "DO_E_WRITE_ONLY_PROPERTY" : "E_NOT_SET";
        const outcome = await outcomeOf(download.GetProperty(property as DODownloadProperty));
        expect({ name, outcome }).toEqual({ name, outcome: known ?? unknown });
      }
      const documented = [...DOWNLOAD_PROPERTIES].filter(([, row]) => row.access === "writeOnly");
      for (const [property] of documented) expect(WRITE_ONLY).toContain(property);
    });

    test.each(GOOD.map(([id, ...rest]) => [nameOf(id), id, ...rest] as const))(
      "%s reads back as it was set",
      async (_name, id, value, back) => {
        const download = await fresh();
        await download.SetProperty(id, value);
        const shown = WRITE_ONLY.has(id) ? "DO_E_WRITE_ONLY_PROPERTY" : (back ?? value);
        expect(await outcomeOf(download.GetProperty(id))).toEqual(shown);
      },
    );

    test.each(BAD.map(([id, value, symbol]) => [nameOf(id), symbol, id, value] as const))(
      "%s refuses a bad value with %s and stays as it was",
      async (_name, symbol, id, value) => {
        const download = await fresh();
        const before = await client.service.snapshot(await jobIdOf(download));
        const setting = download.SetProperty(id, value as DownloadValue);
        await expect(setting).rejects.toMatchObject(failure(symbol));
        const after = await client.service.snapshot(await jobIdOf(download));
        expect(after).toEqual(before);
      },
    );

    test("refuse values of other types", async () => {
      const download = await fresh();
      const samples: readonly unknown[] = [
        "text",
        1,
        1n,
        true,
        new Uint8Array(1),
        undefined,
        Symbol("s"),
        callback,
      ];
      const types = { VT_BSTR: "string", VT_UI4: "number", VT_UI8: "bigint", VT_BOOL: "boolean" };
      for (const [id, { type, access }] of DOWNLOAD_PROPERTIES) {
        if (access === "readOnly") continue;
        for (const value of samples) {
          const isObject = type === "VT_UNKNOWN" && typeof value === "object";
          const isBytes = type === "VT_ARRAY|VT_UI1" && value instanceof Uint8Array;
          if (isObject || isBytes || typeof value === Reflect.get(types, type)) continue;
          const setting = download.SetProperty(id as DODownloadProperty, value as DownloadValue);
          expect({ id, outcome: await outcomeOf(setting) }).toEqual({
            id,
            outcome: "DISP_E_TYPEMISMATCH",
          });
        }
      }
    });

    test("that are read-only or unknown cannot be set, nor unknown ones read", async () => {
      const download = await fresh();
      for (const [id, { access }] of DOWNLOAD_PROPERTIES) {
        if (access !== "readOnly") continue;
        const setting = download.SetProperty(id as DODownloadProperty, "x");
        await expect(setting).rejects.toMatchObject(failure("DO_E_READ_ONLY_PROPERTY"));
      }
      const unknown = failure("DO_E_UNKNOWN_PROPERTY_ID");
      for (const id of [-1, 30, 1.5, NaN, "Uri", null, undefined, Symbol("s"), UNSAYABLE]) {
        const property = id as DODownloadProperty;
        await expect(download.GetProperty(property)).rejects.toMatchObject(unknown);
        await expect(download.SetProperty(property, "x")).rejects.toMatchObject(unknown);
      }
    });

    test.each(Object.entries(DODownloadState))(
      "can be set in %s as the table says",
      async (_name, state) => {
        const download = await site.download(client, state);
        const good = new Map(GOOD.map(([id, value]) => [id as number, value]));
        good.set(p.DODownloadProperty_StreamInterface, null);
        good.set(p.DODownloadProperty_LocalPath, site.path());
        good.set(p.DODownloadProperty_Uri, site.slowUrl);
        good.set(p.DODownloadProperty_BlockingMode, false);
        for (const [id, value] of good) {
          const { settableIn = [] } = DOWNLOAD_PROPERTIES.get(id) ?? {};
          const outcome = await outcomeOf(download.SetProperty(id as DODownloadProperty, value));
          const expected = settableIn.includes(state) ? "ok" : "DO_E_INVALID_STATE";
          expect({ id, outcome }).toEqual({ id, outcome: expected });
        }
        expect((await download.GetStatus()).State).toBe(state);
        await download.Abort().catch(() => {});
      },
    );

    test("are all in the table of good values", () => {
      const settable = [...DOWNLOAD_PROPERTIES].filter(([, row]) => row.access !== "readOnly");
      const tested = [...GOOD.map(([id]) => id as number), ...NOT_GOOD].toSorted((a, b) => a - b);
      expect(tested).toEqual(settable.map(([id]) => id));
    });

    test("about cost, cellular networks and priority do not disturb each other", async () => {
      const download = await fresh();
      const policy = DODownloadCostPolicy;
      await download.SetProperty(p.DODownloadProperty_ForegroundPriority, true);
      const read = (id: DODownloadProperty): Promise<unknown> => download.GetProperty(id);
      expect(await read(p.DODownloadProperty_CostPolicy)).toBe(policy.DODownloadCostPolicy_Always);
      expect(await read(p.DODownloadProperty_NoProgressTimeoutSeconds)).toBe(3_600);
      for (const value of Object.values(policy)) {
        await download.SetProperty(p.DODownloadProperty_CostPolicy, value);
        expect(await read(p.DODownloadProperty_CostPolicy)).toBe(value);
        expect(await read(p.DODownloadProperty_DisallowOnCellular)).toBe(false);
        const { allowsCellular } = (await snapshotOf(client, download)) ?? {};
        expect(allowsCellular).toBe(value !== policy.DODownloadCostPolicy_NoCellular);
      }
      await download.SetProperty(p.DODownloadProperty_DisallowOnCellular, true);
      await download.SetProperty(
        p.DODownloadProperty_CostPolicy,
        policy.DODownloadCostPolicy_Always,
      );
      expect(await read(p.DODownloadProperty_DisallowOnCellular)).toBe(true);
      expect((await snapshotOf(client, download))?.allowsCellular).toBe(false);
    });

    test("reach the machine as request options that keep each other (R-API-13)", async () => {
      const download = await fresh();
      const { SECURITY_FLAG_IGNORE_CERT_DATE_INVALID: date, WINHTTP_ENABLE_SSL_REVOCATION: all } =
        SECURITY_FLAGS;
      await Promise.all([
        download.SetProperty(p.DODownloadProperty_HttpCustomHeaders, "A: 1"),
        download.SetProperty(p.DODownloadProperty_HttpCustomAuthHeaders, "Authorization=Basic a=="),
        download.SetProperty(p.DODownloadProperty_SecurityFlags, date),
        download.SetProperty(p.DODownloadProperty_HttpAllowSecureToNonSecureRedirect, true),
      ]);
      const file = { jobId: await jobIdOf(download), fileIndex: 0 };
      const spec = await client.service.fileSpec(file);
      expect(spec?.request).toEqual({
        headers: [["A", "1"]],
        challengeHeaders: [["Authorization", "Basic a=="]],
        tlsTolerance: ["wrongDate"],
        allowInsecureRedirect: true,
      });
      await download.SetProperty(p.DODownloadProperty_SecurityFlags, date | all);
      expect((await client.service.fileSpec(file))?.request?.tlsTolerance).toEqual([]);
      const shown = JSON.stringify([
        await client.service.list(),
        await snapshotOf(client, download),
      ]);
      expect(shown).not.toContain("Basic");
    });

    test.skipIf(!hasOpenssl)("take a certificate with its key, and nothing less", async () => {
      using authority = new TestAuthority();
      const { cert, key } = authority.issue("client", "DNS:client");
      const stranger = authority.issue("stranger", "DNS:stranger");
      const pkcs12 = authority.pkcs12("client");
      const download = await fresh();
      const set = (bytes: Uint8Array): Promise<void> =>
        download.SetProperty(p.DODownloadProperty_SecurityContext, bytes);
      const file = { jobId: await jobIdOf(download), fileIndex: 0 };
      await set(Buffer.from(cert + key));
      const { request } = (await client.service.fileSpec(file)) ?? {};
      expect(request?.clientCertificate).toBe(cert + key);
      for (const text of [cert, key, cert + stranger.key]) {
        await expect(set(Buffer.from(text))).rejects.toMatchObject(failure("CRYPT_E_FILE_ERROR"));
      }
      await set(Buffer.from(pkcs12, "base64"));
      const spec = await client.service.fileSpec(file);
      expect(spec?.request?.clientCertificate).toBe(pkcs12.replaceAll("\n", ""));
    });

    test("go by other numbers, too, in the deprecated interface", async () => {
      const download = await fresh();
      const ex = DODownloadPropertyEx;
      await download.SetPropertyEx(ex.DODownloadPropertyEx_CorrelationVector, "cv");
      await download.SetPropertyEx(ex.DODownloadPropertyEx_IntegrityCheckMandatory, true);
      expect(await download.GetProperty(p.DODownloadProperty_CorrelationVector)).toBe("cv");
      expect(await download.GetPropertyEx(ex.DODownloadPropertyEx_IntegrityCheckMandatory)).toBe(
        true,
      );
      const secret = download.GetPropertyEx(ex.DODownloadPropertyEx_IntegrityCheckInfo);
      await expect(secret).rejects.toMatchObject(failure("DO_E_WRITE_ONLY_PROPERTY"));
      for (const id of [0, 2, 5, 6, 7, UNSAYABLE] as DODownloadPropertyEx[]) {
        const reading = download.GetPropertyEx(id);
        await expect(reading).rejects.toMatchObject(failure("DO_E_UNKNOWN_PROPERTY_ID"));
      }
    });

    test("belong to objects that answer for their own interface ids only", async () => {
      const download = await fresh();
      expect(() => download.queryInterface(GUID_NULL)).toThrow(
        expect.objectContaining(failure("E_NOINTERFACE")),
      );
    });
  });
}

async function snapshotOf(
  { service }: Client,
  download: IDODownload,
): ReturnType<Client["service"]["snapshot"]> {
  return service.snapshot(await jobIdOf(download));
}

/**
 * What callers of the legacy face may hand in, and what they may not: bad input gives the documented
 * code and changes nothing; good input is kept, over restarts too (job-API reference, sections 6,
 * 10 and 14).
 */
import { createHash } from "node:crypto";
import type { HResultSymbol } from "@shoal/core";
import {
  BG_JOB_TYPE,
  BG_LENGTH_TO_EOF,
  BG_NOTIFY,
  BITS_FILE_PROPERTY_ID,
  BITS_JOB_PROPERTY_ID,
  COM_IIDS,
  createBackgroundCopyManager,
  DO_UNKNOWN_FILE_SIZE,
  DOFilePropertyId,
  DownloadMode,
  GUID_NULL,
  LEGACY_IIDS,
  SwarmStatus,
} from "@shoal/jobs/compat";
import type { DOSwarmStats } from "@shoal/jobs/compat";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { BitsSite, createJob, failure, FILE_LENGTH, firstFile, reaches } from "./bits-site.ts";
import type { Connect, TestJob } from "./bits-site.ts";
import { outcomeOf } from "./download-site.ts";

const p = DOFilePropertyId;
const j = BITS_JOB_PROPERTY_ID;
const URL_OK = "http://origin.test/file";

/** Every method with every object it is a method of, without types. */
type Untyped = Record<string, (...args: readonly unknown[]) => Promise<unknown>>;
type Target = "manager" | "job" | "adder" | "job2" | "enum" | "file" | "file2";

/** An object that has no text. */
const UNSAYABLE: unknown = Object.create(null);
const range = (InitialOffset: unknown, Length: unknown): object => ({ InitialOffset, Length });
const digest = createHash("sha256").update("x").digest("base64");
const integrity = (fields: object): string =>
  JSON.stringify({ PiecesHashFileUrl: `${URL_OK}.phf`, PiecesHashFileDigest: digest, ...fields });

const BAD: ReadonlyArray<readonly [HResultSymbol, Target, string, ...unknown[]]> = [
  ["E_INVALIDARG", "manager", "CreateJob", null, 0],
  ["E_INVALIDARG", "manager", "CreateJob", 5, 0],
  ["E_INVALIDARG", "manager", "CreateJob", "x".repeat(257), 0],
  ["E_INVALIDARG", "manager", "CreateJob", "x", 3],
  ["E_INVALIDARG", "manager", "CreateJob", "x"],
  ["E_NOTIMPL", "manager", "CreateJob", "x", BG_JOB_TYPE.BG_JOB_TYPE_UPLOAD],
  ["E_NOTIMPL", "manager", "CreateJob", "x", BG_JOB_TYPE.BG_JOB_TYPE_UPLOAD_REPLY],
  ["E_INVALIDARG", "manager", "GetJob", undefined],
  ["E_INVALIDARG", "manager", "GetJob", "../../x"],
  ["DO_E_JOB_NOT_FOUND", "manager", "GetJob", GUID_NULL],
  ["E_INVALIDARG", "job", "SetNoProgressTimeout", -1],
  ["E_INVALIDARG", "job", "SetNoProgressTimeout", 2 ** 32],
  ["E_INVALIDARG", "job", "SetNoProgressTimeout", 1.5],
  ["E_INVALIDARG", "job", "SetNoProgressTimeout", "60"],
  ["E_INVALIDARG", "job", "SetNoProgressTimeout", NaN],
  ["E_INVALIDARG", "job", "SetPriority", NaN],
  ["E_INVALIDARG", "job", "SetNotifyFlags", NaN],
  ["E_INVALIDARG", "job", "SetNotifyFlags", -1],
  ["E_INVALIDARG", "job", "SetNotifyFlags", null],
  ["E_NOTIMPL", "job", "SetNotifyFlags", BG_NOTIFY.BG_NOTIFY_FILE_RANGES_TRANSFERRED],
  ["E_NOTIMPL", "job", "SetNotifyFlags", 0x40],
  ["E_NOTIMPL", "job", "SetNotifyFlags", 2 ** 31],
  ["E_INVALIDARG", "job", "SetNotifyInterface", undefined],
  ["E_INVALIDARG", "job", "SetNotifyInterface", { JobTransferred: () => 0 }],
  ["E_INVALIDARG", "job", "SetNotifyInterface", "x"],
  ["E_NOTIMPL", "job", "SetPriority", 4],
  ["E_INVALIDARG", "job", "SetPriority", -1],
  ["E_INVALIDARG", "job", "SetPriority", "normal"],
  ["E_NOTIMPL", "job", "GetProperty", j.BITS_JOB_PROPERTY_DYNAMIC_CONTENT],
  ["E_NOTIMPL", "job", "SetProperty", j.BITS_JOB_PROPERTY_ON_DEMAND_MODE, { Dword: 1 }],
  ["E_INVALIDARG", "job", "GetProperty", 6],
  ["E_INVALIDARG", "job", "GetProperty", "1"],
  ["E_INVALIDARG", "job", "SetProperty", 8, { Dword: 1 }],
  ["E_INVALIDARG", "job", "SetProperty", 1, null],
  ["E_INVALIDARG", "job", "SetProperty", 1, { Dword: -1 }],
  ["E_INVALIDARG", "job", "SetProperty", 1, { ClsID: GUID_NULL }],
  ["E_INVALIDARG", "job", "SetProperty", 2, { ClsID: "x" }],
  ["E_INVALIDARG", "job", "SetProperty", 2, { Dword: 1 }],
  ["E_INVALIDARG", "adder", "AddFileWithRanges", "id", URL_OK, null],
  ["E_INVALIDARG", "adder", "AddFileWithRanges", "id", URL_OK, "file.bin"],
  ["E_INVALIDARG", "adder", "AddFileWithRanges", "id", URL_OK, "/tmp/../etc/x"],
  ["E_INVALIDARG", "adder", "AddFileWithRanges", "id", URL_OK, "/tmp/a*"],
  ["E_INVALIDARG", "adder", "AddFileWithRanges", "id", URL_OK, "/tmp/a?"],
  ["E_INVALIDARG", "adder", "AddFileWithRanges", "id", URL_OK, "/tmp/a\0b"],
  ["E_INVALIDARG", "adder", "AddFileWithRanges", "id", URL_OK, `/tmp/${"x/".repeat(130)}x`],
  ["E_INVALIDARG", "adder", "AddFileWithRanges", "id", null, "/tmp/x"],
  ["E_INVALIDARG", "adder", "AddFileWithRanges", "id", "", "/tmp/x"],
  ["E_INVALIDARG", "adder", "AddFileWithRanges", "id", "/file", "/tmp/x"],
  ["E_INVALIDARG", "adder", "AddFileWithRanges", "id", "ftp://origin.test/x", "/tmp/x"],
  ["E_INVALIDARG", "adder", "AddFileWithRanges", "id", "http://u:p@origin.test/x", "/tmp/x"],
  ["E_INVALIDARG", "adder", "AddFileWithRanges", "id", `${URL_OK}/a b`, "/tmp/x"],
  ["E_INVALIDARG", "adder", "AddFileWithRanges", "id", `${URL_OK}/%zz`, "/tmp/x"],
  ["E_INVALIDARG", "adder", "AddFileWithRanges", "id", `${URL_OK}/\u00e9`, "/tmp/x"],
  ["E_INVALIDARG", "adder", "AddFileWithRanges", "id", `${URL_OK}?${"x".repeat(2_200)}`, "/tmp/x"],
  ["E_INVALIDARG", "adder", "AddFileWithRanges", "id", `${URL_OK}/${"x".repeat(261)}`, "/tmp/x"],
  ["E_INVALIDARG", "adder", "AddFileWithRanges", "", URL_OK, "/tmp/x"],
  ["E_INVALIDARG", "adder", "AddFileWithRanges", null, URL_OK, "/tmp/x"],
  ["E_INVALIDARG", "adder", "AddFileWithRanges", "x".repeat(257), URL_OK, "/tmp/x"],
  ["E_INVALIDARG", "adder", "AddFileWithRanges", "id", URL_OK, "/tmp/x", "ranges"],
  ["E_INVALIDARG", "adder", "AddFileWithRanges", "id", URL_OK, "/tmp/x", [null]],
  [
    "E_INVALIDARG",
    "adder",
    "AddFileWithRanges",
    "id",
    URL_OK,
    "/tmp/x",
    Object.assign([], { length: 1 }),
  ],
  ["E_INVALIDARG", "adder", "AddFileWithRanges", "id", URL_OK, "/tmp/x", [range(NaN, 1n)]],
  ["E_INVALIDARG", "adder", "AddFileWithRanges", "id", URL_OK, "/tmp/x", [range(-1n, 1n)]],
  ["E_INVALIDARG", "adder", "AddFileWithRanges", "id", URL_OK, "/tmp/x", [range(0, 1.5)]],
  ["E_INVALIDARG", "adder", "AddFileWithRanges", "id", URL_OK, "/tmp/x", [range(0n, 2n ** 64n)]],
  ["DO_E_INVALID_RANGE", "adder", "AddFileWithRanges", "i", URL_OK, "/tmp/x", [range(0n, 0n)]],
  [
    "DO_E_INVALID_RANGE",
    "adder",
    "AddFileWithRanges",
    "id",
    URL_OK,
    "/tmp/x",
    [range(BG_LENGTH_TO_EOF, 1n)],
  ],
  [
    "BG_E_TOO_MANY_RANGES_IN_FILE",
    "adder",
    "AddFileWithRanges",
    "id",
    URL_OK,
    "/tmp/x",
    Array.from({ length: 501 }, (_, i) => range(i * 10, 5)),
  ],
  ["E_INVALIDARG", "adder", "AddFileWithRanges", "id", URL_OK, "/tmp/x", [], -1],
  ["E_INVALIDARG", "adder", "AddFileWithRanges", "id", URL_OK, "/tmp/x", [], "5"],
  ["E_INVALIDARG", "adder", "AddFileWithRanges", "id", URL_OK, "/tmp/x", [], 2n ** 63n],
  ["E_NOINTERFACE", "job2", "AddFile", "id", URL_OK, [], LEGACY_IIDS.IBackgroundCopyFile],
  ["E_NOINTERFACE", "job2", "AddFile", "id", URL_OK, []],
  ["E_INVALIDARG", "job2", "AddFile", "id", "x", [], LEGACY_IIDS.IDeliveryOptimizationFile],
  ["E_INVALIDARG", "job2", "AddFile", 1, URL_OK, [], LEGACY_IIDS.IDeliveryOptimizationFile],
  ["DO_E_UNKNOWN_PROPERTY_ID", "job2", "GetProperty", "0"],
  ["DO_E_UNKNOWN_PROPERTY_ID", "job2", "SetProperty", undefined, 1],
  ["DO_E_UNKNOWN_PROPERTY_ID", "job2", "GetProperty", UNSAYABLE],
  ["E_INVALIDARG", "enum", "Next", -1],
  ["E_INVALIDARG", "enum", "Next", 1.5],
  ["E_INVALIDARG", "enum", "Skip", "1"],
  ["E_INVALIDARG", "enum", "Skip", NaN],
  ["E_INVALIDARG", "enum", "Next", null],
  ["E_INVALIDARG", "file", "SetRemoteName", null],
  ["E_INVALIDARG", "file", "SetRemoteName", "file:///etc/passwd"],
  ["E_INVALIDARG", "file", "SetRemoteName", `${URL_OK}?${"x".repeat(2_200)}`],
  ["E_INVALIDARG", "file", "GetProperty", 2],
  ["E_NOT_SET", "file", "GetProperty", 1],
  ["E_INVALIDARG", "file", "SetProperty", 2, { String: "x" }],
  ["E_NOTIMPL", "file", "SetProperty", 1, { String: "x" }],
  ["DO_E_UNKNOWN_PROPERTY_ID", "file2", "GetProperty", 7],
  ["DO_E_UNKNOWN_PROPERTY_ID", "file2", "GetProperty", "toString"],
  ["DO_E_UNKNOWN_PROPERTY_ID", "file2", "SetProperty", -1, 1],
  ["DO_E_UNKNOWN_PROPERTY_ID", "file2", "SetProperty", UNSAYABLE, 1],
  ["DO_E_UNKNOWN_PROPERTY_ID", "file2", "GetProperty", NaN],
  ["DO_E_WRITE_ONLY_PROPERTY", "file2", "GetProperty", p.DOFilePropertyId_IntegrityCheckInfo],
  ["E_NOT_SET", "file2", "GetProperty", p.DOFilePropertyId_DownloadSinkInterface],
  ["E_NOT_SET", "file2", "GetProperty", p.DOFilePropertyId_TotalSizeBytes],
  ["DO_E_MEMORYSTREAM_DOWNLOAD_NOT_SUPPORTED", "file2", "SetProperty", 5, new WritableStream()],
  ["DISP_E_TYPEMISMATCH", "file2", "SetProperty", p.DOFilePropertyId_DecryptionInfo, 1],
  ["E_INVALIDARG", "file2", "SetProperty", p.DOFilePropertyId_DecryptionInfo, "{"],
  ["E_NOTIMPL", "file2", "SetProperty", p.DOFilePropertyId_DecryptionInfo, '{"KeyData":"x"}'],
  ["DISP_E_TYPEMISMATCH", "file2", "SetProperty", p.DOFilePropertyId_IntegrityCheckInfo, {}],
  ["E_INVALIDARG", "file2", "SetProperty", p.DOFilePropertyId_IntegrityCheckInfo, "[]"],
  ["E_INVALIDARG", "file2", "SetProperty", p.DOFilePropertyId_IntegrityCheckInfo, "{}"],
  ["E_INVALIDARG", "file2", "SetProperty", 1, integrity({ PiecesHashFileDigest: "x" })],
  ["E_INVALIDARG", "file2", "SetProperty", 1, integrity({ PiecesHashFileDigest: undefined })],
  ["E_INVALIDARG", "file2", "SetProperty", 1, integrity({ PiecesHashFileDigestAlgorithm: "MD5" })],
  ["E_INVALIDARG", "file2", "SetProperty", 1, integrity({ PiecesHashFileUrl: "file:///x" })],
  ["DISP_E_TYPEMISMATCH", "file2", "SetProperty", p.DOFilePropertyId_IntegrityCheckMandatory, 1],
  ["DISP_E_TYPEMISMATCH", "file2", "SetProperty", p.DOFilePropertyId_DownloadSinkInterface, "x"],
  ["DISP_E_TYPEMISMATCH", "file2", "SetProperty", p.DOFilePropertyId_DownloadSinkFilePath, 1],
  ["E_INVALIDARG", "file2", "SetProperty", p.DOFilePropertyId_DownloadSinkFilePath, "x"],
  [
    "DO_E_FILE_DOWNLOADSINK_ALREADY_SET",
    "file2",
    "SetProperty",
    p.DOFilePropertyId_DownloadSinkInterface,
    new WritableStream(),
  ],
  ["DISP_E_TYPEMISMATCH", "file2", "SetProperty", p.DOFilePropertyId_TotalSizeBytes, "1"],
  ["DISP_E_TYPEMISMATCH", "file2", "SetProperty", p.DOFilePropertyId_TotalSizeBytes, -1n],
  ["E_INVALIDARG", "file2", "SetProperty", p.DOFilePropertyId_TotalSizeBytes, 2n ** 60n],
];

/** Of a file that came from its origin and has nothing to verify it by. */
const STATS_OF_ONE_FILE: Omit<DOSwarmStats, "downloadDuration" | "sourceURL"> = {
  fileId: "id",
  fileSize: BigInt(FILE_LENGTH),
  totalBytesDownloaded: BigInt(FILE_LENGTH),
  bytesFromLanPeers: 0n,
  bytesFromGroupPeers: 0n,
  bytesFromInternetPeers: 0n,
  bytesFromHttp: BigInt(FILE_LENGTH),
  bytesFromDoinc: 0n,
  bytesToLanPeers: 0n,
  bytesToGroupPeers: 0n,
  bytesToInternetPeers: 0n,
  httpConnectionCount: 0,
  doincConnectionCount: 0,
  lanConnectionCount: 0,
  groupConnectionCount: 0,
  internetConnectionCount: 0,
  downloadMode: DownloadMode.DownloadMode_CdnOnly,
  status: SwarmStatus.SwarmStatus_Complete,
  isBackground: true,
};

export function bitsInput(name: string, connect: Connect): void {
  describe(`input of the legacy interface, ${name}`, () => {
    let site: BitsSite;
    beforeAll(async () => {
      site = await BitsSite.open(connect);
    });
    afterAll(() => site[Symbol.asyncDispose]());

    test.for(BAD)("%s: %s.%s", async ([symbol, target, method, ...args]) => {
      const service = await site.service();
      const manager = createBackgroundCopyManager(service);
      const made = await newJob(site, manager);
      const objects = await objectsOf(made);
      const before = await service.list();
      const object = { ...objects, manager }[target] as unknown as Untyped;
      await expect(object[method]?.(...args)).rejects.toMatchObject(failure(symbol));
      expect(await service.list()).toEqual(before);
      await made.job.Cancel();
    });

    test("what is set is kept over a restart, callbacks excepted", async () => {
      const { job, jobId } = await newJob(site, await site.manager("keeper"));
      const { file2 } = await objectsOf({ job } as TestJob);
      const ClsID = "0F8FAD5B-D9CB-469F-A165-70867728950E";
      await job.SetNotifyFlags(BG_NOTIFY.BG_NOTIFY_JOB_ERROR);
      await job.SetNoProgressTimeout(0);
      await job.SetProperty(j.BITS_JOB_PROPERTY_ID_COST_FLAGS, { Dword: 0x4000_0021 });
      await job.SetProperty(j.BITS_JOB_PROPERTY_NOTIFICATION_CLSID, { ClsID });
      await file2.SetProperty(p.DOFilePropertyId_TotalSizeBytes, FILE_LENGTH);
      await file2.SetProperty(p.DOFilePropertyId_IntegrityCheckInfo, integrity({}));
      await site.stop();
      await site.start();
      const again = await (await site.manager("keeper")).GetJob(`{${jobId.toLowerCase()}}`);
      const job5 = again.queryInterface(LEGACY_IIDS.IBackgroundCopyJob5);
      expect([await again.GetNotifyFlags(), await again.GetNoProgressTimeout()]).toEqual([2, 0]);
      expect(await again.GetNotifyInterface()).toBe(null);
      const costs = await job5.GetProperty(j.BITS_JOB_PROPERTY_ID_COST_FLAGS);
      expect(costs).toEqual({ Dword: 0x4000_0021 });
      expect(await job5.GetProperty(j.BITS_JOB_PROPERTY_NOTIFICATION_CLSID)).toEqual({ ClsID });
      const file = (await firstFile(again)).queryInterface(LEGACY_IIDS.IDeliveryOptimizationFile2);
      const size = await file.GetProperty(p.DOFilePropertyId_TotalSizeBytes);
      expect(size).toBe(BigInt(FILE_LENGTH));
    });

    test("a job is seen by its owner alone (R-API-13)", async () => {
      const { jobId } = await newJob(site, await site.manager("owner"));
      const denied = failure("E_ACCESSDENIED");
      await expect((await site.manager("other")).GetJob(jobId)).rejects.toMatchObject(denied);
    });

    test("the limits of jobs and files have the codes of BITS (R-DB-06)", async () => {
      const manager = await site.manager("many");
      const made = Array.from({ length: 60 }, () => manager.CreateJob("x", 0));
      const jobs = await Promise.all(made);
      const tooMany = failure("BG_E_TOO_MANY_JOBS_PER_USER");
      await expect(manager.CreateJob("x", 0)).rejects.toMatchObject(tooMany);
      await Promise.all(jobs.slice(1).map(({ job }) => job.Cancel()));
      const job = jobs[0]?.job.queryInterface(LEGACY_IIDS.IDeliveryOptimizationJob2);
      const iid = LEGACY_IIDS.IDeliveryOptimizationFile;
      for (let i = 0; i < 200; i++) await job?.AddFile(`file${i}`, URL_OK, null, iid);
      const more = failure("BG_E_TOO_MANY_FILES_IN_JOB");
      await expect(job?.AddFile("file200", URL_OK, null, iid)).rejects.toMatchObject(more);
    });

    test("every call is refused with DO_E_NO_SERVICE when the service has closed", async () => {
      const service = await site.service();
      const manager = createBackgroundCopyManager(service);
      const { enum: files, ...objects } = await objectsOf(await newJob(site, manager));
      const { jobId } = await manager.CreateJob("other", 0);
      service.close();
      const calls: ReadonlyArray<readonly [Target, string, ...unknown[]]> = [
        ["manager", "CreateJob", "x", 0],
        ["manager", "GetJob", jobId],
        ...["Resume", "Suspend", "Cancel", "Complete", "EnumFiles", "GetDisplayName", "GetError"]
          .concat(["GetNoProgressTimeout", "GetNotifyFlags", "GetPriority", "GetProgress"])
          .concat(["GetState", "GetTimes"])
          .map((method) => ["job", method] as const),
        ["job", "SetNotifyFlags", 1],
        ["job", "SetNoProgressTimeout", 60],
        ["job", "SetPriority", 1],
        ["job", "SetNotifyInterface", null],
        ["job", "GetProperty", 1],
        ["job", "SetProperty", 1, { Dword: 1 }],
        ["adder", "AddFileWithRanges", "id", URL_OK, "/tmp/x"],
        ["job2", "AddFile", "id", URL_OK, [], LEGACY_IIDS.IDeliveryOptimizationFile],
        ["job2", "GetProperty", 0],
        ...["GetLocalName", "GetRemoteName", "GetProgress", "GetFileRanges", "GetStats"].map(
          (method) => ["file", method] as const,
        ),
        ["file", "SetRemoteName", URL_OK],
        ["file", "GetProperty", 1],
        ["file2", "GetProperty", p.DOFilePropertyId_DownloadSinkFilePath],
        ["file2", "SetProperty", p.DOFilePropertyId_TotalSizeBytes, 1n],
      ];
      for (const [target, method, ...args] of calls) {
        const object = { ...objects, enum: files, manager }[target] as unknown as Untyped;
        const outcome = await outcomeOf(object[method]?.(...args) ?? Promise.resolve("no method"));
        expect({ method, outcome }).toEqual({ method, outcome: "DO_E_NO_SERVICE" });
      }
      expect((await files.Next(2)).hr).toBe(1);
    });

    test("objects answer queryInterface by id, and refuse other interfaces", async () => {
      const manager = await site.manager();
      const { job, job2 } = await newJob(site, manager);
      const file = await firstFile(job);
      expect(job2.queryInterface(LEGACY_IIDS.IBackgroundCopyJob)).toBe(job);
      expect(job2.queryInterface(COM_IIDS.IUnknown)).toBe(job.queryInterface(COM_IIDS.IUnknown));
      const file2 = file.queryInterface(LEGACY_IIDS.IDeliveryOptimizationFile2);
      expect(file2.queryInterface(LEGACY_IIDS.IBackgroundCopyFile)).toBe(file);
      const braced = `{${LEGACY_IIDS.IBackgroundCopyManager.toLowerCase()}}`;
      expect(manager.queryInterface(braced as typeof LEGACY_IIDS.IBackgroundCopyManager)).toBe(
        manager,
      );
      const refused = expect.objectContaining(failure("E_NOINTERFACE"));
      for (const object of [manager, job, job2, file, file2, await job.EnumFiles()]) {
        expect(() => object.queryInterface(LEGACY_IIDS.IBackgroundCopyError)).toThrow(refused);
        expect(() => object.queryInterface("x" as typeof COM_IIDS.IUnknown)).toThrow(refused);
      }
    });

    test("a file enumeration is a snapshot, in the order of adding", async () => {
      const { job, adder } = await newJob(site, await site.manager());
      await adder.AddFileWithRanges("second", URL_OK, site.path(), null, DO_UNKNOWN_FILE_SIZE);
      const files = await job.EnumFiles();
      await adder.AddFileWithRanges("third", URL_OK, site.path());
      expect(await files.GetCount()).toBe(2);
      expect((await files.Next(5)).hr).toBe(1);
      expect(await files.Next(0)).toEqual({ hr: 0, items: [] });
      await files.Reset();
      expect([await files.Skip(1), (await files.Next(1)).hr]).toEqual([0, 0]);
      await files.Reset();
      expect([await files.Skip(3), (await files.Next(1)).items]).toEqual([1, []]);
    });

    test("a stream takes a file that was added without a place, and stats add up", async () => {
      const { job, job2 } = await createJob(await site.manager());
      const iid = LEGACY_IIDS.IDeliveryOptimizationFile;
      const added = await job2.AddFile("id", site.url("serve"), null, iid);
      const unspecified = failure("DO_E_FILE_DOWNLOADSINK_UNSPECIFIED");
      await expect(job.Resume()).rejects.toMatchObject(unspecified);
      const file2 = added.queryInterface(LEGACY_IIDS.IDeliveryOptimizationFile2);
      const parts: Uint8Array[] = [];
      const closed = Promise.withResolvers<void>();
      const stream = new WritableStream<Uint8Array>({
        write: (bytes) => void parts.push(bytes),
        close: () => closed.resolve(),
        abort: (reason: Error) => closed.reject(reason),
      });
      await file2.SetProperty(p.DOFilePropertyId_DownloadSinkInterface, stream);
      expect(await file2.GetProperty(p.DOFilePropertyId_DownloadSinkInterface)).toBe(stream);
      const taken = failure("DO_E_FILE_DOWNLOADSINK_ALREADY_SET");
      const path = p.DOFilePropertyId_DownloadSinkFilePath;
      await expect(file2.SetProperty(path, site.path())).rejects.toMatchObject(taken);
      await job.Resume();
      await closed.promise;
      await reaches(job, "TRANSFERRED");
      expect(Buffer.concat(parts).equals(site.content)).toBe(true);
      const { downloadDuration, sourceURL, ...stats } = await added.GetStats();
      expect(stats).toEqual(STATS_OF_ONE_FILE);
      expect(sourceURL).toBe(
        await added.queryInterface(LEGACY_IIDS.IBackgroundCopyFile).GetRemoteName(),
      );
      expect(Number.isInteger(downloadDuration) && downloadDuration < 60_000).toBe(true);
      const file5 = added.queryInterface(LEGACY_IIDS.IBackgroundCopyFile5);
      const { String: headers } = await file5.GetProperty(
        BITS_FILE_PROPERTY_ID.BITS_FILE_PROPERTY_ID_HTTP_RESPONSE_HEADERS,
      );
      expect(headers).toMatch(/^HTTP\/1\.1 20[06] .*\r\n/);
    });

    test("a stream that cannot be had leaves the file without a sink", async () => {
      const { job, job2 } = await createJob(await site.manager());
      const iid = LEGACY_IIDS.IDeliveryOptimizationFile;
      const file = await job2.AddFile("id", site.url("serve"), null, iid);
      const file2 = file.queryInterface(LEGACY_IIDS.IDeliveryOptimizationFile2);
      const stream = new WritableStream<Uint8Array>();
      const setting = file2.SetProperty(p.DOFilePropertyId_DownloadSinkInterface, stream);
      // Somebody else takes it while it is being set.
      stream.getWriter();
      await expect(setting).rejects.toMatchObject(failure("E_INVALIDARG"));
      await file2.SetProperty(p.DOFilePropertyId_DownloadSinkFilePath, site.path());
      await job.Resume();
      await reaches(job, "TRANSFERRED");
    });

    test("cost flags of a background job wait for a network without surcharge", async () => {
      const { job, adder } = await createJob(await site.manager());
      await adder.AddFileWithRanges("id", site.url("serve", { isFar: true }), site.path());
      site.setNetwork({ cost: "roaming" });
      onTestFinished(() => site.setNetwork({}));
      await job.Resume();
      await reaches(job, "TRANSIENT_ERROR");
      const { code } = await (await job.GetError()).GetError();
      expect(failure("DO_E_BLOCKED_BY_COST_TRANSFER_POLICY")).toMatchObject({ hresult: code });
      await job.SetProperty(j.BITS_JOB_PROPERTY_ID_COST_FLAGS, { Dword: 0x8000_00ff });
      await reaches(job, "TRANSFERRED");
    });
  });
}

async function newJob(site: BitsSite, manager: Parameters<typeof createJob>[0]): Promise<TestJob> {
  const made = await createJob(manager);
  await made.adder.AddFileWithRanges("first", URL_OK, site.path());
  return made;
}

async function objectsOf({ job, adder, job2 }: TestJob) {
  const file = await firstFile(job);
  return {
    job,
    adder,
    job2,
    enum: await job.EnumFiles(),
    file: file.queryInterface(LEGACY_IIDS.IBackgroundCopyFile5),
    file2: file.queryInterface(LEGACY_IIDS.IDeliveryOptimizationFile2),
  };
}

/** The conformance checklist of the legacy face (job-API reference, section 19), line by line. */
import { existsSync } from "node:fs";
import { mkdir, readFile, rmdir, stat } from "node:fs/promises";
import { HRESULTS, SETTINGS } from "@shoal/core";
import {
  BG_ERROR_CONTEXT,
  BG_JOB_PRIORITY,
  BG_LENGTH_TO_EOF,
  BG_NOTIFY,
  BG_SIZE_UNKNOWN,
  BITS_JOB_PROPERTY_ID,
  BITS_JOB_TRANSFER_POLICY,
  DOFilePropertyId,
  DOJobPropertyId,
  LEGACY_IIDS,
} from "@shoal/jobs/compat";
import type {
  IBackgroundCopyCallback,
  IBackgroundCopyError,
  IBackgroundCopyJob,
} from "@shoal/jobs/compat";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { until } from "../integration/harness.ts";
import {
  BitsSite,
  createJob,
  failure,
  FILE_LENGTH,
  firstFile,
  reaches,
  stateOf,
} from "./bits-site.ts";
import type { Behaviour, Connect, TestJob } from "./bits-site.ts";

const FAR = { isFar: true };

/** Counts what it hears, and answers with the results in turn, then with `S_OK`. */
class Hearer implements IBackgroundCopyCallback {
  readonly heard: string[] = [];
  readonly errors: IBackgroundCopyError[] = [];
  readonly #results: number[];
  onTransferred: (job: IBackgroundCopyJob) => Promise<unknown> = async () => {};

  constructor(...results: number[]) {
    this.#results = results;
  }

  async JobTransferred(job: IBackgroundCopyJob): Promise<number> {
    this.heard.push("transferred");
    await this.onTransferred(job);
    return this.#results.shift() ?? HRESULTS.S_OK;
  }

  JobError(_: IBackgroundCopyJob, error: IBackgroundCopyError): number {
    this.heard.push("error");
    this.errors.push(error);
    return this.#results.shift() ?? HRESULTS.S_OK;
  }

  JobModification(): void {
    this.heard.push("modification");
  }
}

let ownerCount = 0;

async function jobWith(
  site: BitsSite,
  behaviours: readonly Behaviour[],
): Promise<TestJob & { readonly paths: readonly string[]; readonly owner: string }> {
  const owner = `owner${++ownerCount}`;
  const made = await createJob(await site.manager(owner));
  const paths = behaviours.map(() => site.path());
  for (const [index, behaviour] of behaviours.entries()) {
    const url = site.url(behaviour, FAR);
    await made.adder.AddFileWithRanges(`file${index}`, url, paths[index] ?? "");
  }
  return { ...made, paths, owner };
}

export function bitsChecklist(name: string, connect: Connect): void {
  describe(`the checklist of the legacy interface, ${name}`, () => {
    let site: BitsSite;
    beforeAll(async () => {
      site = await BitsSite.open(connect);
    });
    afterAll(() => site[Symbol.asyncDispose]());

    test("1: a new job is suspended and empty, and cannot be resumed", async () => {
      const { job } = await createJob(await site.manager());
      expect(await job.GetState()).toBe(stateOf("SUSPENDED"));
      expect(await job.GetProgress()).toMatchObject({ FilesTotal: 0, FilesTransferred: 0 });
      await expect(job.Resume()).rejects.toMatchObject(failure("DO_E_JOB_EMPTY"));
      expect(await job.GetState()).toBe(stateOf("SUSPENDED"));
      expect(await job.GetPriority()).toBe(BG_JOB_PRIORITY.BG_JOB_PRIORITY_NORMAL);
      expect(await job.GetNotifyFlags()).toBe(3);
      expect(await job.GetNoProgressTimeout()).toBe(86_400);
      const costs = (): Promise<unknown> =>
        job.GetProperty(BITS_JOB_PROPERTY_ID.BITS_JOB_PROPERTY_ID_COST_FLAGS);
      const policy = BITS_JOB_TRANSFER_POLICY;
      expect(await costs()).toEqual({ Dword: policy.BITS_JOB_TRANSFER_POLICY_STANDARD });
      await job.SetPriority(BG_JOB_PRIORITY.BG_JOB_PRIORITY_FOREGROUND);
      expect(await job.GetNoProgressTimeout()).toBe(3_600);
      expect(await costs()).toEqual({ Dword: policy.BITS_JOB_TRANSFER_POLICY_ALWAYS });
      await job.SetNoProgressTimeout(0xffff_ffff);
      expect(await job.GetNoProgressTimeout()).toBe(0xffff_ffff);
    });

    test("2: files are refused with the documented codes", async () => {
      const { job, adder } = await createJob(await site.manager());
      const add = (localName: string, ...ranges: Array<readonly [bigint, bigint]>) =>
        adder.AddFileWithRanges(
          "id",
          site.url("serve"),
          localName,
          ranges.map(([InitialOffset, Length]) => ({ InitialOffset, Length })),
        );
      const path = site.path();
      await expect(add("")).rejects.toMatchObject(failure("E_INVALIDARG"));
      const invalid = failure("DO_E_INVALID_RANGE");
      await expect(add(path, [BG_LENGTH_TO_EOF, 1n])).rejects.toMatchObject(invalid);
      await expect(add(path, [0n, 0n])).rejects.toMatchObject(invalid);
      const overlap = failure("DO_E_OVERLAPPING_RANGES");
      await expect(add(path, [0n, 10n], [5n, 10n])).rejects.toMatchObject(overlap);
      await expect(add(path, [0n, 10n], [0n, 10n])).rejects.toMatchObject(overlap);
      await expect(add(path, [100n, 5n], [100n, 0n])).rejects.toMatchObject(overlap);
      expect(await job.GetProgress()).toMatchObject({ FilesTotal: 0 });
      await job.Cancel();
      await expect(add(path)).rejects.toMatchObject(failure("DO_E_INVALID_STATE"));
    });

    test("3: ranges are packed in the order given", async () => {
      const { job, adder } = await createJob(await site.manager());
      const path = site.path();
      const ranges = [
        { InitialOffset: 100n, Length: 100n },
        { InitialOffset: 900, Length: 100 },
        { InitialOffset: 400n, Length: 100n },
      ];
      await adder.AddFileWithRanges("id", site.url("serve"), path, ranges);
      const file = await firstFile(job);
      expect(await file.GetProgress()).toMatchObject({ BytesTotal: 300n, BytesTransferred: 0n });
      const file2 = file.queryInterface(LEGACY_IIDS.IBackgroundCopyFile2);
      const shown = ranges.map(({ InitialOffset, Length }) => ({
        InitialOffset: BigInt(InitialOffset),
        Length: BigInt(Length),
      }));
      expect(await file2.GetFileRanges()).toEqual({ hr: HRESULTS.S_OK, ranges: shown });
      await job.Resume();
      await reaches(job, "TRANSFERRED");
      expect(await job.GetProgress()).toMatchObject({ BytesTotal: 300n, BytesTransferred: 300n });
      expect(await job.Complete()).toBe(HRESULTS.S_OK);
      const parts = [100, 900, 400].map((start) => site.content.subarray(start, start + 100));
      expect((await readFile(path)).equals(Buffer.concat(parts))).toBe(true);
    });

    test("4: an error's context is REMOTE_FILE for HTTP 403 only", async () => {
      const cases = [
        [403, "HTTP_E_STATUS_FORBIDDEN", "BG_ERROR_CONTEXT_REMOTE_FILE"],
        [404, "HTTP_E_STATUS_NOT_FOUND", "BG_ERROR_CONTEXT_NONE"],
      ] as const;
      for (const [behaviour, symbol, context] of cases) {
        const { job, job2, paths } = await jobWith(site, [behaviour]);
        const noError = failure("DO_E_ERROR_INFORMATION_UNAVAILABLE");
        await expect(job.GetError()).rejects.toMatchObject(noError);
        expect(await job2.GetProperty(DOJobPropertyId.DOJobPropertyId_ExtendedErrorInfo)).toBe("");
        await job.Resume();
        await reaches(job, "ERROR");
        const error = await job.GetError();
        const expected = { context: BG_ERROR_CONTEXT[context], code: HRESULTS[symbol] };
        expect(await error.GetError()).toEqual(expected);
        expect(await (await error.GetFile()).GetLocalName()).toBe(paths[0]);
        const info = await job2.GetProperty(DOJobPropertyId.DOJobPropertyId_ExtendedErrorInfo);
        expect(JSON.parse(info)).toMatchObject({ symbol, originStatus: behaviour });
      }
    });

    test("5: without network a job waits, goes on with it, and fails when it stays away", async () => {
      const { job } = await jobWith(site, ["serve"]);
      const hearer = new Hearer();
      await job.SetNotifyInterface(hearer);
      site.setNetwork({ isOnline: false });
      await job.Resume();
      await reaches(job, "TRANSIENT_ERROR");
      const { code } = await (await job.GetError()).GetError();
      expect(code).toBe(HRESULTS.DO_E_BLOCKED_BY_NO_NETWORK);
      await expect((await job.GetError()).GetFile()).rejects.toMatchObject(
        failure("DO_E_FILE_NOT_AVAILABLE"),
      );
      expect(hearer.heard).toEqual([]);
      site.setNetwork({ isOnline: true });
      await reaches(job, "TRANSFERRED");
      await until(() => hearer.heard.length > 0, "the callback");
      expect(hearer.heard).toEqual(["transferred"]);

      const { job: other } = await jobWith(site, ["serve"]);
      const otherHearer = new Hearer();
      await other.SetNotifyInterface(otherHearer);
      await other.SetNoProgressTimeout(1);
      site.setNetwork({ isOnline: false });
      await other.Resume();
      await reaches(other, "ERROR");
      site.setNetwork({ isOnline: true });
      await until(() => otherHearer.heard.length > 0, "the callback");
      expect(otherHearer.heard).toEqual(["error"]);
      expect(await otherHearer.errors[0]?.GetError()).toEqual({
        context: 0,
        code: HRESULTS.DO_E_DOWNLOAD_NO_PROGRESS,
      });
    });

    test("6: JobError is repeated until S_OK, and JobTransferred comes to late registrations", async () => {
      const { job } = await jobWith(site, [404]);
      const hearer = new Hearer(HRESULTS.E_FAIL);
      await job.SetNotifyInterface(hearer);
      await job.Resume();
      await until(() => hearer.heard.length === 2, "the second call");
      expect(hearer.heard).toEqual(["error", "error"]);

      const { job: done, jobId } = await jobWith(site, ["serve"]);
      await done.Resume();
      await reaches(done, "TRANSFERRED");
      const late = new Hearer();
      let result: number | undefined;
      late.onTransferred = async (it) => {
        expect(await it.GetId()).toBe(jobId);
        result = await it.Complete();
      };
      await done.SetNotifyInterface(late);
      await reaches(done, "ACKNOWLEDGED");
      await until(() => result !== undefined, "the result of Complete");
      expect([result, late.heard]).toEqual([HRESULTS.S_OK, ["transferred"]]);
    });

    test("7: Complete before the end keeps what is finished, and happens once", async () => {
      const manager = await site.manager();
      const { job, jobId, adder } = await createJob(manager);
      const paths = [site.path(), site.path(), site.path()];
      for (const [index, path] of paths.entries()) {
        const url = site.url(index < 2 ? "serve" : "stall");
        await adder.AddFileWithRanges(`file${index}`, url, path);
      }
      await job.Resume();
      const isUnderWay = async (): Promise<boolean> =>
        (await job.GetProgress()).FilesTransferred === 2;
      await until(isUnderWay, "two of three files");
      expect(await job.Complete()).toBe(HRESULTS.BG_S_PARTIAL_COMPLETE);
      expect(paths.map((path) => existsSync(path))).toEqual([true, true, false]);
      expect((await readFile(paths[1] ?? "")).equals(site.content)).toBe(true);
      await expect(job.Complete()).rejects.toMatchObject(failure("DO_E_INVALID_STATE"));
      expect(await job.GetState()).toBe(stateOf("ACKNOWLEDGED"));
      await expect(manager.GetJob(jobId)).rejects.toMatchObject(failure("DO_E_JOB_NOT_FOUND"));
    });

    test("8: Cancel deletes temporary files, once", async () => {
      const { job } = await jobWith(site, ["serve", "stall"]);
      const before = await site.files();
      await job.Resume();
      await until(async () => (await site.files()).length > before.length, "a temporary file");
      expect(await job.Cancel()).toBe(HRESULTS.S_OK);
      expect(await site.files()).toEqual(before);
      await expect(job.Cancel()).rejects.toMatchObject(failure("DO_E_INVALID_STATE"));
    });

    test("9: a rename that fails leaves the job transferred, and can be tried again", async () => {
      const { job, paths } = await jobWith(site, ["serve", "serve"]);
      await job.Resume();
      await reaches(job, "TRANSFERRED");
      await mkdir(paths[1] ?? "");
      await expect(job.Complete()).rejects.toMatchObject({ name: "HResultError" });
      expect(await job.GetState()).toBe(stateOf("TRANSFERRED"));
      const { items } = await (await job.EnumFiles()).Next(2);
      const completed = async (): Promise<readonly boolean[]> =>
        Promise.all(items.map(async (file) => (await file.GetProgress()).Completed));
      expect(await completed()).toEqual([true, false]);
      await rmdir(paths[1] ?? "");
      expect(await job.Complete()).toBe(HRESULTS.S_OK);
      expect(await completed()).toEqual([true, true]);
      expect((await stat(paths[1] ?? "")).mtime.toISOString()).toBe("2026-04-01T00:00:00.000Z");
    });

    test("10: GetFileRanges of a file without ranges is S_FALSE", async () => {
      const { job } = await jobWith(site, ["serve"]);
      const file = (await firstFile(job)).queryInterface(LEGACY_IIDS.IBackgroundCopyFile2);
      expect(await file.GetFileRanges()).toEqual({ hr: HRESULTS.S_FALSE, ranges: [] });
      expect(await file.GetProgress()).toEqual({
        BytesTotal: BG_SIZE_UNKNOWN,
        BytesTransferred: 0n,
        Completed: false,
      });
      expect((await job.GetProgress()).BytesTotal).toBe(BG_SIZE_UNKNOWN);
    });

    test("11: properties refuse what they cannot do, each with its code", async () => {
      const { job, job2 } = await jobWith(site, ["serve"]);
      const info = DOJobPropertyId.DOJobPropertyId_ExtendedErrorInfo;
      const readOnly = failure("DO_E_READ_ONLY_PROPERTY");
      await expect(job2.SetProperty(info, "x")).rejects.toMatchObject(readOnly);
      const unknown = failure("DO_E_UNKNOWN_PROPERTY_ID");
      await expect(job2.SetProperty(1 as 0, "x")).rejects.toMatchObject(unknown);
      await expect(job2.GetProperty(1 as 0)).rejects.toMatchObject(unknown);
      const file = await firstFile(job);
      const file2 = file.queryInterface(LEGACY_IIDS.IDeliveryOptimizationFile2);
      const p = DOFilePropertyId;
      const writeOnly = failure("DO_E_WRITE_ONLY_PROPERTY");
      await expect(file2.GetProperty(p.DOFilePropertyId_DecryptionInfo)).rejects.toMatchObject(
        writeOnly,
      );
      const mandatory = p.DOFilePropertyId_IntegrityCheckMandatory;
      const notSet = failure("E_NOT_SET");
      await expect(file2.GetProperty(mandatory)).rejects.toMatchObject(notSet);
      await file2.SetProperty(mandatory, true);
      expect(await file2.GetProperty(mandatory)).toBe(true);
      const unspecified = failure("DO_E_INTEGRITYCHECKINFO_UNSPECIFIED");
      await expect(job.Resume()).rejects.toMatchObject(unspecified);
      expect(await job.GetState()).toBe(stateOf("SUSPENDED"));
    });

    test("13: ModificationTime advances with every change, TransferCompletionTime is set once", async () => {
      const { job, adder } = await jobWith(site, ["serve"]);
      const p = BITS_JOB_PROPERTY_ID;
      const Dword = BITS_JOB_TRANSFER_POLICY.BITS_JOB_TRANSFER_POLICY_STANDARD;
      const file = (await firstFile(job)).queryInterface(LEGACY_IIDS.IBackgroundCopyFile2);
      const setters = [
        () => job.SetPriority(BG_JOB_PRIORITY.BG_JOB_PRIORITY_HIGH),
        () => job.SetNotifyFlags(BG_NOTIFY.BG_NOTIFY_JOB_ERROR),
        () => job.SetNoProgressTimeout(60),
        () => job.SetProperty(p.BITS_JOB_PROPERTY_ID_COST_FLAGS, { Dword }),
        () => file.SetRemoteName(site.url("serve")),
        () => adder.AddFileWithRanges("other", site.url("serve"), site.path()),
        () => job.Resume(),
      ];
      for (const set of setters) {
        const { ModificationTime, TransferCompletionTime } = await job.GetTimes();
        expect(TransferCompletionTime).toBe(0n);
        await aMillisecond();
        await set();
        expect((await job.GetTimes()).ModificationTime).toBeGreaterThan(ModificationTime);
      }
      await reaches(job, "TRANSFERRED");
      const times = await job.GetTimes();
      expect(times.TransferCompletionTime).toBeGreaterThan(times.CreationTime);
      // Ticks of 100 ns since 1601.
      expect(
        new Date(Number(times.CreationTime / 10_000n - 11_644_473_600_000n)).getTime(),
      ).closeTo(Date.now(), 60_000);
      await aMillisecond();
      await job.SetPriority(BG_JOB_PRIORITY.BG_JOB_PRIORITY_LOW);
      const later = await job.GetTimes();
      expect(later.TransferCompletionTime).toBe(times.TransferCompletionTime);
      expect(later.ModificationTime).toBeGreaterThan(times.ModificationTime);
      expect((await job.GetProgress()).BytesTransferred).toBe(BigInt(2 * FILE_LENGTH));
    });
  });

  test(`12: a job of 30 days and a second disappears, temporary files too, ${name}`, async () => {
    await using site = await BitsSite.open(connect, { expiryGraceMs: 0 });
    const made = await jobWith(site, ["serve", "stall"]);
    const young = await jobWith(site, []);
    await made.job.Resume();
    await until(async () => (await site.files()).length > 0, "a temporary file");
    await site.stop();
    const { default: ageMs } = SETTINGS.jobAgeMsMax;
    site.setStored(made.jobId, "createdAt", Date.now() - ageMs - 1_000);
    await site.start();
    await until(async () => (await site.files()).length === 0, "the temporary files are gone");
    const manager = await site.manager(made.owner);
    const notFound = failure("DO_E_JOB_NOT_FOUND");
    await expect(manager.GetJob(made.jobId)).rejects.toMatchObject(notFound);
    const owner = await site.manager(young.owner);
    expect(await (await owner.GetJob(young.jobId)).GetState()).toBe(stateOf("SUSPENDED"));
  });
}

/** Until the wall clock shows another millisecond. */
async function aMillisecond(): Promise<void> {
  const at = Date.now();
  await until(() => Date.now() > at, "a millisecond");
}

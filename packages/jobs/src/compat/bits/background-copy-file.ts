/**
 * One file of a job. `IBackgroundCopyFile5` and `IDeliveryOptimizationFile2` both have a
 * `GetProperty` and a `SetProperty`, so the latter is a view of its own.
 *
 * Knows its job and its place in it; files are never taken out of a job. Made by
 * `BackgroundCopyJob`.
 */
import { HRESULTS } from "@shoal/core";
import { BITS_FILE_PROPERTY_ID, LEGACY_IIDS } from "../constants/bits.ts";
import { COM_IIDS } from "../constants/guid.ts";
import { HResultError } from "../hresult-error.ts";
import { DeliveryOptimizationFile2 } from "./delivery-optimization-file2.ts";
import type { FileStreams } from "./file-streams.ts";
import type {
  BG_FILE_PROGRESS,
  BG_FILE_RANGE,
  BITS_FILE_PROPERTY_VALUE,
  DOSwarmStats,
  IBackgroundCopyFile2,
  IBackgroundCopyFile5,
  IDeliveryOptimizationFile,
  InterfacesById,
} from "./interfaces.ts";
import type { JobAccess } from "./job-access.ts";
import { viewOf } from "./query-interface.ts";
import type { Views } from "./query-interface.ts";
import { invalid, readRemoteName } from "./read-arguments.ts";
import { fileProgress, shownRange, swarmStats } from "./shown-values.ts";

export class BackgroundCopyFile
  implements IBackgroundCopyFile2, IBackgroundCopyFile5, IDeliveryOptimizationFile
{
  readonly #access: JobAccess;
  readonly #fileIndex: number;
  readonly #views: Views;

  constructor(access: JobAccess, streams: FileStreams, fileIndex: number) {
    this.#access = access;
    this.#fileIndex = fileIndex;
    const ask: BackgroundCopyFile["queryInterface"] = (iid) => this.queryInterface(iid);
    this.#views = {
      [COM_IIDS.IUnknown]: this,
      [LEGACY_IIDS.IBackgroundCopyFile]: this,
      [LEGACY_IIDS.IBackgroundCopyFile2]: this,
      [LEGACY_IIDS.IBackgroundCopyFile5]: this,
      [LEGACY_IIDS.IDeliveryOptimizationFile]: this,
      [LEGACY_IIDS.IDeliveryOptimizationFile2]: new DeliveryOptimizationFile2(
        { access, streams, ask },
        fileIndex,
      ),
    };
  }

  async GetLocalName(): Promise<string> {
    const { file } = await this.#access.file(this.#fileIndex);
    return file.destination ?? "";
  }

  async GetRemoteName(): Promise<string> {
    const { file } = await this.#access.file(this.#fileIndex);
    return file.url ?? "";
  }

  async GetProgress(): Promise<BG_FILE_PROGRESS> {
    const { file } = await this.#access.file(this.#fileIndex);
    return fileProgress(file);
  }

  async GetFileRanges(): Promise<{ hr: number; ranges: readonly BG_FILE_RANGE[] }> {
    const { file } = await this.#access.file(this.#fileIndex);
    const ranges = file.ranges?.map(shownRange) ?? [];
    return { hr: ranges.length === 0 ? HRESULTS.S_FALSE : HRESULTS.S_OK, ranges };
  }

  async SetRemoteName(remoteUrl: string): Promise<void> {
    const values = { url: readRemoteName(remoteUrl) };
    await this.#access.change({ type: "setFile", fileIndex: this.#fileIndex, values });
  }

  async GetProperty(id: BITS_FILE_PROPERTY_ID): Promise<BITS_FILE_PROPERTY_VALUE> {
    checkPropertyId(id);
    const response = await this.#access.response(this.#fileIndex);
    if (response === undefined) throw HResultError.of("E_NOT_SET");
    return { String: response.headers };
  }

  async SetProperty(id: BITS_FILE_PROPERTY_ID): Promise<void> {
    checkPropertyId(id);
    throw HResultError.of("E_NOTIMPL", "response header fields are the server's");
  }

  async GetStats(): Promise<DOSwarmStats> {
    const { job, file } = await this.#access.file(this.#fileIndex);
    return swarmStats(job, file);
  }

  queryInterface<Iid extends keyof InterfacesById>(iid: Iid): InterfacesById[Iid] {
    return viewOf(this.#views, iid);
  }
}

function checkPropertyId(id: unknown): void {
  if (id !== BITS_FILE_PROPERTY_ID.BITS_FILE_PROPERTY_ID_HTTP_RESPONSE_HEADERS) {
    throw invalid("there is no property with this id");
  }
}

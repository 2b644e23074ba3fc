/**
 * `IDeliveryOptimizationJob2`: adds a file that gets its destination later, and tells more of an
 * error. A view of `BackgroundCopyJob`, because its `GetProperty` has ids of its own.
 */
import { ShoalError } from "@shoal/core";
import type { JobFileSpec, JobSnapshot } from "@shoal/core";
import { DOJobPropertyId, LEGACY_IIDS } from "../constants/bits.ts";
import { isSameGuid } from "../constants/guid.ts";
import { HResultError, unknownProperty } from "../hresult-error.ts";
import type {
  FileRangeInput,
  IDeliveryOptimizationFile,
  IDeliveryOptimizationJob2,
  InterfacesById,
  IUnknown,
} from "./interfaces.ts";
import type { JobAccess } from "./job-access.ts";
import { readFile } from "./read-arguments.ts";
import { shownError } from "./shown-values.ts";

export interface Job2Parts {
  readonly access: JobAccess;
  /** Adds the file, and returns it. */
  readonly addFile: (file: JobFileSpec) => Promise<IDeliveryOptimizationFile>;
  /** The whole job's answer. */
  readonly ask: IUnknown["queryInterface"];
}

export class DeliveryOptimizationJob2 implements IDeliveryOptimizationJob2 {
  readonly #parts: Job2Parts;

  constructor(parts: Job2Parts) {
    this.#parts = parts;
  }

  async AddFile(
    fileId: string,
    remoteUrl: string | null,
    ranges: readonly FileRangeInput[] | null,
    riid: (typeof LEGACY_IIDS)["IDeliveryOptimizationFile"],
  ): Promise<IDeliveryOptimizationFile> {
    if (!isSameGuid(riid, LEGACY_IIDS.IDeliveryOptimizationFile)) {
      throw HResultError.of("E_NOINTERFACE");
    }
    return this.#parts.addFile(readFile({ fileId, remoteUrl, ranges }));
  }

  async GetProperty(id: DOJobPropertyId): Promise<string> {
    checkPropertyId(id);
    return extendedErrorInfo(await this.#parts.access.snapshot());
  }

  async SetProperty(id: DOJobPropertyId): Promise<void> {
    checkPropertyId(id);
    throw HResultError.of("DO_E_READ_ONLY_PROPERTY");
  }

  queryInterface<Iid extends keyof InterfacesById>(iid: Iid): InterfacesById[Iid] {
    return this.#parts.ask(iid);
  }
}

function checkPropertyId(id: unknown): void {
  if (id !== DOJobPropertyId.DOJobPropertyId_ExtendedErrorInfo) {
    throw unknownProperty(id);
  }
}

function extendedErrorInfo(job: JobSnapshot): string {
  const error = shownError(job);
  if (error === undefined) return "";
  const { hresult, symbol } = HResultError.from(ShoalError.from(error));
  return JSON.stringify({ ...error, hresult, symbol });
}

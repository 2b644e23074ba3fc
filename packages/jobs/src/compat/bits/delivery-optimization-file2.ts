/**
 * The properties of a file (job-API reference, sections 4.8 and 10), by a table: which type each
 * has, what setting it changes in the file, and what of the file it shows.
 *
 * Knows one file. A view of `BackgroundCopyFile`.
 */
import type { FileSnapshot, JobFileSpec, Nullable } from "@shoal/core";
import { DOFilePropertyId } from "../constants/bits.ts";
import { parseIntegrityCheckInfo, refuseDecryptionInfo } from "../download/property-documents.ts";
import { HResultError, unknownProperty } from "../hresult-error.ts";
import type { FileStreams } from "./file-streams.ts";
import type {
  DOFilePropertyValue,
  IDeliveryOptimizationFile2,
  InterfacesById,
  IUnknown,
} from "./interfaces.ts";
import type { JobAccess } from "./job-access.ts";
import { invalid, readFileSize, readLocalName, readU64 } from "./read-arguments.ts";

export interface File2Parts {
  readonly access: JobAccess;
  readonly streams: FileStreams;
  /** The whole file's answer. */
  readonly ask: IUnknown["queryInterface"];
}

export class DeliveryOptimizationFile2 implements IDeliveryOptimizationFile2 {
  readonly #parts: File2Parts;
  readonly #fileIndex: number;

  constructor(parts: File2Parts, fileIndex: number) {
    this.#parts = parts;
    this.#fileIndex = fileIndex;
  }

  async GetProperty(id: DOFilePropertyId): Promise<DOFilePropertyValue> {
    const { show } = ruleOf(id);
    if (show === undefined) throw HResultError.of("DO_E_WRITE_ONLY_PROPERTY");
    const { access, streams } = this.#parts;
    const { file } = await access.file(this.#fileIndex);
    const stream = streams.get({ jobId: access.jobId, fileIndex: this.#fileIndex });
    const value = show(file, stream);
    if (value === undefined) throw HResultError.of("E_NOT_SET");
    return value;
  }

  async SetProperty(id: DOFilePropertyId, value: DOFilePropertyValue | number): Promise<void> {
    const { read } = ruleOf(id);
    const { access, streams } = this.#parts;
    const fileIndex = this.#fileIndex;
    const set = (values: Nullable<JobFileSpec>): Promise<void> =>
      access.change({ type: "setFile", fileIndex, values }, { states: ["suspended"] });
    const values = read(value);
    if (!isStream(value)) return set(values);
    const { file } = await access.file(fileIndex);
    await set(values);
    try {
      await streams.attach({ jobId: access.jobId, fileIndex }, value);
    } catch (error) {
      // A call that fails has changed nothing; that it could not be taken back is the lesser news.
      if (!file.toStream) await set({ toStream: null }).catch(() => {});
      throw error;
    }
  }

  queryInterface<Iid extends keyof InterfacesById>(iid: Iid): InterfacesById[Iid] {
    return this.#parts.ask(iid);
  }
}

interface PropertyRule {
  /** What setting it changes. Throws `DISP_E_TYPEMISMATCH`, `E_INVALIDARG`, `E_NOTIMPL`. */
  readonly read: (value: unknown) => JobFileSpec;
  /** Absent: the property can only be set. */
  readonly show?: (
    file: FileSnapshot,
    stream: WritableStream<Uint8Array> | undefined,
  ) => DOFilePropertyValue | undefined;
}

const RULES: Readonly<Record<DOFilePropertyId, PropertyRule>> = {
  [DOFilePropertyId.DOFilePropertyId_DecryptionInfo]: {
    read: (value) => refuseDecryptionInfo(textOf(value)),
  },
  [DOFilePropertyId.DOFilePropertyId_IntegrityCheckInfo]: {
    read: (value) => ({ pieceHashes: parseIntegrityCheckInfo(textOf(value)) }),
  },
  [DOFilePropertyId.DOFilePropertyId_IntegrityCheckMandatory]: {
    read: (value) => {
      if (typeof value !== "boolean") throw mismatch();
      return { mandatoryIntegrity: value };
    },
    show: ({ mandatoryIntegrity }) => mandatoryIntegrity,
  },
  [DOFilePropertyId.DOFilePropertyId_DownloadSinkInterface]: {
    read: (value) => {
      if (!isStream(value)) throw mismatch();
      if (value.locked) throw invalid("the stream is in use");
      return { toStream: true };
    },
    show: (_, stream) => stream,
  },
  [DOFilePropertyId.DOFilePropertyId_DownloadSinkFilePath]: {
    read: (value) => ({ destination: readLocalName(textOf(value)) }),
    show: ({ destination }) => destination,
  },
  [DOFilePropertyId.DOFilePropertyId_DownloadSinkMemoryStream]: {
    read: refuseMemoryStream,
    show: refuseMemoryStream,
  },
  [DOFilePropertyId.DOFilePropertyId_TotalSizeBytes]: {
    read: (value) => {
      if (readU64(value) === undefined) throw mismatch();
      const declaredLength = readFileSize(value);
      return declaredLength === undefined ? {} : { declaredLength };
    },
    show: ({ declaredLength, length }) => {
      const shown = declaredLength ?? length;
      return shown === undefined ? undefined : BigInt(shown);
    },
  },
};

function ruleOf(id: unknown): PropertyRule {
  const isKnown = typeof id === "number" && Object.hasOwn(RULES, id);
  if (!isKnown) throw unknownProperty(id);
  return RULES[id as DOFilePropertyId];
}

function textOf(value: unknown): string {
  if (typeof value !== "string") throw mismatch();
  return value;
}

function isStream(value: unknown): value is WritableStream<Uint8Array> {
  return value instanceof WritableStream;
}

function mismatch(): HResultError {
  return HResultError.of("DISP_E_TYPEMISMATCH");
}

function refuseMemoryStream(): never {
  throw HResultError.of("DO_E_MEMORYSTREAM_DOWNLOAD_NOT_SUPPORTED");
}

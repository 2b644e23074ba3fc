/**
 * One download: its verbs, status and properties (download-API reference, sections 5 to 12). The
 * object holds nothing of the download but the callback and stream that were set on it, which live
 * in this process; everything else is the job's, so any number of objects may speak of one download.
 *
 * Knows the table of properties and who answers what. Made by the manager.
 */
import { ShoalError } from "@shoal/core";
import type { JobId } from "@shoal/core";
import { DOWNLOAD_PROPERTIES } from "../constants/download-properties.ts";
import type { DownloadPropertyRow } from "../constants/download-properties.ts";
import { DODownloadProperty, DODownloadPropertyEx, DOWNLOAD_IIDS } from "../constants/download.ts";
import { COM_IIDS, isSameGuid } from "../constants/guid.ts";
import { HResultError, unknownProperty } from "../hresult-error.ts";
import { DownloadJob } from "./download-job.ts";
import type { DownloadJobParts } from "./download-job.ts";
import { parseRanges } from "./download-ranges.ts";
import { downloadStateOf } from "./download-states.ts";
import { statusOf } from "./download-status.ts";
import { DownloadStream } from "./download-stream.ts";
import type {
  DO_DOWNLOAD_RANGES_INFO,
  DO_DOWNLOAD_STATUS,
  DownloadValue,
  IDODownload,
  IDODownloadStatusCallback,
} from "./download-types.ts";
import { BLOCKING_MODE, PROPERTY_RULES } from "./property-rules.ts";
import type { PropertyRule } from "./property-rules.ts";
import { isIncomplete, startDownload } from "./start-download.ts";
import { StatusReporter } from "./status-reporter.ts";
import type { CallbackClock } from "./status-reporter.ts";
import type { Turns } from "./turns.ts";
import { checkVariant } from "./variants.ts";

export interface DownloadParts extends DownloadJobParts {
  readonly clock: CallbackClock;
  readonly turns: Turns;
}

export class DODownload implements IDODownload {
  readonly #parts: DownloadParts;
  readonly #job: DownloadJob;
  #callback: IDODownloadStatusCallback | undefined;
  #reporter: StatusReporter | undefined;
  #stream: WritableStream<Uint8Array> | undefined;
  #attached: DownloadStream | undefined;

  constructor(parts: DownloadParts, jobId: JobId) {
    this.#parts = parts;
    this.#job = new DownloadJob(parts, jobId);
  }

  /** In blocking mode it resolves when all bytes are here, and rejects with what prevented it. */
  async Start(info: DO_DOWNLOAD_RANGES_INFO | null): Promise<void> {
    await translated(async () => {
      const ranges = parseRanges(info);
      const attachStream = (): Promise<void> => this.#attachStream();
      await this.#inTurn(() => startDownload(this.#job, { ranges, attachStream }));
      const { attributes } = await this.#job.snapshot();
      if (attributes[BLOCKING_MODE] === true) await this.#job.untilTransferred();
    });
  }

  async Pause(): Promise<void> {
    await translated(() => this.#inTurn(() => this.#job.apply("Pause")));
  }

  async Abort(): Promise<void> {
    await translated(() => this.#inTurn(() => this.#job.apply("Abort")));
  }

  async Finalize(): Promise<void> {
    await translated(() =>
      this.#inTurn(() =>
        this.#job.apply("Finalize", async (snapshot) => {
          const isLacking = snapshot.state === "transferred" && isIncomplete(snapshot);
          if (isLacking) throw HResultError.of("DO_E_INVALID_STATE", "ranges are still missing");
          return true;
        }),
      ),
    );
  }

  GetStatus(): Promise<DO_DOWNLOAD_STATUS> {
    return translated(async () => statusOf(await this.#job.snapshot()));
  }

  GetProperty(id: DODownloadProperty): Promise<DownloadValue> {
    return translated(async () => {
      const row = rowOf(id);
      const isWriteOnly = row.access === "writeOnly" || !(isLocal(row) || canGet(row));
      if (isWriteOnly) throw HResultError.of("DO_E_WRITE_ONLY_PROPERTY", row.name);
      const value = isLocal(row) ? this.#localValue(row) : await ruleOf(row)?.get?.(this.#job);
      const known = value ?? row.default;
      if (known === undefined) throw HResultError.of("E_NOT_SET", row.name);
      return known;
    });
  }

  async SetProperty(id: DODownloadProperty, value: DownloadValue): Promise<void> {
    await translated(async () => {
      const row = rowOf(id);
      if (row.access === "readOnly") throw HResultError.of("DO_E_READ_ONLY_PROPERTY", row.name);
      checkVariant(row, value);
      await this.#inTurn(() => this.#set(row, value));
    }, id === DODownloadProperty.DODownloadProperty_Uri);
  }

  GetPropertyEx(id: DODownloadPropertyEx): Promise<DownloadValue> {
    return translated(() => this.GetProperty(newIdOf(id)));
  }

  async SetPropertyEx(id: DODownloadPropertyEx, value: DownloadValue): Promise<void> {
    await translated(() => this.SetProperty(newIdOf(id), value));
  }

  queryInterface(iid: string): IDODownload {
    const isKnown = [DOWNLOAD_IIDS.IDODownload, COM_IIDS.IUnknown].some((known) =>
      isSameGuid(known, iid),
    );
    if (!isKnown) throw HResultError.of("E_NOINTERFACE");
    return this;
  }

  #inTurn(action: () => Promise<void>): Promise<void> {
    return this.#parts.turns.take(this.#job.jobId, action);
  }

  async #set(row: DownloadPropertyRow, value: DownloadValue): Promise<void> {
    if (row.name === "DODownloadProperty_CallbackInterface") return this.#setCallback(row, value);
    if (row.name === "DODownloadProperty_StreamInterface") return this.#setStream(row, value);
    const change = await ruleOf(row)?.set?.(value, this.#job);
    if (change !== undefined) await this.#job.change(change, row.settableIn);
  }

  /** The callback before is never called again. It is not part of the download's stored state. */
  async #setCallback(
    { settableIn, name }: DownloadPropertyRow,
    value: DownloadValue,
  ): Promise<void> {
    if (value !== null && !isCallback(value)) throw HResultError.of("E_NOINTERFACE", name);
    const snapshot = await this.#job.snapshot();
    if (!settableIn.includes(downloadStateOf(snapshot)))
      throw HResultError.of("DO_E_INVALID_STATE");
    this.#reporter?.stop();
    this.#callback = value ?? undefined;
    if (value === null) return;
    const look = (): ReturnType<DownloadParts["service"]["snapshot"]> =>
      this.#parts.service.snapshot(this.#job.jobId);
    this.#reporter = new StatusReporter(
      { watch: this.#parts.watch, clock: this.#parts.clock, look },
      { download: this, callback: value, snapshot },
    );
  }

  async #setStream({ settableIn, name }: DownloadPropertyRow, value: DownloadValue): Promise<void> {
    if (value !== null && !(value instanceof WritableStream)) {
      throw HResultError.of("E_NOINTERFACE", name);
    }
    if (value?.locked === true) throw HResultError.of("E_INVALIDARG", "the stream is locked");
    const values = { toStream: value === null ? null : true };
    await this.#job.change({ type: "setFile", fileIndex: 0, values }, settableIn);
    this.#stream = value ?? undefined;
  }

  /** The stream stays attached when the download is paused, and for ranges that come later. */
  async #attachStream(): Promise<void> {
    if (this.#attached?.isOpen === true) return;
    const stream = this.#stream;
    if (stream === undefined) throw HResultError.of("DO_E_FILE_DOWNLOADSINK_UNSPECIFIED");
    if (stream.locked) throw HResultError.of("E_INVALIDARG", "the stream is locked");
    this.#attached = await DownloadStream.attach(this.#parts, this.#job.jobId, stream);
  }

  #localValue({ name }: DownloadPropertyRow): DownloadValue | undefined {
    return name === "DODownloadProperty_CallbackInterface" ? this.#callback : this.#stream;
  }
}

const { DODownloadPropertyEx_CorrelationVector, DODownloadPropertyEx_IntegrityCheckInfo } =
  DODownloadPropertyEx;

/** The deprecated numbers; the others are reserved. */
const NEW_IDS: ReadonlyMap<number, DODownloadProperty> = new Map([
  [DODownloadPropertyEx_CorrelationVector, DODownloadProperty.DODownloadProperty_CorrelationVector],
  [
    DODownloadPropertyEx_IntegrityCheckInfo,
    DODownloadProperty.DODownloadProperty_IntegrityCheckInfo,
  ],
  [
    DODownloadPropertyEx.DODownloadPropertyEx_IntegrityCheckMandatory,
    DODownloadProperty.DODownloadProperty_IntegrityCheckMandatory,
  ],
]);

function newIdOf(id: number): DODownloadProperty {
  const known = NEW_IDS.get(id);
  if (known === undefined) throw unknownProperty(id);
  return known;
}

function rowOf(id: number): DownloadPropertyRow {
  const row = DOWNLOAD_PROPERTIES.get(id);
  if (row === undefined) throw unknownProperty(id);
  return row;
}

/** Objects, which live where they were set. */
function isLocal({ type }: DownloadPropertyRow): boolean {
  return type === "VT_UNKNOWN";
}

function ruleOf({ name }: DownloadPropertyRow): PropertyRule | undefined {
  const rules: Readonly<Partial<Record<DownloadPropertyRow["name"], PropertyRule>>> =
    PROPERTY_RULES;
  return rules[name];
}

function canGet(row: DownloadPropertyRow): boolean {
  return "get" in (ruleOf(row) ?? {});
}

function isCallback(value: DownloadValue): value is IDODownloadStatusCallback {
  return (
    typeof value === "object" &&
    value !== null &&
    "OnStatusChange" in value &&
    typeof value.OnStatusChange === "function"
  );
}

/** Failures as callers of this face know them; a URL that is the download's own has its own code. */
async function translated<Result>(action: () => Promise<Result>, isUri = false): Promise<Result> {
  try {
    return await action();
  } catch (error) {
    const isBadUri = isUri && error instanceof ShoalError && error.code === "ERR_URL_INVALID";
    throw isBadUri
      ? HResultError.of("INET_E_INVALID_URL", error.message)
      : HResultError.from(error);
  }
}

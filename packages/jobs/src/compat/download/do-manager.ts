/**
 * The manager of downloads: makes them and finds them again (download-API reference, sections 6 and
 * 11). A download is a job with one file and a mark, so that the jobs of the other faces are not
 * taken for downloads.
 *
 * Knows the job service, in this process or another. Made by `createDOManager`.
 */
import { isFinalState, ShoalError } from "@shoal/core";
import type { JobId } from "@shoal/core";
import type { JobService } from "../../job-service.ts";
import { JobWatch } from "../../job-watch.ts";
import { DODownloadProperty, DOWNLOAD_IIDS } from "../constants/download.ts";
import { COM_IIDS, isSameGuid } from "../constants/guid.ts";
import { HResultError } from "../hresult-error.ts";
import { DODownload } from "./do-download.ts";
import type { DownloadParts } from "./do-download.ts";
import type {
  DO_DOWNLOAD_ENUM_CATEGORY,
  DownloadValue,
  IDODownload,
  IDOManager,
  IEnumDownloads,
} from "./download-types.ts";
import { EnumDownloads } from "./enum-downloads.ts";
import { DOWNLOAD_MARK } from "./property-rules.ts";
import type { CallbackClock } from "./status-reporter.ts";
import { Turns } from "./turns.ts";

export interface DOManagerOptions {
  /**
   * Whose downloads are enumerated. Default: all that the service shows, which are those of the
   * caller, and of everybody where the caller is an administrator.
   */
  readonly owner?: string;
  /** Times the callbacks. Default: the machine's monotonic clock. */
  readonly clock?: CallbackClock;
}

/**
 * `using` ends what belongs to this process, callbacks and streams. Downloads go on, except those
 * that lose their stream, which fail.
 */
export interface DOManager extends IDOManager, Disposable {}

/** The download API over a job service. */
export function createDOManager(service: JobService, options: DOManagerOptions = {}): DOManager {
  return new Manager(service, options);
}

const MONOTONIC_CLOCK: CallbackClock = {
  now: () => performance.now(),
  schedule: (delayMs, wake) => {
    const timer = setTimeout(wake, delayMs);
    return () => clearTimeout(timer);
  },
};

class Manager implements DOManager {
  readonly #parts: DownloadParts;
  readonly #owner: string | undefined;
  readonly #unsubscribe: () => void;

  constructor(service: JobService, { owner, clock = MONOTONIC_CLOCK }: DOManagerOptions) {
    const watch = new JobWatch();
    this.#parts = { service, watch, clock, turns: new Turns() };
    this.#owner = owner;
    this.#unsubscribe = service.watch({
      changed: (jobId, state) => watch.tell(jobId, state),
      closed: (error) => watch.close(error),
    });
  }

  async CreateDownload(): Promise<IDODownload> {
    try {
      const jobId = await this.#parts.service.createJob({
        jobId: crypto.randomUUID(),
        displayName: "",
        priority: "normal",
        // A file that is there may be replaced: sources disagree about what Windows does, but the
        // file appears at `Finalize` only, when the path cannot be changed any more, and a refusal
        // then would leave the caller with a complete download that can only be thrown away.
        overwrite: true,
        allowsCellular: true,
        isVolatile: true,
        attributes: { [DOWNLOAD_MARK]: true },
        startSuspended: true,
        files: [{}],
      });
      return new DODownload(this.#parts, jobId);
    } catch (error) {
      throw HResultError.from(error);
    }
  }

  async EnumDownloads(category: DO_DOWNLOAD_ENUM_CATEGORY | null): Promise<IEnumDownloads> {
    checkCategory(category);
    try {
      const downloads: DODownload[] = [];
      for (const jobId of await this.#candidates()) {
        const download = new DODownload(this.#parts, jobId);
        if (category === null || (await has(download, category))) downloads.push(download);
      }
      if (downloads.length > 0) return new EnumDownloads(downloads);
    } catch (error) {
      throw HResultError.from(error);
    }
    throw HResultError.of("DO_E_NO_DOWNLOADS");
  }

  queryInterface(iid: string): IDOManager {
    const isKnown = [DOWNLOAD_IIDS.IDOManager, COM_IIDS.IUnknown].some((id) => isSameGuid(id, iid));
    if (!isKnown) throw HResultError.of("E_NOINTERFACE");
    return this;
  }

  [Symbol.dispose](): void {
    this.#unsubscribe();
    this.#parts.watch.close(new ShoalError("ERR_AGENT_CLOSED"));
  }

  /** Downloads that are not over, the oldest first. */
  async #candidates(): Promise<readonly JobId[]> {
    const jobs = await this.#parts.service.list();
    const found = jobs.filter(
      ({ attributes, state, owner }) =>
        attributes[DOWNLOAD_MARK] === true &&
        !isFinalState(state) &&
        owner === (this.#owner ?? owner),
    );
    return found.map(({ jobId }) => jobId);
  }
}

const CATEGORIES: ReadonlySet<number> = new Set([
  DODownloadProperty.DODownloadProperty_Id,
  DODownloadProperty.DODownloadProperty_Uri,
  DODownloadProperty.DODownloadProperty_ContentId,
  DODownloadProperty.DODownloadProperty_DisplayName,
  DODownloadProperty.DODownloadProperty_LocalPath,
]);

function checkCategory(category: DO_DOWNLOAD_ENUM_CATEGORY | null): void {
  if (category === null) return;
  const { Property: property, Value: value } = category ?? {};
  if (!CATEGORIES.has(property) || typeof value !== "string") {
    throw HResultError.of("E_INVALIDARG", "no category of downloads");
  }
}

async function has(
  download: IDODownload,
  { Property: property, Value: wanted }: DO_DOWNLOAD_ENUM_CATEGORY,
): Promise<boolean> {
  let value: DownloadValue;
  try {
    value = await download.GetProperty(property);
  } catch (error) {
    // It has no such value, or it has ended and was forgotten meanwhile.
    if (error instanceof HResultError && ABSENT.includes(error.symbol)) return false;
    throw error;
  }
  const isId = property === DODownloadProperty.DODownloadProperty_Id;
  return isId ? isSameGuid(value, wanted) : value === wanted;
}

const ABSENT: readonly string[] = ["E_NOT_SET", "DO_E_JOB_NOT_FOUND"];

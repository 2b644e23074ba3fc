/**
 * What `Start` does before the job is resumed, by state: at the first start it checks what the
 * download still needs, and sets its ranges; of a download that has all its bytes it adds ranges;
 * otherwise there is nothing to say but "go on" (download-API reference, sections 6 and 10).
 *
 * Knows one download. Called by `DODownload`, in the download's turn.
 */
import { mkdir } from "node:fs/promises";
import { dirname } from "node:path";
import { ShoalError } from "@shoal/core";
import type { JobFileSpec, JobRange, JobSnapshot } from "@shoal/core";
import { DODownloadState } from "../constants/download.ts";
import { HResultError } from "../hresult-error.ts";
import type { DownloadJob } from "./download-job.ts";
import { isWholeFile } from "./download-ranges.ts";
import { downloadStateOf } from "./download-states.ts";

const { DODownloadState_Created: created, DODownloadState_Transferred: transferred } =
  DODownloadState;

export interface StartOptions {
  /** `undefined`: none are named. */
  readonly ranges: readonly JobRange[] | undefined;
  /** Attaches the stream that was set on this object; throws where there is none to attach. */
  readonly attachStream: () => Promise<void>;
}

export async function startDownload(
  job: DownloadJob,
  { ranges, attachStream }: StartOptions,
): Promise<void> {
  await job.apply("Start", async (snapshot) => {
    const state = downloadStateOf(snapshot);
    if (state === created) {
      await prepareFirst(job, ranges);
      if (snapshot.files[0]?.toStream === true) await attachStream();
      return true;
    }
    // The whole of a file that is fetched whole is what it fetches anyway.
    const isSame = ranges === undefined || (isWholeFile(ranges) && !hasRanges(snapshot));
    if (state === transferred && isSame) return isIncomplete(snapshot);
    if (isSame) return true;
    if (state !== transferred || !hasRanges(snapshot)) {
      throw HResultError.of("DO_E_DOWNLOAD_RANGES_UNEXPECTED");
    }
    await job.change({ type: "addRanges", fileIndex: 0, ranges }, [transferred]);
    return true;
  });
}

/** Whether ranges were added, and the job was not resumed for them: an agent may end in between. */
export function isIncomplete({ files: [file] }: JobSnapshot): boolean {
  return file?.phase !== "transferred" && file?.phase !== "published";
}

async function prepareFirst(
  job: DownloadJob,
  ranges: readonly JobRange[] | undefined,
): Promise<void> {
  const spec = await job.spec();
  const missing = missingIn(spec);
  if (missing !== undefined) throw HResultError.of(missing);
  // Ranges of an earlier attempt, which failed, are replaced. A stream without ranges gets all of
  // the file, as Microsoft's SDK asks for it, in a way that peers and digests can serve, too.
  const isWhole = ranges === undefined || isWholeFile(ranges);
  const values = { ranges: isWhole ? null : ranges };
  await job.change({ type: "setFile", fileIndex: 0, values }, [created]);
  if (spec.destination !== undefined) await makeDirectory(dirname(spec.destination));
}

/** What must be set before the first start. */
function missingIn({ url, contentId, fileId, destination, toStream }: JobFileSpec) {
  if (url === undefined && contentId === undefined) {
    return fileId === undefined ? "DO_E_DOWNLOAD_NO_URI" : "DO_E_INVALID_CONTENT_ID";
  }
  if (destination === undefined && toStream !== true) return "DO_E_FILE_DOWNLOADSINK_UNSPECIFIED";
  return undefined;
}

function hasRanges({ files: [file] }: JobSnapshot): boolean {
  return file?.ranges !== undefined;
}

/**
 * Under the rights of the process that calls, as documented. An agent in another process sees what
 * this one made where both share a file system; it makes no directories itself.
 */
async function makeDirectory(path: string): Promise<void> {
  try {
    await mkdir(path, { recursive: true });
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "";
    const isForbidden = ["EACCES", "EPERM", "EROFS"].includes(code);
    throw new ShoalError(isForbidden ? "ERR_DIRECTORY_UNWRITABLE" : "ERR_DIRECTORY_MISSING", path, {
      cause: error,
    });
  }
}

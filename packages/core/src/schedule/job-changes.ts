/**
 * What `changeJob` does to a job that allows it: the checks first, all of them, and only then the
 * change, so that a refused change leaves nothing behind (job-API reference, sections 6 and 7.2).
 *
 * Knows one job. Transfers of the files it changes are closed by whoever calls: `JobTable`.
 */
import { unreachable } from "../assert.ts";
import { checkFileSpec, checkStartable, isFileSpecShape } from "../job/file-spec.ts";
import { checkFiles, checkJobValues, isJobChangeShape, withChanges } from "../job/request.ts";
import type { JobChange, JobValueChange } from "../job/request.ts";
import type { JobAttribute, JobValues } from "../job/record.ts";
import { isActiveState } from "../job/states.ts";
import { errorInfo } from "../registry/errors.ts";
import type { ErrorInfo } from "../registry/errors.ts";
import type { Settings } from "../registry/settings.ts";
import { JobFile } from "./job-file.ts";
import { runsByItself, valuesOf } from "./job.ts";
import type { Job } from "./job.ts";

/** A change that has passed its checks. */
export interface PreparedChange {
  /** Destinations the job will have, for the check against other jobs. */
  readonly destinations: ReadonlyArray<string | undefined>;
  /** Makes the change; returns the file whose transfer must be closed and begun again, if any. */
  apply(): JobFile | undefined;
}

/** Checks the change against the job; nothing happens before `apply`. */
export function prepareChange(
  job: Job,
  change: JobChange,
  settings: Settings,
): PreparedChange | ErrorInfo {
  if (!isJobChangeShape(change)) return errorInfo("ERR_USAGE", "the change is not as documented");
  switch (change.type) {
    case "addFiles":
      return prepareFiles(job, change, settings);
    case "setJob":
      return prepareValues(job, change.values);
    case "setFile":
      return prepareFile(job, change, settings);
    case "addRanges":
      return prepareRanges(job, change, settings);
    default:
      return unreachable(change);
  }
}

type ChangeOf<Type extends JobChange["type"]> = Extract<JobChange, { type: Type }>;

function prepareFiles(
  job: Job,
  { files }: ChangeOf<"addFiles">,
  settings: Settings,
): PreparedChange | ErrorInfo {
  const problem = checkFiles([...job.files.map(({ spec }) => spec), ...files], settings);
  if (problem !== undefined) return problem;
  if (runsByItself(job)) {
    // A job that runs comes to the file without being asked again.
    for (const file of files) {
      const missing = file.toStream === true ? errorInfo("ERR_SINK_MISSING") : checkStartable(file);
      if (missing !== undefined) return missing;
    }
  }
  return {
    destinations: files.map(({ destination }) => destination),
    apply: () => {
      job.files.push(...files.map((spec) => JobFile.of(spec)));
      return undefined;
    },
  };
}

function prepareValues(job: Job, change: JobValueChange): PreparedChange | ErrorInfo {
  const { attributes = {}, ...rest } = change;
  const values: JobValues = {
    ...withChanges<Omit<JobValues, "attributes">>(valuesOf(job.values), rest),
    attributes: mergeAttributes(job.values.attributes, attributes),
  };
  const problem = checkJobValues(values);
  if (problem !== undefined) return problem;
  return {
    destinations: [],
    apply: () => {
      job.values = values;
      return undefined;
    },
  };
}

/** A URL may change at any time; the rest only while nothing is being fetched. */
function prepareFile(
  job: Job,
  { fileIndex, values }: ChangeOf<"setFile">,
  settings: Settings,
): PreparedChange | ErrorInfo {
  const file = job.files[fileIndex];
  if (file === undefined) return errorInfo("ERR_USAGE", `there is no file ${fileIndex}`);
  const { url, ...others } = values;
  const hasOthers = Object.keys(others).length > 0;
  if (hasOthers && (runsByItself(job) || file.isTransferred)) {
    return errorInfo("ERR_JOB_STATE", `cannot change a file of a job that is ${job.state}`);
  }
  if (others.ranges !== undefined && job.hasStarted) {
    // What is stored would be taken for pieces of the new ranges where lengths are the same.
    return errorInfo("ERR_JOB_STATE", "cannot replace the ranges of a job that was started");
  }
  const spec = withChanges(file.spec, values);
  if (!isFileSpecShape(spec)) return errorInfo("ERR_USAGE", "a field is not as documented");
  const problem =
    checkFileSpec(spec) ??
    ((spec.ranges?.length ?? 0) > settings.rangesPerFileMax
      ? errorInfo("ERR_RANGE_LIMIT", `${spec.ranges?.length} ranges`)
      : undefined) ??
    (runsByItself(job) && !file.isTransferred ? checkStartable(spec) : undefined);
  if (problem !== undefined) return problem;
  const twice = job.files.some(
    (other) => other !== file && other.spec.destination === (spec.destination ?? NaN),
  );
  if (twice) return errorInfo("ERR_DESTINATION_INVALID", `${spec.destination} stands twice`);
  return {
    destinations: [spec.destination],
    apply: () => {
      const isOther = url !== undefined && url !== file.spec.url;
      file.spec = spec;
      if (file.isTransferred || (!isOther && !hasOthers)) return undefined;
      // Digests prove the bytes, wherever they come from; a validator belongs to its URL.
      const found = file.resolution ?? file.transfer?.resolution;
      file.resolution = found?.manifest !== undefined && !hasOthers ? found : undefined;
      return file;
    },
  };
}

function prepareRanges(
  job: Job,
  { fileIndex, ranges }: ChangeOf<"addRanges">,
  settings: Settings,
): PreparedChange | ErrorInfo {
  const file = job.files[fileIndex];
  if (file?.spec.ranges === undefined) return errorInfo("ERR_RANGES_REFUSED");
  if (isActiveState(job.state) || file.isPublished) {
    const whose = file.isPublished ? "the file is published" : `the job is ${job.state}`;
    return errorInfo("ERR_JOB_STATE", `cannot add ranges while ${whose}`);
  }
  const spec = { ...file.spec, ranges: [...file.spec.ranges, ...ranges] };
  if (!isFileSpecShape(spec)) return errorInfo("ERR_USAGE", "a range is not as documented");
  const problem = checkFileSpec(spec) ?? checkFiles([spec], settings);
  if (problem !== undefined) return problem;
  return {
    destinations: [],
    apply: () => {
      file.spec = spec;
      file.isTransferred = false;
      file.resolution = undefined;
      return file;
    },
  };
}

function mergeAttributes(
  before: JobValues["attributes"],
  changes: NonNullable<JobValueChange["attributes"]>,
): JobValues["attributes"] {
  const merged = new Map<string, JobAttribute>(Object.entries(before));
  for (const [name, value] of Object.entries(changes)) {
    if (value === null) merged.delete(name);
    else merged.set(name, value);
  }
  return Object.fromEntries(merged);
}

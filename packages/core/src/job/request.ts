/**
 * What may be asked of `createJob` and `changeJob`: everything that can be wrong with a request
 * without a disk and without looking at other jobs.
 */
import { errorInfo } from "../registry/errors.ts";
import type { ErrorInfo } from "../registry/errors.ts";
import { LIMITS } from "../registry/limits.ts";
import type { Settings } from "../registry/settings.ts";
import type { JobId } from "../units.ts";
import { checkFileSpec, checkStartable, isFileSpecShape } from "./file-spec.ts";
import type { JobFileSpec } from "./file-spec.ts";
import { ANY_NETWORK_COST } from "./network.ts";
import type { JobRange } from "./ranges.ts";
import { isAttributes, isJobId, JOB_PRIORITIES } from "./record.ts";
import type { JobAttribute, JobValues } from "./record.ts";
import { isBoolean, isCount, isObject, isRecordOf, isText } from "./shape.ts";
import type { Check } from "./shape.ts";
import type { JobState } from "./states.ts";

/** What `createJob` takes. */
export interface JobRequest extends JobValues {
  /** A UUID the caller made, in lower case. */
  readonly jobId: JobId;
  /** Whose job it is. */
  readonly owner: string;
  /** Owners who are administrators are not held to `jobsPerOwnerMax`. */
  readonly isAdministrator: boolean;
  readonly files: readonly JobFileSpec[];
  /** Begin at once (`queued`), or wait for `resume` (`suspended`, as BITS does). */
  readonly startSuspended: boolean;
  /** The same key of the same owner names the job that the first request created (R-API-14). */
  readonly idempotencyKey?: string;
}

/** `null` takes a value back; what is absent stays as it is. */
export type Nullable<Values> = {
  readonly [Name in keyof Values]?: undefined extends Values[Name]
    ? Values[Name] | null
    : Values[Name];
};

/** New values of a job. Attributes are merged by name; `null` removes one. */
export type JobValueChange = Nullable<Omit<JobValues, "attributes">> & {
  readonly attributes?: Readonly<Record<string, JobAttribute | null>>;
};

/** What can be changed of a job that is not over. */
export type JobChange =
  | { readonly type: "addFiles"; readonly files: readonly JobFileSpec[] }
  | { readonly type: "setJob"; readonly values: JobValueChange }
  | {
      readonly type: "setFile";
      readonly fileIndex: number;
      readonly values: Nullable<JobFileSpec>;
    }
  /** Further ranges of a file that has some; they follow those it has. */
  | {
      readonly type: "addRanges";
      readonly fileIndex: number;
      readonly ranges: readonly JobRange[];
    };

/** Under which conditions a verb is still wanted when its turn comes; else `ERR_JOB_STATE`. */
export interface VerbGuard {
  readonly states?: readonly JobState[];
  readonly hasStarted?: boolean;
}

/** What is wrong with the request; `undefined` when nothing is. */
export function checkJobRequest(request: JobRequest, settings: Settings): ErrorInfo | undefined {
  if (!isRequestShape(request)) return errorInfo("ERR_USAGE", "a field is not as documented");
  const { files, owner, idempotencyKey } = request;
  if (!isJobId(request.jobId)) return errorInfo("ERR_USAGE", "the job id is not a UUID");
  if (owner.length > LIMITS.nameLengthMax) return errorInfo("ERR_USAGE", "the owner is too long");
  if ((idempotencyKey?.length ?? 0) > LIMITS.nameLengthMax || idempotencyKey === "") {
    return errorInfo("ERR_USAGE", "an idempotency key has 1 to 256 characters");
  }
  const problem = checkJobValues(request) ?? checkFiles(files, settings);
  if (problem !== undefined || request.startSuspended) return problem;
  if (files.length === 0) return errorInfo("ERR_JOB_EMPTY");
  for (const file of files) {
    // A stream is attached to a job that exists, and before it runs.
    const missing = file.toStream === true ? errorInfo("ERR_SINK_MISSING") : checkStartable(file);
    if (missing !== undefined) return missing;
  }
  return undefined;
}

/** What is wrong with a job's values; `undefined` when nothing is. */
export function checkJobValues(values: JobValues): ErrorInfo | undefined {
  if (values.displayName.length > LIMITS.displayNameLengthMax) {
    return errorInfo("ERR_USAGE", "the display name is too long");
  }
  if (!JOB_PRIORITIES.includes(values.priority)) {
    return errorInfo("ERR_USAGE", `unknown priority ${String(values.priority)}`);
  }
  const { noProgressTimeoutMs, networkCosts, rateBytesPerSec } = values;
  if (noProgressTimeoutMs !== undefined && !isCount()(noProgressTimeoutMs)) {
    return errorInfo("ERR_USAGE", "the no-progress timeout is not a number of milliseconds");
  }
  if (networkCosts !== undefined && !isCount(ANY_NETWORK_COST)(networkCosts)) {
    return errorInfo("ERR_USAGE", "the network costs are not a set of known ones");
  }
  if (rateBytesPerSec !== undefined && !isCount()(rateBytesPerSec)) {
    return errorInfo("ERR_USAGE", "the rate is not a number of bytes per second");
  }
  return isAttributes(values.attributes)
    ? undefined
    : errorInfo("ERR_USAGE", "an attribute is too long, or there are too many");
}

/** What is wrong with files that are to be one job's; `undefined` when nothing is. */
export function checkFiles(
  files: readonly JobFileSpec[],
  { filesPerJobMax, rangesPerFileMax }: Settings,
): ErrorInfo | undefined {
  if (files.length > filesPerJobMax) {
    return errorInfo("ERR_FILE_LIMIT", `${files.length} files in one job`);
  }
  const destinations = new Set<string>();
  for (const file of files) {
    if (!isFileSpecShape(file)) {
      return errorInfo("ERR_USAGE", "a field of a file is not as documented");
    }
    const { destination, ranges } = file;
    const problem = checkFileSpec(file);
    if (problem !== undefined) return problem;
    if ((ranges?.length ?? 0) > rangesPerFileMax) {
      return errorInfo("ERR_RANGE_LIMIT", `${ranges?.length} ranges`);
    }
    if (destination === undefined) continue;
    if (destinations.has(destination)) {
      return errorInfo("ERR_DESTINATION_INVALID", `${destination} stands twice`);
    }
    destinations.add(destination);
  }
  return undefined;
}

/** The values with the changes made; `null` removes. */
export function withChanges<Values extends object>(
  values: Values,
  changes: Nullable<Values>,
): Values {
  const merged: Record<string, unknown> = { ...values, ...changes };
  for (const [name, value] of Object.entries(merged)) {
    if (value === null || value === undefined) delete merged[name];
  }
  return merged as Values;
}

const isRequestShape = isRecordOf(
  {
    jobId: isText(LIMITS.nameLengthMax),
    owner: isText(Infinity),
    isAdministrator: isBoolean,
    displayName: isText(Infinity),
    priority: isText(LIMITS.nameLengthMax),
    overwrite: isBoolean,
    allowsCellular: isBoolean,
    isVolatile: isBoolean,
    attributes: isObject,
    startSuspended: isBoolean,
    files: Array.isArray,
  },
  {
    noProgressTimeoutMs: isNumber,
    networkCosts: isNumber,
    rateBytesPerSec: isNumber,
    idempotencyKey: isText(Infinity),
  },
);

/** Values that may come from anywhere: whether they have the shape of a change of a job. */
export const isJobChangeShape: Check = (value) => {
  if (!isObject(value)) return false;
  const fileIndex = isCount(LIMITS.filesPerJobMax);
  switch (value["type"]) {
    case "addFiles":
      return Array.isArray(value["files"]);
    case "setJob":
      return isObject(value["values"]) && isJobValueChangeShape(value["values"]);
    case "setFile":
      return isObject(value["values"]) && fileIndex(value["fileIndex"]);
    case "addRanges":
      return Array.isArray(value["ranges"]) && fileIndex(value["fileIndex"]);
    default:
      return false;
  }
};

const isJobValueChangeShape = isRecordOf(
  {},
  {
    displayName: isText(Infinity),
    priority: isText(LIMITS.nameLengthMax),
    overwrite: isBoolean,
    allowsCellular: isBoolean,
    isVolatile: isBoolean,
    attributes: isObject,
    noProgressTimeoutMs: orNull(isNumber),
    networkCosts: orNull(isNumber),
    rateBytesPerSec: orNull(isNumber),
  },
);

function isNumber(value: unknown): boolean {
  return typeof value === "number";
}

function orNull(check: Check): Check {
  return (value) => value === null || check(value);
}

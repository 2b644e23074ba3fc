/**
 * What callers write to create a job, and the complete request it becomes. Values that are not of
 * the declared types are refused here, since callers may not be written in TypeScript; what they
 * mean is checked by core.
 */
import { parseContentId, ShoalError } from "@shoal/core";
import type { ContentId, JobFileSpec, JobId, JobPriority, JobRequest } from "@shoal/core";

/** One file to fetch. It needs a `url`, a `contentId`, or both. */
export interface CreateJobFile {
  /** `http:` or `https:`, without user name and password. Absent: from peers alone. */
  readonly url?: string | URL;
  /** Absolute path of a file in an existing directory. */
  readonly destination: string;
  /** Pins the content, as printed by `shoal publish`; every piece is verified. */
  readonly contentId?: ContentId;
  /** SHA-256 the whole file must have, as 64 hex digits. */
  readonly sha256?: string;
}

/** What `createJob` takes. */
export interface CreateJobOptions {
  /** At most 256 characters. Default: the last path component of the first destination. */
  readonly displayName?: string;
  /** Default `normal`. */
  readonly priority?: JobPriority;
  /** Whether a destination that exists may be replaced at publication. Default false. */
  readonly overwrite?: boolean;
  /** Begin in `suspended` and wait for `resume`. Default false. */
  readonly startSuspended?: boolean;
  readonly files: readonly CreateJobFile[];
}

/** Completes `options`. Throws `ERR_USAGE` or `ERR_CONTENT_ID_INVALID`. */
export function resolveJobRequest(options: CreateJobOptions, jobId: JobId): JobRequest {
  if (!isRecord(options) || !Array.isArray(options.files)) {
    throw new ShoalError("ERR_USAGE", "files is not an array");
  }
  const files = options.files.map(resolveFile);
  return {
    jobId,
    displayName: optional(options, "displayName", "string") ?? nameOf(files),
    priority: optional(options, "priority", "string") ?? "normal",
    overwrite: optional(options, "overwrite", "boolean") ?? false,
    startSuspended: optional(options, "startSuspended", "boolean") ?? false,
    files,
  };
}

const DISPLAY_NAME_LENGTH = 64;

function nameOf(files: readonly JobFileSpec[]): string {
  const name = files[0]?.destination.split(/[\\/]/).at(-1) ?? "";
  return name.slice(0, DISPLAY_NAME_LENGTH).toWellFormed();
}

function resolveFile(file: CreateJobFile): JobFileSpec {
  if (!isRecord(file)) throw new ShoalError("ERR_USAGE", "a file is not an object");
  const url = file.url instanceof URL ? file.url.href : optional(file, "url", "string");
  const destination = optional(file, "destination", "string");
  if (destination === undefined) throw new ShoalError("ERR_USAGE", "a file has no destination");
  const contentId = optional(file, "contentId", "string");
  const sha256 = optional(file, "sha256", "string")?.toLowerCase();
  return {
    destination,
    ...(url === undefined ? {} : { url }),
    ...(contentId === undefined ? {} : { contentId: normalContentId(contentId) }),
    ...(sha256 === undefined ? {} : { sha256 }),
  };
}

function normalContentId(text: string): ContentId {
  const contentId = parseContentId(text);
  if (contentId === undefined) throw new ShoalError("ERR_CONTENT_ID_INVALID", text.slice(0, 128));
  return contentId;
}

/** The value of an optional field, refused unless it is of the type its declaration says. */
function optional<Owner extends object, Name extends keyof Owner & string>(
  owner: Owner,
  name: Name,
  type: "string" | "boolean",
): Exclude<Owner[Name], URL | undefined> | undefined {
  const value = owner[name];
  if (value === undefined) return undefined;
  if (typeof value !== type) throw new ShoalError("ERR_USAGE", `${name} is not a ${type}`);
  return value as Exclude<Owner[Name], URL | undefined>;
}

function isRecord(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}

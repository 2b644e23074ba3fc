/**
 * What callers write to create a job, and the complete request it becomes. Values that are not of
 * the declared types are refused here, since callers may not be written in TypeScript; what they
 * mean is checked by core.
 */
import { contentIdOf, NETWORK_COSTS, parseContentId, ShoalError } from "@shoal/core";
import type {
  ContentId,
  JobAttribute,
  JobFileSpec,
  JobId,
  JobPriority,
  JobRange,
  Millis,
  NetworkCost,
  OriginRequestOptions,
  PieceHashSource,
} from "@shoal/core";
import type { ServiceJobRequest } from "./job-service.ts";

/** Bytes from `start` up to but not including `end`; without `end`, to the end of the file. */
export interface ByteRange {
  readonly start: number;
  readonly end?: number;
}

/** One file to fetch. It needs a `url`, a `contentId`, or both, and a `destination` or `stream`. */
export interface CreateJobFile {
  /** The caller's own name for the file. */
  readonly fileId?: string;
  /** `http:` or `https:`, without user name and password. Absent: from peers alone. */
  readonly url?: string | URL;
  /** Other places of the same bytes, tried in this order when `url` fails; at most 16. */
  readonly mirrors?: ReadonlyArray<string | URL>;
  /** Absolute path of a file in an existing directory. */
  readonly destination?: string;
  /**
   * Takes the bytes instead of a file, in order, as they are verified; closed at the end, aborted
   * when the job fails or is cancelled. Belongs to this run: see `Job.attachStream`.
   */
  readonly stream?: WritableStream<Uint8Array>;
  /** Pins the content, as printed by `shoal publish`; every piece is verified. */
  readonly contentId?: ContentId;
  /** The manifest itself, where the caller has it; its content id is computed when none is given. */
  readonly manifest?: Uint8Array;
  /** SHA-256 the whole file must have, as 64 hex digits. */
  readonly sha256?: string;
  /** What the length is said to be, in bytes: shown until it is known. */
  readonly declaredLength?: number;
  /** Only these ranges, one after the other in the order given. */
  readonly ranges?: readonly ByteRange[];
  /** Where a piece-hash file lies, and its digests. */
  readonly pieceHashes?: PieceHashSource;
  /** Fail rather than take bytes that nothing verifies piece by piece. Default false. */
  readonly mandatoryIntegrity?: boolean;
  /**
   * Peers may have it though it is asked for with header fields, a certificate or a query string,
   * which strangers do not have. Default false: such a file is given to nobody.
   */
  readonly isShareable?: boolean;
  /** How the origin is asked: header fields, certificates, redirects. Never shown again. */
  readonly request?: OriginRequestOptions;
}

/** What can be changed later, too, by `Job.change`. */
export interface JobSettings {
  /** At most 256 characters. Default: the last path component of the first destination. */
  readonly displayName?: string;
  /** Default `normal`. */
  readonly priority?: JobPriority;
  /** Whether a destination that exists may be replaced at publication. Default false. */
  readonly overwrite?: boolean;
  /** Time without progress after which the job fails. Default: 1 h foreground, 24 h others. */
  readonly noProgressTimeoutMs?: Millis;
  /** Networks the job may use. Default: all in the foreground, those without surcharge else. */
  readonly networkCosts?: readonly NetworkCost[];
  /** What it may fetch at most, of all sources together; 0 is no limit. Default 0. */
  readonly rateBytesPerSec?: number;
  /** Default true. */
  readonly allowsCellular?: boolean;
  /** The job ends with this run of the agent. Default false. */
  readonly isVolatile?: boolean;
  /** Kept with the job for its creator: at most 32, each of at most 4,096 characters. */
  readonly attributes?: Readonly<Record<string, JobAttribute>>;
}

/** What `createJob` takes. */
export interface CreateJobOptions extends JobSettings {
  /** Begin in `suspended` and wait for `resume`. Default false. */
  readonly startSuspended?: boolean;
  /**
   * A text of the caller's: a request with the same key returns the job that the first one created,
   * for 24 hours. `ERR_IDEMPOTENCY_CONFLICT` when it asks for something else.
   */
  readonly idempotencyKey?: string;
  readonly files: readonly CreateJobFile[];
}

/** Completes `options`. Throws `ERR_USAGE` or `ERR_CONTENT_ID_INVALID`. */
export function resolveJobRequest(options: CreateJobOptions, jobId: JobId): ServiceJobRequest {
  if (!isRecord(options) || !Array.isArray(options.files)) {
    throw new ShoalError("ERR_USAGE", "files is not an array");
  }
  const files = options.files.map(resolveFile);
  const idempotencyKey = optional(options, "idempotencyKey", "string");
  const hasStreams = files.some((file) => file.toStream === true);
  return {
    jobId,
    ...DEFAULTS,
    displayName: nameOf(files),
    ...resolveSettings(options),
    // Streams are attached once the job exists; it is resumed then.
    startSuspended: hasStreams || (optional(options, "startSuspended", "boolean") ?? false),
    ...(idempotencyKey === undefined ? {} : { idempotencyKey }),
    files,
  };
}

const DEFAULTS = {
  priority: "normal",
  overwrite: false,
  allowsCellular: true,
  isVolatile: false,
  attributes: {},
} as const;

/** Those of the settings that are given. Throws `ERR_USAGE`. */
export function resolveSettings(
  settings: JobSettings,
): Partial<Omit<ServiceJobRequest, "jobId" | "files" | "startSuspended" | "idempotencyKey">> {
  const { networkCosts, attributes } = settings;
  if (attributes !== undefined && !isRecord(attributes)) {
    throw new ShoalError("ERR_USAGE", "attributes is not an object");
  }
  return defined({
    displayName: optional(settings, "displayName", "string"),
    priority: optional(settings, "priority", "string"),
    overwrite: optional(settings, "overwrite", "boolean"),
    noProgressTimeoutMs: optional(settings, "noProgressTimeoutMs", "number"),
    networkCosts: networkCosts === undefined ? undefined : costsOf(networkCosts),
    rateBytesPerSec: optional(settings, "rateBytesPerSec", "number"),
    allowsCellular: optional(settings, "allowsCellular", "boolean"),
    isVolatile: optional(settings, "isVolatile", "boolean"),
    attributes,
  });
}

const DISPLAY_NAME_LENGTH = 64;

function nameOf(files: readonly JobFileSpec[]): string {
  const name = files[0]?.destination?.split(/[\\/]/).at(-1) ?? files[0]?.fileId ?? "";
  return name.slice(0, DISPLAY_NAME_LENGTH).toWellFormed();
}

/** One file as core takes it. Throws `ERR_USAGE` or `ERR_CONTENT_ID_INVALID`. */
export function resolveFile(file: CreateJobFile): JobFileSpec {
  if (!isRecord(file)) throw new ShoalError("ERR_USAGE", "a file is not an object");
  const { stream, mirrors, manifest, ranges, pieceHashes, request } = file;
  if (stream !== undefined && !(stream instanceof WritableStream)) {
    throw new ShoalError("ERR_USAGE", "stream is not a WritableStream");
  }
  if (ranges !== undefined && !Array.isArray(ranges)) {
    throw new ShoalError("ERR_USAGE", "ranges is not an array");
  }
  if (mirrors !== undefined && !Array.isArray(mirrors)) {
    throw new ShoalError("ERR_USAGE", "mirrors is not an array");
  }
  if (manifest !== undefined && !(manifest instanceof Uint8Array)) {
    throw new ShoalError("ERR_USAGE", "manifest is not a Uint8Array");
  }
  const named = optional(file, "contentId", "string");
  const contentId = named ?? (manifest && contentIdOf(manifest));
  return defined({
    fileId: optional(file, "fileId", "string"),
    url: file.url instanceof URL ? file.url.href : optional(file, "url", "string"),
    mirrors: mirrors?.map((mirror) => (mirror instanceof URL ? mirror.href : mirror)),
    destination: optional(file, "destination", "string"),
    toStream: stream === undefined ? undefined : true,
    contentId: contentId === undefined ? undefined : normalContentId(contentId),
    manifest: manifest && Buffer.from(manifest).toString("base64"),
    sha256: optional(file, "sha256", "string")?.toLowerCase(),
    declaredLength: optional(file, "declaredLength", "number"),
    ranges: ranges?.map(resolveRange),
    pieceHashes,
    mandatoryIntegrity: optional(file, "mandatoryIntegrity", "boolean"),
    isShareable: optional(file, "isShareable", "boolean"),
    request,
  });
}

export function resolveRange({ start, end }: ByteRange): JobRange {
  if (typeof start !== "number" || (end !== undefined && typeof end !== "number")) {
    throw new ShoalError("ERR_USAGE", "a range has numbers as start and end");
  }
  return { offset: start, ...(end === undefined ? {} : { length: end - start }) };
}

function costsOf(names: readonly NetworkCost[]): number {
  if (!Array.isArray(names)) throw new ShoalError("ERR_USAGE", "networkCosts is not an array");
  let set = 0;
  for (const name of names as readonly NetworkCost[]) {
    if (!Object.hasOwn(NETWORK_COSTS, name)) {
      throw new ShoalError("ERR_USAGE", `unknown network cost ${String(name)}`);
    }
    set |= NETWORK_COSTS[name];
  }
  return set;
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
  type: "string" | "boolean" | "number",
): Exclude<Owner[Name], URL | undefined> | undefined {
  const value = owner[name];
  if (value === undefined) return undefined;
  if (typeof value !== type) throw new ShoalError("ERR_USAGE", `${name} is not a ${type}`);
  return value as Exclude<Owner[Name], URL | undefined>;
}

type Defined<Fields> = { [Name in keyof Fields]?: Exclude<Fields[Name], undefined> };

function defined<Fields extends object>(fields: Fields): Defined<Fields> {
  const entries = Object.entries(fields).filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries) as Defined<Fields>;
}

function isRecord(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}

/**
 * Where each property of a download lives: what of the job it shows, and what of the job it changes.
 * Types, access, defaults and states are in the table of properties; a value that arrives here has
 * the declared type.
 *
 * What the machine does not know is kept among the job's attributes, under names that begin with
 * `do.`. Knows snapshots and changes; applies nothing itself. Used by `DODownload`.
 */
import { ANY_NETWORK_COST, LIMITS, parseContentId } from "@shoal/core";
import type {
  JobAttribute,
  JobChange,
  JobFileSpec,
  JobSnapshot,
  JobValueChange,
  Nullable,
  OriginRequestOptions,
  OriginResponse,
  TlsTolerance,
} from "@shoal/core";
import { BITS_JOB_TRANSFER_POLICY } from "../constants/bits.ts";
import { DODownloadCostPolicy, SECURITY_FLAGS } from "../constants/download.ts";
import type { DODownloadProperty } from "../constants/download.ts";
import { parseGuid } from "../constants/guid.ts";
import { HResultError } from "../hresult-error.ts";
import type { DownloadValue } from "./download-types.ts";
import { formatHeaderLines, parseHeaderLines } from "./header-lines.ts";
import {
  parseClientCertificate,
  parseIntegrityCheckInfo,
  refuseDecryptionInfo,
} from "./property-documents.ts";

/** What a rule may look at. */
export interface DownloadLook {
  snapshot(): Promise<JobSnapshot>;
  spec(): Promise<JobFileSpec>;
  response(): Promise<OriginResponse | undefined>;
}

type Found = DownloadValue | undefined;

export interface PropertyRule {
  /** `undefined` where it was never set. Absent: it cannot be read. */
  get?(look: DownloadLook): Promise<Found>;
  /** The change of the job. Absent: it cannot be set. */
  set?(value: DownloadValue, look: DownloadLook): Promise<JobChange>;
}

/** Marks a job as a download: others are not enumerated. */
export const DOWNLOAD_MARK = "do.download";
/** Attributes that the callbacks and `Start` read. */
export const FREQUENCY_PERCENT = "do.callbackFreqPercent";
export const FREQUENCY_SECONDS = "do.callbackFreqSeconds";
export const BLOCKING_MODE = "do.blockingMode";

const CORRELATION_VECTOR = "do.correlationVector";
const NETWORK_TOKEN = "do.networkToken";
/** Two reasons for one flag of the job, kept apart so that each reads back as it was set. */
const NO_CELLULAR_POLICY = "do.noCellularPolicy";
const DISALLOW_ON_CELLULAR = "do.disallowOnCellular";

/** Properties that are objects live in the object they were set on, and have no rule. */
type RuledName = Exclude<
  keyof typeof DODownloadProperty,
  "DODownloadProperty_CallbackInterface" | "DODownloadProperty_StreamInterface"
>;

/** By Microsoft's names. */
export const PROPERTY_RULES: Readonly<Record<RuledName, PropertyRule>> = {
  DODownloadProperty_Id: { get: ofJob(({ jobId }) => parseGuid(jobId)) },
  DODownloadProperty_Uri: {
    get: ofSpec(({ url }) => url),
    set: (url: string) => fileChange({ url: needed(url) }),
  },
  DODownloadProperty_ContentId: {
    get: ofSpec(({ contentId, fileId }) => contentId ?? fileId),
    // Ids of other systems are kept as they are; `Start` refuses them where there is nothing else.
    set: (text: string) => {
      const contentId = parseContentId(needed(text));
      const names = contentId === undefined ? { contentId: null, fileId: text } : { contentId };
      return fileChange({ fileId: null, ...names });
    },
  },
  DODownloadProperty_DisplayName: {
    get: ofJob(({ displayName }) => (displayName === "" ? undefined : displayName)),
    set: (displayName: string) => jobChange({ displayName }),
  },
  DODownloadProperty_LocalPath: {
    get: ofSpec(({ destination }) => destination),
    set: (destination: string) => fileChange({ destination: needed(destination) }),
  },
  DODownloadProperty_HttpCustomHeaders: {
    // Answered to the job's owner alone.
    get: ofSpec(({ request }) => request?.headers && formatHeaderLines(request.headers)),
    set: (text: string, look) => requestChange(look, { headers: parseHeaderLines(text) }),
  },
  DODownloadProperty_CostPolicy: {
    get: ofJob(({ networkCosts, attributes }) =>
      attributes[NO_CELLULAR_POLICY] === true ? NO_CELLULAR : policyOf(networkCosts),
    ),
    set: async (policy: number, look) => {
      const networkCosts = COSTS.get(policy);
      if (networkCosts === undefined) throw HResultError.of("E_INVALIDARG", `policy ${policy}`);
      const isNoCellular = policy === NO_CELLULAR;
      const change = await cellularChange(look, { [NO_CELLULAR_POLICY]: isNoCellular });
      return jobChange({ ...change, networkCosts });
    },
  },
  DODownloadProperty_SecurityFlags: {
    set: (flags: number, look) => requestChange(look, { tlsTolerance: tolerancesOf(flags) }),
  },
  DODownloadProperty_CallbackFreqPercent: {
    get: ofAttribute(FREQUENCY_PERCENT),
    set: (percent: number) => {
      if (percent > 100) throw HResultError.of("E_INVALIDARG", `${percent} percent`);
      return attributeChange({ [FREQUENCY_PERCENT]: percent });
    },
  },
  DODownloadProperty_CallbackFreqSeconds: {
    get: ofAttribute(FREQUENCY_SECONDS),
    set: (seconds: number) => attributeChange({ [FREQUENCY_SECONDS]: seconds }),
  },
  DODownloadProperty_NoProgressTimeoutSeconds: {
    get: ofJob(({ noProgressTimeoutMs }) => Math.ceil(noProgressTimeoutMs / 1000)),
    set: (seconds: number) => jobChange({ noProgressTimeoutMs: seconds * 1000 }),
  },
  DODownloadProperty_ForegroundPriority: {
    get: ofJob(({ priority }) => priority === "foreground"),
    set: (isForeground: boolean) => jobChange({ priority: isForeground ? "foreground" : "normal" }),
  },
  DODownloadProperty_BlockingMode: {
    get: ofAttribute(BLOCKING_MODE),
    set: (isBlocking: boolean) => attributeChange({ [BLOCKING_MODE]: isBlocking }),
  },
  DODownloadProperty_SecurityContext: {
    set: (bytes: Uint8Array, look) =>
      requestChange(look, { clientCertificate: parseClientCertificate(bytes) }),
  },
  // Kept, and without effect: files are fetched under the agent's own identity.
  DODownloadProperty_NetworkToken: {
    set: (isWanted: boolean) => attributeChange({ [NETWORK_TOKEN]: isWanted }),
  },
  DODownloadProperty_CorrelationVector: {
    get: ofAttribute(CORRELATION_VECTOR),
    set: (text: string) => attributeChange({ [CORRELATION_VECTOR]: text }),
  },
  DODownloadProperty_DecryptionInfo: { set: async (text: string) => refuseDecryptionInfo(text) },
  DODownloadProperty_IntegrityCheckInfo: {
    set: (text: string) => fileChange({ pieceHashes: parseIntegrityCheckInfo(text) }),
  },
  DODownloadProperty_IntegrityCheckMandatory: {
    get: ofSpec(({ mandatoryIntegrity }) => mandatoryIntegrity),
    set: (mandatoryIntegrity: boolean) => fileChange({ mandatoryIntegrity }),
  },
  DODownloadProperty_TotalSizeBytes: {
    get: ofJob(({ length, files: [file] }) => {
      const known = length ?? file?.declaredLength;
      return known === undefined ? undefined : BigInt(known);
    }),
    set: (length: bigint) => {
      if (length > LIMITS.contentLengthMax)
        throw HResultError.of("E_INVALIDARG", `${length} bytes`);
      return fileChange({ declaredLength: Number(length) });
    },
  },
  DODownloadProperty_DisallowOnCellular: {
    get: ofAttribute(DISALLOW_ON_CELLULAR),
    set: async (isDisallowed: boolean, look) =>
      jobChange(await cellularChange(look, { [DISALLOW_ON_CELLULAR]: isDisallowed })),
  },
  // Credentials, most likely, so they are never read back, although Microsoft's can be (R-API-13).
  DODownloadProperty_HttpCustomAuthHeaders: {
    set: (text: string, look) => requestChange(look, { challengeHeaders: parseHeaderLines(text) }),
  },
  DODownloadProperty_HttpAllowSecureToNonSecureRedirect: {
    get: ofSpec(({ request }) => request?.allowInsecureRedirect),
    set: (allowInsecureRedirect: boolean, look) => requestChange(look, { allowInsecureRedirect }),
  },
  DODownloadProperty_NonVolatile: {
    get: ofJob(({ isVolatile }) => !isVolatile),
    set: (isKept: boolean) => jobChange({ isVolatile: !isKept }),
  },
  DODownloadProperty_HttpRedirectionTarget: { get: ofResponse(({ url }) => url) },
  DODownloadProperty_HttpResponseHeaders: { get: ofResponse(({ headers }) => headers) },
  DODownloadProperty_HttpServerIPAddress: { get: ofResponse(({ address }) => address) },
  DODownloadProperty_HttpStatusCode: { get: ofResponse(({ status }) => status) },
};

const NO_CELLULAR = DODownloadCostPolicy.DODownloadCostPolicy_NoCellular;

/** The low byte of a legacy policy is the set of costs it stands for. */
const COSTS: ReadonlyMap<number, number> = new Map([
  [DODownloadCostPolicy.DODownloadCostPolicy_Always, ANY_NETWORK_COST],
  [
    DODownloadCostPolicy.DODownloadCostPolicy_Unrestricted,
    BITS_JOB_TRANSFER_POLICY.BITS_JOB_TRANSFER_POLICY_UNRESTRICTED & ANY_NETWORK_COST,
  ],
  [
    DODownloadCostPolicy.DODownloadCostPolicy_Standard,
    BITS_JOB_TRANSFER_POLICY.BITS_JOB_TRANSFER_POLICY_STANDARD & ANY_NETWORK_COST,
  ],
  [
    DODownloadCostPolicy.DODownloadCostPolicy_NoRoaming,
    BITS_JOB_TRANSFER_POLICY.BITS_JOB_TRANSFER_POLICY_NOT_ROAMING & ANY_NETWORK_COST,
  ],
  [
    DODownloadCostPolicy.DODownloadCostPolicy_NoSurcharge,
    BITS_JOB_TRANSFER_POLICY.BITS_JOB_TRANSFER_POLICY_NO_SURCHARGE & ANY_NETWORK_COST,
  ],
  [NO_CELLULAR, ANY_NETWORK_COST],
]);

/** The first policy with these costs; without cellular networks is told apart by an attribute. */
function policyOf(networkCosts: number): number | undefined {
  return [...COSTS].find(([, costs]) => costs === networkCosts)?.[0];
}

const TOLERANCES: ReadonlyArray<readonly [flag: number, tolerance: TlsTolerance]> = [
  [SECURITY_FLAGS.SECURITY_FLAG_IGNORE_UNKNOWN_CA, "unknownAuthority"],
  [SECURITY_FLAGS.SECURITY_FLAG_IGNORE_CERT_WRONG_USAGE, "wrongUsage"],
  [SECURITY_FLAGS.SECURITY_FLAG_IGNORE_CERT_CN_INVALID, "wrongName"],
  [SECURITY_FLAGS.SECURITY_FLAG_IGNORE_CERT_DATE_INVALID, "wrongDate"],
];
const KNOWN_FLAGS = Object.values(SECURITY_FLAGS).reduce((all: number, flag) => all | flag, 0);

function tolerancesOf(flags: number): readonly TlsTolerance[] {
  if ((flags & ~KNOWN_FLAGS) !== 0) throw HResultError.of("E_INVALIDARG", "unknown flags");
  if ((flags & SECURITY_FLAGS.WINHTTP_ENABLE_SSL_REVOCATION) !== 0) return [];
  return TOLERANCES.filter(([flag]) => (flags & flag) !== 0).map(([, tolerance]) => tolerance);
}

/** An empty text is no address and no path. */
function needed(text: string): string {
  if (text === "") throw HResultError.of("E_INVALIDARG", "an empty text");
  return text;
}

function ofJob(read: (snapshot: JobSnapshot) => Found): (look: DownloadLook) => Promise<Found> {
  return async (look) => read(await look.snapshot());
}

function ofSpec(read: (spec: JobFileSpec) => Found): (look: DownloadLook) => Promise<Found> {
  return async (look) => read(await look.spec());
}

function ofAttribute(name: string): (look: DownloadLook) => Promise<Found> {
  return ofJob(({ attributes }) => attributes[name]);
}

function ofResponse(read: (response: OriginResponse) => Found) {
  return async (look: DownloadLook): Promise<Found> => {
    const response = await look.response();
    return response && read(response);
  };
}

async function jobChange(values: JobValueChange): Promise<JobChange> {
  return { type: "setJob", values };
}

function attributeChange(attributes: Record<string, JobAttribute>): Promise<JobChange> {
  return jobChange({ attributes });
}

async function fileChange(values: Nullable<JobFileSpec>): Promise<JobChange> {
  return { type: "setFile", fileIndex: 0, values };
}

/** The other request options stay as they are. */
async function requestChange(
  look: DownloadLook,
  change: Partial<OriginRequestOptions>,
): Promise<JobChange> {
  const { request } = await look.spec();
  return fileChange({ request: { ...request, ...change } });
}

async function cellularChange(
  look: DownloadLook,
  change: Record<string, boolean>,
): Promise<JobValueChange> {
  const { attributes } = await look.snapshot();
  const flags = { ...attributes, ...change };
  const isForbidden = [NO_CELLULAR_POLICY, DISALLOW_ON_CELLULAR].some(
    (name) => flags[name] === true,
  );
  return { allowsCellular: !isForbidden, attributes: change };
}

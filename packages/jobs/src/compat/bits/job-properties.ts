/**
 * The properties of a job in `IBackgroundCopyJob5` (job-API reference, sections 4.5 and 4.6): what
 * setting one changes in the job, and what of the job each shows. The cost flags are the networks
 * that the job may use, and further bits that only this face knows.
 *
 * Knows values. Called by `BackgroundCopyJob`.
 */
import { ANY_NETWORK_COST } from "@shoal/core";
import type { JobSummary, JobValueChange } from "@shoal/core";
import { BITS_COST_STATE, BITS_JOB_PROPERTY_ID } from "../constants/bits.ts";
import { GUID_NULL } from "../constants/guid.ts";
import { HResultError } from "../hresult-error.ts";
import type { BITS_JOB_PROPERTY_VALUE } from "./interfaces.ts";
import { invalid, readGuid, readUlong } from "./read-arguments.ts";
import { BITS_ATTRIBUTES } from "./shown-values.ts";

/** Throws `E_NOTIMPL` for unsupported properties, `E_INVALIDARG` for unknown ones. */
export function showJobProperty(id: unknown, job: JobSummary): BITS_JOB_PROPERTY_VALUE {
  return ruleOf(id).show(job);
}

/** What setting the property changes. Throws as above, and `E_INVALIDARG` for a wrong value. */
export function readJobProperty(id: unknown, value: unknown): JobValueChange {
  const rule = ruleOf(id);
  const members = Object(value) as Readonly<Record<string, unknown>>;
  return rule.read(members[rule.member]);
}

/** The class whose callbacks the job wants; `undefined` when none. */
export function notifyClsidOf({ attributes }: JobSummary): string | undefined {
  const clsid = attributes[BITS_ATTRIBUTES.notifyClsid];
  return typeof clsid === "string" ? clsid : undefined;
}

interface PropertyRule {
  /** The member of `BITS_JOB_PROPERTY_VALUE`. */
  readonly member: "Dword" | "ClsID";
  readonly read: (value: unknown) => JobValueChange;
  readonly show: (job: JobSummary) => BITS_JOB_PROPERTY_VALUE;
}

const COST_FLAGS: PropertyRule = {
  member: "Dword",
  read: (value) => {
    const flags = readUlong(value, "Dword");
    const networkCosts = flags & ANY_NETWORK_COST;
    // Subtracted rather than masked: masks are signed.
    return { networkCosts, attributes: { [BITS_ATTRIBUTES.costOptions]: flags - networkCosts } };
  },
  show: ({ networkCosts, attributes }) => {
    const options = attributes[BITS_ATTRIBUTES.costOptions];
    const { BITS_COST_OPTION_IGNORE_CONGESTION } = BITS_COST_STATE;
    return { Dword: Number(options ?? BITS_COST_OPTION_IGNORE_CONGESTION) + networkCosts };
  },
};

const NOTIFICATION_CLSID: PropertyRule = {
  member: "ClsID",
  read: (value) => {
    const clsid = readGuid(value, "ClsID");
    const isCleared = clsid === GUID_NULL;
    return { attributes: { [BITS_ATTRIBUTES.notifyClsid]: isCleared ? null : clsid } };
  },
  show: (job) => ({ ClsID: notifyClsidOf(job) ?? GUID_NULL }),
};

function ruleOf(id: unknown): PropertyRule {
  if (id === BITS_JOB_PROPERTY_ID.BITS_JOB_PROPERTY_ID_COST_FLAGS) return COST_FLAGS;
  if (id === BITS_JOB_PROPERTY_ID.BITS_JOB_PROPERTY_NOTIFICATION_CLSID) return NOTIFICATION_CLSID;
  const isDefined = Object.values<unknown>(BITS_JOB_PROPERTY_ID).includes(id);
  throw isDefined ? HResultError.of("E_NOTIMPL", "this property") : invalid("no such property");
}

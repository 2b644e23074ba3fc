/**
 * Calls as they arrive on the job socket, made into calls of a service. Knows which arguments each
 * of them takes; what those may say is core's to check. Called by the agent's end of a connection.
 */
import { errorInfo } from "@shoal/core";
import type { ErrorInfo, JobChange, JobId, PlainVerb, VerbGuard } from "@shoal/core";
import type {
  FileKey,
  JobService,
  ServiceAnnouncement,
  ServiceJobRequest,
} from "../job-service.ts";
import { CALL_ARGS } from "./messages.ts";
import type { CallName } from "./messages.ts";

interface CallArgs {
  readonly createJob: { readonly request: ServiceJobRequest };
  readonly list: object;
  readonly snapshot: { readonly jobId: JobId };
  readonly explain: { readonly jobId: JobId };
  readonly applyVerb: {
    readonly jobId: JobId;
    readonly verb: PlainVerb;
    readonly guard?: VerbGuard;
  };
  readonly changeJob: {
    readonly jobId: JobId;
    readonly change: JobChange;
    readonly guard?: VerbGuard;
  };
  readonly fileSpec: FileKey;
  readonly fileResponse: FileKey;
  readonly attachStream: FileKey;
  readonly announce: ServiceAnnouncement;
  readonly bans: object;
  readonly removeBan: { readonly subject: string };
}

/** A call whose arguments have the shape of their declarations. */
export type Call = {
  readonly [Name in CallName]: { readonly name: Name; readonly args: CallArgs[Name] };
}[CallName];

/** What a call came to; `items` are what grows with the number of jobs or files. */
export interface CallResult {
  readonly value?: unknown;
  readonly items?: readonly object[];
}

/** `ERR_FEATURE_UNSUPPORTED` for names of other versions, `ERR_USAGE` for arguments of other types. */
export function parseCall(name: string, args: unknown): Call | ErrorInfo {
  if (!Object.hasOwn(CALL_ARGS, name)) return errorInfo("ERR_FEATURE_UNSUPPORTED", name);
  const call = { name, args } as Call;
  if (CALL_ARGS[call.name](args)) return call;
  return errorInfo("ERR_USAGE", `an argument of ${name} is not as documented`);
}

/** Whether the call may take as long as a disk or the job's files do. */
export function isVerb({ name }: Call): boolean {
  return ["createJob", "applyVerb", "changeJob", "announce"].includes(name);
}

export async function runCall(
  service: JobService,
  call: Exclude<Call, { readonly name: "attachStream" }>,
): Promise<CallResult> {
  switch (call.name) {
    case "createJob":
      return { value: await service.createJob(call.args.request) };
    case "list":
      return { items: await service.list() };
    case "snapshot": {
      const snapshot = await service.snapshot(call.args.jobId);
      if (snapshot === undefined) return {};
      const { files, ...value } = snapshot;
      return { value, items: files };
    }
    case "explain": {
      const explanation = await service.explain(call.args.jobId);
      if (explanation === undefined) return {};
      const { files, ...value } = explanation;
      return { value, items: files };
    }
    case "applyVerb": {
      const { jobId, verb, guard } = call.args;
      return { value: await service.applyVerb(jobId, verb, guard) };
    }
    case "changeJob": {
      const { jobId, change, guard } = call.args;
      await service.changeJob(jobId, change, guard);
      return {};
    }
    case "announce":
      await service.announce(call.args);
      return {};
    case "fileSpec":
      return { value: await service.fileSpec(call.args) };
    case "bans":
      return { items: await service.bans() };
    case "removeBan":
      return { value: await service.removeBan(call.args.subject) };
    case "fileResponse":
      return { value: await service.fileResponse(call.args) };
  }
}

/**
 * What a check of the doctor is: a question with a name, what it may look at, and its answer. Every
 * answer but `pass` says what to do next.
 *
 * Knows no check. Used by the tables of checks and by whoever runs them.
 */
import type { Millis, UnixMillis } from "@shoal/core";
import type { OriginOptions } from "@shoal/origin";
import type { AgentService, CheckReport } from "../service/agent-service.ts";
import type { NamedOrigin } from "./origin-looks.ts";

/** What was found, without the check's name. */
export type Outcome = Omit<CheckReport, "id" | "title">;

/** What checks may look at. */
export interface DoctorContext {
  /** The agent that runs; absent: none does, and only what lies on disk can be looked at. */
  readonly service?: AgentService;
  /** Whether this process is the agent, so that its own resources are the agent's. */
  readonly isAgent: boolean;
  readonly stateDirectory: string;
  /** Multiaddrs that an agent would listen on. */
  readonly listen: readonly string[];
  readonly mdns: boolean;
  readonly groupKeyFiles: readonly string[];
  /** How origins are reached. */
  readonly originOptions: OriginOptions;
  /** The API's socket and the file of its token; absent: there is none. */
  readonly socketPath?: string;
  readonly tokenFile?: string;
  /** Whether the directory's group may use the socket. */
  readonly isSocketGroups?: boolean;
  /** The port of the listener for programs of the DO SDK; absent: there is none. */
  readonly doRest?: { readonly port: number; readonly runDirectory: string };
  /** Origins of recent jobs, asked once for all checks. */
  readonly origins: () => Promise<readonly NamedOrigin[]>;
  readonly now: () => UnixMillis;
}

export interface Check {
  /** Such as `machine.disk`: its group, then its name. Stable. */
  readonly id: string;
  readonly title: string;
  /** Default 5 s. */
  readonly timeoutMs?: Millis;
  /** Whether it can say nothing without an agent. */
  readonly needsAgent?: true;
  /** Rejecting means that it could not be run. */
  run(context: DoctorContext, signal: AbortSignal): Promise<Outcome> | Outcome;
}

/** A check that has an agent to ask. */
export function ofAgent(
  check: Omit<Check, "run" | "needsAgent"> & {
    run(service: AgentService, context: DoctorContext): Promise<Outcome>;
  },
): Check {
  return {
    ...check,
    needsAgent: true,
    run: (context) =>
      context.service === undefined
        ? notRun("No agent runs.", "Start one: shoal agent.")
        : check.run(context.service, context),
  };
}

type Facts = NonNullable<Outcome["facts"]>;

export function pass(finding: string, facts?: Facts): Outcome {
  return { result: "pass", finding, ...(facts && { facts }) };
}

export function warn(finding: string, remedy: string, facts?: Facts): Outcome {
  return { result: "warn", finding, remedy, ...(facts && { facts }) };
}

export function fail(finding: string, remedy: string, facts?: Facts): Outcome {
  return { result: "fail", finding, remedy, ...(facts && { facts }) };
}

export function notApplicable(finding: string, remedy: string): Outcome {
  return { result: "notApplicable", finding, remedy };
}

export function notRun(finding: string, remedy: string): Outcome {
  return { result: "notRun", finding, remedy };
}

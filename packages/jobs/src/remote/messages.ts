/**
 * What is said on the job socket: messages of callers and of the agent, and the checks of their
 * shapes. Requests and changes are checked further by core, which refuses what it does not know.
 *
 * Knows shapes alone. Used at both ends; docs/job-socket.md describes them.
 */
import {
  ERRORS,
  isBoolean,
  isCount,
  isList,
  isObject,
  isOneOf,
  isRecordOf,
  isText,
  JOB_STATES,
  JOB_VERBS,
  LIMITS,
} from "@shoal/core";
import type { Check, ErrorInfo, JobId, JobState } from "@shoal/core";
import type { JobService } from "../job-service.ts";

/** Said in the agent's first message; a caller that speaks another one goes away. */
export const JOB_SOCKET_VERSION = 1;

export type CallName = Exclude<keyof JobService, "watch" | "close">;

/** `stream` is the `id` of the `attachStream` call. */
export type CallerMessage =
  | { readonly type: "call"; readonly id: number; readonly name: string; readonly args: unknown }
  /** Whether the caller wants `changed`. */
  | { readonly type: "watch"; readonly isOn: boolean }
  /** The stream has taken its piece, and may be given the next. */
  | { readonly type: "taken"; readonly stream: number }
  /** The stream takes no more. */
  | { readonly type: "refused"; readonly stream: number; readonly reason: string }
  | { readonly type: "detach"; readonly stream: number };

export type AgentMessage =
  | { readonly type: "hello"; readonly version: number }
  /** Items of a long answer, before the answer itself. */
  | { readonly type: "part"; readonly id: number; readonly items: readonly unknown[] }
  /** `value` is absent where the call resolves to nothing. */
  | { readonly type: "answer"; readonly id: number; readonly value?: unknown }
  | { readonly type: "failure"; readonly id: number; readonly error: ErrorInfo }
  | { readonly type: "changed"; readonly jobs: ReadonlyArray<readonly [JobId, JobState]> }
  /** Its bytes are beside it. */
  | { readonly type: "piece"; readonly stream: number };

const ID = isCount();
const ITEMS_MAX = LIMITS.jobsMax + LIMITS.jobsOverMax;
const isAnything: Check = () => true;
const isType = isText(LIMITS.nameLengthMax);

const CALLER_SHAPES: Readonly<Record<CallerMessage["type"], Check>> = {
  call: isRecordOf({ type: isType, id: ID, name: isText(LIMITS.nameLengthMax), args: isObject }),
  watch: isRecordOf({ type: isType, isOn: isBoolean }),
  taken: isRecordOf({ type: isType, stream: ID }),
  refused: isRecordOf({ type: isType, stream: ID, reason: isText(LIMITS.displayNameLengthMax) }),
  detach: isRecordOf({ type: isType, stream: ID }),
};

const isError = isRecordOf(
  {
    code: (value) => typeof value === "string" && Object.hasOwn(ERRORS, value),
    message: (value) => typeof value === "string",
  },
  { originStatus: isCount(999) },
);

const isChange: Check = (value) =>
  Array.isArray(value) &&
  value.length === 2 &&
  isText(LIMITS.nameLengthMax)(value[0]) &&
  isOneOf(JOB_STATES)(value[1]);

const AGENT_SHAPES: Readonly<Record<AgentMessage["type"], Check>> = {
  hello: isRecordOf({ type: isType, version: ID }),
  part: isRecordOf({ type: isType, id: ID, items: isList(isObject, ITEMS_MAX) }),
  answer: isRecordOf({ type: isType, id: ID }, { value: isAnything }),
  failure: isRecordOf({ type: isType, id: ID, error: isError }),
  changed: isRecordOf({ type: isType, jobs: isList(isChange, ITEMS_MAX) }),
  piece: isRecordOf({ type: isType, stream: ID }),
};

/** `undefined` when it is none. */
export function parseCallerMessage(value: unknown): CallerMessage | undefined {
  return hasShape(value, CALLER_SHAPES) ? (value as CallerMessage) : undefined;
}

/** `undefined` when it is none. */
export function parseAgentMessage(value: unknown): AgentMessage | undefined {
  return hasShape(value, AGENT_SHAPES) ? (value as AgentMessage) : undefined;
}

function hasShape(value: unknown, shapes: Readonly<Record<string, Check>>): boolean {
  if (!isObject(value)) return false;
  const { type } = value;
  return typeof type === "string" && Object.hasOwn(shapes, type) && shapes[type]?.(value) === true;
}

const JOB_ID = isText(LIMITS.nameLengthMax);
const FILE_KEY = isRecordOf({ jobId: JOB_ID, fileIndex: ID });
const GUARD = isRecordOf(
  {},
  { states: isList(isOneOf(JOB_STATES), JOB_STATES.length), hasStarted: isBoolean },
);
const PLAIN_VERB = isOneOf(JOB_VERBS.filter((verb) => verb !== "addFile" && verb !== "change"));

/** What each call takes. */
export const CALL_ARGS: Readonly<Record<CallName, Check>> = {
  createJob: isRecordOf({ request: isObject }),
  list: isRecordOf({}),
  snapshot: isRecordOf({ jobId: JOB_ID }),
  explain: isRecordOf({ jobId: JOB_ID }),
  applyVerb: isRecordOf({ jobId: JOB_ID, verb: PLAIN_VERB }, { guard: GUARD }),
  changeJob: isRecordOf({ jobId: JOB_ID, change: isObject }, { guard: GUARD }),
  fileSpec: FILE_KEY,
  fileResponse: FILE_KEY,
  attachStream: FILE_KEY,
  announce: isRecordOf({
    path: isText(LIMITS.pathBytesMax),
    signed: isText(2 * LIMITS.announcementBytesMax),
  }),
  bans: isRecordOf({}),
  removeBan: isRecordOf({ subject: isText(LIMITS.nameLengthMax) }),
};

const isNothing: Check = (value) => value === undefined;
const isObjectOrNothing: Check = (value) => value === undefined || isObject(value);

/** What each call comes to, apart from the items of its parts. */
export const CALL_VALUES: Readonly<Record<CallName, Check>> = {
  createJob: JOB_ID,
  list: isNothing,
  snapshot: isObjectOrNothing,
  explain: isObjectOrNothing,
  applyVerb: isRecordOf({ isPartial: isBoolean, undeletedCount: isCount() }),
  changeJob: isNothing,
  fileSpec: isObjectOrNothing,
  fileResponse: isObjectOrNothing,
  attachStream: isNothing,
  announce: isNothing,
  bans: isNothing,
  removeBan: isBoolean,
};

/** The items of a long answer in runs, each of which fits into one message. */
export function* partsOf<Item extends object>(
  items: readonly Item[],
): Generator<readonly Item[], undefined, undefined> {
  let run: Item[] = [];
  let lengthBytes = 0;
  for (const item of items) {
    const itemBytes = Buffer.byteLength(JSON.stringify(item)) + 1;
    if (run.length > 0 && lengthBytes + itemBytes > LIMITS.jobPartBytesMax) {
      yield run;
      run = [];
      lengthBytes = 0;
    }
    run.push(item);
    lengthBytes += itemBytes;
  }
  if (run.length > 0) yield run;
  return undefined;
}

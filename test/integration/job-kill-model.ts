/**
 * What an agent that was killed must still know: built from the calls that were answered, and
 * compared with the jobs the next run finds. Calls without an answer may have happened or not.
 *
 * Knows the tables of job states and what a call asks for; knows neither processes nor files. Every
 * finding is a sentence. Used by `job-kill.test.ts`.
 */
import { isDeepStrictEqual } from "node:util";
import { isFinalState, JOB_FACT_TABLE, JOB_VERB_TABLE, PART_FILE_PREFIX } from "@shoal/core";
import type { JobFileSpec, JobSnapshot, JobState, JobValues, PlainVerb } from "@shoal/core";
import type { ServiceJobRequest } from "@shoal/jobs";
import type { Call, TargetReport } from "./job-kill-target.ts";

/** A job as it may be found. */
export interface ExpectedJob {
  readonly jobId: string;
  readonly idempotencyKey: string | undefined;
  readonly values: Pick<JobValues, "displayName" | "priority" | "attributes" | "isVolatile">;
  readonly files: readonly JobFileSpec[];
  /** All states it may be in by now. */
  readonly states: ReadonlySet<JobState>;
  /** An acknowledgement has begun: files may lie at their destinations. */
  readonly wasAcknowledged: boolean;
  /** It was acknowledged, and none of its files was dropped. */
  readonly isWhole: boolean;
}

export class JobModel {
  /** In the order of their creation, as far as it is known. */
  readonly jobs = new Map<string, ExpectedJob>();
  /** Volatile jobs that did not outlive a kill; their part files may take a moment to go. */
  readonly dropped: ExpectedJob[] = [];
  readonly findings: string[] = [];
  /** Calls that have not been answered, by lane. */
  readonly #pending = new Map<number, Call>();
  callCount = 0;
  /** Calls a kill left without an answer, and those of them that had happened. */
  unansweredCount = 0;
  happenedCount = 0;

  /** Takes one line of a process's report. */
  take(report: TargetReport): void {
    switch (report.type) {
      case "will":
        this.#pending.set(report.lane, report.call);
        return;
      case "done":
        this.callCount++;
        this.#done(this.#answered(report.lane), report);
        return;
      case "refused": {
        const call = this.#answered(report.lane);
        // Files that were published before one failed stay so.
        if (
          call.type === "verb" &&
          call.verb === "acknowledge" &&
          report.code !== "ERR_JOB_STATE"
        ) {
          this.#replace(call.jobId, (job) => begun(job));
        }
        return;
      }
      case "ready":
        this.#compareAfterKill(report.jobs);
        return;
      case "atRest":
        this.#compare(report.jobs);
        this.#checkAtRest(report.jobs);
        this.#checkParts(report);
        return;
      case "over":
        this.#compare(report.jobs);
        this.#checkParts(report);
        for (const { jobId, state } of report.jobs) {
          if (!isFinalState(state)) this.findings.push(`${jobId} is ${state} and cannot be ended`);
        }
    }
  }

  /** Creations without an answer that have a key: a user asks for them once more. */
  unansweredCreations(): readonly ServiceJobRequest[] {
    return [...this.#pending.values()].flatMap((call) =>
      call.type === "create" && call.request.idempotencyKey !== undefined ? [call.request] : [],
    );
  }

  /** Whether a call to the job has not been answered. */
  isPending(jobId: string): boolean {
    return this.#pending.values().some((call) => call.type !== "create" && call.jobId === jobId);
  }

  #answered(lane: number): Call {
    const call = this.#pending.get(lane);
    if (call === undefined) throw new Error(`lane ${lane} reports a call it has not announced`);
    this.#pending.delete(lane);
    return call;
  }

  #done(call: Call, { jobId: createdId, isPartial, undeletedCount }: Answer): void {
    if (call.type === "create") {
      const job = expectedOf(call.request);
      const earlier = this.#byKey(job);
      const wantedId = earlier?.jobId ?? job.jobId;
      if (createdId !== wantedId) this.findings.push(`${createdId} was created, not ${wantedId}`);
      if (earlier === undefined) this.jobs.set(job.jobId, job);
      return;
    }
    const before = this.jobs.get(call.jobId);
    if (before === undefined) {
      this.findings.push(`${describe(call)} was accepted, and there is no such job`);
      return;
    }
    const after = afterCall(before, call);
    if (after.states.size === 0) {
      const states = [...before.states].join(" or ");
      this.findings.push(`${describe(call)} was accepted by a job that is ${states}`);
    }
    if ((undeletedCount ?? 0) > 0) this.findings.push(`${describe(call)} left part files`);
    const wasWhole = [...before.states].every((state) => state === "transferred");
    if (isPartial === true && wasWhole && before.files.length === 1) {
      this.findings.push(`${describe(call)} dropped the only file of a transferred job`);
    }
    const isWhole = after.states.has("acknowledged") && isPartial === false;
    this.jobs.set(call.jobId, { ...after, isWhole });
  }

  /** Jobs as a new process finds them: what was without an answer is settled by what they show. */
  #compareAfterKill(found: readonly JobSnapshot[]): void {
    const foundById = new Map(found.map((job) => [job.jobId, job]));
    for (const call of this.#pending.values()) {
      this.unansweredCount++;
      if (call.type === "create") {
        const job = expectedOf(call.request);
        if (this.#byKey(job) !== undefined || !foundById.has(job.jobId)) continue;
        this.happenedCount++;
        this.jobs.set(job.jobId, job);
        continue;
      }
      const before = this.jobs.get(call.jobId);
      const snapshot = foundById.get(call.jobId);
      if (before === undefined) continue;
      const after = afterCall(before, call);
      const isDone = snapshot !== undefined && differences(snapshot, after).length === 0;
      const isAcknowledge = call.type === "verb" && call.verb === "acknowledge";
      if (isDone) this.happenedCount++;
      if (isDone) this.jobs.set(call.jobId, after);
      else if (isAcknowledge) this.jobs.set(call.jobId, begun(before));
    }
    this.#pending.clear();
    for (const job of this.jobs.values()) {
      if (!job.values.isVolatile || [...job.states].every(isFinalState)) continue;
      const snapshot = foundById.get(job.jobId);
      if (snapshot === undefined) {
        this.dropped.push(job);
        this.jobs.delete(job.jobId);
      } else if (snapshot.state === "cancelled")
        this.jobs.set(job.jobId, inStates(job, ["cancelled"]));
      else if (!isFinalState(snapshot.state)) this.findings.push(`volatile ${job.jobId} lives on`);
    }
    this.#compare(found);
  }

  /** Every job is there once, in order, as expected; from now on it is what it was found to be. */
  #compare(found: readonly JobSnapshot[]): void {
    const foundById = new Map(found.map((job) => [job.jobId, job]));
    if (foundById.size < found.length) this.findings.push("a job is listed twice");
    for (const snapshot of found) {
      const expected = this.jobs.get(snapshot.jobId);
      if (expected === undefined) {
        this.findings.push(`${snapshot.jobId} is there, and nobody has created it`);
        continue;
      }
      this.findings.push(...differences(snapshot, expected));
      this.jobs.set(snapshot.jobId, inStates(expected, [snapshot.state]));
    }
    for (const { jobId, states, values } of this.jobs.values()) {
      if (foundById.has(jobId)) continue;
      const { isVolatile } = values;
      const what = `${isVolatile ? "volatile" : "job"} ${jobId}`;
      this.findings.push(`${what} is lost; it was ${[...states].join(" or ")}`);
      this.jobs.delete(jobId);
    }
    const isInOrder = found.every(
      ({ createdAt }, index) => createdAt >= (found[index - 1]?.createdAt ?? 0),
    );
    if (!isInOrder) this.findings.push("the jobs changed places");
  }

  #checkAtRest(found: readonly JobSnapshot[]): void {
    for (const { jobId, state, error, files } of found) {
      if (isFinalState(state) || state === "suspended") continue;
      if (state !== "error" && state !== "transferred") {
        const phases = files.map(({ phase }) => phase).join(", ");
        this.findings.push(`${jobId} is stuck in ${state}: ${error?.message} (files ${phases})`);
      } else if (state === "error" && error?.message.includes("/missing/") !== true) {
        this.findings.push(`${jobId} failed: ${error?.code} ${error?.message}`);
      }
    }
  }

  /** Every part file is of a job that is not over, and of one of its files. */
  #checkParts({ jobs, partNames }: { jobs: readonly JobSnapshot[]; partNames: readonly string[] }) {
    const open = jobs
      .filter(({ state }) => !isFinalState(state))
      .flatMap(({ jobId, files }) =>
        files.flatMap(({ phase }) => (phase === "published" ? [] : [partPrefixOf(jobId)])),
      );
    for (const name of partNames) {
      const index = open.findIndex((prefix) => name.startsWith(prefix));
      if (index >= 0) open.splice(index, 1);
      else if (!this.dropped.some(({ jobId }) => name.startsWith(partPrefixOf(jobId)))) {
        const owner = jobs.find(({ jobId }) => name.startsWith(partPrefixOf(jobId)));
        const phases = owner?.files.map(({ phase }) => phase).join(", ");
        this.findings.push(`nobody owns ${name}: its job is ${owner?.state}, its files ${phases}`);
      }
    }
  }

  #byKey({ idempotencyKey }: ExpectedJob): ExpectedJob | undefined {
    if (idempotencyKey === undefined) return undefined;
    return this.jobs.values().find((job) => job.idempotencyKey === idempotencyKey);
  }

  #replace(jobId: string, change: (job: ExpectedJob) => ExpectedJob): void {
    const job = this.jobs.get(jobId);
    if (job !== undefined) this.jobs.set(jobId, change(job));
  }
}

/** How the names of the job's part files begin (docs/storage.md). */
export function partPrefixOf(jobId: string): string {
  return `${PART_FILE_PREFIX}${jobId.slice(0, 8)}-`;
}

type Answer = Extract<TargetReport, { type: "done" }>;

function expectedOf(request: ServiceJobRequest): ExpectedJob {
  const { jobId, idempotencyKey, displayName, priority, attributes, isVolatile, files } = request;
  const job = {
    jobId,
    idempotencyKey,
    values: { displayName, priority, attributes, isVolatile },
    files,
    states: new Set<JobState>(),
    wasAcknowledged: false,
    isWhole: false,
  };
  return inStates(job, [request.startSuspended ? "suspended" : "queued"]);
}

/** The job once the call has been answered; without states where no state allows the call. */
function afterCall(job: ExpectedJob, call: Exclude<Call, { type: "create" }>): ExpectedJob {
  if (call.type === "verb") return afterVerb(job, call.verb);
  const { change } = call;
  const files = [...job.files];
  switch (change.type) {
    case "addFiles":
      return { ...job, files: [...files, ...change.files] };
    case "setFile":
    case "addRanges": {
      const spec = files[change.fileIndex];
      if (spec === undefined) return inStates(job, []);
      const values =
        change.type === "setFile"
          ? (change.values as Partial<JobFileSpec>)
          : { ranges: [...(spec.ranges ?? []), ...change.ranges] };
      files[change.fileIndex] = { ...spec, ...values };
      return { ...job, files };
    }
    case "setJob": {
      const { attributes = {}, ...values } = change.values;
      const merged = Object.entries({ ...job.values.attributes, ...attributes });
      const kept = Object.fromEntries(merged.filter(([, value]) => value !== null));
      const all = { ...job.values, ...(values as Partial<JobValues>), attributes: kept };
      return { ...job, values: all as ExpectedJob["values"] };
    }
  }
}

function afterVerb(job: ExpectedJob, verb: PlainVerb): ExpectedJob {
  const next = [...job.states].flatMap((state) => JOB_VERB_TABLE[state][verb] ?? []);
  // Files were added to it.
  if (verb === "resume" && job.states.has("transferred")) next.push("queued");
  const after = inStates(job, next);
  return verb === "acknowledge" ? { ...after, wasAcknowledged: true } : after;
}

/** An acknowledgement was begun and cut short: it may be suspended, and files published. */
function begun(job: ExpectedJob): ExpectedJob {
  if ([...job.states].every(isFinalState)) return job;
  return { ...inStates(job, [...job.states, "suspended"]), wasAcknowledged: true };
}

/** `job` in one of `states`, or in what follows from them without a call, restarts included. */
function inStates(job: ExpectedJob, states: readonly JobState[]): ExpectedJob {
  const all = new Set(states);
  for (const state of all) {
    const { tooOld: _, ...facts } = JOB_FACT_TABLE[state];
    for (const next of Object.values(facts)) all.add(next);
  }
  // A stream does not outlive its process.
  const hasStream = job.files.some(({ toStream }) => toStream === true);
  if (hasStream && all.has("queued")) all.add("suspended");
  return { ...job, states: all };
}

function differences(found: JobSnapshot, job: ExpectedJob): readonly string[] {
  const { displayName, priority, attributes, isVolatile } = found;
  const values = { displayName, priority, attributes, isVolatile };
  const files = found.files.map(({ url, destination, ranges, toStream }) => ({
    url,
    destination,
    ranges,
    toStream,
  }));
  const expectedFiles = job.files.map(({ url, destination, ranges, toStream = false }) => ({
    url,
    destination,
    ranges,
    toStream,
  }));
  const name = `${job.jobId} (${found.state})`;
  return [
    ...(job.states.has(found.state) ? [] : [`${name} was ${[...job.states].join(" or ")}`]),
    ...difference(`values of ${name}`, values, job.values),
    ...difference(`files of ${name}`, files, expectedFiles),
  ];
}

function difference(what: string, found: unknown, expected: unknown): readonly string[] {
  if (isDeepStrictEqual(found, expected)) return [];
  return [`${what}: ${JSON.stringify(found)}, and not ${JSON.stringify(expected)}`];
}

function describe(call: Exclude<Call, { type: "create" }>): string {
  const what = call.type === "verb" ? call.verb : call.change.type;
  return `${what} of ${call.jobId}`;
}

/**
 * The job service of an agent somewhere else on this machine: calls become messages, and messages
 * answers. Every call has a deadline, and ends with the connection at the latest.
 *
 *   open ─close─▶ closed            calls: ERR_AGENT_CLOSED
 *   open ─connection lost─▶ lost    what waited: ERR_AGENT_CLOSED; later calls: ERR_AGENT_UNREACHABLE
 *
 * Knows messages. The agent is whoever can listen in a directory of the user's own, and is believed,
 * apart from the shapes of what it says. Made by `connectJobService`.
 */
import type { Duplex } from "node:stream";
import { LIMITS, ShoalError } from "@shoal/core";
import type {
  Ban,
  JobChange,
  JobExplanation,
  JobFileSpec,
  JobId,
  JobSnapshot,
  JobSummary,
  Millis,
  OriginResponse,
  PlainVerb,
  VerbGuard,
  VerbOutcome,
} from "@shoal/core";
import type {
  FileKey,
  JobService,
  ServiceAnnouncement,
  ServiceJobRequest,
  ServiceWatcher,
  StreamTaker,
} from "../job-service.ts";
import { FrameWriter } from "./frame-writer.ts";
import type { Frame } from "./frames.ts";
import { CALL_VALUES, parseAgentMessage } from "./messages.ts";
import type { AgentMessage, CallerMessage, CallName } from "./messages.ts";
import { StreamTakers } from "./stream-takers.ts";

export interface RemoteJobServiceOptions {
  /** For each call, apart from `acknowledge`. */
  readonly timeoutMs: Millis;
}

interface Waiter {
  readonly name: CallName;
  readonly items: unknown[];
  readonly timer: NodeJS.Timeout | undefined;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: ShoalError) => void;
}

export class RemoteJobService implements JobService {
  readonly #socket: Duplex;
  readonly #writer: FrameWriter;
  readonly #timeoutMs: Millis;
  readonly #waiters = new Map<number, Waiter>();
  readonly #watchers = new Set<ServiceWatcher>();
  readonly #takers: StreamTakers;
  #lastId = 0;
  /** Why calls are refused. */
  #over: "closed" | "lost" | undefined;

  /** `frames` are those of the socket, after the agent's first. */
  constructor(
    { socket, frames }: { socket: Duplex; frames: AsyncIterable<Frame> },
    { timeoutMs }: RemoteJobServiceOptions,
  ) {
    this.#socket = socket;
    this.#writer = new FrameWriter(socket);
    this.#takers = new StreamTakers((message) => this.#say(message));
    this.#timeoutMs = timeoutMs;
    void this.#read(frames);
  }

  createJob(request: ServiceJobRequest): Promise<JobId> {
    return this.#call<JobId>("createJob", { request });
  }

  list(): Promise<readonly JobSummary[]> {
    return this.#call<readonly JobSummary[]>("list", {});
  }

  snapshot(jobId: JobId): Promise<JobSnapshot | undefined> {
    return this.#call<JobSnapshot | undefined>("snapshot", { jobId });
  }

  explain(jobId: JobId): Promise<JobExplanation | undefined> {
    return this.#call<JobExplanation | undefined>("explain", { jobId });
  }

  /** Acknowledging takes as long as publishing does. */
  applyVerb(jobId: JobId, verb: PlainVerb, guard?: VerbGuard): Promise<VerbOutcome> {
    const timeoutMs = verb === "acknowledge" ? Infinity : this.#timeoutMs;
    const args = { jobId, verb, ...(guard === undefined ? {} : { guard }) };
    return this.#call<VerbOutcome>("applyVerb", args, { timeoutMs });
  }

  async changeJob(jobId: JobId, change: JobChange, guard?: VerbGuard): Promise<void> {
    const args = { jobId, change, ...(guard === undefined ? {} : { guard }) };
    await this.#call("changeJob", args);
  }

  fileSpec({ jobId, fileIndex }: FileKey): Promise<JobFileSpec | undefined> {
    return this.#call<JobFileSpec | undefined>("fileSpec", { jobId, fileIndex });
  }

  fileResponse({ jobId, fileIndex }: FileKey): Promise<OriginResponse | undefined> {
    return this.#call<OriginResponse | undefined>("fileResponse", { jobId, fileIndex });
  }

  async attachStream({ jobId, fileIndex }: FileKey, taker: StreamTaker): Promise<() => void> {
    const id = this.#lastId + 1;
    const detach = this.#takers.add(id, taker);
    try {
      await this.#call("attachStream", { jobId, fileIndex });
    } catch (error) {
      detach();
      throw error;
    }
    return detach;
  }

  /** Takes as long as the file's length does: all of it is read. */
  async announce({ path, signed }: ServiceAnnouncement): Promise<void> {
    await this.#call("announce", { path, signed }, { timeoutMs: Infinity });
  }

  bans(): Promise<readonly Ban[]> {
    return this.#call<readonly Ban[]>("bans", {});
  }

  removeBan(subject: string): Promise<boolean> {
    return this.#call<boolean>("removeBan", { subject });
  }

  watch(watcher: ServiceWatcher): () => void {
    if (this.#over !== undefined) {
      watcher.closed(this.#refusal(this.#over));
      return () => {};
    }
    this.#watchers.add(watcher);
    if (this.#watchers.size === 1) this.#say({ type: "watch", isOn: true });
    return () => {
      if (!this.#watchers.delete(watcher) || this.#watchers.size > 0) return;
      this.#say({ type: "watch", isOn: false });
    };
  }

  close(): void {
    this.#end("closed");
  }

  async #call<Value>(
    name: CallName,
    args: object,
    { timeoutMs = this.#timeoutMs }: { timeoutMs?: Millis } = {},
  ): Promise<Value> {
    const id = ++this.#lastId;
    if (this.#over !== undefined) throw this.#refusal(this.#over);
    if (this.#waiters.size >= LIMITS.jobCallsWaitingMax) {
      throw new ShoalError("ERR_USAGE", `${this.#waiters.size} calls wait already`);
    }
    const message: CallerMessage = { type: "call", id, name, args };
    void this.#writer.send(message);
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    const late = (): void => {
      this.#waiters.delete(id);
      reject(new ShoalError("ERR_TIMEOUT", `${name} took longer than ${timeoutMs} ms`));
    };
    const timer = timeoutMs === Infinity ? undefined : setTimeout(late, timeoutMs);
    this.#waiters.set(id, { name, items: [], timer, resolve, reject });
    return promise as Promise<Value>;
  }

  async #read(frames: AsyncIterable<Frame>): Promise<void> {
    try {
      for await (const frame of frames) {
        const message = parseAgentMessage(frame.message);
        if (message === undefined || !this.#take(message, frame.binary)) break;
      }
    } catch {
      // Whatever it was, the connection is of no more use.
    }
    this.#end("lost");
  }

  /** False when the agent says what it never should. */
  #take(message: AgentMessage, binary: Uint8Array): boolean {
    switch (message.type) {
      case "hello":
        return false;
      case "part":
        // Of a call that has waited long enough, nothing is kept.
        this.#waiters.get(message.id)?.items.push(...message.items);
        return message.id <= this.#lastId;
      case "answer":
        return this.#settle(message.id, (waiter) => answer(waiter, message.value));
      case "failure":
        return this.#settle(message.id, (waiter) => {
          waiter.reject(ShoalError.from(message.error));
          return true;
        });
      case "changed":
        for (const [jobId, state] of message.jobs) {
          for (const watcher of this.#watchers) watcher.changed(jobId, state);
        }
        return true;
      case "piece":
        return message.stream <= this.#lastId && this.#takers.give(message.stream, binary);
    }
  }

  #settle(id: number, settle: (waiter: Waiter) => boolean): boolean {
    const waiter = this.#waiters.get(id);
    if (waiter === undefined) return id <= this.#lastId;
    this.#waiters.delete(id);
    clearTimeout(waiter.timer);
    return settle(waiter);
  }

  #end(how: "closed" | "lost"): void {
    if (this.#over !== undefined) return;
    this.#over = how;
    this.#socket.destroy();
    this.#takers.clear();
    const error = new ShoalError("ERR_AGENT_CLOSED");
    for (const { timer, reject } of this.#waiters.values()) {
      clearTimeout(timer);
      reject(error);
    }
    this.#waiters.clear();
    for (const watcher of this.#watchers) watcher.closed(error);
    this.#watchers.clear();
  }

  #refusal(over: "closed" | "lost"): ShoalError {
    return new ShoalError(over === "closed" ? "ERR_AGENT_CLOSED" : "ERR_AGENT_UNREACHABLE");
  }

  #say(message: CallerMessage): void {
    void this.#writer.send(message);
  }
}

/** False, with the waiter told, when the value is of no documented shape. */
function answer({ name, items, resolve, reject }: Waiter, value: unknown): boolean {
  if (!CALL_VALUES[name](value)) {
    reject(new ShoalError("ERR_AGENT_UNREACHABLE", `its answer to ${name} is not as documented`));
    return false;
  }
  if (name === "list" || name === "bans") resolve(items);
  else if ((name === "snapshot" || name === "explain") && value !== undefined)
    resolve({ ...(value as object), files: items });
  else resolve(value);
  return true;
}

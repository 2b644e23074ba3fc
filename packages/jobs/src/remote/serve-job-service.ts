/**
 * The agent's end of one connection on the job socket: a `LocalJobService` of its own, which lives
 * as long as the connection. Everything that arrives is checked, and nothing is logged (R-API-13).
 *
 *   frames ─▶ call ─▶ LocalJobService ─▶ parts, answer or failure
 *          ─▶ watch, taken, refused, detach          changed, piece ─▶ frames
 *
 * What one caller can make the agent hold is bounded: questions are answered one after the other,
 * each when the answer before has left; verbs under way, streams, and bytes not yet sent have limits,
 * beyond which the socket is read no further; and of changes only the latest of each job is kept.
 * After every message the event loop turns, so that many calls of one delay no other. A caller that breaks the rules, or takes nothing for too long, is disconnected.
 *
 * Knows messages and one service. Called by `listenForJobs`.
 */
import type { Duplex } from "node:stream";
import { setImmediate as nextTurn } from "node:timers/promises";
import { LIMITS, ShoalError } from "@shoal/core";
import type { ErrorInfo, JobId, JobState } from "@shoal/core";
import type { JobHost } from "../job-host.ts";
import type { FileKey, JobCaller } from "../job-service.ts";
import { LocalJobService } from "../local-job-service.ts";
import { isVerb, parseCall, runCall } from "./calls.ts";
import type { Call } from "./calls.ts";
import { FrameWriter } from "./frame-writer.ts";
import { readFrames } from "./frames.ts";
import { JOB_SOCKET_VERSION, parseCallerMessage, partsOf } from "./messages.ts";
import type { AgentMessage } from "./messages.ts";
import { ServedStream } from "./served-stream.ts";

export interface ServeJobsDeps {
  readonly host: JobHost;
  readonly caller: JobCaller;
  /** Hears of mistakes in the agent itself, each of which ends its connection. */
  readonly onFault?: (error: unknown) => void;
}

/** Serves one connection; resolves when it has ended. To end it, destroy the socket. */
export async function serveJobService(deps: ServeJobsDeps, socket: Duplex): Promise<void> {
  // Whoever reads or writes hears of it as well.
  socket.on("error", () => {});
  const connection = new Connection(deps, socket);
  // At once, since what runs may wait for verbs that only end with it.
  socket.once("close", () => connection.end());
  try {
    await connection.run();
  } catch {
    // However it ended, it has ended.
  } finally {
    socket.destroy();
    connection.end();
  }
}

class Connection {
  readonly #deps: ServeJobsDeps;
  readonly #socket: Duplex;
  readonly #service: LocalJobService;
  readonly #writer: FrameWriter;
  readonly #streams = new Map<number, ServedStream>();
  /** Verbs under way. */
  readonly #verbs = new Set<Promise<void>>();
  /** Changes that the caller has not been told of: one per job. */
  #changes = new Map<JobId, JobState>();
  #isTelling = false;
  #unwatch: (() => void) | undefined;

  constructor(deps: ServeJobsDeps, socket: Duplex) {
    this.#deps = deps;
    this.#socket = socket;
    this.#service = new LocalJobService(deps.host, deps.caller);
    this.#writer = new FrameWriter(socket, { stallTimeoutMs: LIMITS.jobFrameTimeoutMs });
  }

  async run(): Promise<void> {
    void this.#say({ type: "hello", version: JOB_SOCKET_VERSION });
    const bounds = { binaryBytesMax: 0, timeoutMs: LIMITS.jobFrameTimeoutMs };
    for await (const { message } of readFrames(this.#socket, bounds)) {
      await this.#take(message);
      await this.#writer.room();
      if (this.#verbs.size >= LIMITS.jobCallsMax) await Promise.race(this.#verbs);
      // A thousand calls may have come at once: everybody else has a turn between two of them.
      await nextTurn();
      if (this.#socket.destroyed) return;
    }
  }

  end(): void {
    for (const stream of this.#streams.values()) stream.end();
    this.#streams.clear();
    this.#changes.clear();
    this.#service.close();
  }

  /** Resolves when the next message may be read. Throws where the caller broke the rules. */
  async #take(value: unknown): Promise<void> {
    const message = parseCallerMessage(value);
    if (message === undefined) throw new ShoalError("ERR_USAGE", "a message is not as documented");
    switch (message.type) {
      case "call":
        return this.#takeCall(message);
      case "watch":
        return this.#watch(message.isOn);
      case "taken":
        return this.#streams.get(message.stream)?.taken();
      case "refused":
        this.#streams.get(message.stream)?.refused(message.reason);
        this.#streams.delete(message.stream);
        return;
      case "detach":
        this.#streams.get(message.stream)?.end();
        this.#streams.delete(message.stream);
        return;
    }
  }

  #takeCall({ id, name, args }: { id: number; name: string; args: unknown }): Promise<void> {
    const call = parseCall(name, args);
    if ("code" in call) return this.#refuse(id, call);
    if (call.name === "attachStream") return this.#attach(id, call.args);
    const answered = this.#answer(id, call);
    if (!isVerb(call)) return answered;
    const underWay = answered.finally(() => this.#verbs.delete(underWay));
    this.#verbs.add(underWay);
    return Promise.resolve();
  }

  async #answer(id: number, call: Exclude<Call, { name: "attachStream" }>): Promise<void> {
    try {
      const { value, items = [] } = await runCall(this.#service, call);
      for (const run of partsOf(items)) {
        if (this.#socket.destroyed) return;
        await this.#say({ type: "part", id, items: run });
      }
      await this.#say({ type: "answer", id, value });
    } catch (error) {
      await this.#fail(id, error);
    }
  }

  async #attach(id: number, file: FileKey): Promise<void> {
    if (this.#streams.has(id)) throw new ShoalError("ERR_USAGE", "a stream's id is in use");
    if (this.#streams.size >= LIMITS.jobStreamsMax) {
      const details = `${this.#streams.size} streams on one connection`;
      return this.#fail(id, new ShoalError("ERR_FILE_LIMIT", details));
    }
    const stream = new ServedStream(id, this.#writer);
    // Pieces may come before the answer does.
    this.#streams.set(id, stream);
    try {
      stream.attached(await this.#service.attachStream(file, stream));
      await this.#say({ type: "answer", id });
    } catch (error) {
      this.#streams.delete(id);
      await this.#fail(id, error);
    }
  }

  #watch(isOn: boolean): void {
    this.#unwatch?.();
    this.#unwatch = undefined;
    if (!isOn) return;
    this.#unwatch = this.#service.watch({
      changed: (jobId, state) => {
        this.#changes.set(jobId, state);
        if (!this.#isTelling) void this.#tell();
      },
      closed: () => {},
    });
  }

  /** Tells of what has changed, all at once, when what was said before has left. */
  async #tell(): Promise<void> {
    this.#isTelling = true;
    while (this.#changes.size > 0) {
      await nextTurn();
      await this.#writer.flushed();
      const jobs = [...this.#changes];
      this.#changes = new Map();
      if (jobs.length > 0) void this.#say({ type: "changed", jobs });
    }
    this.#isTelling = false;
  }

  #fail(id: number, error: unknown): Promise<void> {
    if (error instanceof ShoalError) return this.#refuse(id, infoOf(error));
    this.#deps.onFault?.(error);
    this.#socket.destroy();
    return Promise.resolve();
  }

  #refuse(id: number, error: ErrorInfo): Promise<void> {
    return this.#say({ type: "failure", id, error });
  }

  #say(message: AgentMessage): Promise<void> {
    return this.#writer.send(message);
  }
}

function infoOf({ code, message, originStatus }: ShoalError): ErrorInfo {
  // What it happened to may be as long as a request.
  const shown = message.slice(0, LIMITS.urlLengthMax);
  return { code, message: shown, ...(originStatus === undefined ? {} : { originStatus }) };
}

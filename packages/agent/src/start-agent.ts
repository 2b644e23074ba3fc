/**
 * Composes an agent: state directory and its lock first, then identity, scheduler and engine, then
 * the network. Whatever was opened is closed again when a later step fails.
 *
 *   startAgent ─▶ store (lock) ─▶ identity ─▶ engine ─▶ swarm, origin ─▶ notice `ready` ─▶ Agent
 *
 * Knows how the parts fit together, and none of them from inside. Used by whoever embeds Shoal, and
 * by the `shoal` command.
 */
import { randomInt } from "node:crypto";
import { join, resolve as resolvePath } from "node:path";
import {
  assert,
  PieceBufferPool,
  Random,
  resolveSettings,
  Scheduler,
  ShoalError,
} from "@shoal/core";
import type {
  ContentId,
  CounterName,
  EventSink,
  Notice,
  PeerId,
  PieceBytes,
  Settings,
} from "@shoal/core";
import { Engine, monotonicClock } from "@shoal/engine";
import type { EnginePorts } from "@shoal/engine";
import { Jobs } from "@shoal/jobs";
import { createOrigin } from "@shoal/origin";
import { openStore } from "@shoal/store";
import type { Store } from "@shoal/store";
import { createSwarm, loadIdentity } from "@shoal/swarm";
import type { Swarm } from "@shoal/swarm";
import { logNotice, silentLogger } from "./logger.ts";
import type { Logger } from "./logger.ts";

export interface AgentOptions {
  /** Created when it does not exist. One agent at a time may use it. */
  readonly stateDirectory: string;
  /** Multiaddrs to listen on. Default: any port of every IPv4 interface. Empty: only dial. */
  readonly listen?: readonly string[];
  /** Multiaddrs of peers to stay connected with, each ending in `/p2p/` and the peer's id. */
  readonly peers?: readonly string[];
  /** Look for peers on the local network. Default true. */
  readonly mdns?: boolean;
  /** Whether agents on this machine may connect. Default: when `listen` names a loopback address. */
  readonly allowLoopbackPeers?: boolean;
  /** Settings that differ from their defaults (docs/settings.md). */
  readonly settings?: Partial<Settings>;
  /** Default: silence. */
  readonly logger?: Logger;
}

/** A running agent. `await using` closes it. */
export interface Agent extends AsyncDisposable {
  readonly jobs: Jobs;
  readonly peerId: PeerId;
  /** Where peers can reach this agent, each with `/p2p/` and its id. */
  readonly addresses: readonly string[];
  readonly connectedPeers: readonly PeerId[];
  /** Contents that peers can have from this agent, whole or in part. */
  readonly servedContents: readonly ContentId[];
  /** Makes a peer known, to stay connected with. Throws `ERR_PEER_ADDRESS_INVALID`. */
  addPeer(multiaddr: string): void;
  /**
   * Offers a file of this machine to peers, without copying it; resolves when it is on offer.
   * Rejects with `ERR_FILE_UNREADABLE` and others. `signal` ends the reading of the file.
   */
  share(path: string, options?: { readonly signal?: AbortSignal }): Promise<ContentId>;
  /** Every counter of docs/metrics.md, since the start. */
  counters(): Readonly<Record<CounterName, number>>;
  /** Calls `listener` with every notice until the returned function is called. */
  onNotice(listener: (notice: Notice) => void): () => void;
  /**
   * Writes down what is under way, disconnects, and marks the state as cleanly closed; within 3 s.
   * Jobs that have not ended go on when an agent next starts on this state. Idempotent.
   */
  close(): Promise<void>;
}

const DEFAULT_LISTEN = ["/ip4/0.0.0.0/tcp/0"];
/** For a file that changes while it is shared, and must then be read once more. */
const SERVE_TIMEOUT_MS = 60_000;

/**
 * Starts an agent; jobs of earlier runs go on. Rejects with `ERR_STATE_LOCKED`,
 * `ERR_STATE_UNUSABLE`, `ERR_LISTEN_FAILED`, `ERR_PEER_ADDRESS_INVALID`, `ERR_SETTING_INVALID` and
 * others, having left nothing running.
 */
export async function startAgent(options: AgentOptions): Promise<Agent> {
  const settings = resolveSettings(options.settings);
  const logger = options.logger ?? silentLogger;
  const stateDirectory = resolvePath(options.stateDirectory);
  const pool = new PieceBufferPool();
  await using opened = new AsyncDisposableStack();

  let running: Engine<PieceBytes> | undefined;
  const sink: EventSink<PieceBytes> = (event, payload) => {
    assert(running !== undefined, "adapters speak after the engine is made");
    running.sink(event, payload);
  };
  const store = await openStore({ pool, sink }, { stateDirectory });
  opened.adopt(store, () => store.close());
  const { damagedDatabasePath: path } = store.report;
  if (path !== undefined)
    logger.warn({ path }, "the state was damaged; what could be read is kept");
  const privateKey = await loadIdentity(join(stateDirectory, "identity"), () =>
    logger.warn({}, "the identity was damaged; peers see a new agent"),
  );
  const selfId = privateKey.publicKey.toString();
  const random = new Random(randomInt(2 ** 32));
  const scheduler = new Scheduler({ random, settings, selfId });
  const engine = new Engine({ scheduler, clock: monotonicClock(), payloads: PAYLOADS });
  running = engine;
  const jobs = new Jobs(engine);
  opened.defer(() => jobs.close());
  engine.onNotice((notice) => guard(() => logNotice(logger, notice)));

  const swarm = await createSwarm(
    { pool, sink },
    {
      privateKey,
      listen: options.listen ?? DEFAULT_LISTEN,
      staticPeers: options.peers ?? [],
      mdns: options.mdns ?? true,
      connectionsMax: settings.connectionsMax,
      dialsMax: settings.dialsMax,
      ...(options.allowLoopbackPeers === undefined
        ? {}
        : { allowLoopback: options.allowLoopbackPeers }),
    },
  );
  opened.adopt(swarm, () => swarm.close());
  assert(swarm.peerId === selfId, "the swarm and the scheduler agree on who we are");
  const origin = createOrigin({ pool, sink });
  opened.adopt(origin, () => origin.close());
  // Closed first, and closes the ports itself: sources before the store.
  opened.defer(() => engine.close());
  await startEngine(engine, { store, origin, swarm });
  return new RunningAgent({ engine, jobs, store, swarm, opened: opened.move() });
}

const PAYLOADS = {
  byteLength: (payload: PieceBytes): number => payload.bytes.length,
  release: (payload: PieceBytes): void => payload.release(),
};

/** Resolves when the stored state is in; rejects when it cannot be used. */
function startEngine(engine: Engine<PieceBytes>, ports: EnginePorts<PieceBytes>): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const unsubscribe = engine.onNotice((notice) => {
    if (notice.type === "ready") resolve();
    else if (notice.type === "unusable") reject(ShoalError.from(notice.error));
  });
  engine.start(ports);
  return promise.finally(unsubscribe);
}

/** A watcher's mistake is the process's to hear of, and does not stop the engine in mid-turn. */
function guard(watcher: () => void): void {
  try {
    watcher();
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}

interface Parts {
  readonly engine: Engine<PieceBytes>;
  readonly jobs: Jobs;
  readonly store: Store;
  readonly swarm: Swarm;
  readonly opened: AsyncDisposableStack;
}

class RunningAgent implements Agent {
  readonly jobs: Jobs;
  readonly peerId: PeerId;
  readonly #parts: Parts;
  #closed: Promise<void> | undefined;

  constructor(parts: Parts) {
    this.#parts = parts;
    this.jobs = parts.jobs;
    this.peerId = parts.swarm.peerId;
  }

  get addresses(): readonly string[] {
    return this.#parts.swarm.addresses;
  }

  get connectedPeers(): readonly PeerId[] {
    return this.#parts.engine.act((scheduler) => scheduler.connectedPeers);
  }

  get servedContents(): readonly ContentId[] {
    return this.#parts.engine.act((scheduler) => scheduler.servedContents);
  }

  addPeer(multiaddr: string): void {
    this.#parts.swarm.addPeer(multiaddr);
  }

  async share(path: string, options: { signal?: AbortSignal } = {}): Promise<ContentId> {
    const contentId = await this.#parts.store.shareFile(resolvePath(path), options);
    await this.#served(contentId, path);
    return contentId;
  }

  counters(): Readonly<Record<CounterName, number>> {
    return this.#parts.engine.act((scheduler) => scheduler.counters.snapshot());
  }

  onNotice(listener: (notice: Notice) => void): () => void {
    return this.#parts.engine.onNotice((notice) => guard(() => listener(notice)));
  }

  close(): Promise<void> {
    this.#closed ??= this.#parts.opened.disposeAsync();
    return this.#closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Resolves when the content is on offer; the store opens a file it has just read at once. */
  async #served(contentId: ContentId, path: string): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const unsubscribe = this.#parts.engine.onNotice((notice) => {
      if (notice.type === "contentServed" && notice.contentId === contentId) resolve();
    });
    if (this.servedContents.includes(contentId)) resolve();
    const timer = setTimeout(
      () => reject(new ShoalError("ERR_FILE_UNREADABLE", `${path}: it cannot be opened again`)),
      SERVE_TIMEOUT_MS,
    );
    await promise.finally(() => {
      clearTimeout(timer);
      unsubscribe();
    });
  }
}

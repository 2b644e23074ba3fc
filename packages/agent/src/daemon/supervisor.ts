/**
 * What the agent tells its supervisor, systemd or another that sets `NOTIFY_SOCKET`: that it is
 * ready, reloads, stops, and is alive. Node has no datagrams on Unix sockets, so `systemd-notify`
 * sends them; where it is missing, a warning says so once.
 *
 * Knows the protocol of sd_notify(3). Called by `runDaemon`.
 */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import type { Logger } from "../logger.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/** Resolves when the supervisor has been told, or cannot be; never rejects. */
export interface Supervisor extends Disposable {
  ready(status: string): Promise<void>;
  reloading(): Promise<void>;
  stopping(): Promise<void>;
}

const TELL_TIMEOUT_MS = 2_000;
const run = promisify(execFile);

export function openSupervisor(env: Environment, logger: Logger): Supervisor {
  const socket = env["NOTIFY_SOCKET"];
  let hasFailed = false;
  const tell = async (...words: string[]): Promise<void> => {
    if (socket === undefined) return;
    try {
      await run("systemd-notify", [`--pid=${process.pid}`, ...words], {
        env: { PATH: env["PATH"] ?? "/usr/bin:/bin", NOTIFY_SOCKET: socket },
        timeout: TELL_TIMEOUT_MS,
      });
    } catch (error) {
      if (!hasFailed) logger.warn({ reason: String(error) }, "the supervisor cannot be told");
      hasFailed = true;
    }
  };
  const watchdog = startWatchdog(env, () => void tell("WATCHDOG=1"));
  return {
    ready: (status) => tell("READY=1", `STATUS=${status}`),
    reloading: () => tell("RELOADING=1"),
    stopping: () => tell("STOPPING=1"),
    [Symbol.dispose]: () => clearInterval(watchdog),
  };
}

/** Twice in the time that the supervisor waits for a sign of life. */
function startWatchdog(env: Environment, beat: () => void): NodeJS.Timeout | undefined {
  const timeoutMs = Number(env["WATCHDOG_USEC"] ?? 0) / 1_000;
  const isForUs = [undefined, String(process.pid)].includes(env["WATCHDOG_PID"]);
  if (!isForUs || !(timeoutMs >= 2)) return undefined;
  return setInterval(beat, timeoutMs / 2).unref();
}

const FIRST_INHERITED_FD = 3;

/**
 * The descriptor of a socket that systemd listens on for us (socket activation); `undefined` when
 * there is none, or it is another process's.
 */
export function inheritedSocket(env: Environment, pid = process.pid): number | undefined {
  const isForUs = env["LISTEN_PID"] === String(pid);
  return isForUs && Number(env["LISTEN_FDS"]) >= 1 ? FIRST_INHERITED_FD : undefined;
}

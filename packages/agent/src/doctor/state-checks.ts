/**
 * The doctor's checks of what lies on disk: identity, room, database, and what crashes left behind.
 * With an agent they look with its rights; without one they change nothing.
 */
import { constants } from "node:fs";
import { access, open, rm, statfs } from "node:fs/promises";
import { join } from "node:path";
import { isFinalState, MiB } from "@shoal/core";
import { inspectIdentity } from "@shoal/swarm";
import { formatBytes, formatCount } from "../cli/format-values.ts";
import { readCrashes } from "../daemon/crash-record.ts";
import type { AgentService } from "../service/agent-service.ts";
import { checkDatabase } from "./check-database.ts";
import { fail, notApplicable, pass, warn } from "./check.ts";
import type { Check, DoctorContext, Outcome } from "./check.ts";

export const STATE_CHECKS: readonly Check[] = [
  { id: "state.identity", title: "Identity", run: checkIdentity },
  { id: "state.disk", title: "Disk", run: checkDisk },
  { id: "state.database", title: "Database", run: checkDatabase },
  { id: "state.crashes", title: "Crashes", run: checkCrashes },
];

async function checkIdentity({ stateDirectory, service }: DoctorContext): Promise<Outcome> {
  const path = join(stateDirectory, "identity");
  const found = await inspectIdentity(path);
  const again = "Start the agent again: it makes a new identity, and peers see a new agent.";
  switch (found.state) {
    case "missing":
      if (service !== undefined) return fail(`${path} is gone.`, again);
      return notApplicable("No agent has run on this state yet.", "Start one: shoal agent.");
    case "unreadable":
      return warn(`${path} cannot be read by this user.`, "Run the doctor as the agent's user.");
    case "damaged":
      return fail(`${path} holds no identity.`, again);
    case "sound":
  }
  const { peerId, mode } = found;
  if ((mode & 0o077) !== 0) {
    const words = `Others may read ${path} (mode ${mode.toString(8)}).`;
    return fail(words, `chmod 600 ${path}; if somebody has read it, remove it and start again.`);
  }
  const running = service === undefined ? peerId : (await service.facts()).peerId;
  if (running === peerId) return pass(`The agent is ${peerId}.`, { peerId });
  return warn(`${path} was replaced while the agent runs.`, "Start the agent again.");
}

/** As the store reserves: 1 %, but at least 16 MiB and at most 256 MiB (R-FS-11). */
function reserveOf(totalBytes: number): number {
  return Math.min(Math.max(totalBytes / 100, 16 * MiB), 256 * MiB);
}

const INODES_MIN = 1_000;
/** Of `statfs`: file systems whose locks and syncs are not to be relied on. */
const NETWORK_KINDS: ReadonlyMap<number, string> = new Map([
  [0x6969, "NFS"],
  [0xff534d42, "CIFS"],
  [0xfe534d42, "SMB"],
  [0x01021997, "9P"],
]);

async function checkDisk(context: DoctorContext): Promise<Outcome> {
  const { stateDirectory, service, isAgent } = context;
  const found = await statfs(stateDirectory).catch(() => undefined);
  if (found === undefined) {
    const words = `${stateDirectory} is not there, or cannot be looked at.`;
    if (service !== undefined) return fail(words, "Mount it again, and start the agent again.");
    return notApplicable(words, "Start an agent: it makes its state directory.");
  }
  const { type, blocks, bavail, bsize, files, ffree } = found;
  const [totalBytes, freeBytes] = [blocks * bsize, bavail * bsize];
  const facts = { freeBytes, totalBytes };
  const refused = isAgent ? await writeProbe(stateDirectory) : await accessOf(stateDirectory);
  if (refused === "ENOSPC" || (blocks > 0 && freeBytes < reserveOf(totalBytes))) {
    const words = `The disk is full: ${formatBytes(freeBytes)} free of ${formatBytes(totalBytes)}`;
    const remedy =
      "Free some room there, lower cacheBytesMax, or clear the cache: shoal cache clear.";
    return fail(`${words} where ${stateDirectory} lies.`, remedy, facts);
  }
  if (refused !== undefined) {
    const remedy = refused === "EROFS" ? "Mount it read-write." : "Give its user the directory.";
    return fail(`${stateDirectory} cannot be written (${refused}).`, remedy, facts);
  }
  if (files > 0 && ffree < INODES_MIN) {
    return fail(
      `Only ${formatCount(ffree, "file")} more can be made there.`,
      "Remove files.",
      facts,
    );
  }
  const starved = service === undefined ? undefined : await starvedJob(service);
  if (starved !== undefined) {
    const words = `Job ${starved} waits: the disk of its destination is full.`;
    return fail(words, "Free some room there, or cancel the job.", facts);
  }
  const kind = NETWORK_KINDS.get(type);
  if (kind !== undefined) {
    const words = `${stateDirectory} lies on a network file system (${kind}).`;
    return warn(words, "Put the state on a disk of this machine: --state.", facts);
  }
  const words = `${formatBytes(freeBytes)} free of ${formatBytes(totalBytes)}.`;
  const isLow = blocks > 0 && freeBytes < 2 * reserveOf(totalBytes);
  return isLow ? warn(words, "Free some room soon.", facts) : pass(words, facts);
}

/** The system's name for why nothing can be written; `undefined`: it can. */
async function writeProbe(directory: string): Promise<string | undefined> {
  const path = join(directory, `doctor.${process.pid}.tmp`);
  try {
    await using file = await open(path, "w", 0o600);
    await file.writeFile(Buffer.alloc(4_096, 1));
    await file.sync();
    return undefined;
  } catch (error) {
    return codeOf(error);
  } finally {
    await rm(path, { force: true }).catch(() => {});
  }
}

async function accessOf(directory: string): Promise<string | undefined> {
  try {
    await access(directory, constants.W_OK);
    return undefined;
  } catch (error) {
    return codeOf(error);
  }
}

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "unknown";
}

/** The name of a job that has stopped for want of room, wherever its destination is. */
async function starvedJob({ jobs }: AgentService): Promise<string | undefined> {
  const starved = (await jobs.list()).find(
    ({ state, error }) => !isFinalState(state) && error?.code === "ERR_DISK_FULL",
  );
  return starved?.displayName;
}

const DAY_MS = 86_400_000;

async function checkCrashes({ stateDirectory, service, now }: DoctorContext): Promise<Outcome> {
  const facts = await service?.facts();
  const since = now() - DAY_MS;
  const latest = readCrashes(stateDirectory).filter((at) => at > since).length;
  const remedy = "Look at its log (shoal log), and report what it says.";
  if (facts?.isSafeMode === true) {
    const words = "The agent has crashed again and again, and runs in safe mode, without peers.";
    return fail(words, `${remedy} Ten minutes without a crash end safe mode at the next start.`);
  }
  if (latest > 0) return warn(`It crashed ${formatCount(latest, "time")} in the last day.`, remedy);
  return pass("No crash in the last day.");
}

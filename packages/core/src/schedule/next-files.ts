/**
 * Which files of a job run at the same time. A large file runs alone; small ones run side by side,
 * so that the syncs and commits of each overlap with those of the others:
 *
 *   known small   s   not known yet   ?   large   L   streamed   S
 *
 *   s s ? .       one more may be opened: no more are unknown than are known to be small
 *   ? .           the first says whether others may join it
 *   s L .         none joins a large file, nor a stream
 *
 * Knows the files of one job, in order. Called by `JobRunner`.
 */
import { LIMITS } from "../registry/limits.ts";
import type { JobFile } from "./job-file.ts";

export interface NextFiles {
  /** Indexes of files to open now, in order. */
  readonly next: readonly number[];
  /** All of them are transferred. */
  readonly isDone: boolean;
}

/** The files of a job that may be opened beside those that are open already. */
export function nextFiles(files: readonly JobFile[]): NextFiles {
  const next: number[] = [];
  let [open, known] = [0, 0];
  let isDone = true;
  for (let index = 0; index < files.length; index++) {
    const file = files[index];
    if (file === undefined || file.isTransferred) continue;
    isDone = false;
    const isFirst = open === 0;
    if (file.transfer === undefined) {
      const mayJoin = !file.waitsForTurn && file.spec.toStream !== true;
      if (!isFirst && (!mayJoin || open - known >= Math.max(1, known))) break;
      next.push(index);
    }
    if (file.spec.toStream === true) break;
    open++;
    // What is opened only now has not shown yet that it is small.
    const length = file.transfer === undefined ? undefined : file.length;
    if (length !== undefined && length > LIMITS.smallFileLengthMax) break;
    if (length !== undefined) known++;
    if (open >= LIMITS.smallFilesUnderWayMax) break;
  }
  return { next, isDone };
}

/** Whether `file` is still to be transferred, and one before it is, too. */
export function hasEarlierFile(files: readonly JobFile[], file: JobFile): boolean {
  if (file.isTransferred || file.spec.toStream === true) return false;
  return files.find(({ isTransferred }) => !isTransferred) !== file;
}

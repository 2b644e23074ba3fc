/** The real disk, with one call that fails. */
import { realDisk } from "../src/disk.ts";
import type { Disk } from "../src/disk.ts";

export interface FaultyDisk {
  readonly disk: Disk;
  /** The n-th call from now on fails. */
  arm(n: number): void;
  disarm(): void;
  /** Whether the armed call was reached; which one it was. */
  failed(): string | undefined;
}

export function faultyDisk(code: string): FaultyDisk {
  let left = Infinity;
  let failed: string | undefined;
  const fail = (name: string): void => {
    if (--left !== 0) return;
    failed = name;
    throw Object.assign(new Error(`${code}: ${name}`), { code });
  };
  const entries = Object.entries(realDisk).map(
    ([name, call]: [string, (...a: never[]) => unknown]) => [
      name,
      (...args: never[]) => {
        if (!name.startsWith("sync")) {
          // Closing works even where it reports an error.
          if (name === "close") call(...args);
          fail(name);
          return name === "close" ? undefined : call(...args);
        }
        try {
          fail(name);
        } catch (error) {
          return Promise.reject(error);
        }
        return call(...args);
      },
    ],
  );
  return {
    disk: Object.fromEntries(entries) as Disk,
    arm: (n) => void ((left = n), (failed = undefined)),
    disarm: () => void (left = Infinity),
    failed: () => failed,
  };
}

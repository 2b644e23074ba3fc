import { join } from "node:path";
import { defineConfig } from "vitest/config";

const conditions = ["shoal-source"];
/** Tests start hundreds of processes on our sources; each file is compiled once. */
const NODE_COMPILE_CACHE =
  process.env["NODE_COMPILE_CACHE"] ?? join(import.meta.dirname, "node_modules/.cache/compiled");
const env = { NODE_COMPILE_CACHE };
const shared = {
  resolve: { conditions },
  ssr: { resolve: { conditions, externalConditions: conditions } },
};

/**
 * They turn TLS off for all of their worker, and one runs other files' tests again. Where files share one,
 * those that had been run there were not run again, and those that came after had no TLS.
 */
const noise = ["noise", "native-noise"].map((name) => `packages/swarm/test/${name}.test.ts`);
const system = ["test/{integration,contract,simulation,bench}/**/*.test.ts", ...noise];
/**
 * Tests of rates, times and memory get the machine to themselves. So do those that unmount disks:
 * processes in network namespaces, which other tests start, hold what is mounted meanwhile.
 */
const alone = [
  "pace",
  "memory",
  "memory-flat",
  "job-scale",
  "cold-start",
  "power-loss",
  "no-peers",
];
const measured = ["test/bench/**/*.test.ts"].concat(
  [...alone, "faults-disk"].map((name) => `test/integration/${name}.test.ts`),
);
const timeouts = { testTimeout: 60_000, hookTimeout: 60_000, env };

/**
 * `unit` and `tidy` are the fast loop of `pnpm check`; their files follow each other in the same
 * workers, because starting a worker and loading our sources takes longer than most of them run.
 * `system` holds everything that opens sockets, starts processes or simulates whole swarms, each
 * file in a worker of its own. They spend about half their time waiting, so there are three files
 * at a time on two processors. `measured` follows, one file at a time.
 */
export default defineConfig({
  ...shared,
  test: {
    maxWorkers: 3,
    projects: [
      {
        ...shared,
        // Property tests are many cases; on a busy machine 5 s are too few for some.
        test: {
          name: "unit",
          include: ["packages/*/test/**/*.test.ts"],
          exclude: noise,
          isolate: false,
          testTimeout: 30_000,
        },
      },
      { ...shared, test: { name: "tidy", include: ["test/tidy/**/*.test.ts"], isolate: false } },
      {
        ...shared,
        test: { ...timeouts, name: "system", include: system, exclude: measured },
      },
      {
        ...shared,
        test: {
          ...timeouts,
          name: "measured",
          include: measured,
          maxWorkers: 1,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
});

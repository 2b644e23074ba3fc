import { defineConfig } from "vitest/config";

const conditions = ["shoal-source"];
const shared = {
  resolve: { conditions },
  ssr: { resolve: { conditions, externalConditions: conditions } },
};

/**
 * Three projects: `unit` and `tidy` are the fast loop of `pnpm check`; `system` holds everything
 * that opens sockets, starts processes or simulates whole swarms.
 */
export default defineConfig({
  ...shared,
  test: {
    projects: [
      { ...shared, test: { name: "unit", include: ["packages/*/test/**/*.test.ts"] } },
      { ...shared, test: { name: "tidy", include: ["test/tidy/**/*.test.ts"] } },
      {
        ...shared,
        test: {
          name: "system",
          include: ["test/{integration,contract,simulation,bench}/**/*.test.ts"],
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
    ],
  },
});

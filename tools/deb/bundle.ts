/**
 * Bundles the `shoal` command and everything it needs into a few files that plain Node runs: the
 * command itself, and the workers that it starts beside it. Nothing is left to be resolved on the
 * machine where they are installed.
 *
 * Knows the entries and vite. Called by `build-deb.ts` and by benchmarks.
 */
import { copyFile, mkdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "vite";

const root = fileURLToPath(new URL("../..", import.meta.url));

/** What is started by its file's name, and the sources of it. */
const ENTRIES = {
  main: "packages/agent/src/main.ts",
  "store-worker": "packages/store/src/store-worker.ts",
  "describe-worker": "packages/store/src/describe-worker.ts",
  "database-worker": "packages/agent/src/doctor/database-worker.ts",
};

/** What the doctor's report reads as text: where the package is looked for beside the command. */
const CHART_FILES = ["package.json", "LICENSE", "dist/uPlot.iife.min.js", "dist/uPlot.min.css"];

/** Writes the files into `directory`, which is emptied first; `others` are further commands. */
export async function bundle(
  directory: string,
  others: Readonly<Record<string, string>> = {},
): Promise<void> {
  await build({
    root,
    configFile: false,
    logLevel: "error",
    publicDir: false,
    resolve: { conditions: ["shoal-source"] },
    ssr: { noExternal: true, resolve: { conditions: ["shoal-source", "node"] } },
    build: {
      ssr: true,
      target: "node24",
      outDir: directory,
      emptyOutDir: true,
      minify: false,
      rolldownOptions: {
        input: { ...ENTRIES, ...others },
        // Beside each other: a worker is found by its name next to who starts it.
        output: {
          format: "esm",
          entryFileNames: "[name].js",
          chunkFileNames: "[name]-[hash].js",
        },
      },
    },
  });
  const chartPackage = join(root, "packages/agent/node_modules/uplot");
  for (const file of CHART_FILES) {
    const target = join(directory, "node_modules/uplot", file);
    await mkdir(dirname(target), { recursive: true });
    await copyFile(join(chartPackage, file), target);
  }
}

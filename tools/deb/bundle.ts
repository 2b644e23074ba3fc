/**
 * Bundles the `shoal` command and everything it needs into a few files that plain Node runs: the
 * command itself, and the workers that it starts beside it. Nothing is left to be resolved on the
 * machine where they are installed.
 *
 * Knows the entries and vite. Called by `build-deb.ts`.
 */
import fs from "node:fs";
import { createRequire } from "node:module";
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

/** Of packages, what is read as files: the doctor puts its chart library into its report. */
const READ_AS_FILES = {
  uplot: ["package.json", "LICENSE", "dist/uPlot.iife.min.js", "dist/uPlot.min.css"],
};

/** Writes the files into `directory`, which is emptied first. */
export async function bundle(directory: string): Promise<void> {
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
        input: ENTRIES,
        // Beside each other: a worker is found by its name next to who starts it.
        output: {
          format: "esm",
          entryFileNames: "[name].js",
          chunkFileNames: "[name]-[hash].js",
        },
      },
    },
  });
  const { resolve } = createRequire(join(root, "packages/agent/package.json"));
  for (const [name, files] of Object.entries(READ_AS_FILES)) {
    const found = dirname(resolve(`${name}/package.json`));
    for (const file of files) {
      fs.cpSync(join(found, file), join(directory, "node_modules", name, file));
    }
  }
}

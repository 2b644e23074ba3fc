/**
 * `pnpm bench [name…] [--json]`: runs all benchmarks, or the named ones, and prints a figure per
 * line. The exit code is 0 whatever the figures are, because they depend on the machine; what must
 * hold everywhere is asserted in the tests beside this file.
 */
import { parseArgs } from "node:util";
import { MiB } from "@shoal/core";
import { benchChunker } from "./chunker-bench.ts";
import { benchCore, benchCrowd } from "./core-bench.ts";
import { benchDiscovery } from "./discovery-bench.ts";
import type { Figure } from "./measure.ts";
import { benchOrigin } from "./origin-bench.ts";
import { benchUpdate } from "./update-bench.ts";

const BENCHES: Readonly<Record<string, () => Figure[] | Promise<Figure[]>>> = {
  core: () => benchCore({ pieceCount: 100_000, peerCount: 200 }),
  crowd: () => benchCrowd({ peers: 1_000 }),
  chunker: benchChunker,
  update: () => benchUpdate({ length: 512 * MiB }),
  discovery: () => benchDiscovery([8, 24]),
  origin: () => benchOrigin({ length: 1024 * MiB, rounds: 5 }),
  originLimited: () => benchOrigin({ length: 256 * MiB, rounds: 5, rateBytesPerSec: 20_000_000 }),
};

async function run(): Promise<number> {
  const { values, positionals } = parseArgs({
    options: { json: { type: "boolean", default: false } },
    allowPositionals: true,
  });
  const names = positionals.length > 0 ? positionals : Object.keys(BENCHES);
  for (const name of names) {
    const bench = Object.hasOwn(BENCHES, name) ? BENCHES[name] : undefined;
    if (bench === undefined) {
      console.error(`unknown benchmark ${name}; there are: ${Object.keys(BENCHES).join(", ")}`);
      return 2;
    }
    for (const figure of await bench()) {
      console.log(values.json ? JSON.stringify({ bench: name, ...figure }) : line(name, figure));
    }
  }
  return 0;
}

function line(bench: string, { name, value, unit, target }: Figure): string {
  const text = `${bench.padEnd(9)} ${name.padEnd(44)} ${value.toFixed(2).padStart(10)} ${unit}`;
  return target === undefined ? text : `${text.padEnd(72)} target ${target}`;
}

process.exitCode = await run();

/**
 * `pnpm bench [name…]`: runs all benchmarks, or the named ones, and prints a figure per line. The
 * exit code is 0 whatever the figures are, because they depend on the machine; what must hold
 * everywhere is asserted in the tests beside this file.
 *
 *   --length MIB       of the files that are transferred; default 1024
 *   --rounds COUNT     of transfers and latencies, after one that does not count; default 5
 *   --webtorrent DIR   where WebTorrent is installed, which is no dependency of ours
 *   --json             a line of JSON per figure, and one that describes the run
 *
 * `pnpm bench report FILE` writes docs/performance.md from what `--json` has printed.
 */
import { parseArgs } from "node:util";
import { MiB } from "@shoal/core";
import { benchChunker } from "./chunker-bench.ts";
import { benchCore, benchCrowd } from "./core-bench.ts";
import { benchDiscovery } from "./discovery-bench.ts";
import { benchLatency } from "./latency-bench.ts";
import type { Figure } from "./measure.ts";
import { benchOrigin } from "./origin-bench.ts";
import { benchFanout, benchMixed, benchPair } from "./peers-bench.ts";
import type { PeersBenchOptions } from "./peers-bench.ts";
import { describeRun, writeReport } from "./report.ts";
import { benchRest } from "./rest-bench.ts";
import { benchUpdate } from "./update-bench.ts";

const REST_LOAD = { watchers: 200, requestsPerSec: 1_000 };

type Bench = (options: PeersBenchOptions) => Figure[] | Promise<Figure[]>;

/** Limits each connection, so that several are needed. */
const LIMITED_BYTES_PER_SEC = 20_000_000;

const BENCHES: Readonly<Record<string, Bench>> = {
  pair: benchPair,
  fanout: benchFanout,
  mixed: benchMixed,
  origin: benchOrigin,
  originLimited: ({ length, rounds }) =>
    benchOrigin({ length: length / 4, rounds, rateBytesPerSec: LIMITED_BYTES_PER_SEC }),
  latency: benchLatency,
  core: () => benchCore({ pieceCount: 100_000, peerCount: 200 }),
  crowd: () => benchCrowd({ peers: 1_000 }),
  chunker: benchChunker,
  update: ({ length }) => benchUpdate({ length: length / 2 }),
  discovery: () => benchDiscovery([8, 24]),
  rest: ({ length, rounds }) => benchRest({ length: length / 2, rounds, ...REST_LOAD }),
  restLimited: ({ length, rounds }) =>
    benchRest({ length: length / 2, rounds, ...REST_LOAD, rateBytesPerSec: 25_000_000 }),
};

async function run(args: readonly string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    // pnpm passes the `--` on that separates its options from ours.
    args: args.filter((arg) => arg !== "--"),
    options: {
      json: { type: "boolean", default: false },
      length: { type: "string", default: "1024" },
      rounds: { type: "string", default: "5" },
      webtorrent: { type: "string" },
    },
    allowPositionals: true,
  });
  if (positionals[0] === "report") return writeReport(positionals.slice(1));
  const { json, webtorrent } = values;
  const options = {
    length: Number(values.length) * MiB,
    rounds: Number(values.rounds),
    webtorrent,
  };
  if (!(options.length > 0) || !(options.rounds > 0)) {
    console.error("--length and --rounds are numbers above 0");
    return 2;
  }
  const names = positionals.length > 0 ? positionals : Object.keys(BENCHES);
  const unknown = names.filter((name) => !Object.hasOwn(BENCHES, name));
  if (unknown.length > 0) {
    console.error(
      `unknown benchmark ${unknown.join(", ")}; there are: ${Object.keys(BENCHES).join(", ")}`,
    );
    return 2;
  }
  if (json) console.log(JSON.stringify({ run: await describeRun(args) }));
  for (const name of names) {
    for (const figure of (await BENCHES[name]?.(options)) ?? []) {
      console.log(json ? JSON.stringify({ bench: name, ...figure }) : line(name, figure));
    }
  }
  return 0;
}

function line(bench: string, { name, value, unit, target }: Figure): string {
  if (Number.isNaN(value)) return `${bench.padEnd(9)} ${name}`;
  const text = `${bench.padEnd(9)} ${name.padEnd(44)} ${value.toFixed(2).padStart(10)} ${unit}`;
  return target === undefined ? text : `${text.padEnd(72)} target ${target}`;
}

process.exitCode = await run(process.argv.slice(2));

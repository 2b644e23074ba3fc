/** What the origins of `job-kill.test.ts` and `power-loss.test.ts` serve: small contents, seeded. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Random, SIDECAR_SUFFIX } from "@shoal/core";
import { describeFile } from "@shoal/store";
import type { TestSite } from "./harness.ts";
import type { KillContents } from "./job-kill-life.ts";

const SEED = 20_261_124;
/** Bytes: none, a few, less than a piece, some pieces, and some pieces under a manifest. */
const PLAIN_LENGTHS = [0, 7, 60_000, 700_000];
const DESCRIBED_LENGTH = 400_000;

export async function makeKillContents(site: TestSite): Promise<KillContents> {
  const random = new Random(SEED);
  const bytes = new Map<string, Buffer>();
  const make = (name: string, length: number): Buffer => {
    const content = Buffer.from(Uint8Array.from({ length }, () => random.uint32()));
    bytes.set(name, content);
    return content;
  };
  const plain = PLAIN_LENGTHS.map((length) => ({ name: `plain-${length}`, length }));
  for (const { name, length } of plain) make(name, length);
  const name = "described";
  const path = join(await site.makeDirectory("contents"), name);
  await writeFile(path, make(name, DESCRIBED_LENGTH));
  const { contentId, bytes: manifest } = await describeFile(path);
  bytes.set(name + SIDECAR_SUFFIX, Buffer.from(manifest));
  return { bytes, list: [...plain, { name, length: DESCRIBED_LENGTH, contentId }] };
}

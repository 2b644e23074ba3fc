/** Jobs of many small files, from an origin and then from the peer that has got them there. */
import { hash } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { contentIdOf, encodeManifest, KiB, PieceLayout, SIDECAR_SUFFIX } from "@shoal/core";
import { expect, test } from "vitest";
import type { AgentReport } from "../../examples/main-job/agent-process.ts";
import { serveFiles } from "../../examples/origin/serve-files.ts";
import { scale } from "../long.ts";
import { TestSite } from "./harness.ts";

/** More than a peer may be refused at once without it being a flood. */
const FILES = scale(200, 1_000);

interface SmallFile {
  readonly name: string;
  readonly path: string;
  readonly contentId: string;
  readonly bytes: Uint8Array;
}

test(`${FILES} files of one job come from an origin, and from a peer without an offence (R-PEER-17)`, async () => {
  await using site = await TestSite.create();
  const files = await publish(site);
  const paths = files.flatMap(({ name, path }) => [
    [name, path],
    [name + SIDECAR_SUFFIX, path + SIDECAR_SUFFIX],
  ]);
  const origin = site.use(await serveFiles(Object.fromEntries(paths) as Record<string, string>));
  const offences: AgentReport[] = [];
  const onReport = (report: AgentReport): void => {
    if (report.type === "peerOffended") offences.push(report);
  };
  const first = site.startAgent("first", { onReport });
  const { addresses } = await first.next("ready");
  const second = site.startAgent("second", { onReport });
  await second.next("ready");
  second.send({ type: "meet", addresses });
  await second.next("peerConnected");
  for (const [agent, hasOrigin] of [[first, true] as const, [second, false] as const]) {
    const directory = await site.makeDirectory(agent.name);
    const asked = files.map(({ name, contentId }) => ({
      contentId,
      destination: join(directory, name),
      ...(hasOrigin && { url: origin.urlOf(name) }),
    }));
    agent.send({ type: "download", job: { files: asked } });
    const { snapshot } = await agent.next("published");
    const length = files.reduce((sum, { bytes }) => sum + bytes.length, 0);
    const { originBytes, peerBytes } = snapshot;
    expect([originBytes, peerBytes]).toEqual(hasOrigin ? [length, 0] : [0, length]);
    for (const { name, bytes } of files) {
      expect(Buffer.compare(await readFile(join(directory, name)), bytes)).toBe(0);
    }
  }
  expect(offences).toEqual([]);
}, 120_000);

/** Files with their sidecars; no two are alike. */
async function publish(site: TestSite): Promise<readonly SmallFile[]> {
  const directory = await site.makeDirectory("origin");
  const files: SmallFile[] = [];
  for (let i = 0; i < FILES; i++) {
    const [name, length] = [`file-${i}`, KiB + 7 * i];
    const bytes = new Uint8Array(length).fill(1 + (i % 255));
    const digest = hash("sha256", bytes, "buffer");
    const path = join(directory, name);
    const manifest = encodeManifest({
      layout: PieceLayout.fixed(length, 64 * KiB),
      pieceDigests: digest,
      contentDigest: digest,
      files: [{ name, length, digest }],
      hints: {},
    });
    await writeFile(path, bytes);
    await writeFile(path + SIDECAR_SUFFIX, manifest);
    files.push({ name, path, contentId: contentIdOf(manifest), bytes });
  }
  return files;
}

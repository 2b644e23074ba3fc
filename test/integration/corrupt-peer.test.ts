import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { KiB, LIMITS, MiB } from "@shoal/core";
import { describe, expect, test } from "vitest";
import type { AgentReport } from "../../examples/main-job/agent-process.ts";
import { sha256Of, TestSite, until } from "./harness.ts";
import type { AgentProcess, TestContent } from "./harness.ts";
import { HostilePeer } from "./hostile-peer.ts";

/** `choosePieceLength` for files of this test's length. */
const PIECE_BYTES = 256 * KiB;

describe("a peer that sends corrupt pieces", () => {
  test("is dropped after its second one, and the origin delivers (R-BAN-01, R-SCH-07)", async () => {
    await using site = await TestSite.create();
    const content = await site.publish("file.bin", 32 * MiB);
    const origin = await site.serve(content, { rateBytesPerSec: 16 * MiB });
    const hostile = [await startHostile(site, content), await startHostile(site, content)];
    const { published, reports, destination } = await attack(site, {
      content,
      url: origin.url,
      hostile,
      honest: [],
    });
    expect(await sha256Of(destination)).toBe(content.sha256);
    for (const peer of hostile) expectDropped(peer, reports);
    expect(published.snapshot.originBytes).toBeGreaterThanOrEqual(content.length);
    expect(published.snapshot.wastedBytes).toBeLessThanOrEqual(wasteBytesMax(hostile.length));
  });

  test("is dropped after its second one, and an honest peer delivers (R-BAN-01)", async () => {
    await using site = await TestSite.create();
    const content = await site.publish("file.bin", 32 * MiB);
    const hostile = [await startHostile(site, content)];
    const honest = await site.startSeed("honest", content);
    const { published, reports, destination } = await attack(site, { content, hostile, honest });
    expect(await sha256Of(destination)).toBe(content.sha256);
    for (const peer of hostile) expectDropped(peer, reports);
    expect(published.snapshot).toMatchObject({ originBytes: 0 });
    expect(reports.filter(({ type }) => type === "peerBanned")).toHaveLength(1);
  });
});

/** R-SCH-07: what one identity can waste, because each piece is judged before the next is asked. */
const SENT_PIECES_MAX = 2;

/** R-SCH-07 for the bad peers, and R-SCH-05 for pieces asked of two sources at the end. */
function wasteBytesMax(hostileCount: number): number {
  return (hostileCount * SENT_PIECES_MAX + LIMITS.endgamePiecesMax) * PIECE_BYTES;
}

async function startHostile(site: TestSite, content: TestContent): Promise<HostilePeer> {
  return site.use(await HostilePeer.start(content));
}

function expectDropped(hostile: HostilePeer, reports: readonly AgentReport[]): void {
  const about = reports.filter((report) => "peerId" in report && report.peerId === hostile.peerId);
  const offences = about.filter(({ type }) => type === "peerOffended");
  expect(offences).toMatchObject([{ offence: "corruptPiece" }, { offence: "corruptPiece" }]);
  expect(about.filter(({ type }) => type === "peerBanned")).toHaveLength(1);
  expect(hostile.sentPieces).toBeLessThanOrEqual(SENT_PIECES_MAX);
  expect(hostile.connected.size).toBe(0);
}

interface Attack {
  readonly content: TestContent;
  readonly url?: string;
  readonly hostile: readonly HostilePeer[];
  /** Addresses of a seed. */
  readonly honest: readonly string[];
}

/** Downloads with hostile peers about, and looks at the part file all the while. */
async function attack(
  site: TestSite,
  { content, url, hostile, honest }: Attack,
): Promise<{
  published: Extract<AgentReport, { type: "published" }>;
  reports: readonly AgentReport[];
  destination: string;
}> {
  const directory = await site.makeDirectory("downloads");
  const destination = join(directory, "file.bin");
  const reports: AgentReport[] = [];
  const agent: AgentProcess = site.startAgent("downloader", {
    peers: [...hostile.flatMap(({ addresses }) => addresses), ...honest],
    onReport: (report) => reports.push(report),
  });
  const peerCount = hostile.length + (honest.length === 0 ? 0 : 1);
  for (let i = 0; i < peerCount; i++) await agent.next("peerConnected");
  const { contentId } = content;
  const source = url === undefined ? {} : { url };
  agent.send({ type: "download", job: { files: [{ ...source, contentId, destination }] } });
  const right = await readFile(content.path);
  let looks = 0;
  const published = agent.next("published");
  await until(async () => {
    looks += await countIfRight(directory, right);
    return reports.some(({ type }) => type === "published" || type === "failed");
  }, "the download");
  expect(looks).toBeGreaterThan(0);
  return { published: await published, reports, destination };
}

/** Fails unless every byte on disk is right or was never written; gives the number of files seen. */
async function countIfRight(directory: string, right: Buffer): Promise<number> {
  const names = await readdir(directory);
  for (const name of names) {
    const bytes = await readFile(join(directory, name)).catch(() => Buffer.alloc(0));
    for (let i = 0; i < bytes.length; i++) {
      if (bytes[i] !== right[i] && bytes[i] !== 0) {
        throw new Error(`byte ${i} of ${name} is wrong on disk`);
      }
    }
  }
  return names.length;
}

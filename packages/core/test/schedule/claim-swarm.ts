/** The members of a content at any size, for benchmarks of claims. */
import { PieceLayout } from "@shoal/core";
import type { ContentId } from "@shoal/core";
import { ContentSwarm } from "../../src/schedule/content-swarm.ts";
import { KiB } from "../../src/units.ts";

/** A content of pieces of 64 KiB, with members called "peer 0" and so on, all connected. */
export function claimSwarm(pieceCount: number, peerCount: number): ContentSwarm {
  const layout = PieceLayout.fixed(pieceCount * 64 * KiB, 64 * KiB);
  const contentId = "content" as ContentId;
  const bounds = { selfId: "self", extentBytes: 1_024 * KiB, stallTimeoutMs: 2_000 };
  const swarm = new ContentSwarm(layout, { contentId, ...bounds });
  for (let peer = 0; peer < peerCount; peer++) swarm.join(`peer ${peer}`, 0);
  return swarm;
}

/** Content-defined chunking: what cutting a content costs before it is digested. */
import { randomBytes } from "node:crypto";
import { ContentChunker, KiB, MiB } from "@shoal/core";
import { medianUs } from "./measure.ts";
import type { Figure } from "./measure.ts";

export function benchChunker(): Figure[] {
  const bytes = new Uint8Array(randomBytes(16 * MiB));
  return [64 * KiB, MiB].map((nominal) => {
    const us = medianUs({ runs: 15, count: 16 }, () => {
      const chunker = new ContentChunker(nominal);
      for (let at = 0; at >= 0;) at = chunker.next(bytes, at);
    });
    const name = `content-defined chunking, ${nominal / KiB} KiB nominal`;
    return { name, value: 1e6 / us, unit: "MiB/s" as const, target: 900 };
  });
}

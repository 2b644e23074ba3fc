import { Counters } from "@shoal/core";
import { expect, test } from "vitest";
import { CalmLog } from "../../src/cli/calm-log.ts";

function makeLog(): { log: CalmLog; lines: string[]; clock: { now: number } } {
  const lines: string[] = [];
  const clock = { now: 0 };
  const say = (text: string): void => void lines.push(text);
  return { log: new CalmLog({ say }, () => clock.now), lines, clock };
}

const idle = { connectedPeers: [], servedContents: [], counters: () => new Counters().snapshot() };

test("writes ten lines of a kind per minute, then a count (R-LOG-02)", () => {
  const { log, lines, clock } = makeLog();
  for (let i = 0; i < 25; i++) log.info({ peerId: `p${i}` }, "peer connected");
  log.warn({ peerId: "p" }, "peer banned");
  expect(lines).toHaveLength(11);
  expect(lines.at(-1)).toBe("peer banned p\n");
  clock.now = 59_000;
  log.summarize(idle);
  expect(lines).toHaveLength(11);
  clock.now = 61_000;
  log.summarize(idle);
  expect(lines.at(-1)).toBe("peer connected: 15 times more\n");
  log.info({ peerId: "q" }, "peer connected");
  expect(lines.at(-1)).toBe("peer connected q\n");
});

test("escapes and cuts what peers have written (R-LOG-02)", () => {
  const { log, lines } = makeLog();
  log.info({ reason: `\u001b[2J${"x".repeat(1_000)}` }, "peer disconnected");
  expect(lines[0]).toMatch(/^peer disconnected \\u001b\[2Jx+\n$/);
  expect(lines[0]?.length).toBeLessThan(300);
});

test("sums up uploads only when there were some", () => {
  const { log, lines } = makeLog();
  const counters = new Counters();
  const agent = { ...idle, connectedPeers: ["p"], counters: () => counters.snapshot() };
  log.summarize(agent);
  counters.add("shoal_peer_sent_bytes_total", 2_097_152);
  log.summarize(agent);
  log.summarize(agent);
  counters.add("shoal_peer_sent_bytes_total", 1_048_576);
  log.summarize({ ...agent, servedContents: ["c"] });
  expect(lines).toEqual([
    "sent 2.0 MiB (2.0 MiB in all), 1 peer connected\n",
    "1 content on offer\n",
    "sent 1.0 MiB (3.0 MiB in all), 1 peer connected\n",
  ]);
});

import { Random, resolveSettings, Scheduler } from "@shoal/core";
import { expect, it } from "vitest";
import { silentLogger } from "../../src/logger.ts";
import { AgentMonitor } from "../../src/service/agent-monitor.ts";
import { LogTail } from "../../src/service/log-tail.ts";

function monitored() {
  const settings = resolveSettings({});
  const scheduler = new Scheduler({ random: new Random(1), settings, selfId: "self" });
  const clock = { now: 0 };
  const log = new LogTail(silentLogger);
  const deps = {
    act: <Result>(verb: (machine: Scheduler, now: number) => Result) => verb(scheduler, clock.now),
    logger: log,
  };
  return { scheduler, clock, log, monitor: new AgentMonitor(deps) };
}

it("takes a point of traffic every 10 s, and keeps an hour of them", () => {
  const { scheduler, clock, monitor } = monitored();
  using _monitor = monitor;
  scheduler.counters.add("shoal_origin_received_bytes_total", 50_000);
  scheduler.counters.add("shoal_cache_server_received_bytes_total", 10_000);
  scheduler.counters.add("shoal_peer_received_bytes_total", 20_000);
  scheduler.counters.add("shoal_peer_sent_bytes_total", 1_000);
  clock.now = 10_000;
  monitor.look();
  expect(monitor.traffic).toMatchObject([
    {
      originBytesPerSec: 6_000,
      peerReceivedBytesPerSec: 2_000,
      peerSentBytesPerSec: 100,
      connectedPeers: 0,
    },
  ]);
  for (let count = 0; count < 400; count++) {
    clock.now += 10_000;
    monitor.look();
  }
  expect(monitor.traffic).toHaveLength(360);
  expect(monitor.traffic[0]?.originBytesPerSec).toBe(0);
});

it("tells what was going on when the event loop was held up (R-PROC-05)", async () => {
  const { log, monitor } = monitored();
  using _monitor = monitor;
  expect(monitor.loopDelayP99Ms).toBeLessThan(200);
  const turn = () => new Promise((resolve) => void setTimeout(resolve, 120));
  await turn();
  const until = performance.now() + 500;
  while (performance.now() < until);
  await turn();
  expect(monitor.loopDelayP99Ms).toBeGreaterThan(200);
  monitor.look();
  const fields = { transfers: 0, jobs: 0, p99Ms: monitor.loopDelayP99Ms };
  expect(log.records()).toMatchObject([
    { level: "warn", message: "the event loop was held up", fields },
  ]);
});

/**
 * The agent's metrics in Prometheus' text format: every counter and gauge of core's registries.
 *
 * The one file that knows the metrics library, which is loaded when somebody first asks. Knows what
 * a service may ask of an agent. Called by `RunningAgent`.
 */
import type { Registry } from "prom-client";
import { COUNTERS, GAUGES } from "@shoal/core";
import type { AgentTotals, CounterName, GaugeName, GaugeRow } from "@shoal/core";
import type { AgentServiceHost } from "./local-agent-service.ts";

/** A value, or values by the gauge's label; absent where the system does not tell. */
type GaugeValue = number | Readonly<Record<string, number>> | undefined;

/** Returns what gives the text, as it is at the moment. */
export async function createMetrics(host: AgentServiceHost): Promise<() => Promise<string>> {
  const { Counter, Gauge, Registry: MetricsRegistry } = await import("prom-client");
  const registry: Registry = new MetricsRegistry();
  const registers = [registry];
  const counters = Object.entries(COUNTERS).map(([name, help]) => {
    return new Counter({ name, help, registers });
  });
  const gauges = Object.entries<GaugeRow>(GAUGES).map(([name, { help, label, isCounter }]) => {
    const configuration = { name, help, labelNames: label === undefined ? [] : [label], registers };
    return isCounter === true ? new Counter(configuration) : new Gauge(configuration);
  });
  return async () => {
    const values = await gaugeValues(host);
    const counted = host.act((scheduler) => scheduler.counters.snapshot());
    const names = Object.keys(COUNTERS) as CounterName[];
    for (const [index, name] of names.entries()) {
      const counter = counters[index];
      counter?.reset();
      counter?.inc(counted[name]);
    }
    for (const [index, [name, { label }]] of Object.entries<GaugeRow>(GAUGES).entries()) {
      const gauge = gauges[index];
      const value = values[name as GaugeName];
      gauge?.reset();
      if (typeof value === "number") gauge?.inc(value);
      else if (label !== undefined) {
        for (const [key, part] of Object.entries(value ?? {})) gauge?.inc({ [label]: key }, part);
      } else gauge?.remove();
    }
    return await registry.metrics();
  };
}

async function gaugeValues(host: AgentServiceHost): Promise<Record<GaugeName, GaugeValue>> {
  const [entries, disk] = await Promise.all([host.cache({ verb: "list" }), host.disk()]);
  const { totals, month, bans } = host.act((scheduler, now) => ({
    totals: scheduler.overview.totals(now),
    month: scheduler.overview.month(now),
    bans: scheduler.bans.bans(now),
  }));
  const { user, system } = process.cpuUsage();
  return {
    ...totalGauges(totals),
    shoal_info: { [host.facts().version]: 1 },
    shoal_bans: {
      peer: bans.filter(({ kind }) => kind === "peer").length,
      address: bans.filter(({ kind }) => kind === "address").length,
    },
    shoal_cached_contents: entries.length,
    shoal_cache_bytes: entries.reduce((sum, { isCopy, length }) => sum + (isCopy ? length : 0), 0),
    shoal_disk_total_bytes: disk.totalDiskBytes,
    shoal_disk_available_bytes: disk.availableDiskBytes,
    shoal_upload_limit_reached: month.isUploadLimitReached ? 1 : 0,
    shoal_event_loop_delay_p99_seconds: host.monitor.loopDelayP99Ms / 1_000,
    process_resident_memory_bytes: process.memoryUsage.rss(),
    process_start_time_seconds: Math.round(Date.now() / 1_000 - process.uptime()),
    process_cpu_seconds_total: (user + system) / 1e6,
  };
}

type TotalGauge =
  | "shoal_jobs"
  | `shoal_downloads_${string}`
  | "shoal_peers"
  | `shoal_${string}_connections`
  | "shoal_contents_offered"
  | `shoal_${string}_bytes_per_second`;

function totalGauges(totals: AgentTotals): Record<Extract<GaugeName, TotalGauge>, GaugeValue> {
  return {
    shoal_jobs: totals.jobsByState,
    shoal_downloads_running: {
      foreground: totals.foregroundDownloads,
      background: totals.backgroundDownloads,
    },
    shoal_downloads_waiting: {
      foreground: totals.foregroundDownloadsPending,
      background: totals.backgroundDownloadsPending,
    },
    shoal_peers: totals.peersByState,
    shoal_peer_connections: totals.peerConnections,
    shoal_origin_connections: totals.originConnections,
    shoal_cache_server_connections: totals.cacheServerConnections,
    shoal_contents_offered: totals.offeredCount,
    shoal_download_bytes_per_second: totals.downloadBytesPerSec,
    shoal_upload_bytes_per_second: totals.uploadBytesPerSec,
  };
}

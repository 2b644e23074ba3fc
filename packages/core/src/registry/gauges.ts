/**
 * The one table of gauges: what can be measured of a running agent when somebody asks. Metrics and
 * `docs/metrics.md` are made from it and from `counters.ts`. Names are Prometheus names: they end
 * in the unit, where there is one.
 */
export interface GaugeRow {
  readonly help: string;
  /** What the values are told apart by; absent: there is one value. */
  readonly label?: string;
  /** It only grows, for as long as the process lives. */
  readonly isCounter?: boolean;
}

export const GAUGES = {
  shoal_info: { help: "Always 1; the label is the version that runs.", label: "version" },
  shoal_jobs: { help: "Jobs by state.", label: "state" },
  shoal_downloads_running: {
    help: "Files that are being fetched, by class of their jobs.",
    label: "class",
  },
  shoal_downloads_waiting: {
    help: "Files that wait to be fetched, by class of their jobs.",
    label: "class",
  },
  shoal_peers: { help: "Peers that are known, by how they stand.", label: "state" },
  shoal_peer_connections: { help: "Connected peers by class.", label: "class" },
  shoal_origin_connections: { help: "Requests to origins under way." },
  shoal_cache_server_connections: { help: "Requests to cache servers under way." },
  shoal_bans: { help: "Bans in force, of peers and of addresses.", label: "kind" },
  shoal_contents_offered: { help: "Contents that peers may have now, whole or in part." },
  shoal_cached_contents: { help: "Contents that stay on offer after their jobs." },
  shoal_cache_bytes: { help: "Room that copies of the cache take." },
  shoal_disk_total_bytes: { help: "Size of the file system with the state." },
  shoal_disk_available_bytes: { help: "Free room on the file system with the state." },
  shoal_download_bytes_per_second: { help: "All that came, mean of the last 20 s." },
  shoal_upload_bytes_per_second: { help: "All that was sent to peers, mean of the last 20 s." },
  shoal_upload_limit_reached: {
    help: "1: nothing more is sent to peers of the Internet this month.",
  },
  shoal_event_loop_delay_p99_seconds: {
    help: "By how much turns of the event loop were late, but for one in a hundred, lately.",
  },
  process_resident_memory_bytes: { help: "Memory of the process." },
  process_start_time_seconds: { help: "When the process was started, since 1970." },
  process_cpu_seconds_total: {
    help: "Time of processors that the process has used.",
    isCounter: true,
  },
} as const satisfies Record<string, GaugeRow>;

export type GaugeName = keyof typeof GAUGES;

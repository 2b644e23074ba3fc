/**
 * The one table of counters. Metrics, reports and `docs/metrics.md` are made from it. Names are
 * Prometheus names: `snake_case`, ending in the unit.
 */
export const COUNTERS = {
  shoal_origin_received_bytes_total: "Piece bytes received from origins.",
  shoal_cache_server_received_bytes_total: "Piece bytes received from cache servers.",
  shoal_peer_received_bytes_total: "Piece bytes received from peers.",
  shoal_peer_sent_bytes_total: "Piece bytes sent to peers.",
  shoal_lan_received_bytes_total: "Piece bytes received from peers of the LAN.",
  shoal_link_local_received_bytes_total:
    "Piece bytes received from peers found by local discovery.",
  shoal_group_received_bytes_total: "Piece bytes received from peers of the group outside the LAN.",
  shoal_internet_received_bytes_total: "Piece bytes received from peers of the Internet.",
  shoal_lan_sent_bytes_total: "Piece bytes sent to peers of the LAN.",
  shoal_link_local_sent_bytes_total: "Piece bytes sent to peers found by local discovery.",
  shoal_group_sent_bytes_total: "Piece bytes sent to peers of the group outside the LAN.",
  shoal_internet_sent_bytes_total: "Piece bytes sent to peers of the Internet.",
  shoal_foreground_received_bytes_total: "Bytes received by downloads in the foreground.",
  shoal_background_received_bytes_total: "Bytes received by downloads in the background.",
  shoal_foreground_download_seconds_total:
    "Time in which downloads in the foreground fetched, of all of them together.",
  shoal_background_download_seconds_total:
    "Time in which downloads in the background fetched, of all of them together.",
  shoal_files_downloaded_total: "Files of jobs of which all bytes are here.",
  shoal_contents_sent_total: "Contents of which peers were sent something.",
  shoal_wasted_bytes_total: "Piece bytes received and thrown away: duplicates, corrupt or late.",
  shoal_reused_bytes_total: "Piece bytes taken from other contents on this machine, not fetched.",
  shoal_verified_bytes_total: "Piece bytes verified and written.",
  shoal_corrupt_pieces_total: "Pieces whose digest did not match.",
  shoal_origin_requests_total: "Range requests sent to origins.",
  shoal_origin_failures_total: "Range requests to origins that failed.",
  shoal_peer_timeouts_total: "Pieces that a peer did not deliver before their deadline.",
  shoal_peer_bans_total: "Peers banned.",
  shoal_address_bans_total: "Addresses refused because of what peers at them did.",
  shoal_peer_offences_total: "What peers did that only broken or hostile ones do.",
  shoal_manifests_refused_total: "Manifests and announcements that were not believed.",
  shoal_redirects_refused_total: "Redirects of origins to places that are not allowed.",
  shoal_range_violations_total: "Answers of origins that broke the rules of ranges.",
  shoal_validator_changes_total: "Files that changed at their origin while they were fetched.",
  shoal_disk_errors_total: "Reads and writes that the disk refused.",
  shoal_recoveries_total: "Damage of earlier runs that was put in order.",
  shoal_auth_failures_total: "Requests to the agent without a token, or with a wrong one.",
  shoal_hosts_refused_total: "Requests to the agent for a host or from an origin not its own.",
  shoal_uploads_refused_total: "Requests of peers answered with a refusal.",
  shoal_endgame_requests_total: "Pieces asked of a second source in endgame.",
  shoal_announcement_requests_total: "Peers' questions for a publisher's announcement of a file.",
  shoal_claims_sent_total: "Claims announced before fetching from an origin.",
} as const satisfies Record<string, string>;

export type CounterName = keyof typeof COUNTERS;

/** A set of counters, all starting at zero. */
export class Counters {
  readonly #values = new Map<CounterName, number>();

  add(name: CounterName, amount = 1): void {
    this.#values.set(name, (this.#values.get(name) ?? 0) + amount);
  }

  get(name: CounterName): number {
    return this.#values.get(name) ?? 0;
  }

  /** Every counter of the table, in the table's order. */
  snapshot(): Readonly<Record<CounterName, number>> {
    const values = {} as Record<CounterName, number>;
    for (const name of Object.keys(COUNTERS) as CounterName[]) values[name] = this.get(name);
    return values;
  }
}

/**
 * The one table of security events (R-LOG-03): what each is called in the log, and the counter that
 * says how often it has happened since the start. docs/metrics.md is made from it.
 */
import type { CounterName } from "./counters.ts";

export interface SecurityEventRow {
  readonly counter: CounterName;
  /** A clause. */
  readonly words: string;
}

export const SECURITY_EVENTS = {
  hashMismatch: row("shoal_corrupt_pieces_total", "a piece's digest did not match"),
  peerOffence: row("shoal_peer_offences_total", "a peer did what only broken or hostile ones do"),
  peerBan: row("shoal_peer_bans_total", "a peer was banned"),
  addressBan: row("shoal_address_bans_total", "an address was refused for what peers there did"),
  manifestRefusal: row(
    "shoal_manifests_refused_total",
    "a manifest or announcement was not believed",
  ),
  redirectRefusal: row(
    "shoal_redirects_refused_total",
    "an origin redirected to a place that is not allowed",
  ),
  rangeViolation: row("shoal_range_violations_total", "an origin broke the rules of ranges"),
  validatorChange: row(
    "shoal_validator_changes_total",
    "a file changed at its origin while it was fetched",
  ),
  diskError: row("shoal_disk_errors_total", "the disk refused a read or a write"),
  recovery: row("shoal_recoveries_total", "what an earlier run had left damaged was put in order"),
  authFailure: row(
    "shoal_auth_failures_total",
    "a request to the agent had no token, or a wrong one",
  ),
  hostRefusal: row(
    "shoal_hosts_refused_total",
    "a request to the agent named a host or an origin that is not its own",
  ),
} as const satisfies Record<string, SecurityEventRow>;

export type SecurityEventCode = keyof typeof SECURITY_EVENTS;

function row(counter: CounterName, words: string): SecurityEventRow {
  return { counter, words };
}

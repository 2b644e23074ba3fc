/** Counts bytes twice: for the transfer's snapshot and for the agent's counters. */
import type { CounterName, Counters } from "../registry/counters.ts";
import type { FetchBytes } from "./fetcher-options.ts";

const COUNTER_OF = {
  origin: "shoal_origin_received_bytes_total",
  cacheServers: "shoal_cache_server_received_bytes_total",
  peers: "shoal_peer_received_bytes_total",
  wasted: "shoal_wasted_bytes_total",
  reused: "shoal_reused_bytes_total",
} as const satisfies Record<keyof FetchBytes, CounterName>;

/** `length` bytes came from a source, were thrown away, or were found here. */
export function countBytes(
  { bytes, counters }: { readonly bytes: FetchBytes; readonly counters: Counters },
  what: keyof FetchBytes,
  length: number,
): void {
  bytes[what] += length;
  counters.add(COUNTER_OF[what], length);
}

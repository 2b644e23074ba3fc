import { describe, expect, it } from "vitest";
import { COUNTERS, Counters } from "../../src/registry/counters.ts";

describe("counters", () => {
  it.each(Object.entries(COUNTERS))("are Prometheus names with help: %s", (name, help) => {
    expect(name).toMatch(/^shoal_[a-z_]+_total$/);
    expect(help).toMatch(/^[A-Z].*\.$/);
  });

  it("start at zero, add up, and are all in a snapshot", () => {
    const counters = new Counters();
    counters.add("shoal_peer_bans_total");
    counters.add("shoal_peer_sent_bytes_total", 10);
    counters.add("shoal_peer_sent_bytes_total", 5);
    expect(counters.get("shoal_peer_sent_bytes_total")).toBe(15);
    const snapshot = counters.snapshot();
    expect(Object.keys(snapshot)).toEqual(Object.keys(COUNTERS));
    expect(snapshot.shoal_peer_bans_total).toBe(1);
    expect(snapshot.shoal_wasted_bytes_total).toBe(0);
  });
});

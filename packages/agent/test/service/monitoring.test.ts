/** The dashboard and the alert rules name what agents really say. */
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { COUNTERS, GAUGES } from "@shoal/core";
import { describe, expect, it } from "vitest";

const directory = new URL("../../../../docs/monitoring/", import.meta.url);
const read = (name: string): Promise<string> =>
  readFile(fileURLToPath(new URL(name, directory)), "utf8");

const METRIC = /\b(?:shoal|process)_[a-z0-9_]+/g;
const known = new Set<string>([...Object.keys(COUNTERS), ...Object.keys(GAUGES)]);
/** What a dashboard should show of a fleet; the rest is there for whoever asks. */
const NAMES_MIN = 10;

interface Dashboard {
  readonly panels: readonly {
    readonly title: string;
    readonly targets: readonly { readonly expr: string }[];
  }[];
}

describe("monitoring", () => {
  it.each(["grafana-dashboard.json", "alerts.yml"])(
    "%s names no metric that is not",
    async (name) => {
      const named = new Set((await read(name)).match(METRIC));
      expect([...named].filter((metric) => !known.has(metric))).toEqual([]);
      expect(named.size).toBeGreaterThanOrEqual(NAMES_MIN);
    },
  );

  it("has a panel for each title, and something to ask for each panel", async () => {
    const { panels } = JSON.parse(await read("grafana-dashboard.json")) as Dashboard;
    const titles = panels.map(({ title }) => title);
    expect(new Set(titles).size).toBe(titles.length);
    for (const { targets } of panels) {
      expect(targets.length).toBeGreaterThan(0);
      for (const { expr } of targets) expect(expr).toMatch(METRIC);
    }
  });

  it("says of each alert what has happened and what to do", async () => {
    const rules = (await read("alerts.yml")).split(/^ {6}- alert: /m).slice(1);
    const names = rules.map((rule) => rule.slice(0, rule.indexOf("\n")));
    expect(names).toEqual(expect.arrayContaining(["ShoalAgentDown", "ShoalNoPeers"]));
    for (const rule of rules) {
      for (const part of ["expr:", "severity:", "summary:", "description:"]) {
        expect(rule).toContain(part);
      }
    }
    const page = await read("README.md");
    for (const [, alert] of page.matchAll(/`(Shoal\w+)`/g)) expect(names).toContain(alert);
  });
});

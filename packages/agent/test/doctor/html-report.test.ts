import { createHash } from "node:crypto";
import { describe, expect, test } from "vitest";
import { htmlReport } from "../../src/doctor/html-report.ts";
import type { ReportContent } from "../../src/doctor/html-report.ts";

const NASTY = `</script><img src=x onerror="alert('1')">\u202e&`;

function contentOf(more: Partial<ReportContent> = {}): ReportContent {
  const check = { id: "state.disk", title: "Disk", result: "fail", finding: NASTY } as const;
  return {
    checks: [{ ...check, remedy: "Free some room." }],
    traffic: [],
    jobs: [],
    peers: [],
    madeAt: Date.UTC(2026, 0, 2),
    ...more,
  };
}

describe("htmlReport", () => {
  test("shows every value as text (R-API-07)", () => {
    const jobs = [{ displayName: NASTY, originBytes: 1, cacheServerBytes: 0, peerBytes: 3 }];
    const html = htmlReport(contentOf({ jobs: jobs as unknown as ReportContent["jobs"] }));
    expect(html).not.toContain("<img");
    expect(html).not.toContain("\u202e");
    expect(html.match(/&lt;\/script&gt;&lt;img/g)?.length).toBeGreaterThanOrEqual(3);
    expect(html).toContain("75 % from peers");
    expect(html.indexOf("Free some room.")).toBeLessThan(html.indexOf("Every check"));
  });

  test("lets only its own scripts and style run, and asks for nothing from elsewhere", () => {
    const html = htmlReport(contentOf());
    const [, policy = ""] = /Content-Security-Policy" content="([^"]+)"/.exec(html) ?? [];
    expect(policy).toContain("default-src 'none'");
    expect(policy).not.toContain("unsafe");
    const parts = [...html.matchAll(/<(script|style)>([\s\S]*?)<\/\1>/g)];
    expect(parts.map(([, kind]) => kind)).toEqual(["style", "script", "script"]);
    for (const [, , text = ""] of parts) {
      expect(policy).toContain(createHash("sha256").update(text).digest("base64"));
    }
    expect(html).not.toMatch(/(?:src|href)\s*=\s*["']?(?:https?:)?\/\//);
    expect(html).not.toMatch(/\sstyle=/);
  });

  test("holds the traffic as data, where there was any", () => {
    const point = { at: 1_767_312_000_000, originBytesPerSec: 5.4, connectedPeers: 0 };
    const traffic = [{ ...point, peerReceivedBytesPerSec: 7, peerSentBytesPerSec: 0 }];
    const html = htmlReport(contentOf({ traffic }));
    expect(html).toContain('id="traffic-data">[[1767312000],[5],[7],[0]]</script>');
    expect(htmlReport(contentOf())).toContain("The agent has kept no figures of it.");
  });
});

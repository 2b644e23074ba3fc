/**
 * The doctor's report as one HTML file that needs nothing else: no network, and no script but the
 * two that are named by their digests in its content security policy. Every value is text (R-API-07).
 *
 * Knows the page's parts; charts without a script are in `report-charts.ts`, the look and the script
 * in `report-page.ts`. Called by `shoal doctor --html` and by the support bundle.
 */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import type { UnixMillis } from "@shoal/core";
import { faultsOf, groupChecks, RESULTS, summaryText } from "../cli/doctor-screen.ts";
import { formatDistance, formatTime } from "../cli/format-values.ts";
import type { AgentFacts, CheckReport, TrafficPoint } from "../service/agent-service.ts";
import type { Figures } from "./figures.ts";
import { jobsChart, peersChart } from "./report-charts.ts";
import { escapeHtml } from "./report-text.ts";
import { REPORT_SCRIPT, REPORT_STYLE } from "./report-page.ts";

export interface ReportContent extends Figures {
  readonly checks: readonly CheckReport[];
  readonly madeAt: UnixMillis;
}

/** The whole file. */
export function htmlReport(content: ReportContent): string {
  const { checks, facts, traffic, jobs, peers, performance, madeAt } = content;
  const chart = chartLibrary();
  const style = `${chart.style}\n${REPORT_STYLE}`;
  const policy = [
    "default-src 'none'",
    `script-src ${digestOf(chart.script)} ${digestOf(REPORT_SCRIPT)}`,
    `style-src ${digestOf(style)}`,
    "base-uri 'none'",
    "form-action 'none'",
  ].join("; ");
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Shoal: what the doctor found</title>
<style>${style}</style>
</head>
<body>
<main>
<header>
<h1>What the doctor found</h1>
<p class="summary">${escapeHtml(summaryText(checks))}</p>
${factsLine(facts, madeAt)}
</header>
${faultsSection(checks)}
${trafficSection(traffic)}
${jobsChart(jobs)}
${peersChart(peers, performance)}
${checksSection(checks)}
</main>
<script>${chart.script}</script>
<script>${REPORT_SCRIPT}</script>
</body>
</html>
`;
}

/** uPlot, as it is published; read once for each report. */
function chartLibrary(): { readonly script: string; readonly style: string } {
  const { resolve } = createRequire(import.meta.url);
  const read = (name: string): string => readFileSync(resolve(`uplot/dist/${name}`), "utf8");
  return { script: read("uPlot.iife.min.js"), style: read("uPlot.min.css") };
}

/** As a content security policy names what may run. */
function digestOf(text: string): string {
  return `'sha256-${createHash("sha256").update(text).digest("base64")}'`;
}

function factsLine(facts: AgentFacts | undefined, madeAt: UnixMillis): string {
  const made = `Made ${formatTime(madeAt)}`;
  if (facts === undefined) return `<p class="facts">${made}, while no agent ran.</p>`;
  const { version, nodeVersion, platform, startedAt, peerId, stateDirectory } = facts;
  const since = formatDistance(startedAt, madeAt);
  const words = `${made} by Shoal ${version} on Node.js ${nodeVersion}, ${platform}; started ${since}`;
  return `<p class="facts">${escapeHtml(words)}.<br>
Agent <code>${escapeHtml(peerId)}</code>, state in <code>${escapeHtml(stateDirectory)}</code>.</p>`;
}

function faultsSection(checks: readonly CheckReport[]): string {
  const faults = faultsOf(checks);
  if (faults.length === 0) return `<p class="fine">Nothing calls for anything to be done.</p>`;
  const items = faults.map(
    ({ result, title, finding, remedy = "" }) => `<li class="${result}">
<h3>${badge(result)} ${escapeHtml(title)}</h3>
<p>${escapeHtml(finding)}</p>
<p class="remedy">${escapeHtml(remedy)}</p>
</li>`,
  );
  return `<section aria-label="What to do"><h2>What to do</h2>
<ul class="faults">
${items.join("\n")}
</ul></section>`;
}

function badge(result: CheckReport["result"]): string {
  const words = result === "notApplicable" ? "n/a" : RESULTS[result].mark;
  return `<span class="badge ${result}">${words}</span>`;
}

function trafficSection(points: readonly TrafficPoint[]): string {
  const moved = points.some(
    (point) =>
      point.originBytesPerSec + point.peerReceivedBytesPerSec + point.peerSentBytesPerSec > 0,
  );
  const nothing =
    points.length === 0
      ? "The agent has kept no figures of it."
      : `Nothing was transferred in the last ${Math.ceil(points.length / 6)} min.`;
  const columns = [
    points.map(({ at }) => Math.round(at / 1_000)),
    points.map(({ originBytesPerSec }) => Math.round(originBytesPerSec)),
    points.map(({ peerReceivedBytesPerSec }) => Math.round(peerReceivedBytesPerSec)),
    points.map(({ peerSentBytesPerSec }) => Math.round(peerSentBytesPerSec)),
  ];
  const chart = moved
    ? `<div id="traffic" class="chart"></div>
<script type="application/json" id="traffic-data">${JSON.stringify(columns)}</script>`
    : `<p class="none">${nothing}</p>`;
  return `<section><h2>Traffic of the last hour</h2>\n${chart}\n</section>`;
}

function checksSection(checks: readonly CheckReport[]): string {
  const groups = groupChecks(checks).map(
    (group) => `<tbody>
<tr><th colspan="3" scope="rowgroup">${escapeHtml(group.title)}</th></tr>
${group.checks.map(checkRow).join("\n")}
</tbody>`,
  );
  return `<section><h2>Every check</h2>\n<table>\n${groups.join("\n")}\n</table></section>`;
}

function checkRow({ result, title, finding }: CheckReport): string {
  const cells = [badge(result), escapeHtml(title), escapeHtml(finding)];
  return `<tr>${cells.map((cell) => `<td>${cell}</td>`).join("")}</tr>`;
}

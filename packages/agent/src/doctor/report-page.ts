/**
 * How the report looks, and the script that draws its chart of traffic from the data in the page.
 * Colours stay readable on white, on dark and on paper; they are told apart without red and green.
 */

export const REPORT_STYLE = `
:root {
  color-scheme: light dark;
  --ground: light-dark(#fff, #16191d);
  --panel: light-dark(#f6f7f9, #1e2329);
  --line: light-dark(#dde1e6, #343b44);
  --text: light-dark(#1b1f24, #e4e7eb);
  --quiet: light-dark(#5a6470, #9aa5b1);
  --bad: light-dark(#b3261e, #ff8a80);
  --doubt: light-dark(#8a5a00, #f2c14e);
  --good: light-dark(#1a6b3c, #6fcf97);
  --origin: #e08a1e;
  --peers: #2f7fd1;
  --cacheServer: #7e62b8;
  --lan: #2f7fd1;
  --linkLocal: #35a2a2;
  --group: #7e62b8;
  --internet: #e08a1e;
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--text);
  font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 62rem; margin: 0 auto; padding: 2rem 1.25rem 3rem; }
h1 { font-size: 1.6rem; margin: 0; line-height: 1.2; }
h2 { font-size: 1.1rem; margin: 2rem 0 .75rem; }
h3 { font-size: 1rem; margin: 0; }
p { margin: .25rem 0; }
code { font: .85em ui-monospace, monospace; overflow-wrap: anywhere; }
.summary { font-size: 1.1rem; margin-top: .4rem; }
.facts, .none { color: var(--quiet); font-size: .9rem; }
.fine { margin-top: 1.5rem; color: var(--good); font-weight: 600; }
.faults { list-style: none; margin: 0; padding: 0; display: grid; gap: .6rem; }
.faults li { background: var(--panel); border-left: 4px solid var(--quiet);
  border-radius: 4px; padding: .6rem .9rem; overflow-wrap: anywhere; }
.faults li.fail { border-color: var(--bad); }
.faults li.warn { border-color: var(--doubt); }
.remedy::before { content: "\\2192\\00a0"; }
.remedy { font-weight: 600; }
.badge { display: inline-block; min-width: 3.4rem; padding: 0 .4rem; border-radius: 3px;
  border: 1px solid currentcolor; color: var(--quiet); font-size: .78rem; font-weight: 600;
  text-align: center; white-space: nowrap; }
.badge.fail { color: var(--bad); }
.badge.warn { color: var(--doubt); }
.badge.pass { color: var(--good); }
table { border-collapse: collapse; width: 100%; font-size: .92rem; }
th { text-align: left; padding: .9rem 0 .25rem; }
td { border-top: 1px solid var(--line); padding: .35rem .6rem .35rem 0; vertical-align: top;
  overflow-wrap: anywhere; }
td:first-child { width: 5rem; }
td:nth-child(2) { width: 12rem; }
figure { margin: .6rem 0 0; }
figcaption { display: flex; justify-content: space-between; gap: 1rem; font-size: .9rem;
  overflow-wrap: anywhere; }
figcaption span:last-child { color: var(--quiet); text-align: right; }
.bar { display: block; width: 100%; height: 14px; border-radius: 3px; }
.empty { fill: var(--line); }
.legend { display: flex; flex-wrap: wrap; gap: .25rem 1.2rem; font-size: .85rem;
  color: var(--quiet); }
.legend svg { width: .7rem; height: .7rem; margin-right: .4rem; }
.origin { fill: var(--origin); } .peers { fill: var(--peers); }
.cacheServer { fill: var(--cacheServer); } .lan { fill: var(--lan); }
.linkLocal { fill: var(--linkLocal); } .group { fill: var(--group); }
.internet { fill: var(--internet); }
.uplot { font: inherit; font-size: .85rem; }
.u-legend { color: var(--text); text-align: left; }
@media (max-width: 40rem) { td:nth-child(2) { width: 7rem; } }
@media print {
  :root { color-scheme: light; }
  body { font-size: 11pt; }
  main { max-width: none; padding: 0; }
  .faults li, figure, tr, .chart { break-inside: avoid; }
  * { print-color-adjust: exact; }
}
`;

/** Draws with uPlot, which is loaded before it. Grey is readable on every ground. */
export const REPORT_SCRIPT = `
"use strict";
(() => {
  const place = document.getElementById("traffic");
  if (place === null) return;
  const data = JSON.parse(document.getElementById("traffic-data").textContent);
  const units = ["B/s", "KiB/s", "MiB/s", "GiB/s"];
  const rate = (value) => {
    if (value === null || value === undefined) return "";
    let unit = 0;
    while (value >= 1024 && unit < units.length - 1) { value /= 1024; unit++; }
    return (value >= 100 || unit === 0 ? Math.round(value) : value.toFixed(1)) + " " + units[unit];
  };
  const colour = (name) =>
    getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
  const grey = "#85909c";
  const grid = { stroke: "rgba(133,144,156,.25)", width: 1 };
  const axis = { stroke: grey, grid, ticks: grid, font: "12px system-ui, sans-serif" };
  const line = (label, name, dash) =>
    ({ label, stroke: colour(name), width: 2, dash, points: { show: data[0].length < 3 },
      value: (_, value) => rate(value) });
  const two = (value) => String(value).padStart(2, "0");
  const clock = (sec) => {
    const at = new Date(sec * 1000);
    return two(at.getHours()) + ":" + two(at.getMinutes()) + ":" + two(at.getSeconds());
  };
  const chart = new uPlot({
    width: place.clientWidth,
    height: 240,
    series: [
      { label: "time", value: (_, sec) => sec === null || sec === undefined ? "" : clock(sec) },
      line("from origins", "origin"),
      line("from peers", "peers"),
      line("to peers", "linkLocal", [6, 4]),
    ],
    axes: [
      { ...axis, values: (_, secs) => secs.map((sec) => clock(sec).slice(0, 5)) },
      { ...axis, size: 84, values: (_, values) => values.map(rate),
        incrs: Array.from({ length: 40 }, (_, power) => 2 ** power) },
    ],
    scales: { y: { range: (_, low, high) => [0, Math.max(high * 1.1, 1)] } },
  }, data, place);
  const fit = () => chart.setSize({ width: place.clientWidth, height: 240 });
  addEventListener("resize", fit);
  addEventListener("beforeprint", fit);
})();
`;

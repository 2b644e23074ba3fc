/** The pages about settings, limits, counters and reasons, made from core's registries. */
import { COUNTERS, GAUGES, LIMITS, REASONS, SECURITY_EVENTS, SETTINGS } from "@shoal/core";
import type { GaugeRow, ReasonRow, ReasonSubject, SettingRow } from "@shoal/core";
import { bytesText, code, durationText, pageHead, table } from "./markdown.ts";

export function settingsPage(): string {
  const rows = Object.entries<SettingRow>(SETTINGS).map(([name, setting]) => [
    code(name),
    settingText(setting, setting.default),
    setting.unit === "boolean"
      ? "0 or 1"
      : (setting.values?.join(", ") ??
        `${settingText(setting, setting.min)} to ${settingText(setting, setting.max)}`),
    setting.unit,
    setting.help,
    setting.doPolicy ?? "",
  ]);
  return (
    pageHead("Settings", "packages/core/src/registry/settings.ts") +
    "Values are numbers in the unit named; the page writes them in larger units where that reads\n" +
    "better. Zero is a value. A value out of its range is refused with `ERR_SETTING_INVALID`.\n\n" +
    table(["setting", "default", "range", "unit", "meaning", "DO policy"], rows)
  );
}

function settingText({ unit }: SettingRow, value: number): string {
  switch (unit) {
    case "ms":
      return durationText(value);
    case "bytes":
      return bytesText(value);
    case "bytes/s":
      return `${bytesText(value)}/s`;
    case "percent":
      return `${value} %`;
    default:
      return String(value);
  }
}

/** `source` is the text of limits.ts: the reasons stand in its comments. */
export function limitsPage(source: string): string {
  const reasons = limitReasons(source);
  const rows = Object.entries(LIMITS).map(([name, value]) => {
    const reason = reasons.get(name);
    if (reason === undefined) throw new Error(`LIMITS.${name} has no comment with its reason`);
    return [code(name), limitText(name, value), reason];
  });
  return (
    pageHead("Limits", "packages/core/src/registry/limits.ts") +
    "Hard bounds, which no setting raises. Rules named R-… are those of the threat model.\n\n" +
    table(["limit", "value", "origin and meaning"], rows)
  );
}

/** Names carry their unit, so the value can be written with it. */
function limitText(name: string, value: number): string {
  if (/Ms(Min|Max)?$/.test(name)) return durationText(value);
  if (/BytesPerSec(Min|Max)?$/.test(name)) return `${bytesText(value)}/s`;
  if (/(Bytes|(piece|content)Length)(Min|Max)?$/.test(name)) return bytesText(value);
  return String(value);
}

/** The comment above each limit; one comment may stand above several. */
function limitReasons(source: string): ReadonlyMap<string, string> {
  const reasons = new Map<string, string>();
  let comment: string | undefined;
  const tableText = source.slice(source.indexOf("LIMITS = {"));
  for (const [, words, name] of tableText.matchAll(/\/\*\*([^]*?)\*\/|^ {2}(\w+):/gm)) {
    if (words !== undefined) comment = words.replaceAll(/^\s*\* ?/gm, "");
    else if (name !== undefined && comment !== undefined) reasons.set(name, comment);
  }
  return reasons;
}

export function metricsPage(): string {
  const counters = Object.entries(COUNTERS).map(([name, help]) => [code(name), help]);
  const gauges = Object.entries<GaugeRow>(GAUGES).map(([name, { help, label = "" }]) => [
    code(name),
    label,
    help,
  ]);
  const events = Object.entries(SECURITY_EVENTS).map(([name, { counter, words }]) => [
    code(name),
    words,
    code(counter),
  ]);
  return (
    pageHead("Metrics", "packages/core/src/registry/{counters,gauges,security-events}.ts") +
    "What an agent says at `/metrics`, in Prometheus' text format. A dashboard and alert rules that\n" +
    "use it are in [monitoring](monitoring/README.md).\n\n" +
    "## Counters\n\nThey start at zero with the agent and only grow.\n\n" +
    table(["counter", "counts"], counters) +
    "\n## Gauges\n\nMeasured when somebody asks.\n\n" +
    table(["gauge", "label", "says"], gauges) +
    "\n## Security events\n\nWhat they are called in the log, and what counts them (R-LOG-03).\n\n" +
    table(["event", "what happened", "counter"], events)
  );
}

/** The subjects of reasons, in the order in which an explanation shows them. */
const SUBJECTS: Readonly<Record<ReasonSubject, string>> = {
  job: "What a job waits for",
  file: "What holds for a file that is being fetched",
  origin: "Why a piece came from the origin, or what stands in for it",
  piece: "Why a piece came from elsewhere",
  peer: "Why a peer is used, or not",
};

export function reasonsPage(): string {
  const sections = Object.entries(SUBJECTS).map(([subject, title]) => {
    const rows = Object.entries<ReasonRow>(REASONS).filter(([, { about }]) => about === subject);
    const cells = rows.map(([name, { words, remedy = "" }]) => [code(name), words, remedy]);
    return `## ${title}\n\n${table(["code", "meaning", "what to do"], cells)}`;
  });
  return (
    pageHead("Reasons", "packages/core/src/registry/reasons.ts") +
    "What `shoal explain`, `shoal get --explain` and `job.explain()` say, in words and in codes.\n" +
    "[operations.md](operations.md#why-is-it-so) says how to read them. Codes about origins also\n" +
    "stand in the notice `originAsked`, and in a file's verdicts while such a request is under way.\n\n" +
    sections.join("")
  );
}

/** Markdown pieces that the generated pages share: the notice at their top, tables, quantities. */

/** The first lines of a generated page. */
export function pageHead(title: string, source: string): string {
  return `# ${title}\n\n<!-- Generated from ${source} by tools/generate-docs.ts. Do not edit. -->\n\n`;
}

/** A table; cells are escaped so that their text cannot end a cell or a row. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.map(escapeCell).join(" | ")} |\n`;
  return line(head) + line(head.map(() => "---")) + rows.map(line).join("") + "\n";
}

function escapeCell(text: string): string {
  return text.replaceAll("|", "\\|").replaceAll(/\s+/g, " ").trim();
}

export const code = (text: string): string => `\`${text}\``;

/** `8 MiB`, `1 TiB`, `4095 bytes`: the largest binary unit that leaves a whole number. */
export function bytesText(value: number): string {
  return inUnits(value, "bytes", [
    ["TiB", 2 ** 40],
    ["GiB", 2 ** 30],
    ["MiB", 2 ** 20],
    ["KiB", 2 ** 10],
  ]);
}

/** `24 h`, `2 s`, `500 ms`: the largest unit that leaves a whole number. */
export function durationText(valueMs: number): string {
  return inUnits(valueMs, "ms", [
    ["h", 3_600_000],
    ["min", 60_000],
    ["s", 1_000],
  ]);
}

function inUnits(
  value: number,
  smallest: string,
  units: readonly (readonly [string, number])[],
): string {
  for (const [name, unit] of units) {
    if (value !== 0 && value % unit === 0) return `${value / unit} ${name}`;
  }
  return `${value} ${smallest}`;
}

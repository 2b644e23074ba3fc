/**
 * Tables and lists of fields for people, as lines: pure functions of rows and a width. Every cell is
 * made harmless here (R-API-07), so commands pass in text as it came.
 *
 * When a table is too wide, its column that may shrink does; then the columns that matter least go.
 * In a pipe the width is infinite, and everything is there.
 */
import stringWidth from "string-width";
import { cutText } from "./cut-text.ts";
import { escapeText } from "./escape-text.ts";

export interface Column<Row> {
  readonly title: string;
  readonly of: (row: Row) => string;
  readonly align?: "right";
  /** 1 stays longest when the terminal is narrow; equals go together. */
  readonly rank: number;
  /** May be cut to this many columns before others go. */
  readonly widthMin?: number;
}

export interface TableStyle {
  readonly width: number;
  /** How the line of titles looks. */
  readonly title: (text: string) => string;
}

const GAP = "  ";

/** The titles and a line for each row; nothing where there are no rows. */
export function tableLines<Row>(
  columns: ReadonlyArray<Column<Row>>,
  rows: readonly Row[],
  { width, title }: TableStyle,
): string[] {
  if (rows.length === 0) return [];
  const measured = columns.map((column) => {
    const cells = rows.map((row) => escapeText(column.of(row)));
    return { column, cells, width: Math.max(...[column.title, ...cells].map(textWidth)) };
  });
  // Where nobody parses columns, those without anything in them only take room.
  const isFilled = ({ cells }: Measured<Row>): boolean => cells.some((cell) => cell !== "");
  const kept = fit(width === Infinity ? measured : measured.filter(isFilled), width);
  const line = (texts: readonly string[]): string =>
    kept
      .map(({ column, width: wide }, index) => pad(texts[index] ?? "", wide, column.align))
      .join(GAP)
      .trimEnd();
  return [
    title(line(kept.map(({ column }) => column.title))),
    ...rows.map((_, at) => line(kept.map(({ cells }) => cells[at] ?? ""))),
  ];
}

interface Measured<Row> {
  readonly column: Column<Row>;
  readonly cells: readonly string[];
  readonly width: number;
}

function fit<Row>(
  measured: ReadonlyArray<Measured<Row>>,
  width: number,
): ReadonlyArray<Measured<Row>> {
  let kept = measured;
  for (;;) {
    const excess = kept.reduce((sum, one) => sum + one.width + GAP.length, -GAP.length) - width;
    if (excess <= 0) return kept;
    const shrunk = shrink(kept, excess);
    if (shrunk !== undefined) return shrunk;
    const rank = Math.max(...kept.map(({ column }) => column.rank));
    const rest = kept.filter(({ column }) => column.rank < rank);
    if (rest.length === 0) return kept;
    kept = rest;
  }
}

/** The columns with `excess` taken from those that may shrink; nothing where that is not enough. */
function shrink<Row>(
  kept: ReadonlyArray<Measured<Row>>,
  excess: number,
): ReadonlyArray<Measured<Row>> | undefined {
  let left = excess;
  const shrunk = kept.map((one) => {
    const spare = Math.max(0, one.width - (one.column.widthMin ?? Infinity));
    const taken = Math.min(left, spare);
    left -= taken;
    return { ...one, width: one.width - taken };
  });
  return left > 0 ? undefined : shrunk;
}

export type Field = readonly [name: string, value: string | undefined];

/** `name   value`, aligned; fields without a value are left out. Values are cut to the width. */
export function fieldLines(
  fields: readonly Field[],
  { width }: Pick<TableStyle, "width">,
): string[] {
  const given = fields.flatMap(([name, value]) => (value === undefined ? [] : [[name, value]]));
  const nameWidth = Math.max(0, ...given.map(([name = ""]) => textWidth(name)));
  return given.map(([name = "", value = ""]) => {
    const text = `  ${pad(name, nameWidth)}${GAP}${escapeText(value)}`;
    return cutText(text, width);
  });
}

function pad(text: string, width: number, align?: "right"): string {
  const cut = cutText(text, width);
  const space = " ".repeat(Math.max(0, width - textWidth(cut)));
  return align === "right" ? space + cut : cut + space;
}

function textWidth(text: string): number {
  return stringWidth(text);
}

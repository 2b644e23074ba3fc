import stringWidth from "string-width";
import { expect, test } from "vitest";
import { fieldLines, tableLines } from "../../src/cli/table.ts";
import type { Column } from "../../src/cli/table.ts";

interface Row {
  readonly id: string;
  readonly name: string;
  readonly length: string;
}

const COLUMNS: ReadonlyArray<Column<Row>> = [
  { title: "ID", of: ({ id }) => id, rank: 1 },
  { title: "NAME", of: ({ name }) => name, rank: 1, widthMin: 8 },
  { title: "LENGTH", of: ({ length }) => length, align: "right", rank: 2 },
];
const ROWS: readonly Row[] = [
  { id: "5f0c", name: "a-long-name-of-a-file.iso", length: "12 B" },
  { id: "77", name: "b", length: "100.0 MiB" },
];

function draw(width: number, rows = ROWS): string[] {
  return tableLines(COLUMNS, rows, { width, title: (text) => text });
}

test("shows everything where nothing limits it", () => {
  expect(draw(Infinity)).toEqual([
    "ID    NAME                          LENGTH",
    "5f0c  a-long-name-of-a-file.iso       12 B",
    "77    b                          100.0 MiB",
  ]);
});

test("cuts the column that may shrink, then leaves out what matters least", () => {
  expect(draw(30)).toEqual([
    "ID    NAME              LENGTH",
    "5f0c  a-long-name-…       12 B",
    "77    b              100.0 MiB",
  ]);
  expect(draw(20)).toEqual(["ID    NAME", "5f0c  a-long-name-o…", "77    b"]);
});

test("keeps to the width whatever the characters take", () => {
  const wide = [{ id: "1", name: "映画の長い名前のファイル", length: "1 B" }];
  for (const width of [14, 20, 30]) {
    for (const line of draw(width, wide)) expect(stringWidth(line)).toBeLessThanOrEqual(width);
  }
});

test("makes every cell and value harmless (R-API-07)", () => {
  const evil = "a\u001b[31m\u202egpj.exe\nb";
  const lines = [
    ...draw(Infinity, [{ id: evil, name: evil, length: evil }]),
    ...fieldLines([["name", evil]], { width: Infinity }),
  ];
  expect(lines).toHaveLength(3);
  // oxlint-disable-next-line no-control-regex -- these are what must not be there
  expect(lines.join("")).not.toMatch(/[\u0000-\u001f\u202e]/);
});

test("aligns fields, and leaves out those without a value", () => {
  const fields = [["a", "1"] as const, ["long", undefined] as const, ["name", "2"] as const];
  expect(fieldLines(fields, { width: 80 })).toEqual(["  a     1", "  name  2"]);
});

test("of no rows shows nothing", () => {
  expect(draw(80, [])).toEqual([]);
});

import { expect, test } from "vitest";
import {
  formatBytes,
  formatCount,
  formatDuration,
  formatPercent,
} from "../../src/cli/format-values.ts";

test.each([
  [0, "0 B"],
  [1023, "1023 B"],
  [1024, "1.0 KiB"],
  [1_572_864, "1.5 MiB"],
  [2 ** 31, "2.00 GiB"],
  [2 ** 40, "1.00 TiB"],
])("shows %i bytes as %s", (bytes, text) => expect(formatBytes(bytes)).toBe(text));

test.each([
  [400, "0.4 s"],
  [9_940, "9.9 s"],
  [9_960, "10 s"],
  [59_400, "59 s"],
  [59_600, "1 min 00 s"],
  [185_000, "3 min 05 s"],
  [7_800_000, "2 h 10 min"],
])("shows %i ms as %s", (durationMs, text) => expect(formatDuration(durationMs)).toBe(text));

test("shows 100 % only when everything is there", () => {
  expect(formatPercent(0, 10)).toBe("0 %");
  expect(formatPercent(9_999, 10_000)).toBe("99 %");
  expect(formatPercent(10, 10)).toBe("100 %");
  expect(formatPercent(0, 0)).toBe("100 %");
});

test("knows singular and plural", () => {
  expect([0, 1, 2].map((count) => formatCount(count, "peer"))).toEqual([
    "0 peers",
    "1 peer",
    "2 peers",
  ]);
});

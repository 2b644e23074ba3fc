/**
 * Quantities as people write them: `30s`, `2MiB`, `50%`. Knows units; not what has them. Called by
 * the command line and by whoever reads configuration.
 */
import { KiB, MiB } from "@shoal/core";
import type { SettingRow } from "@shoal/core";

/** Milliseconds in each unit of time; a number alone is in seconds. */
export const DURATION_UNITS_MS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1_000,
  "": 1_000,
  min: 60_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/** Bytes in each unit; all are binary. */
export const BYTE_UNITS: Readonly<Record<string, number>> = {
  "": 1,
  b: 1,
  k: KiB,
  kib: KiB,
  m: MiB,
  mib: MiB,
  g: 1024 * MiB,
  gib: 1024 * MiB,
  t: 1024 * 1024 * MiB,
  tib: 1024 * 1024 * MiB,
};

/** A number with one of the units; `undefined` when it is none. */
export function parseAmount(
  text: string,
  units: Readonly<Record<string, number>>,
): number | undefined {
  const [, digits = "", unit = ""] = /^(\d{1,15}(?:\.\d{1,6})?) ?([a-z]*)$/i.exec(text) ?? [];
  const factor = Object.hasOwn(units, unit.toLowerCase()) ? units[unit.toLowerCase()] : undefined;
  return digits === "" || factor === undefined ? undefined : Number(digits) * factor;
}

const TRUTHS: Readonly<Record<string, boolean>> = {
  on: true,
  yes: true,
  true: true,
  "1": true,
  off: false,
  no: false,
  false: false,
  "0": false,
};

/** `on`, `yes`, `true`, `1` and their opposites. */
export function parseTruth(text: string): boolean | undefined {
  const word = text.toLowerCase();
  return Object.hasOwn(TRUTHS, word) ? TRUTHS[word] : undefined;
}

/** The number that a text stands for in the unit of a setting; a time without a unit is in ms. */
export function parseSettingText(text: string, unit: SettingRow["unit"]): number | undefined {
  switch (unit) {
    case "ms":
      return /^\d+$/.test(text) ? Number(text) : parseAmount(text, DURATION_UNITS_MS);
    case "bytes":
      return parseAmount(text, BYTE_UNITS);
    case "bytes/s":
      return parseAmount(text.replace(/\/s$/i, ""), BYTE_UNITS);
    case "boolean": {
      const truth = parseTruth(text);
      return truth === undefined ? undefined : Number(truth);
    }
    case "percent":
      return parseAmount(text.replace(/ ?%$/, ""), { "": 1 });
    default:
      return parseAmount(text, { "": 1 });
  }
}

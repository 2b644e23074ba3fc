import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ShoalError } from "../../src/registry/errors.ts";
import { resolveSettings, SETTINGS } from "../../src/registry/settings.ts";
import type { SettingRow, Settings } from "../../src/registry/settings.ts";

const rows = Object.entries(SETTINGS);
const resolveAny = (overrides: unknown): Settings => resolveSettings(overrides as Settings);

describe("the table of settings", () => {
  it.each(rows)("has a default inside its range: %s", (_, row) => {
    expect(Number.isSafeInteger(row.default)).toBe(true);
    expect(row.default).toBeGreaterThanOrEqual(row.min);
    expect(row.default).toBeLessThanOrEqual(row.max);
  });

  it.each(rows)("explains each setting in a sentence: %s", (_, row) => {
    expect(row.help).toMatch(/^[A-Z].*\.$/);
  });

  it.each(rows)("names the unit last: %s", (name, row) => {
    const endings: Partial<Record<string, RegExp>> = {
      ms: /Ms(Min|Max)?$/,
      bytes: /Bytes(Min|Max)?$/,
    };
    expect(name).toMatch(endings[row.unit] ?? /^/);
  });

  it("keeps minimum and maximum of one thing in order", () => {
    const names = rows.map(([name]) => name).filter((name) => name.endsWith("Min"));
    const defaults: Readonly<Record<string, number>> = resolveSettings();
    const pairs = names.map((name) => [name, `${name.slice(0, -3)}Max`] as const);
    for (const [low, high] of pairs.filter(([, high]) => high in defaults)) {
      expect(defaults[low]).toBeLessThanOrEqual(defaults[high]!);
    }
    expect(pairs.length).toBeGreaterThan(0);
  });
});

describe("resolving settings", () => {
  it("gives a complete frozen object of defaults", () => {
    const settings = resolveSettings();
    expect(Object.keys(settings)).toEqual(Object.keys(SETTINGS));
    expect(Object.isFrozen(settings)).toBe(true);
    expect(settings).toEqual(Object.fromEntries(rows.map(([name, row]) => [name, row.default])));
  });

  it("takes every value in range, zero included, and leaves the rest alone", () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...rows),
        fc.double({ min: 0, max: 1, noNaN: true }),
        ([name, row], share) => {
          const { values } = row as SettingRow;
          const drawn = Math.round(row.min + share * (row.max - row.min));
          const value = values?.[Math.floor(share * (values.length - 1))] ?? drawn;
          expect(resolveAny({ [name]: value })).toEqual({ ...resolveSettings(), [name]: value });
        },
      ),
    );
    expect(resolveSettings({ verifyOnComplete: 0, uploadsMax: 0 }).uploadsMax).toBe(0);
  });

  it("reads an undefined value as the default", () => {
    expect(resolveAny({ uploadsMax: undefined })).toEqual(resolveSettings());
  });

  it.each([
    ["too small", { uploadsMax: -1 }],
    ["too large", { uploadsMax: 17 }],
    ["not whole", { uploadsMax: 1.5 }],
    ["not one of a choice", { downloadMode: 4 }],
    ["half true", { verifyOnComplete: 0.5 }],
    ["not a number", { uploadsMax: Number.NaN }],
    ["infinite", { uploadsMax: Number.POSITIVE_INFINITY }],
    ["text", { uploadsMax: "4" }],
    ["null", { uploadsMax: null }],
    ["unknown", { speed: 4 }],
    ["named like a method", { toString: 4 }],
    ["named like the prototype", JSON.parse('{"__proto__": 4}')],
  ])("refuses a value that is %s", (_, overrides) => {
    expect(() => resolveAny(overrides)).toThrow(ShoalError);
    expect(() => resolveAny(overrides)).toThrow(
      expect.objectContaining({ code: "ERR_SETTING_INVALID" }) as Error,
    );
  });
});

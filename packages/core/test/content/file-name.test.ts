import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isFileName } from "../../src/content/file-name.ts";

describe("a file name", () => {
  it.each(["a", "a b", "...", ".hidden", "shoal-x", "é", "文件", "a".repeat(255), "😀"])(
    "may be %j",
    (name) => {
      expect(isFileName(name)).toBe(true);
    },
  );

  it.each([
    "",
    ".",
    "..",
    "a/b",
    "/",
    "a\\b",
    "C:x",
    "\0",
    "a\nb",
    "\x7f",
    "\ud800",
    ".shoal-1",
    "a".repeat(256),
    "é".repeat(128),
  ])("may not be %j (R-FS-03)", (name) => {
    expect(isFileName(name)).toBe(false);
  });

  it("is one component of a path, whatever the text", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (name) => {
        const isOne = !/[/\\\0]/.test(name) && ![".", "..", ""].includes(name);
        expect(isOne || !isFileName(name)).toBe(true);
      }),
    );
  });
});

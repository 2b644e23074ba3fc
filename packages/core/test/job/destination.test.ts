import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { checkDestination } from "../../src/job/destination.ts";

describe("a destination", () => {
  it.each([
    "/a",
    "/data/file.bin",
    "/data/a b/..c",
    "/data/.hidden",
    "/data/é",
    "/back\\slash",
    "C:\\data\\file.bin",
    "C:/data/file.bin",
    `/${"a".repeat(255)}`,
  ])("may be %j", (path) => {
    expect(checkDestination(path)).toBeUndefined();
  });

  it.each([
    ["", "absolute"],
    ["a", "absolute"],
    ["./a", "absolute"],
    ["\\\\server\\share\\a", "absolute"],
    ["/", "component"],
    ["/a/", "component"],
    ["//a", "component"],
    ["/a//b", "component"],
    ["/a/./b", "component"],
    ["/a/../b", "component"],
    ["/..", "component"],
    ["C:\\a\\..\\b", "component"],
    ["C:/a/../b", "component"],
    ["/a\0b", "control"],
    ["/a\nb", "control"],
    ["/a\x7f", "control"],
    ["/a\ud800", "control"],
    [`/${"a".repeat(256)}`, "name is too long"],
    [`/${"é".repeat(128)}`, "name is too long"],
    [`${"/abcdefg".repeat(512)}`, "it is too long"],
    ["/data/.shoal-job", "ours"],
  ])("may not be %j (R-FS-03)", (path, reason) => {
    expect(checkDestination(path)).toContain(reason);
  });

  it("is never accepted with a component that leaves its directory", () => {
    const part = fc.constantFrom("a", "..", ".", "", "b c", ".shoal-", "\0");
    fc.assert(
      fc.property(fc.array(part, { minLength: 1, maxLength: 5 }), (parts) => {
        const isRight =
          parts.every((each) => ["a", "b c", ".shoal-"].includes(each)) &&
          parts.at(-1) !== ".shoal-";
        expect(checkDestination(`/${parts.join("/")}`) === undefined).toBe(isRight);
      }),
    );
  });
});

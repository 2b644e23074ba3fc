import { describe, expect, test } from "vitest";
import { checkFileSpec, LIMITS, parseJobRecord } from "@shoal/core";
import type { JobFileSpec } from "@shoal/core";
import { Harness, manifestOf, request, URL_TEXT } from "../schedule/harness.ts";

const MIRROR = "https://mirror.test/a";

function codeOf(file: JobFileSpec): string | undefined {
  return checkFileSpec(file)?.code;
}

describe("mirrors of a file", () => {
  test.each([
    ["ftp://mirror.test/a", "ERR_URL_INVALID"],
    ["a", "ERR_URL_INVALID"],
    ["http://user:secret@mirror.test/a", "ERR_URL_INVALID"],
  ])("are checked as its URL is (R-HTTP-01): %s", (mirror, code) => {
    expect(codeOf({ url: URL_TEXT, mirrors: [MIRROR, mirror] })).toBe(code);
  });

  test("are bounded, and stand in for a URL that is there", () => {
    const mirrors = Array.from({ length: LIMITS.mirrorsPerFileMax }, () => MIRROR);
    expect(codeOf({ url: URL_TEXT, mirrors })).toBeUndefined();
    expect(codeOf({ url: URL_TEXT, mirrors: [...mirrors, MIRROR] })).toBe("ERR_USAGE");
    expect(codeOf({ mirrors })).toBe("ERR_URL_MISSING");
  });
});

describe("a manifest inside a job", () => {
  const { bytes, contentId } = manifestOf(4);
  const manifest = Buffer.from(bytes).toString("base64");

  test("must be the one that the content id names (R-MAN-02)", () => {
    expect(codeOf({ url: URL_TEXT, manifest, contentId })).toBeUndefined();
    const other = manifestOf(5).contentId;
    expect(codeOf({ url: URL_TEXT, manifest, contentId: other })).toBe("ERR_MANIFEST_MISMATCH");
    expect(codeOf({ url: URL_TEXT, manifest })).toBe("ERR_MANIFEST_MISMATCH");
  });

  test("is bounded and in base64 (R-MAN-09)", () => {
    expect(codeOf({ manifest: "*", contentId })).toBe("ERR_MANIFEST_MALFORMED");
    const long = "A".repeat(LIMITS.inlineManifestLengthMax + 4);
    expect(codeOf({ manifest: long, contentId })).toBe("ERR_MANIFEST_MALFORMED");
  });

  test("is used without asking anybody for one", () => {
    const h = new Harness();
    h.create(request({ manifest, contentId }));
    expect(h.take("fetchManifest")).toEqual([]);
    expect(h.takeOne("openContent").spec.manifest?.contentId).toBe(contentId);
  });
});

test("mirrors and manifest survive a restart, and damaged ones do not (R-DB-05)", () => {
  const { bytes, contentId } = manifestOf(4);
  const manifest = Buffer.from(bytes).toString("base64");
  const h = new Harness();
  h.create(request({ mirrors: [MIRROR], manifest, contentId }));
  const record = JSON.parse(JSON.stringify(h.savedRecord())) as ReturnType<typeof h.savedRecord>;
  expect(parseJobRecord(record)?.files[0]?.spec).toMatchObject({ mirrors: [MIRROR], manifest });
  const [file] = record.files;
  const damaged = [{ mirrors: [1] }, { mirrors: ["x"] }, { manifest: "AAAA" }, { mirrors: "x" }];
  for (const change of damaged) {
    const files = [{ ...file, spec: { ...file?.spec, ...change } }];
    expect(parseJobRecord({ ...record, files })).toBeUndefined();
  }
});

import { checkFileSpec, decodeManifest, LIMITS, sha256Hex } from "@shoal/core";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseMetalink } from "@shoal/jobs";
import { resolveJobRequest } from "../src/create-job-options.ts";

const JOB_ID = "00000000-0000-4000-8000-000000000001";
const HASH = "ab".repeat(32);
const URL_ELEMENT = "<url>http://origin.test/a</url>";

function document(inner: string, name = "a.iso"): string {
  return `<?xml version="1.0" encoding="UTF-8"?>
<metalink xmlns="urn:ietf:params:xml:ns:metalink"><file name="${name}">${inner}</file></metalink>`;
}

/** `<pieces>` for a file of `length` bytes. */
function pieces(length: number, pieceLength: number, type = "sha-256"): string {
  const hashes = Array.from(
    { length: Math.ceil(length / pieceLength) },
    (_, i) => `<hash>${sha256Hex(Uint8Array.of(i))}</hash>`,
  );
  return `<size>${length}</size><pieces length="${pieceLength}" type="${type}">${hashes.join("")}</pieces>`;
}

function codeOf(text: string, options = {}): string | undefined {
  try {
    parseMetalink(text, options);
    return undefined;
  } catch (error) {
    return (error as { code?: string }).code;
  }
}

describe("a Metalink 4 document", () => {
  test("gives name, size, SHA-256 and the places by priority and location", () => {
    const [file] = parseMetalink(
      document(`
        <size>14471447</size>
        <hash type="md5">${"0".repeat(32)}</hash><hash type="sha-256">${HASH.toUpperCase()}</hash>
        <url location="de" priority="2">http://de.test/a?x=1&amp;y=2</url>
        <url location="fr" priority="2">https://fr.test/a</url>
        <url>http://last.test/a</url>
        <url priority="1">http://first.test/a</url>`),
      { location: "FR" },
    );
    expect(file).toEqual({
      fileId: "a.iso",
      url: "http://first.test/a",
      mirrors: ["https://fr.test/a", "http://de.test/a?x=1&y=2", "http://last.test/a"],
      sha256: HASH,
      declaredLength: 14_471_447,
    });
  });

  test("leaves out places that are relative, of another scheme, or carry a password", () => {
    const [file] = parseMetalink(
      document(`<url>a.iso</url><url>ftp://x.test/a</url><url>file:///etc/passwd</url>
        <url>http://user:secret@x.test/a</url>${URL_ELEMENT}`),
    );
    expect(file).toMatchObject({ url: "http://origin.test/a" });
    expect(file?.mirrors).toBeUndefined();
  });

  test("takes no more places than a job does", () => {
    const urls = Array.from({ length: 40 }, (_, i) => `<url>http://m${i}.test/a</url>`).join("");
    const [file] = parseMetalink(document(urls));
    expect(file?.mirrors).toHaveLength(LIMITS.mirrorsPerFileMax);
  });

  test.each([65_536, 100_000, 1])("makes a manifest of SHA-256 pieces of %i bytes", (length) => {
    const size = length === 1 ? 20 : 300_000;
    const [file] = parseMetalink(document(URL_ELEMENT + pieces(size, length)));
    const decoded = decodeManifest(file?.manifest ?? new Uint8Array());
    if (!decoded.ok) throw new Error(decoded.reason);
    const { layout, pieceDigests } = decoded.manifest;
    expect(layout.contentLength).toBe(size);
    expect(layout.length(0)).toBe(length);
    expect(sha256Hex(Uint8Array.of(1))).toBe(
      Buffer.from(pieceDigests.slice(32, 64)).toString("hex"),
    );
    const request = resolveJobRequest({ files: [{ ...file, destination: "/tmp/a" }] }, JOB_ID);
    expect(request.files[0]).toMatchObject({ contentId: file?.contentId });
    expect(typeof request.files[0]?.manifest).toBe("string");
  });

  test("weak hashes are no hashes (R-MAN-03)", () => {
    const weak = `<hash type="sha-1">${"0".repeat(40)}</hash><hash type="md5">${HASH}</hash>`;
    const [file] = parseMetalink(document(URL_ELEMENT + weak + pieces(300_000, 65_536, "sha-1")));
    expect(file).toMatchObject({ declaredLength: 300_000 });
    expect(file?.sha256).toBeUndefined();
    expect(file?.manifest).toBeUndefined();
  });

  test("pieces that do not fit the size cost the peers, not the file (R-MAN-01)", () => {
    const wrong = pieces(300_000, 65_536).replace("300000", "900000");
    const [file] = parseMetalink(document(URL_ELEMENT + wrong));
    expect(file?.manifest).toBeUndefined();
    expect(file?.url).toBeDefined();
  });

  test.each(["../../etc/passwd", "/etc/passwd", "a/b", "a\\b", "..", "C:x"])(
    "the name %s selects no destination (R-MAN-11)",
    (name) => {
      const text = document(URL_ELEMENT, name);
      expect(parseMetalink(text)[0]?.destination).toBeUndefined();
      expect(codeOf(text, { directory: "/srv" })).toBe("ERR_METALINK_MALFORMED");
    },
  );

  test("a plain name is a file of the directory", () => {
    const [file] = parseMetalink(document(URL_ELEMENT), { directory: "/srv" });
    expect(file?.destination).toBe("/srv/a.iso");
  });

  test.each([
    ["text that is no XML", "{}"],
    ["half a document", document(URL_ELEMENT).slice(0, -20)],
    ["a document type", document(URL_ELEMENT).replace("?>", '?><!DOCTYPE m [<!ENTITY a "b">]>')],
    ["no files", '<metalink xmlns="urn:ietf:params:xml:ns:metalink"/>'],
    ["a file without a name", document(URL_ELEMENT, "")],
    ["a file that is nowhere", document("<url>ftp://x.test/a</url>")],
    ["a file twice", document(`${URL_ELEMENT}</file><file name="a.iso">${URL_ELEMENT}`)],
    ["deep nesting", document(`${"<x>".repeat(1_000)}${"</x>".repeat(1_000)}`)],
    [
      "a longer document than is read",
      document(URL_ELEMENT + " ".repeat(LIMITS.metalinkLengthMax)),
    ],
    ["Metalink 3", "<metalink version='3.0'><files><file name='a'></file></files></metalink>"],
  ])("refuses %s", (_what, text) => {
    expect(codeOf(text)).toBe("ERR_METALINK_MALFORMED");
  });

  test("entities are not expanded", () => {
    const [file] = parseMetalink(document(`${URL_ELEMENT}<url>http://x.test/&lol;&#65;</url>`));
    expect(file?.mirrors).toEqual(["http://x.test/&lol;&#65;"]);
  });

  test("no text makes it throw anything else, nor give what a job would not take", () => {
    const parts = fc.constantFrom(
      "<file name='a'>",
      "</file>",
      "<url>http://a.test/</url>",
      "<url priority='-1' location='x'>",
      "</url>",
      "<pieces length='1' type='sha-256'>",
      `<hash>${HASH}</hash>`,
      "</pieces>",
      "<size>1</size>",
      "<size>99999999999999999</size>",
      "<__proto__>",
      "<![CDATA[x]]>",
      "<!--",
      "&amp;",
    );
    const property = fc.property(fc.array(fc.oneof(parts, fc.string())), (inner) => {
      const text = `<metalink><file name="a">${inner.join("")}</file></metalink>`;
      const code = codeOf(text, { directory: "/srv" });
      if (code !== undefined) return code === "ERR_METALINK_MALFORMED";
      const files = parseMetalink(text, { directory: "/srv" });
      return resolveJobRequest({ files }, JOB_ID).files.every((file) => !checkFileSpec(file));
    });
    expect(() => fc.assert(property)).not.toThrow();
  });
});

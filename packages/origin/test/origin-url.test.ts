import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseOriginUrl, showUrl, sidecarUrl } from "../src/origin-url.ts";

describe("URLs", () => {
  it("must be http: or https: without user name and password (R-HTTP-01)", () => {
    expect(parseOriginUrl("HTTP://Example.COM:80/a b#c")).toMatchObject({
      ok: true,
      url: new URL("http://example.com/a%20b"),
    });
    const refused = [
      "",
      "example.com/x",
      "file:///etc/passwd",
      "ftp://example.com/",
      "data:,x",
      "http://",
      "http://user@example.com/",
      "http://user:secret@example.com/",
      `http://example.com/${"x".repeat(9_000)}`,
    ];
    expect(refused.filter((text) => parseOriginUrl(text).ok)).toEqual([]);
  });

  it("are shown without user name, password and query, and not at any length (R-LOG-01)", () => {
    const url = new URL("http://user:secret@example.com:8080/dir/file?token=secret#frag");
    expect(showUrl(url)).toBe("http://example.com:8080/dir/file");
    expect(showUrl(new URL(`http://example.com/${"x".repeat(5_000)}`)).length).toBeLessThan(260);
    expect(showUrl(new URL("http://example.com/a\u202e\u0000b"))).toMatch(/^[\x21-\x7e]+$/);
  });

  it("lead to the sidecar beside the file, with the query kept", () => {
    const url = new URL("https://example.com/dir/file.iso?sig=1");
    expect(sidecarUrl(url).href).toBe("https://example.com/dir/file.iso.shoal?sig=1");
    expect(url.pathname).toBe("/dir/file.iso");
  });

  it("are parsed without ever throwing", () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.webUrl()), (text) => {
        const result = parseOriginUrl(text);
        expect(result.ok ? showUrl(result.url) : result.reason).not.toContain("?");
      }),
    );
  });
});

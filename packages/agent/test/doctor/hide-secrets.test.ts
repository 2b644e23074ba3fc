import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { HIDDEN, SecretFilter, secretsIn, secretsInUrl } from "../../src/doctor/hide-secrets.ts";

const filter = new SecretFilter([]);

describe("SecretFilter", () => {
  test("takes user information, query and fragment out of URLs (R-LOG-01)", () => {
    const text =
      'GET https://me:pw@example.org:8443/a/b.iso?sig=1#x failed, see "http://a.b/c?d=e".';
    expect(filter.text(text)).toBe(
      `GET https://example.org:8443/a/b.iso?${HIDDEN} failed, see "http://a.b/c?${HIDDEN}".`,
    );
  });

  test("hides the query of a URL that has blanks and quotes in its path (R-LOG-01)", () => {
    const url = `https://h/it's a "<b>"?sig=abc def`;
    const shown = JSON.stringify(filter.value({ files: [{ url, mirrors: [url] }] }));
    expect(shown).not.toMatch(/abc|def/);
    expect(shown).toContain("https://h/it's%20a");
  });

  test("leaves JSON what it is when it filters it as text", () => {
    const text = JSON.stringify({ url: "https://h/x?sig=abc", next: 1 });
    expect(JSON.parse(filter.text(text))).toEqual({ url: "https://h/x?(hidden)", next: 1 });
  });

  test("takes header values and group keys out of text", () => {
    const key = "A".repeat(43);
    expect(filter.text(`Authorization: Basic bWU6cHc=\r\nCookie: a=b`)).toBe(
      `Authorization: ${HIDDEN}\r\nCookie: ${HIDDEN}`,
    );
    expect(filter.text(`sent bearer 0123456789abcdef to it`)).toBe(`sent bearer ${HIDDEN} to it`);
    expect(filter.text(`key shoal-group-1:${key}.`)).toBe(`key ${HIDDEN}.`);
  });

  test("hides values whose names say that they are secret, and rows of tables by their name", () => {
    const value = {
      token: "t0k3n",
      clientSecret: "s",
      headers: [["x-api-key", "v"]],
      policies: [
        { name: "DOGroupId", value: "8a3c" },
        { name: "DODownloadMode", value: 2 },
      ],
      keys: [{ name: "httpProxy", value: "http://proxy.test:3128" }],
      groupName: "ab12",
      tokenCount: 3,
    };
    expect(filter.value(value)).toEqual({
      token: HIDDEN,
      clientSecret: HIDDEN,
      headers: HIDDEN,
      policies: [
        { name: "DOGroupId", value: HIDDEN },
        { name: "DODownloadMode", value: 2 },
      ],
      keys: [{ name: "httpProxy", value: HIDDEN }],
      groupName: "ab12",
      tokenCount: 3,
    });
  });

  test("hides the secrets that it is told, in values and in names", () => {
    const known = new SecretFilter(["sesame-open", "x"]);
    expect(known.value({ "a sesame-open b": ["c:sesame-open"] })).toEqual({
      [`a ${HIDDEN} b`]: [`c:${HIDDEN}`],
    });
    expect(known.text("axe")).toBe("axe");
  });
});

test("secrets in files are known in every form in which they may be written", async () => {
  const directory = await mkdtemp(join(tmpdir(), "shoal-secrets-"));
  try {
    const path = join(directory, "office.group");
    await writeFile(path, "shoal-group-1:abcdef\n");
    const forms = await secretsIn([path, join(directory, "missing"), directory]);
    expect(forms).toContain("abcdef");
    expect(forms).toContain(Buffer.from("shoal-group-1:abcdef\n").toString("hex"));
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
});

test("a password in a URL is known as it stands and decoded", () => {
  expect(secretsInUrl("http://me:a%20b@proxy.test")).toEqual(["a%20b", "a b"]);
  expect(secretsInUrl("http://proxy.test")).toEqual([]);
  expect(secretsInUrl("proxy")).toEqual([]);
});

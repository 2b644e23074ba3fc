/** What leaves the machine in a support bundle, tried on values as users and origins write them. */
import { describe, expect, test } from "vitest";
import { SecretFilter } from "../../src/doctor/hide-secrets.ts";

const filter = new SecretFilter(["the-token-itself"]);

describe("the filter of secrets (R-API-13, R-LOG-01)", () => {
  test("hides queries, fragments, users and passwords of URLs in any text", () => {
    const text =
      "GET http://me:pw'x@h/it's/<b>?sig=abc then https://h/b#abc, proxy socks5://u:pw@h";
    const shown = filter.text(text);
    expect(shown).not.toMatch(/pw|abc|me:/);
    expect(shown).toContain("http://h/it's/<b>?(hidden) then https://h/b?(hidden)");
  });

  test("hides the query of a URL that has blanks and quotes in its path", () => {
    const url = `https://h/it's a "<b>"?sig=abc def`;
    const shown = JSON.stringify(filter.value({ files: [{ url, mirrors: [url] }] }));
    expect(shown).not.toMatch(/abc|def/);
    expect(shown).toContain("https://h/it's%20a");
  });

  test("hides what is named like a secret, and known secrets wherever they are", () => {
    const shown = filter.value({
      apiToken: "abc",
      rows: [{ name: "httpProxy", value: "abc" }],
      headers: { "X-Key": "abc" },
      note: "it was the-token-itself",
      count: 7,
    });
    expect(shown).toEqual({
      apiToken: "(hidden)",
      rows: [{ name: "httpProxy", value: "(hidden)" }],
      headers: "(hidden)",
      note: "it was (hidden)",
      count: 7,
    });
  });

  test("leaves JSON what it is when it filters it as text", () => {
    const text = JSON.stringify({ url: "https://h/x?sig=abc", next: 1 });
    expect(JSON.parse(filter.text(text))).toEqual({ url: "https://h/x?(hidden)", next: 1 });
  });
});

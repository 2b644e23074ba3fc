import { expect, describe, test } from "vitest";
import { createJsonLog, lineWriter, withoutSecrets } from "../../src/daemon/json-log.ts";

class Sheet {
  isFull = false;
  readonly #lines: string[] = [];
  readonly writeLine = (line: string): void => {
    if (this.isFull) throw new Error("ENOSPC");
    this.#lines.push(line);
  };

  get records(): readonly Record<string, unknown>[] {
    return this.#lines.map((line) => JSON.parse(line) as Record<string, unknown>);
  }
}

describe("the log as JSON", () => {
  test("has a line of each record from its level on, which can change", () => {
    const sheet = new Sheet();
    const log = createJsonLog({ level: "warn", writeLine: sheet.writeLine });
    log.info({ a: 1 }, "too little");
    log.warn({ a: 1 }, "enough\nin one line");
    log.setLevel("debug");
    log.debug({ b: "x" }, "now enough");
    const found = sheet.records;
    expect(found).toMatchObject([
      { level: "warn", a: 1, message: "enough\nin one line", pid: process.pid },
      { level: "debug", b: "x", message: "now enough" },
    ]);
    expect(Date.parse(String(found[0]?.["time"]))).toBeGreaterThan(0);
  });

  test("goes on after lines that could not be written, and says how many (R-LOG-04)", () => {
    const sheet = new Sheet();
    const log = createJsonLog({ level: "info", writeLine: sheet.writeLine });
    sheet.isFull = true;
    for (const count of [1, 2, 3]) log.info({ count }, "no space");
    sheet.isFull = false;
    log.info({}, "space again");
    expect(sheet.records).toMatchObject([
      { message: "space again" },
      { level: "warn", lines: 3, message: "lines of the log could not be written" },
    ]);
  });

  test("begins a new line after one of which a part was written (R-LOG-04)", () => {
    let text = "";
    let room = Infinity;
    const writeLine = lineWriter((bytes) => {
      const part = bytes.subarray(0, room);
      text += Buffer.from(part).toString();
      return part.length;
    });
    const log = createJsonLog({ level: "info", writeLine });
    room = 10;
    log.info({}, "half");
    room = 0;
    log.info({}, "nothing");
    room = Infinity;
    log.info({}, "whole");
    const [half = "", ...others] = text.trimEnd().split("\n");
    expect(half).toHaveLength(10);
    const messages = others.map((line) => (JSON.parse(line) as { message: string }).message);
    expect(messages).toEqual(["whole", "lines of the log could not be written"]);
  });

  test("has no secrets of URLs and of fields that are named like one (R-LOG-01)", () => {
    const fields = {
      url: "https://user:pass@host.example:8443/a/b?token=abc#f",
      text: "failed: GET http://h/x?sig=1, then http://h/y",
      authToken: "abc",
      cookie: "abc",
      count: 7,
      peerId: "12D3KooW",
    };
    const shown = withoutSecrets(fields);
    expect(JSON.stringify(shown)).not.toMatch(/pass|abc|sig=1/);
    expect(shown["url"]).toMatch(/^https:\/\/host\.example:8443\/a\/b\?#[0-9a-f]{8}$/);
    expect(shown["text"]).toMatch(/^failed: GET http:\/\/h\/x\?#[0-9a-f]{8} then http:\/\/h\/y$/);
    expect(shown).toMatchObject({ authToken: "(hidden)", cookie: "(hidden)", count: 7 });
    expect(shown["peerId"]).toBe("12D3KooW");
  });

  test("hides the query of a URL whatever its path is made of (R-LOG-01)", () => {
    const url = `https://host.example/it's a "<b>"?sig=abc`;
    expect(withoutSecrets({ url })["url"]).toMatch(
      /^https:\/\/host\.example\/it's[^?]*\?#[0-9a-f]{8}$/,
    );
    const text = withoutSecrets({ reason: "GET http://h/it's/<b>?sig=abc failed" })["reason"];
    expect(text).toMatch(/^GET http:\/\/h\/it's[^?]*\?#[0-9a-f]{8} failed$/);
  });
});

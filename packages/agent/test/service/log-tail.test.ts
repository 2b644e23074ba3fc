import { describe, expect, it } from "vitest";
import type { LogFields } from "../../src/logger.ts";
import { LogTail } from "../../src/service/log-tail.ts";

/** A tail with a clock moved by hand, and all that it has passed on. */
function tailAt(startAt = 0) {
  const passed: (readonly [level: string, fields: LogFields, message: string])[] = [];
  const clock = { now: startAt };
  const write = (level: string) => (fields: LogFields, message: string) =>
    void passed.push([level, fields, message]);
  const next = {
    debug: write("debug"),
    info: write("info"),
    warn: write("warn"),
    error: write("error"),
  };
  return { tail: new LogTail(next, { now: () => clock.now }), passed, clock };
}

describe("the tail of the log", () => {
  it("keeps the latest records and passes on all of them", () => {
    const { tail, passed } = tailAt(5);
    for (let count = 1; count <= 1_200; count++) tail.info({ count }, "counted");
    const records = tail.records();
    expect(records).toHaveLength(1_000);
    expect(records[0]).toEqual({
      sequence: 201,
      at: 5,
      level: "info",
      message: "counted",
      fields: { count: 201 },
    });
    expect(tail.records(1_199)).toHaveLength(1);
    expect(passed).toHaveLength(1_200);
  });

  it("escapes what could move a cursor, and cuts what is long (R-LOG-02)", () => {
    const { tail, passed } = tailAt();
    tail.warn({ name: "a\n\u001b[2J\u202eb", long: "x".repeat(5_000) }, "said\r\nsomething");
    const [record] = tail.records();
    expect(record?.fields["name"]).toBe(String.raw`a\u000a\u001b[2J\u202eb`);
    expect(String(record?.fields["long"])).toHaveLength(256);
    expect(record?.message).toBe(String.raw`said\u000d\u000asomething`);
    expect(passed).toEqual([["warn", record?.fields, record?.message]]);
  });

  it("keeps neither users nor queries of URLs (R-LOG-01)", () => {
    const { tail } = tailAt();
    const url = "https://user:p@ss@example.org/file?token=secret#x";
    tail.warn({ url, from: `from ${url} and http://a/b` }, `failed: ${url}`);
    const text = JSON.stringify(tail.records());
    expect(text).not.toMatch(/secret|user|p@ss/);
    expect(tail.records()[0]?.fields["url"]).toMatch(/^https:\/\/example\.org\/file\?[0-9a-f]{8}$/);
    expect(tail.records()[0]?.fields["from"]).toMatch(/ and http:\/\/a\/b$/);
  });

  it("holds what one peer repeats to ten a minute, then sums it up (R-LOG-02)", () => {
    const { tail, clock } = tailAt();
    for (let count = 0; count < 50; count++) {
      tail.warn({ peerId: "a", count }, "peer offended");
      tail.warn({ peerId: "b" }, `kind ${count % 10}`);
      tail.warn({ code: "ERR" }, "the agent's own");
    }
    const of = (peerId: string) =>
      tail.records().filter(({ fields }) => fields["peerId"] === peerId);
    expect(of("a")).toHaveLength(10);
    expect(of("b")).toHaveLength(50);
    expect(tail.records()).toHaveLength(110);
    clock.now = 60_000;
    expect(of("a").at(-1)).toMatchObject({
      fields: { repeatedCount: 40 },
      message: "peer offended",
    });
    expect(tail.records()).toHaveLength(111);
    tail.warn({ peerId: "a" }, "peer offended");
    expect(of("a")).toHaveLength(12);
  });

  it("counts a bounded number of kinds, however many peers there are", () => {
    const { tail } = tailAt();
    for (let peer = 0; peer < 5_000; peer++) {
      for (let count = 0; count < 11; count++) tail.info({ peerId: `${peer}` }, "connected");
    }
    // The kinds that had to go have left their sums.
    const sums = tail.records().filter(({ fields }) => fields["repeatedCount"] === 1);
    expect(sums.length).toBeGreaterThan(0);
  });

  it("goes on when the log cannot be written, and when the clock is set back (R-LOG-04)", () => {
    const clock = { now: 100_000 };
    const fail = (): never => {
      throw new Error("EPIPE");
    };
    const next = { debug: fail, info: fail, warn: fail, error: fail };
    const tail = new LogTail(next, { now: () => clock.now });
    tail.error({}, "first");
    for (let count = 0; count < 12; count++) tail.warn({ peerId: "a" }, "again");
    clock.now = 0;
    expect(tail.records().at(-1)).toMatchObject({ fields: { repeatedCount: 2 } });
    expect(tail.records()[0]).toMatchObject({ level: "error", message: "first" });
  });
});

import { describe, expect, test } from "vitest";
import { pass } from "../../src/doctor/check.ts";
import type { Check, DoctorContext } from "../../src/doctor/check.ts";
import { CHECKS, doctorContext } from "../../src/doctor/diagnose.ts";
import { checkNode } from "../../src/doctor/machine-checks.ts";
import { judgeOrigins } from "../../src/doctor/network-checks.ts";
import { runChecks } from "../../src/doctor/run-checks.ts";

const context: DoctorContext = await doctorContext({ stateDirectory: "/nowhere" }, async () => []);

const check = (id: string, run: Check["run"], more: Partial<Check> = {}): Check => {
  return { id, title: id, run, ...more };
};

describe("runChecks", () => {
  test("reports in the order of the checks, and goes on where one fails by itself", async () => {
    const reports = await runChecks(
      [
        check("a.slow", async () => pass("Slow.")),
        check("a.broken", () => {
          throw new Error("no such thing");
        }),
        check("a.fast", () => pass("Fast.", { n: 1 })),
      ],
      context,
    );
    expect(reports).toEqual([
      { id: "a.slow", title: "a.slow", result: "pass", finding: "Slow." },
      expect.objectContaining({ id: "a.broken", result: "notRun" }),
      { id: "a.fast", title: "a.fast", result: "pass", finding: "Fast.", facts: { n: 1 } },
    ]);
    expect(reports[1]?.finding).toContain("no such thing");
    expect(reports[1]?.remedy).toMatch(/\S/);
  });

  test("gives a check up at its deadline, and tells it so", async () => {
    const { promise: told, resolve } = Promise.withResolvers<void>();
    const endless = check(
      "a.endless",
      (_context, signal) => {
        signal.addEventListener("abort", () => resolve());
        return new Promise(() => {});
      },
      { timeoutMs: 20 },
    );
    const [report] = await runChecks([endless], context);
    expect(report).toMatchObject({ result: "notRun", finding: "It was not done within 0.02 s." });
    await told;
  });

  test("does not run what needs an agent without one", async () => {
    const needs = check("a.agent", () => pass("Ran."), { needsAgent: true });
    expect(await runChecks([needs], context)).toMatchObject([{ result: "notRun" }]);
  });
});

test("every check has a name of its own, in a group, and a deadline within 15 s", () => {
  expect(new Set(CHECKS.map(({ id }) => id)).size).toBe(CHECKS.length);
  for (const { id, title, timeoutMs = 0 } of CHECKS) {
    expect(id).toMatch(/^(?:agent|state|machine|network|peers)\.[a-zA-Z]+$/);
    expect(title).toMatch(/^[A-Z]/);
    expect(timeoutMs).toBeLessThanOrEqual(15_000);
  }
});

test("a clock in a year that cannot be is a fault, without asking anybody", async () => {
  const clock = CHECKS.filter(({ id }) => id === "machine.clock");
  const now = (): number => Date.UTC(1970, 0, 2);
  const [report] = await runChecks(clock, { ...context, now });
  expect(report).toMatchObject({ result: "fail", remedy: expect.stringContaining("set-ntp") });
  expect(report?.finding).toContain("1970");
});

test("a clock that was moved while the agent ran is told of", async () => {
  const clock = CHECKS.filter(({ id }) => id === "machine.clock");
  const now = (): number => Date.now() + 3_600_000;
  const [report] = await runChecks(clock, { ...context, now, isAgent: true });
  expect(report).toMatchObject({ result: "warn" });
  expect(report?.finding).toContain("was moved by 1 h 00 min");
});

test("a Node.js that is too old is a fault (R-PROC-07)", () => {
  expect(checkNode("20.19.0").result).toBe("fail");
  expect(checkNode("24.14.9").result).toBe("fail");
  expect(checkNode("24.15.0").result).toBe("pass");
  expect(checkNode("26.0.0").result).toBe("pass");
});

test("an origin that answers is reachable, whatever it answers; one that fails is noted", () => {
  const place = "https://origin.test";
  const answered = (status: number) => ({ url: place, place, look: { status, elapsedMs: 3 } });
  const judge = (...statuses: number[]) =>
    judgeOrigins(statuses.map(answered), { hasProxy: false }).result;
  expect(judge(206)).toBe("pass");
  expect(judge(403, 404)).toBe("pass");
  expect(judge(206, 503)).toBe("warn");
  expect(judge()).toBe("notApplicable");
});

import { createHmac } from "node:crypto";
import { mkdtempSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { LIMITS } from "@shoal/core";
import { expect, onTestFinished, test } from "vitest";
import { proofOf, TokenGate, writePortFile } from "../../src/rest/token-gate.ts";

const token = "ab".repeat(32);

test("lets twenty wrong tokens a minute be, and is then deaf for one (R-API-10)", () => {
  let now = 0;
  const gate = new TokenGate(token, () => now);
  const wrong = (): string | undefined => gate.check("Bearer x");
  for (let i = 0; i < LIMITS.tokenFailuresPerMinMax; i++) expect(wrong()).toBe("ERR_TOKEN_REFUSED");
  expect(wrong()).toBe("ERR_TOO_MANY_REQUESTS");
  expect(gate.check(`Bearer ${token}`)).toBeUndefined();
  now = LIMITS.tokenLockoutMs - 1;
  expect(wrong()).toBe("ERR_TOO_MANY_REQUESTS");
  now = LIMITS.tokenLockoutMs;
  expect(wrong()).toBe("ERR_TOKEN_REFUSED");
});

test("forgets failures that are a minute old (R-API-10)", () => {
  let now = 0;
  const gate = new TokenGate(token, () => now);
  for (let minute = 0; minute < 5; minute++) {
    now = minute * 60_000;
    for (let i = 0; i < LIMITS.tokenFailuresPerMinMax; i++) {
      expect(gate.check(undefined)).toBe("ERR_TOKEN_REFUSED");
    }
  }
});

test("proves the token over nonce and port (R-API-11)", () => {
  const nonce = "0".repeat(64);
  const wanted = createHmac("sha256", token).update(`server${nonce}7070`).digest("hex");
  expect(proofOf(token, nonce, 7_070)).toBe(wanted);
});

test("leaves nothing behind where the port file cannot be written (R-API-12)", async () => {
  const directory = mkdtempSync(join(tmpdir(), "shoal-port-"));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  mkdirSync(join(directory, "agent.port"));
  const facts = { pid: 1, port: 2, startedAt: 3, instanceId: "4" };
  await expect(writePortFile(join(directory, "agent.port"), facts)).rejects.toThrow("EISDIR");
  expect(readdirSync(directory)).toEqual(["agent.port"]);
});

/**
 * The monthly cap of uploads to the Internet, between whole agents at a public address of a network
 * namespace; and that it holds after a restart.
 */
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { MiB } from "@shoal/core";
import { expect, test } from "vitest";
import { root, TestSite } from "./harness.ts";
import type { MonthCapReport } from "./month-cap-target.ts";

/** For documentation (RFC 5737), and public to all who look at it. */
const ADDRESS = "198.51.100.1";
const PREPARE = `ip link set lo up && ip addr add ${ADDRESS}/32 dev lo`;

/** Runs a command in a network of its own, which ends with it. */
function inNamespace(command: string, ...args: string[]) {
  const shell = ["-rn", "sh", "-c", `${PREPARE} && ${command}`, "sh", ...args];
  return spawnSync("unshare", shell, { cwd: root, encoding: "utf8", timeout: 50_000 });
}

test("uploads to the Internet end at the month's cap, also after a restart, and are counted by class", async (context) => {
  const { status, stderr: refusal } = inNamespace("true");
  if (status !== 0) {
    console.log(`skipped: no network namespace here (${refusal?.trim() ?? "no unshare"})`);
    context.skip();
  }
  await using site = await TestSite.create();
  const { path } = await site.publish("file.bin", 8 * MiB);
  const script = "test/integration/month-cap-target.ts";
  const command = `exec "$1" --conditions=shoal-source ${script} "$2" "$3" ${ADDRESS} ${2 * MiB}`;
  const state = join(site.directory);
  const { stdout, stderr } = inNamespace(command, process.execPath, state, path);
  expect(stderr).toBe("");
  const { sentBytes, sentAgainBytes, lanBytes } = JSON.parse(stdout) as MonthCapReport;
  expect(sentBytes).toBeGreaterThanOrEqual(2 * MiB);
  // What was under way when the cap was reached is finished.
  expect(sentBytes).toBeLessThan(4 * MiB);
  expect({ sentAgainBytes, lanBytes }).toEqual({ sentAgainBytes: 0, lanBytes: 0 });
});

/**
 * The doctor on hosts of their own, whose networks have faults: an interface without multicast, and
 * a port that is blocked. Agents run in network namespaces and are asked over their sockets, which
 * namespaces do not divide.
 *
 * Skips, with the reason, where the kernel refuses network namespaces.
 */
import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { connectAgent } from "@shoal/agent";
import type { CheckReport } from "@shoal/agent";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { TestContext } from "vitest";
import { TestSite } from "./harness.ts";
import { NetworkLab } from "./namespaces.ts";
import type { LabHost } from "./namespaces.ts";

const execute = promisify(execFile);
const PORT = 4_001;
const BLOCKED = `ipproto tcp dport ${PORT} unreachable`;

let site: TestSite;
beforeEach(async () => void (site = await TestSite.create()));
afterEach(() => site[Symbol.asyncDispose]());

/** Runs commands of `ip`, one a line, on the host. */
async function configure(host: LabHost, lines: readonly string[]): Promise<void> {
  const [program = "", ...args] = host.within;
  for (const line of lines) await execute(program, [...args, "ip", ...line.split(" ")]);
}

async function labHost({ skip }: TestContext): Promise<LabHost> {
  const lab = await NetworkLab.create();
  if (typeof lab === "string") return skip(lab);
  site.use(lab);
  return await lab.addHost(await lab.addSwitch());
}

/** What an agent on the host finds wrong with it. */
async function examine(host: LabHost): Promise<ReadonlyMap<string, CheckReport>> {
  const directory = join(site.directory, "run");
  const socketPath = join(directory, "agent.sock");
  const agent = site.startAgent("agent", {
    within: host.within,
    listen: [`/ip4/0.0.0.0/tcp/${PORT}`],
    mdns: true,
    allowLoopbackPeers: false,
    api: { socketPath },
  });
  await agent.next("ready");
  const service = await connectAgent({ socketPath });
  try {
    const checks = await service.diagnose();
    return new Map(checks.map((check) => [check.id, check]));
  } finally {
    service.close();
  }
}

describe("the doctor on a host of its own", () => {
  test("finds nothing wrong with a network that is well", async (context) => {
    const checks = await examine(await labHost(context));
    expect(checks.get("network.multicast")).toMatchObject({ result: "pass" });
    expect(checks.get("network.ports")).toMatchObject({ result: "pass" });
    expect([...checks.values()].filter(({ result }) => result === "fail")).toEqual([]);
  });

  test("names the interface on which multicast is off", async (context) => {
    const host = await labHost(context);
    await configure(host, ["link set eth0 multicast off"]);
    const multicast = (await examine(host)).get("network.multicast");
    expect(multicast).toMatchObject({ result: "fail" });
    expect(multicast?.finding).toContain("multicast is turned off on eth0");
    expect(multicast?.remedy).toContain("ip link set eth0 multicast on");
  });

  test("names a port that is blocked", async (context) => {
    const host = await labHost(context);
    // A rule before that of the machine's own addresses turns the port's traffic away.
    await configure(host, [
      "rule add pref 10 lookup local",
      "rule del pref 0",
      `rule add pref 5 ${BLOCKED}`,
    ]);
    const ports = (await examine(host)).get("network.ports");
    expect(ports).toMatchObject({ result: "fail", facts: { port: PORT } });
    expect(ports?.finding).toContain(`Port ${PORT} is blocked: ${host.address}:${PORT}`);
    expect(ports?.remedy).toContain("firewall");
  });
});

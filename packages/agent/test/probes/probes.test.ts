/** The probes of the machine and of the network's words, on files as systems write them. */
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { resolveAgentPolicies } from "../../src/agent-policies.ts";
import { silentLogger } from "../../src/logger.ts";
import type { Logger } from "../../src/logger.ts";
import { readDhcpOption, readDnsSuffix } from "../../src/probes/group-sources.ts";
import { machineProbe } from "../../src/probes/machine-probe.ts";
import { probePower } from "../../src/probes/power-probe.ts";
import { hasVpn } from "../../src/probes/vpn-probe.ts";
import { swarmOptionsOf } from "../../src/swarm-options.ts";

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "shoal-probes-"));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

async function write(files: Readonly<Record<string, string>>): Promise<void> {
  for (const [name, text] of Object.entries(files)) {
    const path = join(directory, name);
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, text);
  }
}

describe("power", () => {
  const battery = (name: string, status: string, capacity: string) => ({
    [`${name}/type`]: "Battery\n",
    [`${name}/status`]: `${status}\n`,
    [`${name}/capacity`]: `${capacity}\n`,
  });
  const mains = (online: string) => ({ "AC/type": "Mains\n", "AC/online": `${online}\n` });

  test.each<[string, Record<string, string>, object]>([
    ["nothing", {}, {}],
    ["a desktop", mains("1"), {}],
    [
      "a laptop on mains",
      { ...mains("1"), ...battery("BAT0", "Charging", "55") },
      { isOnBattery: false, batteryPercent: 55 },
    ],
    [
      "a laptop on battery",
      { ...mains("0"), ...battery("BAT0", "Discharging", "41") },
      { isOnBattery: true, batteryPercent: 41 },
    ],
    [
      "two batteries of which one is used",
      { ...battery("BAT0", "Discharging", "20"), ...battery("BAT1", "Not charging", "80") },
      { isOnBattery: true, batteryPercent: 50 },
    ],
    [
      "a mouse",
      { ...mains("1"), ...battery("hid", "Discharging", "9"), "hid/scope": "Device\n" },
      {},
    ],
    ["a charge that is none", battery("BAT0", "Discharging", "?"), { isOnBattery: true }],
  ])("is told of %s", async (_, files, expected) => {
    await write(files);
    expect(await probePower(directory)).toEqual(expected);
  });
});

describe("a VPN", () => {
  const address = { internal: false, family: "IPv4" };

  test.each<[string, boolean]>([
    ["eth0", false],
    ["wlp3s0", false],
    ["docker0", false],
    ["tun0", true],
    ["wg-none", false],
    ["wg0", true],
    ["ppp0", true],
    ["Contoso VPN", true],
    ["fabrikam7", true],
  ])("is seen in the name of an interface that has an address: %s, %s", async (name, expected) => {
    const options = { keywords: ["Fabrikam"], directory };
    expect(await hasVpn({ [name]: [address] }, options)).toBe(expected);
  });

  test("is seen in the kind of an interface", async () => {
    await write({ "office/type": "65534\n", "eth0/type": "1\n" });
    expect(await hasVpn({ office: [address] }, { keywords: [], directory })).toBe(true);
    expect(await hasVpn({ eth0: [address] }, { keywords: [], directory })).toBe(false);
  });

  test("is none without an address of its own", async () => {
    const idle = { utun0: [{ internal: false, family: "IPv6" }], tun0: [] };
    expect(await hasVpn(idle, { keywords: [], directory })).toBe(false);
  });
});

test("the machine itself has memory and a disk", async () => {
  const facts = await machineProbe({ stateDirectory: directory, vpnKeywords: [] })();
  expect(facts.ramBytes).toBeGreaterThan(0);
  expect(facts.diskBytes).toBeGreaterThan(0);
  expect(typeof facts.hasVpn).toBe("boolean");
});

describe("what the network says", () => {
  const GUID = "6f9619ff-8b86-d011-b42d-00cf4fc964ff";
  const hex = Buffer.from(GUID).toString("hex");
  const bytes = [...Buffer.from(GUID)].map((byte) => byte.toString(16)).join(":");

  test.each([
    ["systemd", `ADDRESS=10.0.0.2\nOPTION_234=${hex}\n`, GUID],
    ["dhclient, as text", `lease {\n  option unknown-234 "${GUID}";\n}\n`, GUID],
    ["dhclient, as bytes", `lease {\n  option unknown-234 ${bytes};\n}\n`, GUID],
    [
      "dhclient, twice",
      `lease {\n  option option-234 "old";\n}\nlease {\n  option option-234 "new";\n}\n`,
      "new",
    ],
    ["nobody", "ADDRESS=10.0.0.2\n", undefined],
    ["another option", `OPTION_235=${hex}\n`, undefined],
    ["no text", "OPTION_234=0102\n", undefined],
  ])("by DHCP is read from the lease of %s", async (_, text, expected) => {
    await write({ lease: text });
    expect(await readDhcpOption(234, [join(directory, "none"), directory])).toBe(expected);
  });

  test.each([
    ["search corp.example.org. example.org\n", "corp.example.org"],
    ["domain Example.ORG\n", "example.org"],
    ["domain a.example\nsearch b.example\n", "b.example"],
    ["# search c.example\nnameserver 10.0.0.1\n", undefined],
    ["search .\n", undefined],
  ])("by DNS is the suffix: %j", async (text, expected) => {
    await write({ "resolv.conf": text });
    expect(await readDnsSuffix(join(directory, "resolv.conf"))).toBe(expected);
  });

  test("makes a group in mode 2, unless policy names one, and in no other mode", async () => {
    await write({ "leases/lease": `OPTION_234=${hex}\n`, "resolv.conf": "search example.org\n" });
    const places = {
      leaseDirectories: [join(directory, "leases")],
      resolvConf: join(directory, "resolv.conf"),
    };
    const keysOf = async (policies: object): Promise<string[]> => {
      const resolved = await resolveAgentPolicies({ policies, logger: silentLogger }, places);
      return resolved.groupKeys.map((key) => Buffer.from(key).toString("hex"));
    };
    const [named] = await keysOf({ DODownloadMode: 2, DOGroupId: GUID, DOGroupIdSource: 4 });
    expect(named).toMatch(/^[0-9a-f]{64}$/);
    expect(await keysOf({ DODownloadMode: 2, DOGroupIdSource: 3 })).toEqual([named]);
    expect(await keysOf({ DODownloadMode: 2, DOGroupIdSource: 4 })).toHaveLength(1);
    expect(await keysOf({ DODownloadMode: 2, DOGroupIdSource: 1 })).toEqual([]);
    expect(await keysOf({ DODownloadMode: 1, DOGroupId: GUID })).toEqual([]);
  });

  test("names cache servers as the policy about their source has it", async () => {
    await write({ lease: `OPTION_235=${Buffer.from("c1,c2:8080").toString("hex")}\n` });
    const hostsOf = async (policies: object, leaseDirectories = [directory]) =>
      (await resolveAgentPolicies({ policies, logger: silentLogger }, { leaseDirectories }))
        .cacheHosts;
    const DOCacheHost = "named";
    expect(await hostsOf({ DOCacheHostSource: 1 })).toEqual(["c1", "c2:8080"]);
    expect(await hostsOf({ DOCacheHostSource: 1, DOCacheHost })).toEqual(["named"]);
    expect(await hostsOf({ DOCacheHostSource: 2, DOCacheHost })).toEqual(["c1", "c2:8080"]);
    expect(await hostsOf({ DOCacheHostSource: 0, DOCacheHost })).toEqual(["named"]);
    expect(await hostsOf({ DOCacheHostSource: 2, DOCacheHost }, [])).toEqual(["named"]);
    await expect(hostsOf({ DOCacheHost: "not a host" })).rejects.toMatchObject({
      code: "ERR_USAGE",
    });
  });
});

test("a policy without effect is reported with the reason", async () => {
  const warned: object[] = [];
  const logger: Logger = { ...silentLogger, warn: (fields) => void warned.push(fields) };
  await resolveAgentPolicies({ policies: { DOModifyCacheDrive: "D:" }, logger });
  expect(warned).toEqual([
    { policy: "DOModifyCacheDrive", reason: expect.stringContaining("state directory") },
  ]);
});

test.each([
  [1, { listen: ["l"], mdns: true, networks: [] }],
  [0, { listen: [], mdns: false, networks: [] }],
  [2, { listen: [], mdns: false, networks: [] }],
  [100, { listen: [], mdns: false, networks: [] }],
])("mode %i tells the swarm where peers may be (R-GRP-01)", async (mode, expected) => {
  const policies = { DODownloadMode: mode };
  const resolved = await resolveAgentPolicies({ policies, logger: silentLogger });
  const wanted = { listen: ["l"], mdns: true };
  const parts = { policies: resolved, groupKeys: [] };
  expect(swarmOptionsOf(wanted, parts)).toMatchObject(expected);
});

test("mode 2 has peers where the group's id gives a key (R-GRP-01)", async () => {
  const policies = { DODownloadMode: 2, DOGroupId: "6f2f0a1e-6f0f-4f6e-9a57-0d3c2f7a1b10" };
  const resolved = await resolveAgentPolicies({ policies, logger: silentLogger });
  expect(resolved.groupKeys).toHaveLength(1);
  const parts = { policies: resolved, groupKeys: resolved.groupKeys };
  const told = swarmOptionsOf({ listen: ["l"], mdns: true }, parts);
  expect(told).toMatchObject({ listen: ["l"], mdns: true, groupKeys: resolved.groupKeys });
});

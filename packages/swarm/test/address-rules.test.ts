/** Which addresses may be used, and which sightings are passed on. */
import { networkInterfaces } from "node:os";
import { multiaddr } from "@multiformats/multiaddr";
import { LIMITS } from "@shoal/core";
import { expect, test } from "vitest";
import { AddressRules, parsePeerAddress, reachOf } from "../src/address-rules.ts";
import { SightingFilter } from "../src/discovery.ts";
import { createIdentity } from "../src/index.ts";

const ED25519 = "12D3KooWK99VoVxNE7XzyBwXEzW7xhK7Gpv85r9F3V3fyKSUKPH5";
const SECP256K1 = "16Uiu2HAmTS9D6bmuLhR6sXwz1yGB2XZzkPVhrKJ1oyPH2sjeVPN5";
const RSA = "QmcgpsyWgH8Y8ajJz1Cu72KnS5uo2Aa2LpzU7kinSupNKC";

test.each([
  ["10.1.2.3", true],
  ["172.16.0.1", true],
  ["172.32.0.1", false],
  ["192.168.1.1", true],
  ["169.254.7.7", true],
  ["fd12::1", true],
  ["fe80::1", true],
  ["::ffff:10.1.2.3", true],
  ["8.8.8.8", false],
  ["::ffff:8.8.8.8", false],
  ["2001:4860::1", false],
  ["127.0.0.1", false],
  ["::1", false],
  ["::ffff:127.0.0.1", false],
  ["0.0.0.0", false],
  ["::", false],
  ["224.0.0.251", false],
  ["255.255.255.255", false],
  ["100.64.0.1", false],
  ["example.org", false],
  ["", false],
])("R-PEER-10: whether %s may be a peer's host is %s", (host, expected) => {
  expect(new AddressRules({ allowLoopback: false }).isAllowedHost(host)).toBe(expected);
});

test("allows loopback only when told to", () => {
  expect(new AddressRules({ allowLoopback: true }).isAllowedHost("127.0.0.1")).toBe(true);
});

test("allows hosts in the subnet of a local interface, public or not", () => {
  const rules = new AddressRules({ allowLoopback: false });
  const outside = Object.values(networkInterfaces()).flatMap((all) => all ?? []);
  const hosts = outside.filter(({ internal }) => !internal).map(({ address }) => address);
  expect(hosts.filter((host) => !rules.isAllowedHost(host))).toEqual([]);
});

test("restricted to the subnet, allows no other private host, not even one that was named", () => {
  const rules = new AddressRules({
    allowLoopback: true,
    subnetOnly: true,
    networks: ["8.0.0.0/8"],
  });
  rules.allowHost("8.8.8.8");
  // A network of tests that no machine is in.
  const others = ["8.8.8.8", "8.8.4.4", "10.255.254.253", "fd12::1", "2001:4860::1"];
  expect(others.filter((host) => rules.isAllowedHost(host))).toEqual([]);
  expect(rules.isAllowedHost("127.0.0.1")).toBe(true);
  expect(rules.isAllowedHost("fe80::1")).toBe(true);
  const here = Object.values(networkInterfaces()).flatMap((all) => all ?? []);
  const hosts = here.filter(({ internal }) => !internal).map(({ address }) => address);
  expect(hosts.filter((host) => !rules.isAllowedHost(host))).toEqual([]);
});

test.each([
  ["127.0.0.1", "host"],
  ["::1", "host"],
  ["fe80::1", "subnet"],
  ["10.255.254.253", "private"],
  ["fd12::1", "private"],
  ["8.8.8.8", "public"],
  ["2001:4860::1", "public"],
  ["", "public"],
])("tells that %s is in reach as %s", (host, reach) => {
  expect(reachOf(host)).toBe(reach);
});

test("allows a host that the user named", () => {
  const rules = new AddressRules({ allowLoopback: false });
  rules.allowHost("8.8.8.8");
  expect(rules.isAllowedHost("8.8.8.8")).toBe(true);
  expect(rules.isAllowedHost("8.8.4.4")).toBe(false);
});

test("takes an address apart", () => {
  const parsed = parsePeerAddress(`/ip4/10.0.0.1/tcp/4001/p2p/${ED25519}`);
  expect(parsed).toMatchObject({ host: "10.0.0.1", port: 4001, peerId: ED25519 });
  expect(parsed?.address.toString()).toBe("/ip4/10.0.0.1/tcp/4001");
  expect(parsePeerAddress("/ip6zone/eth0/ip6/fe80::1/tcp/4001")).toMatchObject({ port: 4001 });
});

test.each([
  "",
  "10.0.0.1:4001",
  "/ip4/10.0.0.1",
  "/ip4/10.0.0.1/udp/4001",
  "/ip4/10.0.0.1/tcp/4001/ws",
  "/dns4/example.org/tcp/4001",
  "/dnsaddr/example.org",
  "/unix/tmp%2fsocket",
  `/ip4/10.0.0.1/tcp/4001/p2p/${RSA}`,
  `/ip4/10.0.0.1/tcp/4001/p2p/${SECP256K1}`,
  `/ip4/10.0.0.1/tcp/4001/p2p/${ED25519}/p2p-circuit`,
  `/ip4/10.0.0.1/tcp/4001/p2p/${"1".repeat(10_000)}`,
])("R-PEER-29, R-PEER-30: refuses the address %j", (text) => {
  expect(parsePeerAddress(text)).toBeUndefined();
});

test("R-PEER-29: never dials the ports of other services", () => {
  const rules = new AddressRules({ allowLoopback: false });
  const port = (number: number) => parsePeerAddress(`/ip4/10.0.0.1/tcp/${number}`);
  expect(rules.isAllowedAddress(port(1_023)!)).toBe(false);
  expect(rules.isAllowedAddress(port(1_024)!)).toBe(true);
});

async function someSighting(
  ...addresses: string[]
): Promise<Parameters<SightingFilter["check"]>[0]> {
  const { publicKey } = await createIdentity();
  return { id: publicKey.toCID(), multiaddrs: addresses.map((text) => multiaddr(text)) };
}

test("passes on the addresses of a sighting that may be dialled, at most eight (R-PEER-18)", async () => {
  const filter = new SightingFilter(new AddressRules({ allowLoopback: false }));
  const good = Array.from({ length: 12 }, (_, i) => `/ip4/10.0.0.${i}/tcp/4001`);
  const sighting = await someSighting("/ip4/8.8.8.8/tcp/4001", "/dns4/x.org/tcp/4001", ...good);
  expect(filter.check(sighting, 0)?.addresses).toEqual(good.slice(0, LIMITS.addressesPerPeerMax));
  expect(filter.check(await someSighting("/ip4/8.8.8.8/tcp/4001"), 0)).toBeUndefined();
});

test("R-PEER-29: passes on at most 32 new peers a minute, and known ones beside them", async () => {
  const filter = new SightingFilter(new AddressRules({ allowLoopback: false }));
  const first = await someSighting("/ip4/10.0.0.1/tcp/4001");
  expect(filter.check(first, 0)).toBeDefined();
  let passed = 1;
  for (let i = 0; i < 100; i++) {
    if (filter.check(await someSighting("/ip4/10.0.0.2/tcp/4001"), 1_000) !== undefined) passed++;
  }
  expect(passed).toBe(LIMITS.discoveriesPerMinMax);
  expect(filter.check(first, 2_000)).toBeUndefined(); // too soon again
  expect(filter.check(first, 20_000)).toBeDefined();
  const late = await someSighting("/ip4/10.0.0.3/tcp/4001");
  expect(filter.check(late, 59_000)).toBeUndefined();
  expect(filter.check(late, 61_000)).toBeDefined();
});

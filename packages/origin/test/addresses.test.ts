import { describe, expect, it } from "vitest";
import { ADDRESS_TABLE, createAddressRules } from "../src/addresses.ts";

describe("addresses (R-HTTP-03, R-HTTP-04)", () => {
  const rules = createAddressRules(ADDRESS_TABLE);

  it("know their kind, IPv4-mapped IPv6 included", () => {
    const kinds = {
      "127.0.0.1": "loopback",
      "0.0.0.0": "loopback",
      "::1": "loopback",
      "::ffff:127.0.0.1": "loopback",
      "10.1.2.3": "private",
      "172.31.0.1": "private",
      "192.168.1.1": "private",
      "100.64.0.1": "private",
      "fd12::1": "private",
      "::ffff:10.0.0.1": "private",
      "169.254.169.254": "refused",
      "::ffff:169.254.169.254": "refused",
      "fe80::1": "refused",
      "fe80::1%eth0": "refused",
      "224.0.0.1": "refused",
      "ff02::1": "refused",
      "fd00:ec2::254": "refused",
      "172.32.0.1": "global",
      "8.8.8.8": "global",
      "2606:4700::1111": "global",
    };
    const found = Object.keys(kinds).map((address) => [address, rules.kindOf(address)]);
    expect(Object.fromEntries(found)).toEqual(kinds);
  });

  it("are refused by reach", () => {
    const refuses = (reach: Parameters<typeof rules.blockList>[0]) =>
      ["169.254.1.1", "127.0.0.1", "10.0.0.1", "8.8.8.8"].map((address) =>
        rules.blockList(reach).check(address),
      );
    expect(refuses("any")).toEqual([true, false, false, false]);
    expect(refuses("notLoopback")).toEqual([true, true, false, false]);
    expect(refuses("globalOnly")).toEqual([true, true, true, false]);
  });
});

/**
 * Kinds of IP address, and which of them a connection may go to (R-HTTP-03, R-HTTP-04). Checks are
 * made by the socket itself on each address it is about to connect to, so that a name which
 * resolves differently the second time gains nothing. IPv4-mapped IPv6 addresses count as IPv4.
 * Knows addresses; knows neither names nor URLs. Used by `connections.ts`.
 */
import { BlockList, isIP } from "node:net";

/** `refused` addresses are never connected to. `global` is what no table names. */
export type AddressKind = "refused" | "loopback" | "private" | "global";

/** Subnets as `address/prefix`, by kind. */
export interface AddressTable {
  readonly refused: readonly string[];
  readonly loopback: readonly string[];
  readonly private: readonly string[];
}

/**
 * From the registries of special-purpose addresses (RFC 6890 and its updates). Beyond link-local
 * and multicast, single addresses are those of metadata services of large clouds. Connecting to an
 * unspecified address reaches this machine, so it counts as loopback.
 */
export const ADDRESS_TABLE: AddressTable = {
  refused: [
    "169.254.0.0/16",
    "224.0.0.0/4",
    "255.255.255.255/32",
    "100.100.100.200/32",
    "192.0.0.192/32",
    "fe80::/10",
    "ff00::/8",
    "fd00:ec2::254/128",
  ],
  loopback: ["127.0.0.0/8", "0.0.0.0/8", "::1/128", "::/128"],
  private: [
    "10.0.0.0/8",
    "100.64.0.0/10",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "fc00::/7",
    "fec0::/10",
  ],
};

/** How far a connection may reach; each reach allows less than the one before. */
export type Reach = "any" | "notLoopback" | "globalOnly";

export interface AddressRules {
  kindOf(address: string): AddressKind;
  /** The addresses a socket of this reach refuses, for the `blockList` option of sockets. */
  blockList(reach: Reach): BlockList;
}

export function createAddressRules(table: AddressTable): AddressRules {
  const refused = listOf(table.refused);
  const loopback = listOf(table.loopback);
  const privates = listOf(table.private);
  const lists: Record<Reach, BlockList> = {
    any: refused,
    notLoopback: listOf([...table.refused, ...table.loopback]),
    globalOnly: listOf([...table.refused, ...table.loopback, ...table.private]),
  };
  return {
    kindOf(address) {
      const plain = address.replace(/%.*$/, "");
      const family = isIP(plain) === 6 ? "ipv6" : "ipv4";
      if (refused.check(plain, family)) return "refused";
      if (loopback.check(plain, family)) return "loopback";
      return privates.check(plain, family) ? "private" : "global";
    },
    blockList: (reach) => lists[reach],
  };
}

function listOf(subnets: readonly string[]): BlockList {
  const list = new BlockList();
  for (const subnet of subnets) {
    const [address = "", prefix] = subnet.split("/");
    list.addSubnet(address, Number(prefix), isIP(address) === 6 ? "ipv6" : "ipv4");
  }
  return list;
}

/**
 * Which hosts and addresses an agent talks to (R-PEER-10, R-PEER-29): private, link-local, or in
 * the subnet of a local interface; loopback only when allowed; hosts and networks the user named.
 * Addresses are an IP literal and a TCP port, never a name.
 *
 * Knows addresses only. Asked by the gater, by discovery and by `dialPeer`.
 */
import { BlockList, isIP } from "node:net";
import { networkInterfaces } from "node:os";
import { peerIdFromString } from "@libp2p/peer-id";
import { multiaddr } from "@multiformats/multiaddr";
import type { Multiaddr } from "@multiformats/multiaddr";
import { LIMITS, ShoalError } from "@shoal/core";
import type { PeerId, PeerReach } from "@shoal/core";

/** An address that can be dialled, taken apart. */
export interface PeerAddress {
  /** Without the peer id. */
  readonly address: Multiaddr;
  readonly host: string;
  readonly port: number;
  /** The peer id at its end, when it has one. */
  readonly peerId?: PeerId;
}

const privateHosts = new BlockList();
privateHosts.addSubnet("10.0.0.0", 8);
privateHosts.addSubnet("172.16.0.0", 12);
privateHosts.addSubnet("192.168.0.0", 16);
privateHosts.addSubnet("169.254.0.0", 16);
privateHosts.addSubnet("fc00::", 7, "ipv6");
privateHosts.addSubnet("fe80::", 10, "ipv6");

const linkLocalHosts = new BlockList();
linkLocalHosts.addSubnet("169.254.0.0", 16);
linkLocalHosts.addSubnet("fe80::", 10, "ipv6");

const loopbackHosts = new BlockList();
loopbackHosts.addSubnet("127.0.0.0", 8);
loopbackHosts.addAddress("::1", "ipv6");

export class AddressRules {
  readonly #allowLoopback: boolean;
  readonly #subnetOnly: boolean;
  /** Hosts and networks the user named; they may lie outside the subnet. */
  readonly #namedHosts = new BlockList();

  /** Throws `ERR_NETWORK_INVALID` unless each of `networks` is like `192.0.2.0/24`. */
  constructor(options: {
    allowLoopback: boolean;
    networks?: readonly string[];
    subnetOnly?: boolean;
  }) {
    this.#allowLoopback = options.allowLoopback;
    this.#subnetOnly = options.subnetOnly ?? false;
    for (const network of options.networks ?? []) this.#allowNetwork(network);
  }

  /** Allows a host that the user named, wherever it is. */
  allowHost(host: string): void {
    const family = familyOf(host);
    if (family !== undefined) this.#namedHosts.addAddress(host, family);
  }

  #allowNetwork(text: string): void {
    const [network = "", prefix = "", ...rest] = text.split("/");
    const family = familyOf(network);
    const length = /^\d{1,3}$/.test(prefix) ? Number(prefix) : Infinity;
    if (family === undefined || rest.length > 0 || length > (family === "ipv4" ? 32 : 128)) {
      throw new ShoalError("ERR_NETWORK_INVALID", text.slice(0, 256));
    }
    this.#namedHosts.addSubnet(network, length, family);
  }

  /** Whether a connection with `host`, an IP address, is allowed in either direction. */
  isAllowedHost(host: string): boolean {
    const family = familyOf(host);
    if (family === undefined) return false;
    if (this.#subnetOnly) {
      const isHere = loopbackHosts.check(host, family);
      return isHere ? this.#allowLoopback : isInSubnet(host, family);
    }
    if (this.#namedHosts.check(host, family)) return true;
    if (loopbackHosts.check(host, family)) return this.#allowLoopback;
    return privateHosts.check(host, family) || isInLocalSubnet(host, family);
  }

  /** Whether the address may be dialled. */
  isAllowedAddress(address: PeerAddress): boolean {
    return address.port >= LIMITS.peerPortMin && this.isAllowedHost(address.host);
  }
}

/**
 * Takes an address apart: `[/ip6zone/…]/ip4|ip6/…/tcp/…[/p2p/…]` and nothing else. `undefined` for
 * any other form, for names and for peer ids that are not of Ed25519 keys (R-PEER-30).
 */
export function parsePeerAddress(text: string): PeerAddress | undefined {
  if (text.length > ADDRESS_LENGTH_MAX) return undefined;
  try {
    const parsed = multiaddr(text);
    const components = parsed.getComponents();
    const peerComponent = components.at(-1)?.name === "p2p" ? components.pop() : undefined;
    if (components[0]?.name === "ip6zone") components.shift();
    const [ip, port] = components;
    if (components.length !== 2 || (ip?.name !== "ip4" && ip?.name !== "ip6")) return undefined;
    if (port?.name !== "tcp" || ip.value === undefined) return undefined;
    const address = { host: ip.value, port: Number(port.value) };
    if (peerComponent === undefined) return { ...address, address: parsed };
    const peerId = parsePeerId(peerComponent.value ?? "");
    if (peerId === undefined) return undefined;
    return { ...address, address: parsed.decapsulate(`/p2p/${peerComponent.value}`), peerId };
  } catch {
    return undefined;
  }
}

/** The normal form of an Ed25519 peer id; `undefined` for anything else. */
export function parsePeerId(text: string): PeerId | undefined {
  try {
    const peerId = peerIdFromString(text);
    return peerId.type === "Ed25519" ? peerId.toString() : undefined;
  } catch {
    return undefined;
  }
}

/** The host of a connection's remote address, as text without port; `undefined` without an IP. */
export function hostOf(address: Multiaddr): string | undefined {
  const ip = address.getComponents().find(({ name }) => name === "ip4" || name === "ip6");
  return ip?.value;
}

/** Where the host is; what is no IP address is as far away as can be. */
export function reachOf(host: string): PeerReach {
  const family = familyOf(host);
  if (family === undefined) return "public";
  if (loopbackHosts.check(host, family) || isOwnHost(host)) return "host";
  if (isInSubnet(host, family)) return "subnet";
  return privateHosts.check(host, family) ? "private" : "public";
}

/** Whether `host` is this machine itself. */
export function isLoopbackHost(host: string): boolean {
  const family = familyOf(host);
  return family !== undefined && loopbackHosts.check(host, family);
}

/** Longer than any address of the forms above. */
const ADDRESS_LENGTH_MAX = 256;

function familyOf(host: string): "ipv4" | "ipv6" | undefined {
  const version = isIP(host);
  return version === 4 ? "ipv4" : version === 6 ? "ipv6" : undefined;
}

function isInSubnet(host: string, family: "ipv4" | "ipv6"): boolean {
  return linkLocalHosts.check(host, family) || isInLocalSubnet(host, family);
}

/** Whether an interface of this machine has the address. */
function isOwnHost(host: string): boolean {
  const interfaces = Object.values(networkInterfaces());
  return interfaces.some((addresses) => addresses?.some(({ address }) => address === host));
}

/** Interfaces come and go, so they are read each time: connections are rare. */
function isInLocalSubnet(host: string, family: "ipv4" | "ipv6"): boolean {
  for (const addresses of Object.values(networkInterfaces())) {
    for (const { internal, cidr } of addresses ?? []) {
      if (internal || cidr === null) continue;
      const [network, prefix] = cidr.split("/");
      if (network === undefined || prefix === undefined) continue;
      const subnet = new BlockList();
      subnet.addSubnet(network, Number(prefix), isIP(network) === 4 ? "ipv4" : "ipv6");
      if (subnet.check(host, family)) return true;
    }
  }
  return false;
}

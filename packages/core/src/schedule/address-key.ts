/**
 * What counts as one address when peers are counted by where they come from: an IPv4 address, or
 * the /64 network of an IPv6 one, because one host may take any address of it. A link-local address
 * counts alone: its network is every network.
 *
 * Knows text. Called by the peer table and by the swarm's gater, which must agree.
 */

/** Of a host without a port. What is no IP address counts as it is. */
export function addressKey(host: string): string {
  const [address = host] = host.toLowerCase().split("%");
  if (!address.includes(":")) return address;
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/.exec(address)?.[1];
  if (mapped !== undefined) return mapped;
  if (/^fe[89ab]/.test(address) || address === "::1") return address;
  const [head = "", tail] = address.split("::");
  const first = head === "" ? [] : head.split(":");
  const last = tail === undefined || tail === "" ? [] : tail.split(":");
  const zeroCount = Math.max(0, GROUPS - first.length - last.length);
  const zeros = Array.from({ length: zeroCount }, () => "0");
  const groups = tail === undefined ? first : [...first, ...zeros, ...last];
  const network = groups.slice(0, GROUPS / 2).map((group) => group.replace(/^0+(?=.)/, ""));
  return `${network.join(":")}::/64`;
}

/** The same for a multiaddr such as `/ip4/192.0.2.1/tcp/4001`; `undefined` where it has no IP. */
export function addressKeyOf(multiaddr: string): string | undefined {
  const parts = multiaddr.split("/");
  const at = parts[1] === "ip6zone" ? 3 : 1;
  const host = parts[at + 1];
  if ((parts[at] !== "ip4" && parts[at] !== "ip6") || host === undefined) return undefined;
  return addressKey(host);
}

const GROUPS = 8;

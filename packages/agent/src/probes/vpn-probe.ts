/**
 * Whether a VPN is up: an interface that has an address and is a tunnel by its kind, or has a word of
 * the list in its name. Windows gives interfaces long names ("Contoso VPN"), Linux short ones.
 *
 * Knows interfaces; decides nothing. Called by `probeMachine`.
 */
import { join } from "node:path";
import { readSmallFile } from "./small-file.ts";

/** What Delivery Optimization looks for in the names of adapters. */
const KEYWORDS = ["vpn", "secure", "virtual private network"];
/** Names that VPNs give their interfaces where names are short. */
const TUNNEL_NAMES = /^(tun|wg|ppp|ipsec|tailscale|zt|nordlynx|cscotun|gpd)[0-9a-z]*$/;
/** Linux's numbers of kinds: PPP, and links without an address of their own (tun, WireGuard). */
const TUNNEL_KINDS = new Set(["512", "65534"]);

type Interfaces = Readonly<
  Record<string, ReadonlyArray<{ readonly internal: boolean; readonly family: string }> | undefined>
>;

export interface VpnProbeOptions {
  /** Words beside those that are known, in either case. */
  readonly keywords: readonly string[];
  /** Where Linux tells of interfaces. Default: `/sys/class/net`. */
  readonly directory?: string;
}

/** `interfaces`: as `os.networkInterfaces` gives them, which leaves out those that are down. */
export async function hasVpn(interfaces: Interfaces, options: VpnProbeOptions): Promise<boolean> {
  const { directory = "/sys/class/net" } = options;
  const words = [...KEYWORDS, ...options.keywords.map((word) => word.toLowerCase())];
  for (const [name, addresses = []] of Object.entries(interfaces)) {
    // Systems keep idle tunnels with nothing but a link-local IPv6 address.
    if (!addresses.some(({ internal, family }) => !internal && family === "IPv4")) continue;
    const text = name.toLowerCase();
    if (TUNNEL_NAMES.test(text) || words.some((word) => text.includes(word))) return true;
    const kind = await readSmallFile(join(directory, name, "type"));
    if (kind !== undefined && TUNNEL_KINDS.has(kind.trim())) return true;
  }
  return false;
}

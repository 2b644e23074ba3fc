/**
 * What DHCP and DNS say about groups and cache servers: options 234 and 235 as DHCP clients keep them
 * in their lease files, and the DNS suffix in `resolv.conf`.
 *
 *   systemd-networkd, NetworkManager   OPTION_234=3f2a…          bytes in hex
 *   dhclient                           option unknown-234 "3f2a…";  or 33:66:32:61…
 *
 * Knows files of common Linux systems; elsewhere it finds nothing. Called when an agent starts.
 */
import { listDirectory, readSmallFile } from "./small-file.ts";

/** Where lease files lie. */
const LEASE_DIRECTORIES = [
  "/run/systemd/netif/leases",
  "/var/lib/NetworkManager",
  "/var/lib/dhcp",
  "/var/lib/dhclient",
];
const FILES_MAX = 64;
const VALUE_LENGTH_MAX = 4_096;

/** The option's text in the first lease that has it; `undefined` where none has. */
export async function readDhcpOption(
  option: number,
  directories: readonly string[] = LEASE_DIRECTORIES,
): Promise<string | undefined> {
  const lists = await Promise.all(directories.map((directory) => listDirectory(directory)));
  for (const path of lists.flat().slice(0, FILES_MAX)) {
    const text = await readSmallFile(path);
    const value = text === undefined ? undefined : optionIn(text, option);
    if (value !== undefined) return value;
  }
  return undefined;
}

/** The first domain that names are completed with; `undefined` where there is none. */
export async function readDnsSuffix(path = "/etc/resolv.conf"): Promise<string | undefined> {
  let suffix: string | undefined;
  for (const line of ((await readSmallFile(path)) ?? "").split("\n")) {
    // The last line of either kind counts.
    const [, domain] = /^\s*(?:search|domain)\s+(\S+)/.exec(line) ?? [];
    if (domain !== undefined) suffix = domain.replace(/\.$/, "").toLowerCase();
  }
  return suffix === "" ? undefined : suffix;
}

function optionIn(text: string, option: number): string | undefined {
  const [, hex] = new RegExp(`^OPTION_${option}=([0-9a-f]+)$`, "im").exec(text) ?? [];
  if (hex !== undefined) return textOf(hex);
  const line = new RegExp(`^\\s*option (?:unknown-|option-)?${option} (.+);\\s*$`, "gm");
  // The lease written last is the one in force.
  const [, value = ""] = [...text.matchAll(line)].at(-1) ?? [];
  if (/^".*"$/.test(value)) return cleanText(value.slice(1, -1));
  return /^[0-9a-f]{1,2}(:[0-9a-f]{1,2})+$/i.test(value)
    ? textOf(value.replaceAll(/[0-9a-f]+/gi, (byte) => byte.padStart(2, "0")).replaceAll(":", ""))
    : undefined;
}

function textOf(hex: string): string | undefined {
  return cleanText(Buffer.from(hex, "hex").toString("utf8"));
}

/** Without what is no text; a lease is written by whoever answers first on the network. */
function cleanText(text: string): string | undefined {
  const clean = text.replaceAll("\0", "").trim();
  const isText = clean !== "" && clean.length <= VALUE_LENGTH_MAX && !/\p{Cc}/u.test(clean);
  return isText ? clean : undefined;
}

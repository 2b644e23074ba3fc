/** The page about Delivery Optimization's policies and why peers are not used, from core's tables. */
import { POLICIES, POLICY_REASONS, SETTINGS } from "@shoal/core";
import type { PolicyRow } from "@shoal/core";
import { code, pageHead, table } from "./markdown.ts";

export function policiesPage(): string {
  const rows = Object.entries<PolicyRow>(POLICIES).map(([name, row]) => [
    name,
    row.doDefault === undefined ? "not set" : String(row.doDefault),
    row.unit,
    rangeText(row.range),
    row.sets.map(setText).join(", ") || "nothing here",
    row.help,
  ]);
  const reasons = Object.entries(POLICY_REASONS).map(([name, row]) => [
    code(name),
    row.meaning,
    row.remedy,
    row.policy,
  ]);
  return (
    pageHead("Policies", "packages/core/src/registry/policies.ts and policy-reasons.ts") +
    INTRODUCTION +
    "## The policies\n\n" +
    "Where Microsoft's pages disagree about a default, it is the one most of them give.\n\n" +
    table(["policy", "preset `do`", "unit", "range", "sets", "meaning here"], rows) +
    "## Why peers are not used\n\n" +
    table(["code", "meaning", "what to do", "policy"], reasons)
  );
}

function rangeText(range: PolicyRow["range"]): string {
  if ("pattern" in range) return range.form;
  return "values" in range ? range.values.join(", ") : `${range.min} to ${range.max}`;
}

/** A setting as code, an option of `startAgent` in words. */
function setText(name: string): string {
  return Object.hasOwn(SETTINGS, name) ? code(name) : name;
}

const INTRODUCTION = `Policies of Delivery Optimization are taken under their own names: \`--policy NAME=VALUE\` and
\`--policy-file FILE\` (a JSON object of names and values) of \`shoal agent\`, and \`policies\` of
\`startAgent\`. A value out of its range is refused with \`ERR_POLICY_INVALID\`. An explicit setting
comes before a policy, a policy before the preset, the preset before Shoal's own default;
\`Agent.configuration()\` says what is in force, who provided it, and which policies have no effect
here and why. A GB is 2^30 bytes, an MB 2^20, a KB 2^10.

Shoal's own defaults ask for nothing: any machine and any file take part in peering, on battery and
on VPN too. What Delivery Optimization asks for by default (4 GB of memory, a disk of 32 GB, files of
50 MB, no upload on battery, no peering on VPN, peers of the subnet, 20 GB a month to the Internet)
is in force with \`--policy-preset do\`, or \`policyPreset: "do"\`.

## Download modes

| mode | peers | manifests | cache servers |
| --- | --- | --- | --- |
| 0 HTTP only | none | yes | yes |
| 1 LAN | private addresses and subnets of this machine; no key | yes | yes |
| 2 Group | as 1, and only who proves to have the group's key | yes | yes |
| 3 Internet | any address | yes | yes |
| 99 Simple | none | no | yes |
| 100 Bypass | none | no | no |

Without peers nothing is dialled, listened to, looked for or offered. In modes 99 and 100 a manifest
that a job itself names by a content id is still looked for at the origin, and its bytes are checked:
who names a content never gets another. A file shorter than the minimum is fetched as in mode 99,
and says so in its snapshot (\`downloadMode\`), though what its manifest says is checked.

## Groups

In mode 2 the group's key comes from \`DOGroupId\`, else from \`DOGroupIdSource\`: DHCP option 234 as
the leases of systemd-networkd, NetworkManager and dhclient have it, or the DNS suffix, which is the
first domain of \`search\` or \`domain\` in \`/etc/resolv.conf\`. Sources that need Windows (1, 2 and 5)
are taken and say that they are not available here. Where no source gives a group there are no peers
(\`groupKeyMissing\`). The key is the SHA-256 of a label and the id in lower case: whoever learns the
id is a member, so it is weaker than a key from a file.

`;

/**
 * The doctor's checks of peering: whether policies allow it, who is there, who is refused and why,
 * whether the group is the same, and which limits hold. All of it is the agent's to say.
 */
import { DOWNLOAD_MODES, POLICY_REASONS } from "@shoal/core";
import { NOT_OF_OUR_GROUP, OF_ANOTHER_GROUP } from "@shoal/swarm";
import { formatCount, formatRate } from "../cli/format-values.ts";
import { readGroupKeys } from "../group-key-file.ts";
import type { AgentService, PeerStatus } from "../service/agent-service.ts";
import { fail, notApplicable, ofAgent, pass, warn } from "./check.ts";
import type { Check, DoctorContext, Outcome } from "./check.ts";

export const PEER_CHECKS: readonly Check[] = [
  ofAgent({ id: "peers.eligibility", title: "Policies", run: checkEligibility }),
  ofAgent({ id: "peers.connections", title: "Peers", run: checkPeers }),
  { id: "peers.group", title: "Group", run: checkGroup },
  ofAgent({ id: "peers.limits", title: "Limits", run: checkLimits }),
];

async function checkEligibility(service: AgentService): Promise<Outcome> {
  const { peering } = await service.configuration();
  const [first, ...others] = peering.reasons;
  if (first === undefined) return pass("Nothing keeps this agent from giving and taking.");
  const { meaning, remedy, policy } = POLICY_REASONS[first];
  const more = others.map((reason) => POLICY_REASONS[reason].meaning).join(" ");
  const by = policy === "" ? "" : ` (${policy})`;
  const facts = { reasons: peering.reasons.join(" "), partners: peering.partners };
  return warn(`${meaning} ${more}`.trim(), `${remedy.replace(/\.$/, "")}${by}.`, facts);
}

async function checkPeers(service: AgentService): Promise<Outcome> {
  const { peering } = await service.configuration();
  if (peering.partners === "none") {
    return notApplicable("The agent takes no peers.", "See above which policy says so.");
  }
  const peers = await service.peers();
  const counts = countStates(peers);
  if (peers.length === 0) {
    const remedy =
      "Check that another agent runs on this network, that multicast works, or name one with --peer.";
    return warn("No peer is known.", remedy, counts);
  }
  const idle = peers.filter(({ state }) => state !== "connected");
  const refusal = mostFrequentReason(idle);
  const why = refusal === undefined ? "" : ` Of the others ${refusal.count}: ${refusal.words}`;
  const code = refusal === undefined ? {} : { reason: refusal.code };
  const remedy = refusal?.remedy ?? "Check that their agents run and that firewalls let them in.";
  if (counts.connected === 0) {
    const words = `${formatCount(peers.length, "peer")} known, and none connected.${why}`;
    return warn(endSentence(words), remedy, { ...counts, ...code });
  }
  const words = `${formatCount(counts.connected, "peer")} connected, ${peers.length} known.${why}`;
  const isRefusing = counts.refused > counts.connected;
  const facts = { ...counts, ...code };
  return isRefusing ? warn(endSentence(words), remedy, facts) : pass(endSentence(words), facts);
}

function countStates(peers: readonly PeerStatus[]): Record<PeerStatus["state"], number> {
  const counts = { connected: 0, dialling: 0, known: 0, refused: 0 };
  for (const { state } of peers) counts[state]++;
  return counts;
}

interface FrequentReason {
  readonly code: string;
  readonly words: string;
  readonly remedy: string | undefined;
  count: number;
}

function mostFrequentReason(peers: readonly PeerStatus[]): FrequentReason | undefined {
  const reasons = new Map<string, FrequentReason>();
  for (const { reason } of peers) {
    if (reason === undefined) continue;
    const { code, words, remedy } = reason;
    const known = reasons.get(words) ?? { code, words, remedy, count: 0 };
    known.count++;
    reasons.set(words, known);
  }
  return [...reasons.values()].toSorted((a, b) => b.count - a.count)[0];
}

function endSentence(text: string): string {
  return /[.!?]$/.test(text) ? text : `${text}.`;
}

async function checkGroup(context: DoctorContext): Promise<Outcome> {
  const { service, groupKeyFiles } = context;
  try {
    await readGroupKeys(groupKeyFiles);
  } catch (error) {
    const words = error instanceof Error ? error.message : "A group's key file cannot be read";
    return fail(endSentence(words), "Mend the file; shoal group create makes a new one.");
  }
  if (service === undefined) {
    return groupKeyFiles.length > 0
      ? pass("The group's key can be read.")
      : notApplicable("No group is configured.", "Make one: shoal group create FILE.");
  }
  const [{ groupName }, { settings }, peers] = await Promise.all([
    service.facts(),
    service.configuration(),
    service.peers(),
  ]);
  const mode = settings.find(({ name }) => name === "downloadMode")?.value;
  const strangers = peers.filter(
    ({ state, reason }) => state !== "connected" && isOtherGroup(reason?.words ?? ""),
  ).length;
  const members = peers.filter(({ state }) => state === "connected").length;
  const facts = { strangers, members, ...(groupName !== undefined && { groupName }) };
  if (strangers > 0) {
    const have = groupName === undefined ? "a group's key, and this agent has none" : "another key";
    const words = `${formatCount(strangers, "peer")} of another group: they have ${have}.`;
    const remedy = "Give all agents of the group the same key file: --group-key FILE.";
    return members === 0 ? fail(words, remedy, facts) : warn(words, remedy, facts);
  }
  if (groupName === undefined) {
    return mode === DOWNLOAD_MODES.group
      ? fail("Mode 2 is for members of a group, and there is no key.", "Set --group-key FILE.")
      : notApplicable("This agent is of no group.", "Make one: shoal group create FILE.");
  }
  if (members > 0) return pass(`${formatCount(members, "member")} of ${groupName} here.`, facts);
  const remedy = "Check that others have the same key: shoal status shows the group's name.";
  return warn(`No other member of the group ${groupName} is connected.`, remedy, facts);
}

function isOtherGroup(words: string): boolean {
  return words.includes(NOT_OF_OUR_GROUP) || words.includes(OF_ANOTHER_GROUP);
}

/** Below it a limit is hardly meant: a piece takes longer than a peer waits for it. */
const RATE_NOTED_BYTES_PER_SEC = 32 * 1024;

async function checkLimits(service: AgentService): Promise<Outcome> {
  const [now, month, { settings }] = await Promise.all([
    service.performance(),
    service.month(),
    service.configuration(),
  ]);
  const limits = [
    ["foreground downloads", now.foregroundRateBytesPerSec],
    ["background downloads", now.backgroundRateBytesPerSec],
    ["uploads", now.uploadRateBytesPerSec],
  ] as const;
  const held = limits.filter(([, rate]) => rate > 0);
  const givers = settings.filter(
    ({ name, provider, value }) =>
      provider !== "default" && value !== 0 && /(?:RateBytesPerSec|Percent)$/.test(name),
  );
  const by = givers.map(({ name, provider, policy }) =>
    provider === "setting" || policy === undefined ? name : `${name} (${policy})`,
  );
  if (month.isUploadLimitReached) {
    const words = "This month's limit of uploads to the Internet is reached.";
    return warn(words, "Wait for the next month, or raise internetUploadMonthBytesMax.");
  }
  if (held.length === 0) return pass("No limit of bandwidth is in force.");
  const words = held.map(([what, rate]) => `${what} ${formatRate(rate)}`).join(", ");
  const from = by.length === 0 ? "" : `, set by ${by.join(", ")}`;
  const facts = Object.fromEntries(held.map(([what, rate]) => [`${what} bytes/s`, rate]));
  const isTiny = held.some(([, rate]) => rate < RATE_NOTED_BYTES_PER_SEC);
  return isTiny
    ? warn(`Limits are very low: ${words}${from}.`, "Raise them, or remove them.", facts)
    : pass(`In force: ${words}${from}.`, facts);
}

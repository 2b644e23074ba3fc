/** Who an agent refuses to talk to, and how an administrator forgives them (R-BAN-05). */
import type { Ban, BanList, Millis } from "@shoal/core";

/** Peers and addresses that are refused for what they did, also in earlier runs. */
export interface AgentBans {
  /** All that are in force. */
  list(): readonly Ban[];
  /**
   * Lifts a ban and forgets what led to it. `subject` as `list` shows it: a peer's id, an IPv4
   * address or an IPv6 network. False: nobody is banned by that name.
   */
  remove(subject: string): boolean;
}

/** `act` runs a verb on the scheduler. */
export function agentBans(
  act: <Result>(verb: (scheduler: { bans: BanList }, now: Millis) => Result) => Result,
): AgentBans {
  return {
    list: () => act(({ bans }, now) => bans.bans(now)),
    remove: (subject) => act(({ bans }, now) => bans.removeBan(subject, now)),
  };
}

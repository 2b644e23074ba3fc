/**
 * The key of a group whose members know only its name: a GUID that administrators hand out, or what
 * DHCP or DNS say. Whoever learns the name is a member, which a key from a file is not open to.
 *
 * Knows text. Called by whoever starts an agent.
 */
import { sha256 } from "../hash/digest.ts";

/** Ends in a zero byte, so that no name continues it. */
const LABEL = "shoal-group-id-v1\0";

/** The 32-byte key of the group: the SHA-256 of a label and the name in lower case, without braces. */
export function groupKeyOf(groupId: string): Uint8Array {
  const name = groupId
    .trim()
    .toLowerCase()
    .replace(/^\{(.*)\}$/, "$1");
  return sha256(new TextEncoder().encode(LABEL + name));
}

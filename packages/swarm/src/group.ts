/**
 * What a group's key is used for: each use has a key of its own, derived from it by HKDF, so that
 * none says anything about the others or about the key (R-GRP-02). Agents without a group share
 * well-known keys for presence, which hide nothing.
 *
 * Knows keys. Knows neither connections nor messages. Called by the swarm when it starts.
 */
import { hkdfSync } from "node:crypto";
import { LIMITS, ShoalError } from "@shoal/core";

/** Length of a group's key in bytes (R-GRP-02). */
export const GROUP_KEY_LENGTH = 32;

/** Where presence is published, and what blinds the names of contents there (R-PRIV-01). */
export interface PresenceScope {
  readonly topic: string;
  readonly key: Uint8Array;
}

/** One key of our group, taken apart. */
export interface Group {
  /** The names under which the members' encrypted handshakes are negotiated. */
  readonly tlsProtocol: string;
  readonly noiseProtocol: string;
  /** Both sides of the Noise handshake must have the same. */
  readonly noisePrologue: Uint8Array;
  /** What both sides prove at the end of the TLS handshake that they have. */
  readonly tlsProofKey: Uint8Array;
  /** R-GRP-03 */
  readonly proofKey: Uint8Array;
  /** What members look for on the local network (R-PRIV-04). */
  readonly serviceTag: string;
  readonly presence: PresenceScope;
}

/**
 * The current group, then the previous one (R-GRP-04). Throws `ERR_KEY_INVALID` for a key of
 * another length or more than two keys, without saying anything about them.
 */
export function groupsOf(groupKeys: readonly Uint8Array[]): readonly Group[] {
  if (groupKeys.length > LIMITS.groupKeysMax) {
    throw new ShoalError("ERR_KEY_INVALID", `${groupKeys.length} group keys`);
  }
  if (groupKeys.some((key) => key.length !== GROUP_KEY_LENGTH)) {
    throw new ShoalError("ERR_KEY_INVALID", `a group key has ${GROUP_KEY_LENGTH} bytes`);
  }
  const groups = groupKeys.map(groupOf);
  return groups.filter(
    ({ noiseProtocol }, i) => groups.findIndex((g) => g.noiseProtocol === noiseProtocol) === i,
  );
}

/** What members may call the group by: the same for all of them, and says nothing about the key. */
export function groupNameOf(groupKey: Uint8Array): string {
  return derive(groupKey, "name", 8).toString("hex");
}

/** Whether the group's members speak in an encrypted handshake of that name. */
export function hasHandshake(group: Group, protocol: string | undefined): boolean {
  return protocol === group.tlsProtocol || protocol === group.noiseProtocol;
}

function groupOf(groupKey: Uint8Array): Group {
  return {
    tlsProtocol: `/tls/${derive(groupKey, "tls protocol", 8).toString("hex")}`,
    tlsProofKey: derive(groupKey, "tls proof", 32),
    noiseProtocol: `/noise/${derive(groupKey, "noise protocol", 8).toString("hex")}`,
    noisePrologue: derive(groupKey, "noise prologue", 32),
    proofKey: derive(groupKey, "membership proof", 32),
    serviceTag: `_${derive(groupKey, "discovery", 5).toString("hex")}._udp.local`,
    presence: presenceOf(groupKey),
  };
}

function presenceOf(groupKey: Uint8Array): PresenceScope {
  return {
    topic: derive(groupKey, "presence topic", 16).toString("hex"),
    key: derive(groupKey, "presence", 32),
  };
}

/** For agents without a group: known to everybody. */
export const OPEN_PRESENCE: PresenceScope = presenceOf(new Uint8Array(GROUP_KEY_LENGTH));

function derive(groupKey: Uint8Array, use: string, length: number): Buffer {
  return Buffer.from(hkdfSync("sha256", groupKey, "shoal group 1", use, length));
}

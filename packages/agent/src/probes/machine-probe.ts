/**
 * What is known of this machine that policies ask about. What a system does not tell stays unknown,
 * and unknown is no reason against anything: power is known on Linux, metered networks nowhere.
 *
 * Knows the system; decides nothing. Called by `startAgent`, again and again.
 */
import { statfs } from "node:fs/promises";
import { networkInterfaces, totalmem } from "node:os";
import type { MachineFacts } from "@shoal/core";
import { probePower } from "./power-probe.ts";
import { hasVpn } from "./vpn-probe.ts";

/** Looks at the machine. May be slow; what it rejects with counts as knowing nothing. */
export type MachineProbe = () => MachineFacts | Promise<MachineFacts>;

const GIB = 2 ** 30;

/** A probe of the system that this process runs on. */
export function machineProbe(options: {
  readonly stateDirectory: string;
  readonly vpnKeywords: readonly string[];
}): MachineProbe {
  return async () => {
    const [power, diskBytes, isVpnUp] = await Promise.all([
      probePower(),
      capacityOf(options.stateDirectory),
      isVpnUpNow(options.vpnKeywords),
    ]);
    return {
      // Firmware and kernel keep a part of what is built in, which policies mean.
      ramBytes: Math.ceil(totalmem() / GIB) * GIB,
      ...power,
      ...(diskBytes !== undefined && { diskBytes }),
      ...(isVpnUp !== undefined && { hasVpn: isVpnUp }),
    };
  };
}

async function capacityOf(directory: string): Promise<number | undefined> {
  try {
    const { blocks, bsize } = await statfs(directory);
    return blocks === 0 ? undefined : blocks * bsize;
  } catch {
    return undefined;
  }
}

async function isVpnUpNow(keywords: readonly string[]): Promise<boolean | undefined> {
  try {
    return await hasVpn(networkInterfaces(), { keywords });
  } catch {
    return undefined;
  }
}

/**
 * Whether the machine runs on battery, and how much is left, as Linux tells in `/sys/class/power_supply`.
 *
 *   Mains or USB, online 1          on mains, whatever batteries say
 *   Battery, status Discharging     on battery
 *   Battery, scope Device           of a mouse or a headset: not looked at
 *
 * Knows files; decides nothing. Called by `probeMachine`.
 */
import { join } from "node:path";
import type { MachineFacts } from "@shoal/core";
import { listDirectory, readSmallFile } from "./small-file.ts";

export async function probePower(
  directory = "/sys/class/power_supply",
): Promise<Pick<MachineFacts, "isOnBattery" | "batteryPercent">> {
  const charges: number[] = [];
  let [isOnMains, isDischarging] = [false, false];
  for (const supply of await listDirectory(directory)) {
    const value = async (name: string): Promise<string> =>
      ((await readSmallFile(join(supply, name))) ?? "").trim();
    if ((await value("type")) !== "Battery") {
      isOnMains ||= (await value("online")) === "1";
      continue;
    }
    if ((await value("scope")) === "Device") continue;
    isDischarging ||= (await value("status")) === "Discharging";
    const charge = await value("capacity");
    if (/^\d{1,3}$/.test(charge)) charges.push(Math.min(100, Number(charge)));
  }
  if (charges.length === 0 && !isDischarging) return {};
  const isOnBattery = isDischarging && !isOnMains;
  if (charges.length === 0) return { isOnBattery };
  const batteryPercent = charges.reduce((sum, charge) => sum + charge, 0) / charges.length;
  return { isOnBattery, batteryPercent };
}

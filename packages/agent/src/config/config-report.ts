/**
 * The configuration as it is shown: every key, its value in text, and who gave it. Secrets are not
 * in it (R-API-13).
 *
 * Knows entries and what policies come to. Called by `shoal config` and by a running agent.
 */
import { resolvePolicies, SETTINGS } from "@shoal/core";
import type { EffectiveSetting, SettingName, SettingRow } from "@shoal/core";
import { settingsAndPolicies } from "./config-options.ts";
import { CONFIG_KEYS } from "./config-keys.ts";
import type { ConfigKey, ConfigValue } from "./config-keys.ts";
import type { Config, ConfigLayer } from "./load-config.ts";

/** A key as it is in force. */
export interface ConfigReport {
  readonly name: string;
  /** Absent: nobody gives one, and the default is no fixed value. */
  readonly value?: ConfigValue;
  /**
   * `policy` and `preset`: a policy of Delivery Optimization sets it. `setting`: in an agent that
   * runs, somebody has given it.
   */
  readonly layer: ConfigLayer | "policy" | "preset" | "setting";
  /** A file's line, a variable, a flag, or the policy. */
  readonly where?: string;
  /** Whether a reload changes it. */
  readonly isLive: boolean;
}

const HIDDEN = "(hidden)";

/** Throws `ERR_POLICY_INVALID` or `ERR_SETTING_INVALID`. */
export function reportConfig(config: Config): readonly ConfigReport[] {
  const { policyPreset: preset, ...given } = settingsAndPolicies(config);
  const { effective } = resolvePolicies({ ...given, ...(preset && { preset }) });
  const settings = new Map<string, EffectiveSetting>(effective.map((row) => [row.name, row]));
  return [...CONFIG_KEYS.values()].map((key) => {
    const setting = settings.get(key.name);
    const isByPolicy = setting?.provider === "policy" || setting?.provider === "preset";
    if (setting === undefined || !isByPolicy) return reportKey(config, key);
    const policy = policyOf(config, setting);
    return {
      name: key.name,
      value: setting.value,
      layer: setting.provider as "policy" | "preset",
      ...(policy !== undefined && { where: policy }),
      isLive: key.isLive,
    };
  });
}

function policyOf(config: Config, { policy }: EffectiveSetting): string | undefined {
  const entry = policy === undefined ? undefined : config.entries.get(policy);
  return entry === undefined ? policy : `${policy}, ${entry.where}`;
}

function reportKey(config: Config, key: ConfigKey): ConfigReport {
  const { name, isLive } = key;
  const entry = config.entries.get(name);
  if (entry === undefined) {
    const value = key.default === undefined ? {} : { value: key.default };
    return { name, ...value, layer: "default", isLive };
  }
  const value = key.isSecret === true ? HIDDEN : entry.value;
  return { name, value, layer: entry.layer, where: entry.where, isLive };
}

/** A value as one writes it: `2MiB`, `30s`, `true`. */
export function valueText(name: string, value: ConfigValue | undefined): string {
  const key = CONFIG_KEYS.get(name);
  if (value === undefined) return key?.defaultWords?.replaceAll("`", "") ?? "not set";
  if (typeof value === "object") return value.length === 0 ? "none" : value.join(" ");
  if (key?.kind === "mode") return Number(value).toString(8).padStart(4, "0");
  const unit = key?.kind === "bytes" ? "bytes" : unitOf(name);
  if (typeof value !== "number" || value === 0) {
    return unit === "boolean" ? "false" : String(value);
  }
  return withUnit(value, unit);
}

function unitOf(name: string): SettingRow["unit"] | undefined {
  return Object.hasOwn(SETTINGS, name) ? SETTINGS[name as SettingName].unit : undefined;
}

function withUnit(value: number, unit: SettingRow["unit"] | undefined): string {
  switch (unit) {
    case "ms":
      return inUnits(value, "ms", { h: 3_600_000, min: 60_000, s: 1_000 });
    case "bytes":
    case "bytes/s":
      return inUnits(value, "", { TiB: 2 ** 40, GiB: 2 ** 30, MiB: 2 ** 20, KiB: 2 ** 10 });
    case "percent":
      return `${value}%`;
    case "boolean":
      return "true";
    default:
      return String(value);
  }
}

/** In the largest unit that leaves a whole number, so that it can be read back. */
function inUnits(value: number, smallest: string, units: Readonly<Record<string, number>>): string {
  const fitting = Object.entries(units).find(([, factor]) => value % factor === 0);
  return fitting === undefined ? `${value}${smallest}` : `${value / fitting[1]}${fitting[0]}`;
}

/**
 * The one table of configuration keys: the agent's own (`agent-keys.ts`), every setting and every
 * policy of Delivery Optimization, each by its name. Files, environment variables, flags,
 * `shoal config` and docs/configuration.md are made from it.
 *
 * Knows names, kinds and defaults; not where values come from. Called by whoever reads, shows or
 * changes configuration.
 */
import {
  checkPolicyValue,
  CONTENT_CACHE_SETTINGS,
  isPolicyName,
  isSettingValue,
  PACE_SETTINGS,
  parsePolicyValue,
  POLICIES,
  SETTINGS,
} from "@shoal/core";
import type { PolicyName, PolicyRow, SettingName, SettingRow } from "@shoal/core";
import { nearestName } from "../cli/nearest-name.ts";
import { AGENT_KEYS } from "./agent-keys.ts";
import { BYTE_UNITS, parseAmount, parseSettingText, parseTruth } from "./value-texts.ts";

export type ConfigValue = string | number | boolean | readonly string[];

export type ConfigKind =
  | "boolean"
  | "text"
  | "path"
  | "texts"
  | "paths"
  | "choice"
  | "port"
  | "mode"
  | "bytes"
  | "setting"
  | "policy";

/** A row of the agent's own keys. */
export interface AgentKeyRow {
  readonly kind: Exclude<ConfigKind, "setting" | "policy">;
  readonly values?: readonly string[];
  readonly default?: ConfigValue;
  /** Of a default that is no fixed value. */
  readonly defaultWords?: string;
  readonly flag?: string;
  /** Takes effect by a reload. Default: at the next start. */
  readonly isLive?: boolean;
  /** Never shown (R-API-13). */
  readonly isSecret?: boolean;
  readonly help: string;
}

export interface ConfigKey extends Omit<AgentKeyRow, "kind" | "isLive"> {
  readonly name: string;
  readonly kind: ConfigKind;
  readonly isLive: boolean;
  /** `SHOAL_` and the name in upper case, with underscores between its words. */
  readonly variable: string;
}

/** A value, or what is wrong with the text in words. */
export type ParsedText = { readonly value: ConfigValue } | { readonly problem: string };

/** Settings that a running agent takes. */
const LIVE_SETTINGS: ReadonlySet<string> = new Set([
  ...Object.keys(PACE_SETTINGS),
  ...Object.keys(CONTENT_CACHE_SETTINGS),
]);

/** Whether a reload changes the setting; others change at the next start. */
export function isLiveSetting(name: string): boolean {
  return LIVE_SETTINGS.has(name);
}

export const CONFIG_KEYS: ReadonlyMap<string, ConfigKey> = new Map(
  [...agentKeys(), ...settingKeys(), ...policyKeys()].map((key) => [key.name, key]),
);

function agentKeys(): ConfigKey[] {
  return Object.entries<AgentKeyRow>(AGENT_KEYS).map(([name, row]) => ({
    isLive: false,
    ...row,
    name,
    variable: variableOf(name),
  }));
}

function settingKeys(): ConfigKey[] {
  return Object.entries<SettingRow>(SETTINGS).map(([name, row]) => ({
    name,
    kind: "setting",
    default: row.default,
    flag: "--setting",
    isLive: isLiveSetting(name),
    variable: variableOf(name),
    help: row.help,
  }));
}

function policyKeys(): ConfigKey[] {
  return Object.entries<PolicyRow>(POLICIES).map(([name, row]) => ({
    name,
    kind: "policy",
    defaultWords: "not set",
    flag: "--policy",
    isLive: row.sets.length > 0 && row.sets.every(isLiveSetting),
    variable: variableOf(name),
    help: row.help,
    ...(row.isSecret === true && { isSecret: true }),
  }));
}

/** `uploadRateBytesPerSec` is `SHOAL_UPLOAD_RATE_BYTES_PER_SEC`. */
function variableOf(name: string): string {
  const words = name
    .replaceAll(/([a-z0-9])([A-Z])/g, "$1_$2")
    .replaceAll(/([A-Z]+)([A-Z][a-z])/g, "$1_$2");
  return `SHOAL_${words.toUpperCase()}`;
}

/** Whether the key takes several values. */
export function isList({ kind }: ConfigKey): boolean {
  return kind === "texts" || kind === "paths";
}

/** Several values in one text: paths with commas between them, others with spaces. */
export function splitList({ kind }: ConfigKey, text: string): readonly string[] {
  const items = text.split(kind === "paths" ? "," : /\s+/);
  return items.map((item) => item.trim()).filter((item) => item !== "");
}

/** Reads one value, of a list one item. Paths are as they stand. */
export function parseConfigText(key: ConfigKey, text: string): ParsedText {
  switch (key.kind) {
    case "boolean":
      return valueOr(parseTruth(text), "it takes true or false");
    case "choice":
      return valueOr(
        key.values?.find((value) => value === text),
        `it takes ${key.values?.join(", ")}`,
      );
    case "port":
      return valueOr(numberUpTo(text, 65_535), "it takes a port from 0 to 65535");
    case "mode":
      return valueOr(
        /^(0o?)?[0-7]{3}$/.test(text) ? Number.parseInt(text.slice(-3), 8) : undefined,
        "it takes octal digits such as 0660",
      );
    case "bytes":
      return valueOr(wholeBytes(text), "it takes a number of bytes such as 512MiB");
    case "setting":
      return parseSettingOf(key, text);
    case "policy":
      return parsePolicyOf(key, text);
    default:
      return /\p{Cc}/u.test(text) || (text === "" && key.kind !== "text")
        ? { problem: "it takes text on one line" }
        : { value: text };
  }
}

function valueOr(value: ConfigValue | undefined, problem: string): ParsedText {
  return value === undefined ? { problem } : { value };
}

function numberUpTo(text: string, max: number): number | undefined {
  return /^\d{1,6}$/.test(text) && Number(text) <= max ? Number(text) : undefined;
}

function wholeBytes(text: string): number | undefined {
  const bytes = parseAmount(text, BYTE_UNITS);
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}

function parseSettingOf({ name }: ConfigKey, text: string): ParsedText {
  const row: SettingRow = SETTINGS[name as SettingName];
  const value = parseSettingText(text, row.unit);
  if (value !== undefined && isSettingValue(row, value)) return { value };
  return { problem: `it takes ${settingRange(row)}` };
}

/** What a setting can be, in words. */
export function settingRange({ unit, min, max, values }: SettingRow): string {
  if (unit === "boolean") return "true or false";
  const units = { ms: ", in ms or such as 30s", bytes: ", in bytes or such as 2MiB" };
  const rate = { "bytes/s": ", in bytes/s or such as 2MiB", percent: ", in percent" };
  const words = { ...units, ...rate, count: "", hour: "", choice: "", boolean: "" }[unit];
  return `${values?.join(", ") ?? `whole numbers from ${min} to ${max}`}${words}`;
}

function parsePolicyOf({ name }: ConfigKey, text: string): ParsedText {
  if (!isPolicyName(name)) return { problem: "there is no such policy" };
  const { range }: PolicyRow = POLICIES[name as PolicyName];
  const isTruth = "values" in range && range.values.length === 2 && range.values[0] === 0;
  const truth = isTruth ? parseTruth(text) : undefined;
  const value = truth === undefined ? parsePolicyValue(name, text) : Number(truth);
  const problem = checkPolicyValue(name, value);
  return problem === undefined
    ? { value }
    : { problem: problem.replace(`${name} takes`, "it takes") };
}

/** `: did you mean mdns?` for a name that is nearly one; else nothing. */
export function nameHint(name: string): string {
  const names = [...CONFIG_KEYS.keys()];
  const lower = name.toLowerCase();
  const near = names.find((known) => known.toLowerCase() === lower) ?? nearestName(name, names);
  return near === undefined ? "" : `: did you mean ${near}?`;
}

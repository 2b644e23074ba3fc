/**
 * Values of command-line options: durations, byte counts, settings, digests and content ids. A
 * parser returns the value or throws commander's `InvalidArgumentError`, whose text follows the
 * option and the value in the message.
 */
import {
  isProductName,
  isSettingValue,
  KiB,
  LIMITS,
  MiB,
  parseContentId,
  parseSha256Hex,
  SETTINGS,
} from "@shoal/core";
import type { ContentId, Millis, SettingName, SettingRow, Settings } from "@shoal/core";
import { InvalidArgumentError } from "commander";
import {
  BYTE_UNITS,
  DURATION_UNITS_MS,
  parseAmount,
  parseSettingText,
} from "../config/value-texts.ts";

/** `90`, `90s`, `1.5h`, `500ms`: a number without a unit is in seconds. At least 1 ms. */
export function parseDuration(text: string): Millis {
  const durationMs = parseAmount(text, DURATION_UNITS_MS);
  if (durationMs === undefined || durationMs < 1 || durationMs > 2 ** 31 - 1) {
    throw new InvalidArgumentError("A duration is a number with a unit: 30s, 5min, 2h.");
  }
  return Math.round(durationMs);
}

const YEAR_MS = 365 * 24 * 3_600_000;

/** As `parseDuration`, up to a year. */
export function parseDistance(text: string): Millis {
  const distanceMs = parseAmount(text, DURATION_UNITS_MS);
  if (distanceMs === undefined || distanceMs > YEAR_MS) {
    throw new InvalidArgumentError("It takes a time of at most a year: 12h, 30d.");
  }
  return Math.round(distanceMs);
}

/** `1048576`, `1MiB`, `256k`: units are binary. A whole number of bytes. */
export function parseBytes(text: string): number {
  const bytes = parseAmount(text, BYTE_UNITS);
  if (bytes === undefined || !Number.isSafeInteger(bytes)) {
    throw new InvalidArgumentError("A number of bytes is whole: 65536, 256KiB, 1MiB.");
  }
  return bytes;
}

/** `2MiB`, `500k`, `2MiB/s`: bytes in a second, as far as settings of rates go; 0 is no limit. */
export function parseRate(text: string): number {
  const rate = parseAmount(text.replace(/\/s$/i, ""), BYTE_UNITS);
  if (rate === undefined || rate > SETTINGS.downloadRateBytesPerSec.max) {
    throw new InvalidArgumentError("A rate is a number of bytes in a second: 500KiB, 2MiB.");
  }
  return Math.ceil(rate);
}

/** A piece length that manifests allow. */
export function parsePieceLength(text: string): number {
  const bytes = parseBytes(text);
  const { pieceLengthMin: min, pieceLengthMax: max } = LIMITS;
  if (bytes < min || bytes > max || (bytes & (bytes - 1)) !== 0) {
    const range = `${min / KiB}KiB to ${max / MiB}MiB`;
    throw new InvalidArgumentError(`A piece length is a power of two from ${range}.`);
  }
  return bytes;
}

/** `NAME=VALUE` with a name of the settings table; values may carry units. */
export function parseSetting(text: string): Partial<Settings> {
  const at = text.indexOf("=");
  const name = text.slice(0, Math.max(at, 0));
  if (at < 1) throw new InvalidArgumentError("A setting is NAME=VALUE.");
  if (!Object.hasOwn(SETTINGS, name)) {
    throw new InvalidArgumentError(`There is no setting "${name}".`);
  }
  const setting: SettingRow = SETTINGS[name as SettingName];
  const value = parseSettingText(text.slice(at + 1), setting.unit);
  if (value === undefined || !isSettingValue(setting, value)) {
    const range = setting.values?.join(", ") ?? `${setting.min} to ${setting.max}`;
    throw new InvalidArgumentError(`It takes whole numbers from ${range}, in ${setting.unit}.`);
  }
  return { [name]: value };
}

/** A whole number from 0 to 2^40: the sequence of a signed manifest. */
export function parseSequence(text: string): number {
  const sequence = parseAmount(text, { "": 1 });
  if (!Number.isInteger(sequence) || sequence === undefined || sequence > 2 ** 40) {
    throw new InvalidArgumentError("A sequence is a whole number, at most 2^40.");
  }
  return sequence;
}

/** Whole days, from one to ten years. */
export function parseDays(text: string): number {
  const days = parseAmount(text, { "": 1, d: 1 });
  if (!Number.isInteger(days) || days === undefined || days < 1 || days > 3_650) {
    throw new InvalidArgumentError("It takes 1 to 3650 days.");
  }
  return days;
}

/** A port from 0 to 65535. */
export function parsePort(text: string): number {
  const port = parseAmount(text, { "": 1 });
  if (!Number.isInteger(port) || port === undefined || port > 65_535) {
    throw new InvalidArgumentError("A port is a number from 0 to 65535.");
  }
  return port;
}

/** A name for signed manifests. */
export function parseProduct(text: string): string {
  if (!isProductName(text)) throw new InvalidArgumentError("A product is named in 1 to 255 bytes.");
  return text;
}

/** A SHA-256 as 64 hex digits, in lower case. */
export function parseSha256(text: string): string {
  if (parseSha256Hex(text) === undefined) {
    throw new InvalidArgumentError("A SHA-256 has 64 hexadecimal digits.");
  }
  return text.toLowerCase();
}

export function parseContentIdText(text: string): ContentId {
  const contentId = parseContentId(text);
  if (contentId === undefined) {
    throw new InvalidArgumentError("A content id is what `shoal publish` prints.");
  }
  return contentId;
}

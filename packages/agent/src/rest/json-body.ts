/**
 * Reads a body: its structure is measured before it is parsed, since megabytes of brackets would
 * become a hundred of objects (R-API-09).
 *
 * Knows JSON's shape, no field. Called by the REST server; golden cases are in its test.
 */
import { LIMITS, ShoalError } from "@shoal/core";

export interface BodyBounds {
  /** Of every array. */
  readonly itemsMax: number;
  /** Of every text, in characters as they are written. */
  readonly textLengthMax: number;
}

export const USUAL_BOUNDS: BodyBounds = {
  itemsMax: LIMITS.jsonItemsMax,
  textLengthMax: LIMITS.jsonTextLengthMax,
};
/** Of jobs, whose parts have bounds of their own, with codes of their own. */
export const JOB_BOUNDS: BodyBounds = { itemsMax: Infinity, textLengthMax: Infinity };

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Nothing at all is an empty object. `ERR_USAGE` for anything but JSON within the bounds. */
export function parseBody(bytes: Uint8Array, bounds: BodyBounds): unknown {
  if (bytes.length === 0) return {};
  checkStructure(bytes, bounds);
  try {
    const text = decoder.decode(bytes);
    // Looking at every name takes long, and few bodies can have this one.
    return JSON.parse(text, PROTOTYPE_OR_ESCAPE.test(text) ? refusePrototype : undefined);
  } catch (cause) {
    if (cause instanceof ShoalError) throw cause;
    throw new ShoalError("ERR_USAGE", "the body is no JSON", { cause });
  }
}

const PROTOTYPE_OR_ESCAPE = /__proto__|\\u/;

/** Schemas pass over this name where they do not refuse it (R-PROC-06). */
function refusePrototype(name: string, value: unknown): unknown {
  if (name !== "__proto__") return value;
  throw new ShoalError("ERR_USAGE", "no field is named __proto__");
}

/** Whether it is JSON is not looked at. */
function checkStructure(json: Uint8Array, { itemsMax, textLengthMax }: BodyBounds): void {
  /** Commas so far in each bracket that is open. */
  const commaCounts: number[] = [];
  let partCount = 0;
  let textStart = -1;
  for (let i = 0; i < json.length; i++) {
    const byte = json[i]!;
    if (textStart >= 0) {
      if (byte === BACKSLASH) i++;
      else if (byte === QUOTE) {
        if (i - textStart > textLengthMax) throw new ShoalError("ERR_USAGE", "a text is too long");
        textStart = -1;
      }
    } else if (byte === QUOTE) textStart = i + 1;
    else if (byte === OPEN_BRACKET || byte === OPEN_BRACE) {
      commaCounts.push(0);
      partCount++;
      if (commaCounts.length > LIMITS.jsonDepthMax) {
        throw new ShoalError("ERR_USAGE", "it nests too deeply");
      }
    } else if (byte === CLOSE_BRACKET || byte === CLOSE_BRACE) commaCounts.pop();
    else if (byte === COMMA) {
      partCount++;
      const count = (commaCounts.pop() ?? 0) + 1;
      commaCounts.push(count);
      if (count >= itemsMax) throw new ShoalError("ERR_USAGE", "a list is too long");
    }
  }
  if (partCount > LIMITS.jsonPartsMax) {
    throw new ShoalError("ERR_USAGE", `${partCount} values are too many for one call`);
  }
}

const QUOTE = 0x22;
const COMMA = 0x2c;
const OPEN_BRACKET = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE_BRACKET = 0x5d;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;

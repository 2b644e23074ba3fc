/**
 * The small part of CBOR (RFC 8949) that manifests use: unsigned integers, byte and text strings,
 * arrays and maps with text keys, all of definite length, in the canonical form of dag-cbor:
 * shortest heads, map keys ordered by length and then by bytes, no key twice.
 *
 * The reader is pulled by a fixed schema, field by field. It has no recursion and builds no generic
 * objects, so hostile bytes cannot make it nest, allocate or pollute (R-PEER-21, R-DEP-01). It
 * throws `CborError` and nothing else.
 */
export class CborError extends Error {
  override readonly name = "CborError";
}

const MAJOR = { uint: 0, bytes: 2, text: 3, array: 4, map: 5 } as const;
type Major = (typeof MAJOR)[keyof typeof MAJOR];

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const encoder = new TextEncoder();

export class CborReader {
  readonly #bytes: Uint8Array;
  #offset = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** An unsigned integer, at most `max`. */
  uint(max: number): number {
    const value = this.#head(MAJOR.uint);
    if (value > max) throw new CborError(`integer ${value} exceeds ${max}`);
    return value;
  }

  /** A byte string of at most `lengthMax` bytes: a view of the input, not a copy. */
  bytes(lengthMax: number): Uint8Array {
    return this.#take(this.#head(MAJOR.bytes), lengthMax);
  }

  /** A text string of at most `lengthMax` UTF-8 bytes; broken UTF-8 is refused. */
  text(lengthMax: number): string {
    const bytes = this.#take(this.#head(MAJOR.text), lengthMax);
    try {
      return decoder.decode(bytes);
    } catch {
      throw new CborError("text is not UTF-8");
    }
  }

  /** The number of items of an array, at most `countMax`; the caller reads the items next. */
  array(countMax: number): number {
    return this.#count(this.#head(MAJOR.array), countMax);
  }

  /**
   * Reads a whole map: for each key, in the order found, `field(key)` must read exactly its value.
   * Refuses keys out of canonical order, which also refuses keys that stand twice.
   */
  map(countMax: number, keyLengthMax: number, field: (key: string) => void): void {
    const count = this.#count(this.#head(MAJOR.map), countMax);
    let previous: Uint8Array | undefined;
    for (let i = 0; i < count; i++) {
      const begin = this.#offset;
      const key = this.text(keyLengthMax);
      const keyBytes = this.#bytes.subarray(begin, this.#offset);
      if (previous !== undefined && compareKeys(previous, keyBytes) >= 0) {
        throw new CborError(`map key "${key}" is out of order or stands twice`);
      }
      previous = keyBytes;
      field(key);
    }
  }

  /** Refuses bytes after the last value. */
  end(): void {
    if (this.#offset !== this.#bytes.length) throw new CborError("bytes after the end");
  }

  #head(expected: Major): number {
    const first = this.#byte();
    if (first >>> 5 !== expected) throw new CborError(`unexpected type ${first >>> 5}`);
    const short = first & 0x1f;
    if (short < 24) return short;
    if (short > 27) throw new CborError("indefinite or reserved length");
    const width = 1 << (short - 24);
    let value = 0;
    for (let i = 0; i < width; i++) value = value * 256 + this.#byte();
    if (!Number.isSafeInteger(value)) throw new CborError("integer beyond 2^53-1");
    const smallest = width === 1 ? 24 : 2 ** (4 * width);
    if (value < smallest) throw new CborError("integer is not in its shortest form");
    return value;
  }

  #byte(): number {
    const byte = this.#bytes[this.#offset];
    if (byte === undefined) throw new CborError("input ends early");
    this.#offset++;
    return byte;
  }

  #take(length: number, lengthMax: number): Uint8Array {
    if (length > lengthMax) throw new CborError(`string of ${length} bytes exceeds ${lengthMax}`);
    const end = this.#offset + length;
    if (end > this.#bytes.length) throw new CborError("input ends early");
    const view = this.#bytes.subarray(this.#offset, end);
    this.#offset = end;
    return view;
  }

  #count(count: number, countMax: number): number {
    if (count > countMax) throw new CborError(`${count} items exceed ${countMax}`);
    return count;
  }
}

/** A value the writer can encode. Maps are given as entries; the writer puts them in order. */
export type CborValue =
  | number
  | string
  | Uint8Array
  | readonly CborValue[]
  | { readonly entries: ReadonlyArray<readonly [string, CborValue]> };

/** Encodes `value` canonically. Integers must be in [0, 2^53-1]. */
export function encodeCbor(value: CborValue): Uint8Array {
  const parts: Uint8Array[] = [];
  write(value, parts);
  const total = parts.reduce((sum, part) => sum + part.length, 0);
  const out = new Uint8Array(total);
  let offset = 0;
  for (const part of parts) {
    out.set(part, offset);
    offset += part.length;
  }
  return out;
}

function write(value: CborValue, parts: Uint8Array[]): void {
  if (typeof value === "number") {
    parts.push(head(MAJOR.uint, value));
  } else if (typeof value === "string") {
    parts.push(textItem(value));
  } else if (value instanceof Uint8Array) {
    parts.push(head(MAJOR.bytes, value.length), value);
  } else if ("entries" in value && !Array.isArray(value)) {
    const entries = (value as { entries: ReadonlyArray<readonly [string, CborValue]> }).entries;
    const encoded = entries.map(([key, item]) => ({ key: textItem(key), item }));
    encoded.sort((a, b) => compareKeys(a.key, b.key));
    parts.push(head(MAJOR.map, encoded.length));
    for (const { key, item } of encoded) {
      parts.push(key);
      write(item, parts);
    }
  } else {
    const items = value as readonly CborValue[];
    parts.push(head(MAJOR.array, items.length));
    for (const item of items) write(item, parts);
  }
}

function textItem(text: string): Uint8Array {
  const bytes = encoder.encode(text);
  const prefix = head(MAJOR.text, bytes.length);
  const out = new Uint8Array(prefix.length + bytes.length);
  out.set(prefix);
  out.set(bytes, prefix.length);
  return out;
}

function head(major: Major, value: number): Uint8Array {
  if (!Number.isSafeInteger(value) || value < 0) throw new CborError(`cannot encode ${value}`);
  if (value < 24) return Uint8Array.of((major << 5) | value);
  const widthCode = value < 2 ** 8 ? 0 : value < 2 ** 16 ? 1 : value < 2 ** 32 ? 2 : 3;
  const width = 1 << widthCode;
  const out = new Uint8Array(1 + width);
  out[0] = (major << 5) | (24 + widthCode);
  let rest = value;
  for (let i = width; i >= 1; i--) {
    out[i] = rest % 256;
    rest = Math.floor(rest / 256);
  }
  return out;
}

/** Canonical order of encoded keys: shorter first, then by bytes (RFC 7049 section 3.9). */
function compareKeys(a: Uint8Array, b: Uint8Array): number {
  if (a.length !== b.length) return a.length - b.length;
  for (let i = 0; i < a.length; i++) {
    if (a[i] !== b[i]) return a[i]! - b[i]!;
  }
  return 0;
}

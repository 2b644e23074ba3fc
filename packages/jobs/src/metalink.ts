/**
 * Reads a Metalink 4 document (RFC 5854): files with their URLs in order, and SHA-256 digests of
 * whole files and of pieces. What it says is what its reader trusts it with; bytes are checked
 * against it.
 *
 *   <file name>      the file's id, and a name in a directory if it can be one (R-MAN-11)
 *   <url>            http: and https: only, by priority, then by location; the rest is left out
 *   <hash>           `sha-256` only (R-MAN-03)
 *   <pieces>         with `sha-256` and <size>, a manifest: pieces may then come from peers
 *
 * Knows the format and nothing of jobs under way. Documents with a DOCTYPE are refused and entities
 * are not expanded, so that none grows while it is read. Called by whoever has a document.
 */
import { join } from "node:path";
import {
  checkFileSpec,
  contentIdOf,
  encodeManifest,
  isFileName,
  LIMITS,
  parseSha256Hex,
  PieceLayout,
  ShoalError,
} from "@shoal/core";
import { XMLParser } from "fast-xml-parser";
import type { CreateJobFile } from "./create-job-options.ts";

export interface MetalinkOptions {
  /** Absolute: each file's destination is its name in here. Default: no destinations. */
  readonly directory?: string;
  /** ISO 3166 code of a country, whose servers come first among those of equal priority. */
  readonly location?: string;
}

/** Of the URLs of one priority. */
const PRIORITY_LAST = 999_999;
const DEPTH_MAX = 16;

/**
 * The files of a document, for `createJob`. Throws `ERR_METALINK_MALFORMED` for what is not a
 * Metalink 4 document or is too long, and for files that are nowhere to be had or, where a
 * directory is given, have a name that cannot be a file's there.
 */
export function parseMetalink(text: string, options: MetalinkOptions = {}): CreateJobFile[] {
  const files = childrenOf(childrenOf(parseXml(text), "metalink")[0], "file");
  if (files.length === 0) throw malformed("it has no files");
  if (files.length > LIMITS.filesPerJobMax) throw malformed(`${files.length} files`);
  const names = new Set<string>();
  return files.map((element) => {
    const name = attributeOf(element, "name") ?? "";
    if (names.has(name)) throw malformed("a file stands twice");
    names.add(name);
    return fileOf(element, name, options);
  });
}

function fileOf(element: Element, name: string, options: MetalinkOptions): CreateJobFile {
  if (name === "" || name.length > LIMITS.nameLengthMax) throw malformed("a file's name");
  const [url, ...mirrors] = urlsOf(element, options.location);
  const length = lengthOf(element);
  const pieces = manifestOf(element, length);
  if (url === undefined && pieces === undefined) throw malformed("a file without http: URLs");
  const sha256 = sha256Of(childrenOf(element, "hash"));
  return {
    fileId: name,
    ...(url !== undefined && { url }),
    ...(mirrors.length > 0 && { mirrors }),
    ...(options.directory !== undefined && { destination: placeOf(name, options.directory) }),
    ...(sha256 !== undefined && { sha256 }),
    ...(length !== undefined && { declaredLength: length }),
    ...pieces,
  };
}

/** R-MAN-11: one component, whatever the document says. */
function placeOf(name: string, directory: string): string {
  if (!isFileName(name)) throw malformed("a file's name is not one component of a path");
  return join(directory, name);
}

/** Those that can be asked, the best first, and no more than a job takes. */
function urlsOf(element: Element, location: string | undefined): string[] {
  const places = childrenOf(element, "url").map((child) => ({
    url: textOf(child),
    priority: priorityOf(child),
    isNear: location !== undefined && attributeOf(child, "location") === location.toLowerCase(),
  }));
  const usable = places.filter(({ url }) => checkFileSpec({ url }) === undefined);
  const sorted = usable.toSorted(
    (a, b) => a.priority - b.priority || Number(b.isNear) - Number(a.isNear),
  );
  return [...new Set(sorted.map(({ url }) => url))].slice(0, LIMITS.mirrorsPerFileMax + 1);
}

function priorityOf(element: Element): number {
  const text = attributeOf(element, "priority") ?? "";
  return /^[0-9]{1,6}$/.test(text) ? Number(text) : PRIORITY_LAST;
}

function lengthOf(element: Element): number | undefined {
  const [size] = childrenOf(element, "size");
  const text = size === undefined ? "" : textOf(size);
  const length = /^[0-9]{1,15}$/.test(text) ? Number(text) : Infinity;
  return length <= LIMITS.contentLengthMax ? length : undefined;
}

function sha256Of(hashes: readonly Element[]): string | undefined {
  const hash = hashes.find((child) => attributeOf(child, "type") === "sha-256");
  const text = hash === undefined ? "" : textOf(hash).toLowerCase();
  return parseSha256Hex(text) === undefined ? undefined : text;
}

/** R-MAN-01: piece digests that are none cost the peers, not the file. */
function manifestOf(
  element: Element,
  length: number | undefined,
): Pick<CreateJobFile, "manifest" | "contentId"> | undefined {
  const pieces = childrenOf(element, "pieces").find(
    (child) => attributeOf(child, "type") === "sha-256",
  );
  if (pieces === undefined || length === undefined) return undefined;
  const layout = layoutOf(length, attributeOf(pieces, "length") ?? "");
  const hashes = childrenOf(pieces, "hash");
  if (layout === undefined || hashes.length !== layout.pieceCount) return undefined;
  const pieceDigests = new Uint8Array(hashes.length * 32);
  for (const [piece, hash] of hashes.entries()) {
    const digest = parseSha256Hex(textOf(hash));
    if (digest === undefined) return undefined;
    pieceDigests.set(digest, piece * 32);
  }
  // By lengths and digests alone, so that all who have the same pieces share a swarm.
  const manifest = encodeManifest({ layout, pieceDigests, files: [], hints: {} });
  if (Math.ceil(manifest.length / 3) * 4 > LIMITS.inlineManifestLengthMax) return undefined;
  return { manifest, contentId: contentIdOf(manifest) };
}

/** Metalink allows lengths that are no powers of two: such pieces are listed one by one. */
function layoutOf(length: number, text: string): PieceLayout | undefined {
  const pieceLength = /^[0-9]{1,9}$/.test(text) ? Number(text) : 0;
  if (pieceLength < 1 || pieceLength > LIMITS.pieceLengthMax) return undefined;
  const count = Math.ceil(length / pieceLength);
  if (count > LIMITS.piecesPerManifestMax) return undefined;
  const isPowerOfTwo = (pieceLength & (pieceLength - 1)) === 0;
  if (isPowerOfTwo && pieceLength >= LIMITS.pieceLengthMin) {
    return PieceLayout.fixed(length, pieceLength);
  }
  const lengths = new Uint32Array(count).fill(pieceLength);
  if (count > 0) lengths[count - 1] = length - (count - 1) * pieceLength;
  return PieceLayout.explicit(lengths);
}

/** An element as the parser gives it: children by name, attributes by `@` and name. */
type Element = Readonly<Record<string, unknown>> | string;

const TEXT = "#text";
const LISTS = new Set(["metalink", "file", "url", "hash", "pieces", "size"]);

function parseXml(text: string): Element {
  if (text.length > LIMITS.metalinkLengthMax) throw malformed(`${text.length} characters`);
  if (/<!DOCTYPE/i.test(text)) throw malformed("it has a document type");
  const parser = new XMLParser({
    ignoreAttributes: false,
    attributeNamePrefix: "@",
    textNodeName: TEXT,
    parseTagValue: false,
    parseAttributeValue: false,
    processEntities: false,
    removeNSPrefix: true,
    maxNestedTags: DEPTH_MAX,
    isArray: (name) => LISTS.has(name),
  });
  try {
    return parser.parse(text, true) as Element;
  } catch {
    // The parser's own words repeat the text, which may be hostile.
    throw malformed("it is not XML");
  }
}

function childrenOf(element: Element | undefined, name: string): readonly Element[] {
  if (typeof element !== "object" || !Object.hasOwn(element, name)) return [];
  const children = element[name];
  return Array.isArray(children) ? (children as Element[]) : [];
}

function attributeOf(element: Element, name: string): string | undefined {
  const value = typeof element === "string" ? undefined : element[`@${name}`];
  return typeof value === "string" ? withoutEntities(value) : undefined;
}

function textOf(element: Element): string {
  const value = typeof element === "string" ? element : element[TEXT];
  return typeof value === "string" ? withoutEntities(value.trim()) : "";
}

const ENTITIES: Readonly<Record<string, string>> = {
  "&amp;": "&",
  "&lt;": "<",
  "&gt;": ">",
  "&quot;": '"',
  "&apos;": "'",
};

/** The five that XML has without a document type. */
function withoutEntities(text: string): string {
  return text.replaceAll(/&(?:amp|lt|gt|quot|apos);/g, (entity) => ENTITIES[entity] ?? entity);
}

function malformed(details: string): ShoalError {
  return new ShoalError("ERR_METALINK_MALFORMED", details);
}

/**
 * The SHA-256 of a whole file as servers state it: `Repr-Digest` (RFC 9530), a dictionary of
 * structured fields (RFC 9651), and its forerunner `Digest` (RFC 3230). Both describe the file and
 * not the part of it that is sent, so the answer to a range of one byte tells as well.
 *
 * Knows text only; never throws. What is not in its form to the letter is ignored, the whole field
 * with it. Called by `interpret-response.ts`.
 */

const KEY = "[a-z*][a-z0-9_.*-]*";
const BARE_ITEM =
  ":[A-Za-z0-9+/=]*:" + // byte sequence
  '|"(?:[\\x20\\x21\\x23-\\x5b\\x5d-\\x7e]|\\\\["\\\\])*"' + // string
  "|\\?[01]" + // boolean
  "|-?\\d{1,12}\\.\\d{1,3}|-?\\d{1,15}" + // decimal and integer
  "|[A-Za-z*][A-Za-z0-9!#$%&'*+.^_`|~:/-]*"; // token
const PARAMETERS = `(?:; *${KEY}(?:=(?:${BARE_ITEM}))?)*`;
/** In a digest field every member is a byte sequence. */
const MEMBER = new RegExp(`(${KEY})=:([A-Za-z0-9+/]*={0,2}):${PARAMETERS}`, "y");
const OLD_MEMBER = /([!#$%&'*+.^_`|~0-9A-Za-z-]+)=([A-Za-z0-9+/_=.-]+)/y;
const COMMA = /[ \t]*,[ \t]*/y;
const SHA256_BASE64 = /^[A-Za-z0-9+/]{43}=$/;

/** Lower-case hex out of a `Repr-Digest` field, its lines joined by commas. */
export function parseReprDigest(text: string): string | undefined {
  return sha256Of(membersIn(text, MEMBER)?.findLast(([name]) => name === "sha-256")?.[1]);
}

/** Lower-case hex out of a `Digest` field, its lines joined by commas. */
export function parseDigest(text: string): string | undefined {
  const members = membersIn(text, OLD_MEMBER);
  return sha256Of(members?.find(([name]) => name.toLowerCase() === "sha-256")?.[1]);
}

/** Names and values; `undefined` when there is anything else in the text. */
function membersIn(text: string, pattern: RegExp): [name: string, value: string][] | undefined {
  const members: [string, string][] = [];
  const trimmed = text.replace(/^ +| +$/g, "");
  for (let at = 0; ;) {
    pattern.lastIndex = at;
    const [whole, name = "", value = ""] = pattern.exec(trimmed) ?? [];
    if (whole === undefined) return undefined;
    members.push([name, value]);
    at += whole.length;
    if (at === trimmed.length) return members;
    COMMA.lastIndex = at;
    const [comma] = COMMA.exec(trimmed) ?? [];
    if (comma === undefined) return undefined;
    at += comma.length;
  }
}

function sha256Of(base64: string | undefined): string | undefined {
  if (base64 === undefined || !SHA256_BASE64.test(base64)) return undefined;
  return Buffer.from(base64, "base64").toString("hex");
}

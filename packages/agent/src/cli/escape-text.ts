/**
 * Makes text from elsewhere harmless on a terminal (R-API-07): control characters, C1 controls and
 * characters that change the direction of text become `\uXXXX`. JSON stays the same JSON.
 */
const UNSAFE =
  // oxlint-disable-next-line no-control-regex -- these are what it looks for
  /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g;

/** `text` on one line, safe to show. */
export function escapeText(text: string): string {
  return text
    .toWellFormed()
    .replace(UNSAFE, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

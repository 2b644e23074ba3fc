/** Makes text from elsewhere harmless in HTML, as content and in quoted attributes (R-API-07). */
import { escapeText } from "../cli/escape-text.ts";

const ENTITIES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

export function escapeHtml(text: string): string {
  return escapeText(text).replaceAll(/[&<>"']/g, (char) => ENTITIES[char] ?? "");
}

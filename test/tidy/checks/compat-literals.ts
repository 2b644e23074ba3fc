/**
 * That HRESULTs and GUIDs stand in their tables and nowhere else, and there once: whoever needs one
 * names it. Judges numbers by value, however they are written, and the texts in strings; comments
 * may cite what they like.
 */
import { isPackageSource } from "./places.ts";
import { childOf, finding, stringOf, walk } from "./source-file.ts";
import type { SourceFile, SyntaxNode } from "./source-file.ts";

const TABLES =
  /^packages\/(core\/src\/registry\/hresults|jobs\/src\/compat\/constants\/[a-z-]+)\.ts$/;

const GUID = /[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/gi;
const HRESULT_TEXT = /0x(8[0-9a-f]{7}|c0d[0-9a-f]{5})(?![0-9a-f])/gi;

/** Numbers of that shape that are something else: the sign bit (2 GiB), FNV-1a's first hash. */
const OTHER_NUMBERS = new Set([0x80000000, 0x811c9dc5]);

export function checkCompatLiterals(files: readonly SourceFile[]): readonly string[] {
  const findings: string[] = [];
  const seen = new Set<string>();
  for (const file of files) {
    if (!isPackageSource(file.path)) continue;
    const isTable = TABLES.test(file.path);
    walk(file.program, (node) => {
      for (const literal of literalsOf(node, isTable)) {
        if (!isTable) findings.push(finding(file, node.start, `${literal} has a table`));
        else if (seen.has(literal)) findings.push(finding(file, node.start, `${literal} again`));
        seen.add(literal);
      }
    });
  }
  return findings;
}

/** The ids and codes that a literal holds, in one form each. */
function literalsOf(node: SyntaxNode, isTable: boolean): readonly string[] {
  const text = stringOf(node) ?? templateTextOf(node);
  if (text !== undefined) {
    const found = [...text.matchAll(GUID), ...text.matchAll(HRESULT_TEXT)];
    return found.map(([match]) => match.toLowerCase());
  }
  const number = numberOf(node);
  if (number === undefined || (!isTable && OTHER_NUMBERS.has(number))) return [];
  const digits = number.toString(16);
  return number >= 0 && /^(8.{7}|c0d.{5})$/.test(digits) ? [`0x${digits}`] : [];
}

function templateTextOf(node: SyntaxNode): string | undefined {
  if (node.type !== "TemplateElement") return undefined;
  return (node["value"] as { readonly cooked?: string }).cooked;
}

/** A number or bigint literal; of a negated one below -2^24, the same bits without a sign. */
function numberOf(node: SyntaxNode): number | undefined {
  if (node.type === "UnaryExpression" && node["operator"] === "-") {
    const value = numberOf(childOf(node, "argument") ?? node);
    return value !== undefined && value > 2 ** 24 ? 2 ** 32 - value : undefined;
  }
  const value = node.type === "Literal" ? node["value"] : undefined;
  return typeof value === "number" || typeof value === "bigint" ? Number(value) : undefined;
}

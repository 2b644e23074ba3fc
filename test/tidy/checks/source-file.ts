/**
 * A TypeScript source as the checks see it: its place in the repository, its text and its syntax
 * tree. Parsing is the Oxc parser that Vite brings along. Knows syntax; knows none of the rules.
 */
import { parseSync } from "vite";

/** A file as read: `path` is relative to the repository, with forward slashes. */
export interface TextFile {
  readonly path: string;
  readonly text: string;
}

/** A node of the ESTree that the parser gives; fields beyond these depend on `type`. */
export interface SyntaxNode {
  readonly type: string;
  readonly start: number;
  readonly end: number;
  readonly [field: string]: unknown;
}

export interface Comment {
  readonly type: "Line" | "Block";
  readonly value: string;
  readonly start: number;
  readonly end: number;
}

export interface SourceFile extends TextFile {
  readonly program: SyntaxNode;
  readonly comments: readonly Comment[];
}

/** Parses a source; throws when it is not TypeScript or JavaScript. */
export function parseSource({ path, text }: TextFile): SourceFile {
  const { program, comments, errors } = parseSync(path, text, { sourceType: "module" });
  const [error] = errors;
  if (error !== undefined) throw new SyntaxError(`${path}: ${error.message}`);
  return { path, text, program: program as unknown as SyntaxNode, comments };
}

/** Calls `visit` with every node below `root`, and with its ancestors, the nearest last. */
export function walk(
  root: SyntaxNode,
  visit: (node: SyntaxNode, ancestors: readonly SyntaxNode[]) => void,
): void {
  const ancestors: SyntaxNode[] = [];
  const enter = (node: SyntaxNode): void => {
    visit(node, ancestors);
    ancestors.push(node);
    for (const child of childrenOf(node)) enter(child);
    ancestors.pop();
  };
  enter(root);
}

function childrenOf(node: SyntaxNode): SyntaxNode[] {
  return Object.values(node).flat().filter(isNode);
}

/** Whether a node's field holds a node. */
export function isNode(value: unknown): value is SyntaxNode {
  return typeof value === "object" && value !== null && "type" in value && "start" in value;
}

/** A field that holds a node; `undefined` when it is absent. */
export function childOf(node: SyntaxNode, field: string): SyntaxNode | undefined {
  const value = node[field];
  return isNode(value) ? value : undefined;
}

/** Name of an identifier, private or not, without its `#`. */
export function nameOf(node: SyntaxNode | undefined): string | undefined {
  if (node?.type !== "Identifier" && node?.type !== "PrivateIdentifier") return undefined;
  return String(node["name"]);
}

/** The text of a string literal. */
export function stringOf(node: SyntaxNode | undefined): string | undefined {
  return node?.type === "Literal" && typeof node["value"] === "string" ? node["value"] : undefined;
}

/** The member that `a.b`, `a.#b` or `a["b"]` names. */
export function memberOf(node: SyntaxNode | undefined): string | undefined {
  if (node?.type !== "MemberExpression") return undefined;
  const property = childOf(node, "property");
  return node["computed"] === true ? stringOf(property) : nameOf(property);
}

/** The last word of `a`, `this.a` or `x.y.a`. */
export function lastNameOf(node: SyntaxNode | undefined): string | undefined {
  return nameOf(node) ?? memberOf(node);
}

/** The line of an offset, counted from 1. */
export function lineAt(text: string, offset: number): number {
  let line = 1;
  for (let at = text.indexOf("\n"); at !== -1 && at < offset; at = text.indexOf("\n", at + 1)) {
    line++;
  }
  return line;
}

/** What a check found, as `path:line: words`. */
export function finding(file: TextFile, offset: number, words: string): string {
  return `${file.path}:${lineAt(file.text, offset)}: ${words}`;
}

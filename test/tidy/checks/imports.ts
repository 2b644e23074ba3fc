/** Every way a source names another module: imports, types, dynamic imports, require, and such. */
import { childOf, memberOf, nameOf, stringOf, walk } from "./source-file.ts";
import type { SourceFile, SyntaxNode } from "./source-file.ts";

export interface Import {
  /** What is imported; `undefined` when it is computed and cannot be known. */
  readonly specifier: string | undefined;
  /** Names taken from the module; `*` for all of it. */
  readonly names: readonly string[];
  readonly offset: number;
}

export function importsOf(file: SourceFile): readonly Import[] {
  const imports: Import[] = [];
  walk(file.program, (node) => {
    const source = moduleNodeOf(node);
    if (source === undefined) return;
    imports.push({ specifier: textOf(source), names: namesOf(node), offset: node.start });
  });
  return imports;
}

/** The name of the npm package in an import: `undici`, `@libp2p/tcp`; `node:fs` stays whole. */
export function packageNameOf(specifier: string): string {
  const [scope = "", name = ""] = specifier.split("/");
  return scope.startsWith("@") ? `${scope}/${name}` : scope;
}

function moduleNodeOf(node: SyntaxNode): SyntaxNode | undefined {
  switch (node.type) {
    case "ImportDeclaration":
    case "ExportNamedDeclaration":
    case "ExportAllDeclaration":
    case "ImportExpression":
    case "TSImportType":
      return childOf(node, "source") ?? childOf(node, "argument");
    case "TSExternalModuleReference":
      return childOf(node, "expression");
    case "CallExpression": {
      const callee = childOf(node, "callee");
      const isResolve = memberOf(callee) === "resolve";
      const called = callee !== undefined && isResolve ? childOf(callee, "object") : callee;
      if (nameOf(called) !== "require") return undefined;
      return (node["arguments"] as SyntaxNode[])[0];
    }
    default:
      return undefined;
  }
}

/** A literal, also one wrapped into a literal type or a template without parts. */
function textOf(node: SyntaxNode): string | undefined {
  if (node.type === "TSLiteralType") return stringOf(childOf(node, "literal"));
  if (node.type !== "TemplateLiteral") return stringOf(node);
  const quasis = node["quasis"] as { readonly value: { readonly cooked: string } }[];
  return quasis.length === 1 ? quasis[0]?.value.cooked : undefined;
}

function namesOf(node: SyntaxNode): readonly string[] {
  const specifiers = node["specifiers"];
  if (!Array.isArray(specifiers)) return ["*"];
  return (specifiers as SyntaxNode[]).map((specifier) => {
    const imported = childOf(specifier, "imported") ?? childOf(specifier, "local");
    const isNamed = specifier.type === "ImportSpecifier" || specifier.type === "ExportSpecifier";
    return (isNamed ? (nameOf(imported) ?? stringOf(imported)) : undefined) ?? "*";
  });
}

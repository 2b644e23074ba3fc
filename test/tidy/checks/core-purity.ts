/**
 * Core's purity: only what is handed to it decides what it does, so that a simulation replays it.
 * No waiting, clock, timer, randomness, process or console, and no imports but multiformats and,
 * in core's `hash` folder, the functions of `node:crypto` that digest and check signatures; no Node
 * type but `Buffer` where bytes are copied.
 *
 * Types may speak of promises in `ports`, where core describes what adapters do.
 */
import { importsOf, packageNameOf } from "./imports.ts";
import { childOf, finding, memberOf, nameOf, walk } from "./source-file.ts";
import type { SourceFile, SyntaxNode } from "./source-file.ts";

const CORE = "packages/core/src/";
const VENDORS = new Set(["multiformats"]);
const NATIVE_CRYPTO = {
  folder: `${CORE}hash/`,
  module: "node:crypto",
  names: ["hash", "createHash", "createPublicKey", "verify"],
};

const NATIVE_COPY = `${CORE}content/copy-into.ts`;

/** Names of the surroundings, each with the reason it is not for core. */
const FORBIDDEN_GLOBALS: ReadonlyMap<string, string> = new Map([
  ...["Date", "performance", "Temporal"].map((name) => [name, "reads a clock"] as const),
  ...["setTimeout", "setInterval", "setImmediate", "queueMicrotask", "requestAnimationFrame"].map(
    (name) => [name, "is a timer"] as const,
  ),
  ...["clearTimeout", "clearInterval", "clearImmediate"].map(
    (name) => [name, "is a timer"] as const,
  ),
  ...["process", "console", "globalThis", "global", "navigator"].map(
    (name) => [name, "is the surroundings"] as const,
  ),
  ...["crypto"].map((name) => [name, "is random"] as const),
  ...["fetch", "WebSocket", "Worker", "Atomics", "AbortSignal"].map(
    (name) => [name, "is I/O or waiting"] as const,
  ),
  ...["WeakRef", "FinalizationRegistry"].map(
    (name) => [name, "depends on the garbage collector"] as const,
  ),
  ...["Intl"].map((name) => [name, "depends on the locale"] as const),
  ...["Buffer"].map((name) => [name, "is Node's"] as const),
  ...["eval", "Function"].map((name) => [name, "cannot be checked"] as const),
]);

const LOCALE_METHODS = /^(localeCompare|toLocale[A-Z]\w*)$/;

export function checkCorePurity(files: readonly SourceFile[]): readonly string[] {
  return files
    .filter((file) => file.path.startsWith(CORE))
    .flatMap((file) => [...checkCoreImports(file), ...checkCoreSyntax(file)]);
}

function checkCoreImports(file: SourceFile): readonly string[] {
  const findings: string[] = [];
  for (const { specifier, names, offset } of importsOf(file)) {
    if (specifier === undefined || specifier.startsWith(".")) continue;
    if (VENDORS.has(packageNameOf(specifier))) continue;
    const isNative =
      file.path.startsWith(NATIVE_CRYPTO.folder) &&
      specifier === NATIVE_CRYPTO.module &&
      names.every((name) => NATIVE_CRYPTO.names.includes(name));
    if (!isNative) findings.push(finding(file, offset, `core does not import ${specifier}`));
  }
  return findings;
}

function checkCoreSyntax(file: SourceFile): readonly string[] {
  const findings: string[] = [];
  walk(file.program, (node, ancestors) => {
    const words = impurityOf(node, ancestors, file.path);
    if (words !== undefined) findings.push(finding(file, node.start, words));
  });
  return findings;
}

function impurityOf(
  node: SyntaxNode,
  ancestors: readonly SyntaxNode[],
  path: string,
): string | undefined {
  if (node["async"] === true) return "core has no async functions";
  if (node.type === "AwaitExpression" || node["await"] === true) return "core does not await";
  if (node.type === "ImportExpression") return "core has no dynamic imports";
  if (node.type === "MetaProperty" && nameOf(childOf(node, "meta")) === "import") {
    return "import.meta is the surroundings";
  }
  const member = memberOf(node);
  if (member !== undefined && LOCALE_METHODS.test(member)) return `${member} depends on the locale`;
  const name = nameOf(node);
  const parent = ancestors.at(-1);
  if (name === undefined || parent === undefined || isOnlyAName(node, parent)) return undefined;
  if (name === "Promise") {
    const isDescription = parent.type === "TSTypeReference" && path.startsWith(`${CORE}ports/`);
    return isDescription ? undefined : "core has no promises";
  }
  if (name === "Math") {
    const used = memberOf(parent);
    return used === undefined || used === "random" ? "Math.random is random" : undefined;
  }
  if (name === "Buffer" && path === NATIVE_COPY) return undefined;
  const reason = FORBIDDEN_GLOBALS.get(name);
  return reason === undefined ? undefined : `${name} ${reason}`;
}

/** Whether an identifier names a member or a key, rather than a value of its surroundings. */
function isOnlyAName(node: SyntaxNode, parent: SyntaxNode): boolean {
  if (node.type === "PrivateIdentifier") return true;
  const isMember = parent.type === "MemberExpression" && childOf(parent, "property") === node;
  const isKey = childOf(parent, "key") === node;
  return (isMember || isKey) && parent["computed"] !== true;
}

/**
 * That core's tables and the program agree: a row nobody uses describes behaviour that does not
 * exist. Settings and limits are read, errors raised, counters counted, origin reasons given.
 */
import { isPackageSource } from "./places.ts";
import { childOf, lastNameOf, memberOf, nameOf, stringOf, walk } from "./source-file.ts";
import type { SourceFile, SyntaxNode } from "./source-file.ts";

export interface Registries {
  readonly settings: readonly string[];
  readonly limits: readonly string[];
  readonly errors: readonly string[];
  readonly counters: readonly string[];
  readonly reasons: readonly string[];
}

/** Files that declare the tables; naming a row there is not using it. */
const READ_TABLES = /^packages\/core\/src\/registry\/(settings|limits)\.ts$/;
const GIVEN_TABLES = /^packages\/core\/src\/(registry\/(errors|counters|reasons))\.ts$/;

export function checkRegistryUse(
  files: readonly SourceFile[],
  registries: Registries,
): readonly string[] {
  const read = new Set<string>();
  const given = new Set<string>();
  for (const file of files) {
    if (!isPackageSource(file.path)) continue;
    const canRead = !READ_TABLES.test(file.path);
    const canGive = !GIVEN_TABLES.test(file.path);
    walk(file.program, (node, ancestors) => {
      if (canRead) for (const name of readsOf(node)) read.add(name);
      const text = stringOf(node);
      if (canGive && text !== undefined && isGiven(ancestors)) given.add(text);
    });
  }
  const unused = (names: readonly string[], used: Set<string>, prefix: string, words: string) =>
    names.filter((name) => !used.has(prefix + name)).map((name) => `${name}: ${words}`);
  return [
    ...unused(registries.settings, read, "settings.", "a setting nobody reads"),
    ...unused(registries.limits, read, "limits.", "a limit nobody reads"),
    ...unused(registries.errors, given, "", "an error nobody raises"),
    ...unused(registries.counters, given, "", "a counter nobody counts"),
    ...unused(registries.reasons, given, "", "a reason nobody gives"),
  ];
}

/** Rows of the error table that the page does not mention. */
export function checkErrorsDocumented(errors: readonly string[], page: string): readonly string[] {
  return errors.filter((name) => !page.includes(`\`${name}\``)).map((name) => `${name}: no words`);
}

/**
 * `settings.name` and `limits.name`, for a member of something called settings or limits
 * (`this.#settings.name`, `LIMITS.name`), or for a name taken out of one by destructuring.
 */
function readsOf(node: SyntaxNode): readonly string[] {
  const member = memberOf(node);
  const owner = tableCalled(lastNameOf(childOf(node, "object")));
  if (member !== undefined && owner !== undefined) return [`${owner}.${member}`];
  const [pattern, source] = destructuringOf(node);
  if (pattern?.type !== "ObjectPattern" || source === undefined) return [];
  return (pattern["properties"] as SyntaxNode[]).map(
    (property) => `${source}.${nameOf(childOf(property, "key")) ?? ""}`,
  );
}

/** A pattern and the table it takes names out of: `{ a } = settings`, `{ settings: { a } }`. */
function destructuringOf(node: SyntaxNode): readonly [SyntaxNode | undefined, string | undefined] {
  switch (node.type) {
    case "VariableDeclarator":
      return [childOf(node, "id"), tableCalled(lastNameOf(childOf(node, "init")))];
    case "Property":
      return [childOf(node, "value"), tableCalled(nameOf(childOf(node, "key")))];
    case "ObjectPattern":
      return [node, tableOfType(node)];
    default:
      return [undefined, undefined];
  }
}

function tableCalled(name: string | undefined): string | undefined {
  return /(settings|limits)$/i.exec(name ?? "")?.[1]?.toLowerCase();
}

/** `settings` for a parameter such as `{ uploadsMax }: Settings`. */
function tableOfType(pattern: SyntaxNode): string | undefined {
  const annotation = childOf(pattern, "typeAnnotation");
  let found: string | undefined;
  if (annotation === undefined) return undefined;
  walk(annotation, (node) => {
    if (nameOf(node) === "Settings") found = "settings";
  });
  return found;
}

/** Whether a text is a value on its way somewhere, rather than compared, looked up or a type. */
function isGiven(ancestors: readonly SyntaxNode[]): boolean {
  const parent = ancestors.at(-1);
  if (parent === undefined) return false;
  switch (parent.type) {
    case "TSLiteralType":
    case "SwitchCase":
    case "MemberExpression":
      return false;
    case "BinaryExpression":
      return !/^[=!]==?$/.test(String(parent["operator"]));
    case "CallExpression":
      return !/^(get|has|includes)$/.test(memberOf(childOf(parent, "callee")) ?? "");
    default:
      return true;
  }
}

/** The shape of files: lengths, names, header comments, exports, and nothing left for later. */
import { isPackageSource, isTestSource } from "./places.ts";
import { childOf, finding, isNode, lineAt, nameOf, walk } from "./source-file.ts";
import type { SourceFile, SyntaxNode, TextFile } from "./source-file.ts";

const FILE_LINES_MAX = 400;
const TEST_FILE_LINES_MAX = 600;
const FUNCTION_LINES_MAX = 60;

/** What registers tests: the functions given to these are test bodies, not functions. */
const TEST_REGISTRARS =
  /^(describe|it|test|suite|bench|before(All|Each)|after(All|Each)|onTest(Finished|Failed))$/;

const EMPTY_NAMES = /(^|[-.])(utils?|helpers?|common|misc)(\.|$)/;
const KEBAB_CASE = /^\.?[a-z0-9]+(-[a-z0-9]+)*(\.[a-z0-9]+)*$/;
const FOR_LATER = /\b(TODO|FIXME|XXX|HACK)\b/;

export function checkShape(files: readonly SourceFile[]): readonly string[] {
  return files.flatMap((file) => [
    ...checkFileLength(file),
    ...checkFunctionLengths(file),
    ...checkName(file),
    ...checkHeader(file),
    ...checkExports(file),
    ...checkNothingLeft(file),
  ]);
}

/** Pages of documentation, too, leave nothing for later. */
export function checkPages(pages: readonly TextFile[]): readonly string[] {
  return pages.flatMap((page) => {
    const found = FOR_LATER.exec(page.text);
    return found === null ? [] : [finding(page, found.index, `${found[0]} is left`)];
  });
}

function checkFileLength(file: SourceFile): readonly string[] {
  const count = lineAt(file.text, file.text.trimEnd().length);
  const max = isTestSource(file.path) ? TEST_FILE_LINES_MAX : FILE_LINES_MAX;
  return count <= max ? [] : [`${file.path}: ${count} lines, at most ${max}`];
}

function checkFunctionLengths(file: SourceFile): readonly string[] {
  const findings: string[] = [];
  const bodies: SyntaxNode[] = [];
  const functions: SyntaxNode[] = [];
  walk(file.program, (node, ancestors) => {
    if (!isFunction(node)) return;
    const isBody = isTestSource(file.path) && isTestBody(node, ancestors.at(-1));
    (isBody ? bodies : functions).push(node);
  });
  for (const node of functions) {
    const count = linesOf(file, node) - linesOfBodiesIn(file, node, bodies);
    if (count <= FUNCTION_LINES_MAX) continue;
    const words = `a function of ${count} lines, at most ${FUNCTION_LINES_MAX}`;
    findings.push(finding(file, node.start, words));
  }
  return findings;
}

function isFunction({ type, body }: SyntaxNode): boolean {
  const isAny =
    type === "FunctionDeclaration" ||
    type === "FunctionExpression" ||
    type === "ArrowFunctionExpression";
  return isAny && isNode(body);
}

/** Whether `node` is handed to `it(…)`, `test.each(…)(…)`, `describe.skipIf(…)(…)` and the like. */
function isTestBody(node: SyntaxNode, parent: SyntaxNode | undefined): boolean {
  if (parent?.type !== "CallExpression") return false;
  if (!(parent["arguments"] as SyntaxNode[]).includes(node)) return false;
  let callee = childOf(parent, "callee");
  while (callee !== undefined && nameOf(callee) === undefined) {
    callee = childOf(callee, callee.type === "MemberExpression" ? "object" : "callee");
  }
  return TEST_REGISTRARS.test(nameOf(callee) ?? "");
}

function linesOf(file: SourceFile, node: SyntaxNode): number {
  return lineAt(file.text, node.end) - lineAt(file.text, node.start) + 1;
}

/** Lines of the outermost test bodies inside a function. */
function linesOfBodiesIn(
  file: SourceFile,
  owner: SyntaxNode,
  bodies: readonly SyntaxNode[],
): number {
  let count = 0;
  let coveredTo = owner.start;
  for (const body of bodies) {
    if (body.start < coveredTo || body.end > owner.end) continue;
    count += linesOf(file, body);
    coveredTo = body.end;
  }
  return count;
}

function checkName(file: SourceFile): readonly string[] {
  const findings: string[] = [];
  for (const part of file.path.split("/")) {
    if (!KEBAB_CASE.test(part)) findings.push(`${file.path}: ${part} is not in kebab-case`);
    if (EMPTY_NAMES.test(part)) findings.push(`${file.path}: ${part} names no idea`);
  }
  return findings;
}

/** Tests say what they show in their names; everything else says what it is at its top. */
function checkHeader(file: SourceFile): readonly string[] {
  if (file.path.endsWith(".test.ts")) return [];
  const [first] = file.comments.filter(({ value }) => !file.text.startsWith(`#!${value}`));
  const before = file.text.slice(0, first?.start ?? 0).replace(/^#!.*/, "");
  const isHeader = first !== undefined && before.trim() === "" && first.value.startsWith("*");
  return isHeader ? [] : [`${file.path}: does not begin with a header comment`];
}

function checkExports(file: SourceFile): readonly string[] {
  const findings: string[] = [];
  if (isPackageSource(file.path) && /\/src\/.+\/index\.ts$/.test(file.path)) {
    findings.push(`${file.path}: only a package's root has an index.ts`);
  }
  for (const node of file.program["body"] as SyntaxNode[]) {
    if (node.type === "ExportDefaultDeclaration" && !file.path.endsWith(".config.ts")) {
      findings.push(finding(file, node.start, "exports have names"));
    }
    if (node.type === "ExportAllDeclaration" && node["exported"] === null) {
      findings.push(finding(file, node.start, "exports are listed one by one"));
    }
  }
  return findings;
}

function checkNothingLeft(file: SourceFile): readonly string[] {
  return file.comments.flatMap((comment) => {
    const found = FOR_LATER.exec(comment.value);
    return found === null ? [] : [finding(file, comment.start, `${found[0]} is left`)];
  });
}

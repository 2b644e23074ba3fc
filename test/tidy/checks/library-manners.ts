/**
 * That libraries leave the process to whoever embeds them: no console, no environment, no signal
 * handlers, no exit, no other processes (R-FS-16). The packages with a command (`agent`, `sim`) are judged by their own tests.
 */
import { importsOf } from "./imports.ts";
import { isPackageSource, packageOf } from "./places.ts";
import { childOf, finding, memberOf, nameOf, walk } from "./source-file.ts";
import type { SourceFile } from "./source-file.ts";

const LIBRARIES = new Set(["core", "engine", "store", "origin", "swarm", "jobs"]);

/** Members of `process` that only read facts about the machine. */
const HARMLESS_FACTS = new Set([
  "platform",
  "arch",
  "versions",
  "pid",
  "hrtime",
  "memoryUsage",
  "getuid",
  "geteuid",
  "getgid",
]);

export function checkLibraryManners(files: readonly SourceFile[]): readonly string[] {
  const findings: string[] = [];
  for (const file of files) {
    if (!isPackageSource(file.path) || !LIBRARIES.has(packageOf(file.path) ?? "")) continue;
    for (const { specifier, offset } of importsOf(file)) {
      if (!/^(node:)?(process|console|child_process)$/.test(specifier ?? "")) continue;
      findings.push(finding(file, offset, `a library does not import ${specifier}`));
    }
    walk(file.program, (node) => {
      const member = memberOf(node);
      const owner = nameOf(childOf(node, "object"));
      if (member === undefined || (owner !== "process" && owner !== "console")) return;
      if (owner === "process" && HARMLESS_FACTS.has(member)) return;
      findings.push(finding(file, node.start, `a library does not touch ${owner}.${member}`));
    });
  }
  return findings;
}

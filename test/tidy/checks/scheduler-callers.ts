/** That `engine/loop.ts` alone drives the scheduler, in production and in simulations. */
import { childOf, finding, lastNameOf, memberOf, walk } from "./source-file.ts";
import type { SourceFile } from "./source-file.ts";

const LOOP = "packages/engine/src/loop.ts";
const DRIVING_METHODS = new Set(["handle", "pollCommand", "pollDeadline", "handleTimeout"]);

export function checkSchedulerCallers(files: readonly SourceFile[]): readonly string[] {
  const findings: string[] = [];
  for (const file of files) {
    if (file.path.startsWith("packages/core/") || file.path === LOOP) continue;
    walk(file.program, (node) => {
      const method = memberOf(node);
      if (method === undefined || !DRIVING_METHODS.has(method)) return;
      const receiver = lastNameOf(childOf(node, "object")) ?? "";
      if (!/scheduler$/i.test(receiver)) return;
      findings.push(finding(file, node.start, `only ${LOOP} calls ${receiver}.${method}`));
    });
  }
  return findings;
}

/**
 * Runs checks side by side, each until its deadline: the slowest decides how long the whole takes.
 * A check that fails by itself, or is late, was not run, and the others do not notice.
 *
 * Knows checks; not what they look at. Called by the agent and by `shoal doctor`.
 */
import type { Millis } from "@shoal/core";
import type { CheckReport } from "../service/agent-service.ts";
import { notRun } from "./check.ts";
import type { Check, DoctorContext, Outcome } from "./check.ts";

/** All but those that ask far servers are done in a fraction of it. */
const CHECK_TIMEOUT_MS: Millis = 5_000;

/** The reports in the order of the checks. Never rejects. */
export function runChecks(
  checks: readonly Check[],
  context: DoctorContext,
): Promise<readonly CheckReport[]> {
  return Promise.all(
    checks.map(async (check) => {
      const { id, title } = check;
      return { id, title, ...(await outcomeOf(check, context)) };
    }),
  );
}

async function outcomeOf(check: Check, context: DoctorContext): Promise<Outcome> {
  const timeoutMs = check.timeoutMs ?? CHECK_TIMEOUT_MS;
  const deadline = new AbortController();
  const { promise: late, resolve } = Promise.withResolvers<Outcome>();
  const timer = setTimeout(() => {
    const words = `It was not done within ${timeoutMs / 1_000} s.`;
    resolve(notRun(words, "Run the doctor again when the machine has less to do."));
    deadline.abort();
  }, timeoutMs);
  try {
    return await Promise.race([run(check, context, deadline.signal), late]);
  } finally {
    clearTimeout(timer);
  }
}

async function run(check: Check, context: DoctorContext, signal: AbortSignal): Promise<Outcome> {
  if (check.needsAgent === true && context.service === undefined) {
    return notRun("No agent runs that could be asked.", "Start one, and run the doctor again.");
  }
  try {
    return await check.run(context, signal);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return notRun(`It could not be looked at: ${reason}`, "Mend what it names, and try again.");
  }
}

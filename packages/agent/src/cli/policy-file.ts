/** Policies of Delivery Optimization as the command line takes them: one by one, or in a file. */
import { readFile } from "node:fs/promises";
import { checkPolicyValue, isPolicyName, parsePolicyValue, ShoalError } from "@shoal/core";
import type { Policies } from "@shoal/core";
import { InvalidArgumentError } from "commander";

/** `NAME=VALUE` with a name of docs/policies.md. Throws commander's `InvalidArgumentError`. */
export function parsePolicy(text: string): Policies {
  const at = text.indexOf("=");
  const name = text.slice(0, Math.max(at, 0));
  if (at < 1) throw new InvalidArgumentError("A policy is NAME=VALUE.");
  if (!isPolicyName(name)) throw new InvalidArgumentError(`There is no policy "${name}".`);
  const value = parsePolicyValue(name, text.slice(at + 1));
  const problem = checkPolicyValue(name, value);
  if (problem !== undefined) throw new InvalidArgumentError(`${problem}.`);
  return { [name]: value };
}

/** What file and options say together. Rejects with `ERR_POLICY_INVALID`. */
export async function policiesOf(options: {
  readonly policy?: Policies;
  readonly policyFile?: string;
}): Promise<Policies> {
  const { policyFile: path, policy } = options;
  return { ...(path === undefined ? {} : await readPolicies(path)), ...policy };
}

/** Names and values are checked where they are put to use, as those of any other caller. */
async function readPolicies(path: string): Promise<Policies> {
  try {
    const value: unknown = JSON.parse(await readFile(path, "utf8"));
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return value;
  } catch (cause) {
    throw new ShoalError("ERR_POLICY_INVALID", `${path}: ${String(cause)}`, { cause });
  }
  throw new ShoalError("ERR_POLICY_INVALID", `${path}: it holds no JSON object`);
}

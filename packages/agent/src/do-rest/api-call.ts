/**
 * What a request asks for: one of nine operations with its parameters, or the HRESULT that says why
 * it is none (agent REST reference, sections 4 and 6).
 *
 * Knows targets; what operations do is `RestApi`'s. Called by `RestApi`.
 */
import { HRESULTS } from "@shoal/core";
import { HResultError } from "@shoal/jobs/compat";
import type { RestRequest } from "./request-parser.ts";

/** Operations with their methods. */
const OPERATIONS = {
  create: "POST",
  start: "POST",
  pause: "POST",
  finalize: "POST",
  abort: "POST",
  getstatus: "GET",
  getproperty: "GET",
  setproperty: "POST",
  enumerate: "GET",
} as const;
export type Operation = keyof typeof OPERATIONS;

/** The parameters there are, as they are spelled where nobody spells them otherwise. */
export const PARAMETERS = [
  "Id",
  "Uri",
  "DownloadFilePath",
  "NoProgressTimeoutSeconds",
  "PropertyKey",
] as const;
export type Parameter = (typeof PARAMETERS)[number];

export interface ApiCall {
  readonly operation: Operation;
  /** Decoded; of a parameter that stands twice, the last. */
  readonly parameters: ReadonlyMap<Parameter, string>;
}

/**
 * Throws `HResultError`: E_UNSUPPORTED for what is no operation, E_INVALIDARG for a parameter that
 * does not exist or is not UTF-8, ERROR_UNHANDLED_EXCEPTION for a broken percent escape.
 */
export function apiCallOf({ method, target }: RestRequest): ApiCall {
  const [path = "", ...rest] = target.split("?");
  const operation = operationOf(method, path);
  return { operation, parameters: parametersOf(rest.join("?")) };
}

/** The parameter of that name, in whatever case; `undefined` when there is none. */
export function parameterCalled(name: string): Parameter | undefined {
  const lower = name.toLowerCase();
  return PARAMETERS.find((known) => known.toLowerCase() === lower);
}

function operationOf(method: string, path: string): Operation {
  // What follows two slashes names a server, and none of ours.
  if (path.startsWith("//")) throw HResultError.of("E_UNSUPPORTED");
  const segments = decode(path)
    .split("/")
    .filter((segment) => segment !== "");
  const [root, name, ...others] = segments.map((segment) => segment.toLowerCase());
  const isKnown = name !== undefined && Object.hasOwn(OPERATIONS, name);
  if (root !== "download" || others.length > 0 || !isKnown) throw HResultError.of("E_UNSUPPORTED");
  const operation = name as Operation;
  if (OPERATIONS[operation] !== method) throw HResultError.of("E_UNSUPPORTED");
  return operation;
}

/** Decoded after they are told apart: a URL among them has separators of its own. */
function parametersOf(query: string): Map<Parameter, string> {
  const parameters = new Map<Parameter, string>();
  for (const piece of query.split("&")) {
    const at = piece.indexOf("=");
    if (at < 0) continue;
    const parameter = parameterCalled(piece.slice(0, at));
    if (parameter === undefined) throw HResultError.of("E_INVALIDARG", "unknown parameter");
    parameters.set(parameter, decode(piece.slice(at + 1)));
  }
  return parameters;
}

function decode(text: string): string {
  if (/%(?![0-9A-Fa-f]{2})/.test(text)) {
    throw new HResultError(HRESULTS.ERROR_UNHANDLED_EXCEPTION, "a broken percent escape");
  }
  try {
    return decodeURIComponent(text);
  } catch {
    throw HResultError.of("E_INVALIDARG", "it is not UTF-8");
  }
}

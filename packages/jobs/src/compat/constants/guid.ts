/**
 * GUIDs: the ids of interfaces, classes, jobs and downloads in the compatible faces. Their one form
 * in here is 36 characters in upper case without braces, as Microsoft's pages print them; a job id
 * of `core` is the same text in lower case.
 *
 * Knows text. Used by the tables beside it and by both faces for what callers hand in.
 */

/** The id that clears another: all zero. */
export const GUID_NULL = "00000000-0000-0000-0000-000000000000";

/** The common base of every interface, and the enumerator of unnamed objects (COM). */
export const COM_IIDS = {
  IUnknown: "00000000-0000-0000-C000-000000000046",
  IEnumUnknown: "00000100-0000-0000-C000-000000000046",
} as const;

const GUID = /^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$/;

/** Reads a GUID in either case, with braces or without; `undefined` for anything else. */
export function parseGuid(value: unknown): string | undefined {
  if (typeof value !== "string") return undefined;
  const isBraced = value.startsWith("{") && value.endsWith("}");
  const text = isBraced ? value.slice(1, -1) : value;
  return GUID.test(text) ? text.toUpperCase() : undefined;
}

/** Whether both are GUIDs, and the same one. */
export function isSameGuid(left: unknown, right: unknown): boolean {
  const guid = parseGuid(left);
  return guid !== undefined && guid === parseGuid(right);
}

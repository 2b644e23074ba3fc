/**
 * Whether a value is what a property's type says. Knows types and numbers; what a text means is
 * looked at by the property's rule. Used by `DODownload`.
 */
import { unreachable } from "@shoal/core";
import type { DownloadPropertyRow } from "../constants/download-properties.ts";
import { HResultError } from "../hresult-error.ts";

/** VT_UI4 */
const U32_MAX = 0xffff_ffff;

/**
 * Throws `DISP_E_TYPEMISMATCH` for a value of another type, `E_INVALIDARG` for a number out of range
 * and for null where bytes belong.
 */
export function checkVariant(row: DownloadPropertyRow, value: unknown): void {
  if (row.type === "VT_ARRAY|VT_UI1" && value === null) {
    throw HResultError.of("E_INVALIDARG", `${row.name} of null`);
  }
  if (!isOfType(row.type, value)) throw HResultError.of("DISP_E_TYPEMISMATCH", row.name);
  const isOutOfRange =
    typeof value === "number" &&
    !(Number.isInteger(value) && value >= (row.min ?? 0) && value <= U32_MAX);
  if (isOutOfRange || (typeof value === "bigint" && value < 0n)) {
    throw HResultError.of("E_INVALIDARG", `${row.name} = ${value}`);
  }
}

function isOfType(type: DownloadPropertyRow["type"], value: unknown): boolean {
  switch (type) {
    case "VT_BSTR":
      return typeof value === "string";
    case "VT_UI4":
      return typeof value === "number";
    case "VT_UI8":
      return typeof value === "bigint";
    case "VT_BOOL":
      return typeof value === "boolean";
    case "VT_UNKNOWN":
      return typeof value === "object";
    case "VT_ARRAY|VT_UI1":
      return value instanceof Uint8Array;
    default:
      return unreachable(type);
  }
}

/**
 * Responses as the SDK's minimal parser takes them: a status line whose reason has letters only, the
 * length under exactly that name, and all of it within 2,048 bytes, beyond which the SDK's process
 * ends (agent REST reference, sections 3 and 5).
 *
 * Knows bytes and HRESULTs. Called by `RestConnection`.
 */
import { HRESULTS, LIMITS, toInt32 } from "@shoal/core";

/** What goes into a response: every value is a text. */
export type ResponseFields = Readonly<Record<string, string>>;

const SERVER = "Server: Delivery-Optimization-Agent/1.1.0\r\n";

/** To a request that is none. The connection ends after it. */
export const MALFORMED_RESPONSE = Buffer.from(`HTTP/1.1 400 BadRequest\r\n${SERVER}\r\n`);

/** The fields; ERROR_BAD_LENGTH where clients could not take them. */
export function successResponse(fields: ResponseFields): Buffer {
  const response = responseOf("200 OK", `${jsonOf(fields)}\n`);
  if (response.length <= LIMITS.doRestResponseBytesMax) return response;
  return failureResponse(HRESULTS.ERROR_BAD_LENGTH);
}

/** The failure, as the signed number that it is in Microsoft's interfaces. */
export function failureResponse(hresult: number): Buffer {
  return responseOf(statusOf(hresult), `{ "ErrorCode": ${toInt32(hresult)} }`);
}

function responseOf(status: string, body: string): Buffer {
  const length = Buffer.byteLength(body);
  return Buffer.from(`HTTP/1.1 ${status}\r\nContent-Length: ${length}\r\n${SERVER}\r\n${body}`);
}

function statusOf(hresult: number): string {
  switch (hresult) {
    case HRESULTS.E_NOT_SET:
      return "404 NotFound";
    case HRESULTS.E_OUTOFMEMORY:
      return "503 ServiceUnavailable";
    case HRESULTS.ERROR_UNHANDLED_EXCEPTION:
      return "500 InternalError";
    default:
      return "400 BadRequest";
  }
}

/** Compact, with every slash escaped, as the reference agent writes it. */
function jsonOf(fields: ResponseFields): string {
  return JSON.stringify(fields).replaceAll("/", String.raw`\/`);
}

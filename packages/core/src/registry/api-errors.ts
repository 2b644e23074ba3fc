/** Errors of the agent's own REST API: who asks, and how. A part of the table in `errors.ts`. */
import { row } from "./error-row.ts";
import type { ErrorRow } from "./error-row.ts";

export const API_ERRORS = {
  ERR_TOKEN_REFUSED: row(
    "The request has no token, or a wrong one",
    "Send the token of the agent's token file as Authorization: Bearer.",
    10,
    401,
    "E_ACCESSDENIED",
  ),
  ERR_HOST_REFUSED: row(
    "The request names another host",
    "Send exactly one Host field: localhost, or the agent's address with its port.",
    2,
    421,
    "E_ACCESSDENIED",
  ),
  ERR_CROSS_SITE: row(
    "The request comes from another site",
    "Use a program rather than a page in a browser.",
    10,
    403,
    "E_ACCESSDENIED",
  ),
  ERR_MEDIA_TYPE: row(
    "The request's content is not JSON",
    "Send Content-Type: application/json.",
    2,
    415,
    "E_INVALIDARG",
  ),
  ERR_BODY_TOO_LARGE: row(
    "The request's body is too long",
    "Send less at a time; further files can be added to a job (docs/limits.md).",
    2,
    413,
    "E_INVALIDARG",
  ),
  ERR_TOO_MANY_REQUESTS: row(
    "There are too many requests at a time",
    "Wait a minute, and ask less often.",
    10,
    429,
    "E_OUTOFMEMORY",
    true,
  ),
  ERR_ROUTE_NOT_FOUND: row(
    "The API has no such path or method",
    "Look it up in /openapi.json.",
    2,
    404,
    "E_INVALIDARG",
  ),
  ERR_CHECK_FAILED: row(
    "The doctor has found faults",
    "Do what is said beneath each fault, and run it again.",
    1,
    500,
    "E_FAIL",
  ),
  ERR_INTERNAL: row(
    "The agent has made a mistake",
    "Report it, with the agent's log.",
    1,
    500,
    "E_UNEXPECTED",
  ),
} as const satisfies Record<string, ErrorRow>;

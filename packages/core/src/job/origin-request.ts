/**
 * What a job may say about how its origins are asked. Fields that frame messages, name hosts or
 * carry ranges are the origin adapter's own (R-HTTP-02 and the hygiene of threat model section 7).
 */
import { errorInfo } from "../registry/errors.ts";
import type { ErrorInfo } from "../registry/errors.ts";
import { LIMITS } from "../registry/limits.ts";
import { TLS_TOLERANCES } from "../ports/origin-port.ts";
import type { HeaderField, OriginRequestOptions } from "../ports/origin-port.ts";

/** RFC 9110, section 5.6.2. */
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
/** RFC 9110, section 5.5, without obsolete text: no control characters, nothing beyond Latin-1. */
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;
const RESERVED = new Set([
  "accept-encoding",
  "connection",
  "content-length",
  "content-type",
  "expect",
  "host",
  "if-match",
  "if-modified-since",
  "if-none-match",
  "if-range",
  "if-unmodified-since",
  "keep-alive",
  "proxy-authenticate",
  "proxy-connection",
  "range",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);

/** What is wrong with the options; `undefined` when nothing is. Values are never repeated. */
export function checkOriginRequest(options: OriginRequestOptions): ErrorInfo | undefined {
  const { headers = [], challengeHeaders = [], tlsTolerance = [], clientCertificate } = options;
  const problem = checkFields(headers) ?? checkFields(challengeHeaders);
  if (problem !== undefined) return problem;
  const unknown = tlsTolerance.find((tolerance) => !TLS_TOLERANCES.includes(tolerance));
  if (unknown !== undefined) return errorInfo("ERR_USAGE", "unknown TLS tolerance");
  if ((clientCertificate?.length ?? 0) > LIMITS.clientCertificateLengthMax) {
    return errorInfo("ERR_USAGE", "the client certificate is too long");
  }
  return undefined;
}

function checkFields(fields: readonly HeaderField[]): ErrorInfo | undefined {
  if (fields.length > LIMITS.requestFieldsMax) {
    return errorInfo("ERR_USAGE", `${fields.length} header fields`);
  }
  let length = 0;
  for (const [name, value] of fields) {
    length += name.length + value.length;
    if (!TOKEN.test(name)) return errorInfo("ERR_USAGE", "a header field's name is not a token");
    if (!VALUE.test(value)) {
      return errorInfo("ERR_USAGE", `header field ${name} has a character that cannot be sent`);
    }
    if (RESERVED.has(name.toLowerCase())) {
      return errorInfo("ERR_USAGE", `header field ${name} is set by the agent itself`);
    }
  }
  return length > LIMITS.requestHeaderLengthMax
    ? errorInfo("ERR_USAGE", "the header fields are too long")
    : undefined;
}

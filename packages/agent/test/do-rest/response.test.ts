import { HRESULTS } from "@shoal/core";
import type { HResultSymbol } from "@shoal/core";
import { expect, test } from "vitest";
import {
  failureResponse,
  MALFORMED_RESPONSE,
  successResponse,
} from "../../src/do-rest/response.ts";

const SERVER = "Server: Delivery-Optimization-Agent/1.1.0\r\n";

test("a success has its length, the server, and compact JSON with a line end", () => {
  const id = "94cff2ab-2a11-cb40-958c-a9ca38888a85";
  expect(successResponse({ Id: id }).toString()).toBe(
    `HTTP/1.1 200 OK\r\nContent-Length: 46\r\n${SERVER}\r\n{"Id":"${id}"}\n`,
  );
});

test("a success with nothing to say is an empty object of three bytes", () => {
  expect(successResponse({}).toString()).toBe(
    `HTTP/1.1 200 OK\r\nContent-Length: 3\r\n${SERVER}\r\n{}\n`,
  );
});

test("slashes, quotes and control characters are escaped, and others are UTF-8", () => {
  const text = successResponse({ Uri: 'http://h/"\n\\é' }).toString();
  expect(text).toContain(String.raw`{"Uri":"http:\/\/h\/\"\n\\é"}`);
  expect(text).toContain("Content-Length: 31\r\n");
});

test.for([
  ["E_INVALIDARG", "400 BadRequest", "-2147024809"],
  ["E_NOT_SET", "404 NotFound", "-2147023728"],
  ["E_OUTOFMEMORY", "503 ServiceUnavailable", "-2147024882"],
  ["ERROR_UNHANDLED_EXCEPTION", "500 InternalError", "-2147024322"],
  ["E_NOTIMPL", "400 BadRequest", "-2147467263"],
  ["E_UNSUPPORTED", "400 BadRequest", "-2147024846"],
  ["INET_E_INVALID_URL", "400 BadRequest", "-2146697214"],
  ["DO_E_NO_SERVICE", "400 BadRequest", "-2133848063"],
  ["DO_E_UNKNOWN_PROPERTY_ID", "400 BadRequest", "-2133843951"],
  ["DO_E_READ_ONLY_PROPERTY", "400 BadRequest", "-2133843950"],
  ["DO_E_INVALID_STATE", "400 BadRequest", "-2133843949"],
  ["DO_E_FILE_DOWNLOADSINK_UNSPECIFIED", "400 BadRequest", "-2133843944"],
  ["DO_E_DOWNLOAD_NO_URI", "400 BadRequest", "-2133843456"],
  ["ENOENT", "400 BadRequest", "-1060110334"],
  ["EACCES", "400 BadRequest", "-1060110323"],
  ["EEXIST", "400 BadRequest", "-1060110319"],
] as const satisfies ReadonlyArray<readonly [HResultSymbol, string, string]>)(
  "%s is %s with %s",
  ([symbol, status, code]) => {
    const body = `{ "ErrorCode": ${code} }`;
    expect(failureResponse(HRESULTS[symbol]).toString()).toBe(
      `HTTP/1.1 ${status}\r\nContent-Length: ${body.length}\r\n${SERVER}\r\n${body}`,
    );
  },
);

test("what is no request gets neither body nor length", () => {
  expect(MALFORMED_RESPONSE.toString()).toBe(`HTTP/1.1 400 BadRequest\r\n${SERVER}\r\n`);
});

test("a response that the SDK could not take becomes a failure", () => {
  const response = successResponse({ Uri: "/".repeat(1_000) });
  expect(response.toString()).toContain("-2147024872");
});

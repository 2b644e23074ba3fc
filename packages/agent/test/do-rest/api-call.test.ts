import { HRESULTS } from "@shoal/core";
import type { HResultSymbol } from "@shoal/core";
import { HResultError } from "@shoal/jobs/compat";
import { describe, expect, test } from "vitest";
import { apiCallOf } from "../../src/do-rest/api-call.ts";
import type { ApiCall } from "../../src/do-rest/api-call.ts";

const call = (method: string, target: string): ApiCall =>
  apiCallOf({ method, target, isFromBrowser: false });

const parameters = (target: string): object => Object.fromEntries(call("POST", target).parameters);

function failureOf(method: string, target: string): number {
  try {
    call(method, target);
  } catch (error) {
    if (error instanceof HResultError) return error.hresult;
    throw error;
  }
  return HRESULTS.S_OK;
}

describe("the path", () => {
  test.for([
    ["POST", "download/create", "create"],
    ["POST", "/download/create", "create"],
    ["POST", "/download/create/", "create"],
    ["POST", "download//create//", "create"],
    ["POST", "/DownLoad/CREATE", "create"],
    ["POST", "download%2Fcreate", "create"],
    ["POST", "download/%63reate", "create"],
    ["GET", "download/getstatus", "getstatus"],
    ["GET", "/download/getproperty?PropertyKey=Id", "getproperty"],
    ["POST", "download/setproperty", "setproperty"],
    ["GET", "download/enumerate", "enumerate"],
  ] as const)("%s %s is %s", ([method, target, operation]) => {
    expect(call(method, target).operation).toBe(operation);
  });

  test.for([
    ["POST", "download/nothing"],
    ["GET", "download/create"],
    ["POST", "download/getstatus"],
    ["PUT", "download/create"],
    ["post", "download/create"],
    ["POST", "download"],
    ["POST", "download/create/more"],
    ["POST", "/"],
    ["POST", "upload/create"],
    ["POST", "//download/create"],
    ["POST", "download/toString"],
    ["POST", "download/__proto__"],
    ["POST", "http://127.0.0.1/download/create"],
  ] as const)("%s %s is no operation", ([method, target]) => {
    expect(failureOf(method, target)).toBe(HRESULTS.E_UNSUPPORTED);
  });
});

describe("the query", () => {
  test("has names in whatever case, and the last of several values", () => {
    expect(parameters("download/start?id=1&ID=2&URI=x")).toEqual({ Id: "2", Uri: "x" });
  });

  test("is decoded after it is split, and a plus stays a plus", () => {
    const uri = "http%3A%2F%2Fh%2Fx%3Fa%3D1%26b%3D2%3B%23+%2B%20%C3%A9";
    expect(parameters(`download/create?Uri=${uri}&DownloadFilePath=/tmp/a=b`)).toEqual({
      Uri: "http://h/x?a=1&b=2;#++ é",
      DownloadFilePath: "/tmp/a=b",
    });
  });

  test("may hold an address with a question mark that is not encoded", () => {
    expect(parameters("download/create?Uri=http://h/x?y")).toEqual({ Uri: "http://h/x?y" });
  });

  test("may hold pieces without a value, which are nothing", () => {
    expect(parameters("download/create?&Nonsense&Uri=&")).toEqual({ Uri: "" });
  });

  test.for([
    ["download/create?Nonsense=1", "E_INVALIDARG"],
    ["download/create?=1", "E_INVALIDARG"],
    ["download/create?Uri=%ff", "E_INVALIDARG"],
    ["download/create?Uri=%", "ERROR_UNHANDLED_EXCEPTION"],
    ["download/create?Uri=%4", "ERROR_UNHANDLED_EXCEPTION"],
    ["download/create?Uri=%zz", "ERROR_UNHANDLED_EXCEPTION"],
    ["download/cr%", "ERROR_UNHANDLED_EXCEPTION"],
  ] as const satisfies ReadonlyArray<readonly [string, HResultSymbol]>)(
    "%s is refused with %s",
    ([target, symbol]) => {
      expect(failureOf("POST", target)).toBe(HRESULTS[symbol]);
    },
  );
});

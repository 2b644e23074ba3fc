import { expect, test } from "vitest";
import { wayOut } from "../../src/cli/way-out.ts";

test("proxies come from the usual variables, the lower-case one of a pair first", () => {
  expect(wayOut({}, {})).toEqual({ proxy: {} });
  const env = {
    HTTP_PROXY: "http://upper.test",
    http_proxy: "http://lower.test",
    HTTPS_PROXY: "http://secure.test",
    NO_PROXY: "a.test",
    no_proxy: "",
    ALL_PROXY: "http://all.test",
  };
  expect(wayOut({}, env)).toEqual({
    proxy: { http: "http://lower.test", https: "http://secure.test", noProxy: "" },
  });
});

test("--ca names the file of authorities", () => {
  expect(wayOut({ ca: "my.pem" }, {})).toEqual({ proxy: {}, caFile: "my.pem" });
});

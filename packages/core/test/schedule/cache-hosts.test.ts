import { describe, expect, test } from "vitest";
import { errorInfo } from "@shoal/core";
import { cacheUrl, CacheHosts, isCacheHost } from "../../src/schedule/cache-hosts.ts";

describe("a cache server's URL", () => {
  test.each([
    [
      "10.1.0.70",
      "http://dl.example/files/52fa",
      "http://10.1.0.70/files/52fa?cacheHostOrigin=dl.example",
    ],
    ["cache", "http://DL.Example:8080/a?b=1", "http://cache:8080/a?b=1&cacheHostOrigin=dl.example"],
    ["cache:81", "https://dl.example/a#part", "https://cache:81/a?cacheHostOrigin=dl.example"],
    ["[::1]:81", "http://dl.example/", "http://[::1]:81/?cacheHostOrigin=dl.example"],
  ])("of %s for %s", (host, url, expected) => {
    expect(cacheUrl(host, url)).toBe(expected);
  });

  test("is not made of other schemes, nor of URLs that become too long", () => {
    expect(cacheUrl("cache", "ftp://dl.example/a")).toBeUndefined();
    expect(cacheUrl("cache", "no URL")).toBeUndefined();
    expect(cacheUrl("cache", `http://dl.example/${"a".repeat(8_170)}`)).toBeUndefined();
  });

  test.each(["cache", "cache.example:81", "10.0.0.1", "[::1]", "[fe80::1]:8080"])(
    "takes %s",
    (text) => {
      expect(isCacheHost(text)).toBe(true);
    },
  );

  test.each([
    "",
    "http://cache",
    "cache/path",
    "user@cache",
    "a,b",
    "cache:99999",
    "c?x",
    "a b",
    "[::1",
  ])("refuses %s", (text) => {
    expect(isCacheHost(text)).toBe(false);
  });
});

describe("cache servers", () => {
  const notFound = { ...errorInfo("ERR_ORIGIN_NOT_FOUND"), originStatus: 404 };
  const gone = errorInfo("ERR_ORIGIN_UNREACHABLE");

  test("an answer 4xx bans one for that origin only, for a quarter of an hour", () => {
    const hosts = new CacheHosts(["a", "b"]);
    hosts.failed("a", "one", { error: notFound, hasDelivered: false }, 0);
    expect(hosts.isBanned("a", "one", 899_999)).toBe(true);
    expect(hosts.isBanned("a", "two", 0)).toBe(false);
    expect(hosts.isBanned("b", "one", 0)).toBe(false);
    expect(hosts.isBanned("a", "one", 900_000)).toBe(false);
  });

  test("others can be named for what is opened from now on, and taken back; bans stay", () => {
    const hosts = new CacheHosts(["a", "b"]);
    hosts.failed("a", "one", { error: gone, hasDelivered: false }, 0);
    hosts.set({ hosts: ["c", "a"], fallbackMs: 12_000 });
    expect([hosts.inTurn, hosts.fallbackMs]).toEqual([["c", "a"], 12_000]);
    expect(hosts.isBanned("a", "one", 1)).toBe(true);
    hosts.set({ hosts: [] });
    expect([hosts.inTurn, hosts.fallbackMs]).toEqual([[], undefined]);
    hosts.set(undefined);
    expect(hosts.inTurn).toEqual(["a", "b"]);
  });

  test("a name that does not resolve bans one for all", () => {
    const hosts = new CacheHosts(["a"]);
    const unresolved = errorInfo("ERR_ORIGIN_UNRESOLVED");
    hosts.failed("a", "one", { error: unresolved, hasDelivered: false }, 0);
    expect(hosts.isBanned("a", "two", 0)).toBe(true);
  });

  test("one that cannot be reached is banned for all, one that broke off is not", () => {
    const hosts = new CacheHosts(["a", "b"]);
    hosts.failed("b", "one", { error: gone, hasDelivered: true }, 0);
    expect(hosts.isBanned("b", "one", 0)).toBe(false);
    hosts.failed("a", "one", { error: gone, hasDelivered: false }, 0);
    expect(hosts.isBanned("a", "two", 0)).toBe(true);
  });

  test("5xx bans nobody, and the next server has its turn", () => {
    const hosts = new CacheHosts(["a", "b", "c"]);
    const error = { ...errorInfo("ERR_ORIGIN_UNAVAILABLE"), originStatus: 503 };
    hosts.failed("a", "one", { error, hasDelivered: false }, 0);
    expect(hosts.isBanned("a", "one", 0)).toBe(false);
    expect(hosts.inTurn).toEqual(["b", "c", "a"]);
  });

  test("bans are bounded: the oldest are forgotten", () => {
    const hosts = new CacheHosts(["a"]);
    for (let i = 0; i <= 1_024; i++) {
      hosts.failed("a", `origin-${i}`, { error: notFound, hasDelivered: false }, 0);
    }
    expect(hosts.isBanned("a", "origin-0", 0)).toBe(false);
    expect(hosts.isBanned("a", "origin-1", 0)).toBe(true);
  });
});

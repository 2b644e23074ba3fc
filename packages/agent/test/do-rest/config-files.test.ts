import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { LIMITS } from "@shoal/core";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  ADMIN_FILE,
  ConfigFiles,
  prepareConfigDirectory,
  SDK_FILE,
} from "../../src/do-rest/config-files.ts";

let directory: string;
let now = 0;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "shoal-do-config-"));
  now = 0;
});
afterEach(() => rm(directory, { recursive: true, force: true }));

const config = (): ConfigFiles => new ConfigFiles({ directory, refreshMs: 60_000, now: () => now });
const admin = (values: unknown): Promise<void> =>
  writeFile(join(directory, ADMIN_FILE), JSON.stringify(values));
const connection = (text: unknown): Promise<void> =>
  writeFile(join(directory, SDK_FILE), JSON.stringify({ ADUC_IoTConnectionString: text }));

describe("the cache server", () => {
  test("is none where nobody names one", async () => {
    expect(await config().cacheServers()).toBeUndefined();
  });

  test.for([
    ["HostName=h;DeviceId=d;GatewayHostName=10.1.0.70", ["10.1.0.70"]],
    ["HostName=h;GatewayHostName=gw.example;SharedAccessKey=k", ["gw.example"]],
    ["hostname=h;gatewayhostname=gw.example", ["gw.example"]],
    ["GatewayHostName=;DeviceId=d", []],
  ] as const)("is the gateway of %s", async ([text, hosts]) => {
    await connection(text);
    expect(await config().cacheServers()).toEqual({ hosts });
  });

  test("is none of a connection string without a gateway", async () => {
    await connection("HostName=h;DeviceId=d");
    expect(await config().cacheServers()).toBeUndefined();
  });

  test("is the administrator's rather than the gateway", async () => {
    await connection("GatewayHostName=gw.example");
    await admin({ DOCacheHost: "cache.example:8080" });
    expect(await config().cacheServers()).toEqual({ hosts: ["cache.example:8080"] });
  });

  test("is none where the administrator's is empty, whatever the gateway", async () => {
    await connection("GatewayHostName=gw.example");
    await admin({ DOCacheHost: "" });
    expect(await config().cacheServers()).toEqual({ hosts: [] });
  });

  test("may be one of several, and never what is no host", async () => {
    await admin({ DOCacheHost: "a.example, http://b/,c.example" });
    expect(await config().cacheServers()).toEqual({ hosts: ["a.example", "c.example"] });
  });

  test.for([
    [{ DODelayCacheServerFallbackBackground: 12 }, 12_000],
    [{ DODelayCacheServerFallbackForeground: "7" }, 7_000],
    [
      { DODelayCacheServerFallbackBackground: "12", DODelayCacheServerFallbackForeground: 7 },
      12_000,
    ],
    [{ DODelayCacheServerFallbackBackground: "x", DODelayCacheServerFallbackForeground: 7 }, 7_000],
    [{ DODelayCacheServerFallbackBackground: -1 }, Infinity],
    [{ DODelayCacheServerFallbackBackground: "-1" }, Infinity],
  ] as const)("is kept to as long as %o says", async ([values, fallbackMs]) => {
    await admin({ DOCacheHost: "a", ...values });
    expect(await config().cacheServers()).toEqual({ hosts: ["a"], fallbackMs });
  });
});

test.for([
  [{ RestControllerValidateRemoteAddr: false }, false],
  [{ RestControllerValidateRemoteAddr: "false" }, false],
  [{ RestControllerValidateRemoteAddr: true }, true],
  [{ RestControllerValidateRemoteAddr: "maybe" }, true],
  [{}, true],
] as const)("%o: remote addresses are checked: %s", async ([values, expected]) => {
  await admin(values);
  expect(await config().validatesRemoteAddress()).toBe(expected);
});

test("a value is read again when the reading is a minute old, or after a reload", async () => {
  const files = config();
  expect(await files.validatesRemoteAddress()).toBe(true);
  await admin({ RestControllerValidateRemoteAddr: false });
  now = 59_999;
  expect(await files.validatesRemoteAddress()).toBe(true);
  now = 60_000;
  expect(await files.validatesRemoteAddress()).toBe(false);
  await rm(join(directory, ADMIN_FILE));
  expect(await files.validatesRemoteAddress()).toBe(false);
  now = 120_000;
  expect(await files.validatesRemoteAddress()).toBe(true);
  await admin({ RestControllerValidateRemoteAddr: false });
  files.reload();
  expect(await files.validatesRemoteAddress()).toBe(false);
});

test.for(["{", "[1]", "null", `{"a":"${"x".repeat(LIMITS.doRestConfigBytesMax)}"}`])(
  "a file that cannot be understood leaves what was known (%#)",
  async (text) => {
    await admin({ RestControllerValidateRemoteAddr: false });
    const files = config();
    expect(await files.validatesRemoteAddress()).toBe(false);
    await writeFile(join(directory, ADMIN_FILE), text);
    files.reload();
    expect(await files.validatesRemoteAddress()).toBe(false);
  },
);

test("the administrator's file is made empty where there is none, and left alone otherwise", async () => {
  const fresh = join(directory, "etc");
  await prepareConfigDirectory(fresh);
  expect(JSON.parse(await readFile(join(fresh, ADMIN_FILE), "utf8"))).toEqual({});
  expect((await stat(join(fresh, ADMIN_FILE))).mode & 0o022).toBe(0);
  await writeFile(join(fresh, ADMIN_FILE), `{"DOCacheHost":"a"}`);
  await prepareConfigDirectory(fresh);
  expect(await readFile(join(fresh, ADMIN_FILE), "utf8")).toBe(`{"DOCacheHost":"a"}`);
});

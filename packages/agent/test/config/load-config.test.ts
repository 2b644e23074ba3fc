import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { parseConfigFile } from "../../src/config/config-file.ts";
import { CONFIG_KEYS, isList } from "../../src/config/config-keys.ts";
import type { ConfigKey } from "../../src/config/config-keys.ts";
import { agentOptionsOf, settingsAndPolicies } from "../../src/config/config-options.ts";
import { reportConfig, valueText } from "../../src/config/config-report.ts";
import { editConfigFile } from "../../src/config/edit-config.ts";
import { configPlaces, loadConfig, valueOfText } from "../../src/config/load-config.ts";
import type { Environment } from "../../src/config/load-config.ts";

let directory = "";
let env: Environment = {};
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "shoal-config-"));
  await mkdir(join(directory, "etc", "conf.d"), { recursive: true });
  env = {
    SHOAL_CONFIG_DIRECTORY: join(directory, "etc"),
    XDG_CONFIG_HOME: join(directory, "home"),
    XDG_STATE_HOME: join(directory, "state"),
    XDG_RUNTIME_DIR: join(directory, "run"),
  };
});
afterEach(() => rm(directory, { recursive: true }));

async function write(path: string, text: string): Promise<void> {
  await mkdir(join(directory, path, ".."), { recursive: true });
  await writeFile(join(directory, path), text, { mode: 0o600 });
}

describe("a value", () => {
  test("comes from the strongest place that gives one, which is named", async () => {
    await write(
      "etc/config.yaml",
      "uploadsMax: 1\nlogLevel: warn\ncacheCopies: 0\nactiveJobsMax: 2\n",
    );
    await write("etc/conf.d/10.yaml", "uploadsMax: 2\n");
    await write("etc/conf.d/20.yaml", "cacheCopies: 2\n");
    await write("etc/conf.d/30.txt", "no YAML: [\n");
    await write("home/shoal/config.yaml", "uploadsMax: 3\nactiveJobsMax: 3\n");
    const flags = [{ name: "uploadsMax", value: 5 }];
    const config = await loadConfig({ env: { ...env, SHOAL_ACTIVE_JOBS_MAX: "4" }, flags });
    const reports = reportConfig(config).filter(({ layer }) => layer !== "default");
    const given = Object.fromEntries(
      reports.map(({ name, value, layer }) => [name, [value, layer]]),
    );
    expect(given).toEqual({
      activeJobsMax: [4, "environment"],
      cacheCopies: [2, "systemFile"],
      logLevel: ["warn", "systemFile"],
      uploadsMax: [5, "flag"],
    });
    const where = Object.fromEntries(reports.map((report) => [report.name, report.where]));
    expect(where["cacheCopies"]).toBe(join(directory, "etc/conf.d/20.yaml:1:1"));
    expect(where["activeJobsMax"]).toBe("SHOAL_ACTIVE_JOBS_MAX");
  });

  test("of a policy comes before a setting of a weaker place, not of the same", async () => {
    await write(
      "etc/config.yaml",
      "downloadMode: 1\nuploadRateBytesPerSec: 7\nDOMaxUploadBandwidth: 1\n",
    );
    const config = await loadConfig({ env: { ...env, SHOAL_DO_DOWNLOAD_MODE: "0" } });
    expect(settingsAndPolicies(config)).toEqual({
      settings: { uploadRateBytesPerSec: 7 },
      policies: { DODownloadMode: 0, DOMaxUploadBandwidth: 1 },
    });
    const mode = reportConfig(config).find(({ name }) => name === "downloadMode");
    expect(mode).toMatchObject({
      value: 0,
      layer: "policy",
      where: "DODownloadMode, SHOAL_DO_DOWNLOAD_MODE",
    });
  });

  test("that is secret is used and not shown (R-API-13)", async () => {
    const config = await loadConfig({ env: { ...env, https_proxy: "http://u:secret@proxy:1" } });
    expect(agentOptionsOf(config, env).proxy).toEqual({ https: "http://u:secret@proxy:1" });
    expect(JSON.stringify(reportConfig(config))).not.toContain("secret");
  });

  test("in the environment is refused by the variable's name", async () => {
    const request = { env: { ...env, SHOAL_MDNS: "maybe" } };
    await expect(loadConfig(request)).rejects.toThrow("SHOAL_MDNS: it takes true or false");
  });

  test("is at its default where nobody gives one, and options then have none", async () => {
    const config = await loadConfig({ env });
    expect(agentOptionsOf(config, env)).toEqual({
      settings: {},
      policies: {},
      proxy: {},
      api: { socketPath: join(directory, "run", "shoal", "agent.sock"), isOptional: true },
      stateDirectory: join(directory, "state", "shoal", "agent"),
    });
    expect(reportConfig(config).every(({ layer }) => layer === "default")).toBe(true);
    // As systemd says them to a unit to which somebody has added another one.
    for (const more of ["", ":/var/elsewhere"]) {
      const own = {
        STATE_DIRECTORY: `/var/lib/shoal${more}`,
        RUNTIME_DIRECTORY: `/run/shoal${more}`,
      };
      expect(agentOptionsOf(config, { ...env, ...own })).toMatchObject({
        stateDirectory: "/var/lib/shoal",
        api: { socketPath: "/run/shoal/agent.sock", socketMode: 0o660 },
      });
    }
  });

  test("of a listener for the DO SDK keeps its clients out of the configuration (R-FS-03)", async () => {
    const config = await loadConfig({ env: { ...env, SHOAL_DO_REST: "on" } });
    const { doRest } = agentOptionsOf(config, env);
    expect(doRest?.reservedPaths).toContain(configPlaces(env).userFile);
    expect(doRest?.reservedPaths).toContain(configPlaces(env).systemDirectory);
  });

  test("names the place of the API, which then must be had", async () => {
    const asked = {
      ...env,
      SHOAL_API_SOCKET: "/s",
      SHOAL_API_SOCKET_MODE: "0600",
      SHOAL_API_PORT: "0",
    };
    const config = await loadConfig({ env: asked });
    expect(agentOptionsOf(config, asked).api).toEqual({
      socketPath: "/s",
      socketMode: 0o600,
      tcp: { port: 0 },
      isOptional: false,
    });
    const inherited = { ...env, LISTEN_PID: String(process.pid), LISTEN_FDS: "1" };
    const { api } = agentOptionsOf(await loadConfig({ env: inherited }), inherited);
    expect(api).toEqual({ fd: 3, isOptional: false });
    const off = await loadConfig({ env: { ...env, SHOAL_API: "off" } });
    expect(agentOptionsOf(off, env)).not.toHaveProperty("api");
  });
});

describe("keys", () => {
  const keys = [...CONFIG_KEYS.values()];

  test("have variables that are all different", () => {
    expect(new Set(keys.map(({ variable }) => variable)).size).toBe(keys.length);
    expect(CONFIG_KEYS.get("DOAllowVPNPeerCaching")?.variable).toBe(
      "SHOAL_DO_ALLOW_VPN_PEER_CACHING",
    );
    expect(CONFIG_KEYS.get("p2pDelayForegroundMs")?.variable).toBe("SHOAL_P2P_DELAY_FOREGROUND_MS");
  });

  const written = keys.filter((key) => key.default !== undefined && !isList(key));
  test.each(written.map((key): [string, ConfigKey] => [key.name, key]))(
    "show the value of %s in a form that is read back as the same",
    (name, key) => {
      expect(valueOfText(key, valueText(name, key.default), name)).toEqual(key.default);
    },
  );
});

test("the example file is right, also when its lines are taken into use", async () => {
  const example = new URL("../../../../packaging/config.yaml", import.meta.url);
  const text = (await readFile(example, "utf8")).replaceAll(/^# (?=[\w]+: )/gm, "");
  const { entries, problems } = parseConfigFile(text, "config.yaml");
  expect(problems).toEqual([]);
  expect(entries.length).toBeGreaterThan(5);
});

describe("changing a file", () => {
  const key = CONFIG_KEYS.get("uploadRateBytesPerSec");
  const change = (texts: readonly string[], path = "f.yaml"): Promise<void> => {
    if (key === undefined) throw new Error("no key");
    return editConfigFile(join(directory, path), { key, texts, isList: false });
  };

  test("leaves comments, order and everything else as they are", async () => {
    await write(
      "f.yaml",
      "# mine\nmdns: off # so\n\nuploadRateBytesPerSec: 1MiB # slow\nlisten: [a, b]\n",
    );
    await change(["2MiB"]);
    const text = await readFile(join(directory, "f.yaml"), "utf8");
    expect(text).toBe(
      "# mine\nmdns: off # so\n\nuploadRateBytesPerSec: 2MiB # slow\nlisten: [ a, b ]\n",
    );
    await change([]);
    expect(await readFile(join(directory, "f.yaml"), "utf8")).not.toContain("uploadRate");
  });

  test("makes one that is not there, for its owner alone", async () => {
    await change(["1"], "new/f.yaml");
    expect(await readFile(join(directory, "new/f.yaml"), "utf8")).toBe(
      "uploadRateBytesPerSec: 1\n",
    );
    expect((await stat(join(directory, "new/f.yaml"))).mode & 0o777).toBe(0o600);
  });

  test("keeps the comments of a file that holds nothing else", async () => {
    await write("f.yaml", "# how to\n# configure\n");
    await change(["1"]);
    const text = await readFile(join(directory, "f.yaml"), "utf8");
    expect(text).toContain("# how to\n# configure\n");
    expect(text).toContain("uploadRateBytesPerSec: 1\n");
  });

  test("is refused while the file is wrong, or would be, and changes nothing", async () => {
    await write("f.yaml", "mdsn: off\n");
    await expect(change(["1"])).rejects.toMatchObject({ code: "ERR_CONFIG_INVALID" });
    await write("f.yaml", "mdns: off\n");
    await expect(change(["fast"])).rejects.toMatchObject({ code: "ERR_CONFIG_INVALID" });
    expect(await readFile(join(directory, "f.yaml"), "utf8")).toBe("mdns: off\n");
  });
});

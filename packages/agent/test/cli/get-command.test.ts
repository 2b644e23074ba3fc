import { mkdtemp, readdir, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { CommandContext } from "../../src/cli/command-context.ts";
import { checkDestinationNow } from "../../src/cli/destination-check.ts";
import { runGet } from "../../src/cli/get-command.ts";
import { openGetPlace, stateHome } from "../../src/cli/state-place.ts";

let directory = "";
beforeEach(async () => void (directory = await mkdtemp(join(tmpdir(), "shoal-get-"))));
afterEach(() => rm(directory, { recursive: true, force: true }));

describe("shoal get refuses before it touches anything", () => {
  const env = (): Record<string, string> => ({ XDG_STATE_HOME: join(directory, "state") });
  const get = (url: string | undefined, options: object): Promise<void> => {
    const nothing = (): void => {};
    const terminal = { say: nothing, data: nothing, out: nothing, json: nothing };
    const context = { terminal, env: env(), signal: new AbortController().signal };
    return runGet(
      url,
      { agent: false, mdns: false, ...options },
      context as unknown as CommandContext,
    );
  };

  test.each<[string, string | undefined, object, string]>([
    ["a missing output", "http://a/f", {}, "-o FILE is missing"],
    ["neither URL nor content id", undefined, { output: "f" }, "name a URL"],
    [
      "a digest that would be of no file of a Metalink document",
      "http://a/f.meta4",
      { output: "f", sha256: "0".repeat(64) },
      "--sha256 and --content-id are of one file",
    ],
    ["a missing directory", "http://a/f", { output: "/no/such/f" }, "does not exist: /no/such"],
  ])("%s", async (_name, url, options, words) => {
    await expect(get(url, options)).rejects.toThrow(words);
    expect(await readdir(directory)).toEqual([]);
  });
});

describe("a destination", () => {
  test("may be new, or a file that may be overwritten", async () => {
    const path = join(directory, "f");
    await checkDestinationNow(path, false);
    await writeFile(path, "");
    await checkDestinationNow(path, true);
    await expect(checkDestinationNow(path, false)).rejects.toMatchObject({
      code: "ERR_DESTINATION_EXISTS",
    });
  });

  test("is neither a directory nor a symbolic link, nor below a file", async () => {
    const code = "ERR_DESTINATION_TYPE";
    await symlink("/etc/hostname", join(directory, "link"));
    for (const path of [directory, join(directory, "link")]) {
      await expect(checkDestinationNow(path, true)).rejects.toMatchObject({ code });
    }
    await writeFile(join(directory, "f"), "");
    await expect(checkDestinationNow(join(directory, "f", "g"), true)).rejects.toMatchObject({
      code: "ERR_DESTINATION_INVALID",
    });
  });

  test("has a name that is not ours, and no control characters (R-FS-03)", async () => {
    for (const name of [".shoal-x", "a\u001b[2J", `${"x".repeat(256)}`]) {
      await expect(checkDestinationNow(join(directory, name), true)).rejects.toMatchObject({
        code: "ERR_DESTINATION_INVALID",
      });
    }
  });
});

describe("the state of shoal get", () => {
  test("lies where the surroundings say, a directory for each destination", async () => {
    const env = { XDG_STATE_HOME: directory };
    const one = await openGetPlace("/downloads/a", { named: undefined, env });
    const other = await openGetPlace("/downloads/b", { named: undefined, env });
    expect(one.path).toMatch(/\/shoal\/get\/[0-9a-f]{16}$/);
    expect(other.path).not.toBe(one.path);
    expect(stateHome({ XDG_STATE_HOME: "relative" })).toMatch(/^\/.*\/\.local\/state\/shoal$/);
    await writeFile(join(one.path, "state.db"), "");
    await one.remove();
    expect(await readdir(join(directory, "shoal", "get"))).toHaveLength(1);
    await other.remove();
    expect(await readdir(directory)).toEqual([]);
  });

  test("goes with the directories made for it, and leaves those it found", async () => {
    const env = { XDG_STATE_HOME: join(directory, "made", "too") };
    const made = await openGetPlace("/downloads/a", { named: undefined, env });
    const found = await openGetPlace("/downloads/a", { named: undefined, env });
    await found.removeIfNew();
    expect(await readdir(made.path)).toEqual([]);
    await made.removeIfNew();
    expect(await readdir(directory)).toEqual([]);
  });

  test("is left alone where the user has named it", async () => {
    const place = await openGetPlace("/downloads/a", { named: directory, env: {} });
    await place.remove();
    await place.removeIfNew();
    expect(place.path).toBe(directory);
    expect(await readdir(directory)).toEqual([]);
  });

  test("is refused with a code when it cannot be made", async () => {
    const file = join(directory, "file");
    await writeFile(file, "");
    const env = { XDG_STATE_HOME: file };
    const opened = openGetPlace("/downloads/a", { named: undefined, env });
    await expect(opened).rejects.toMatchObject({ code: "ERR_STATE_UNUSABLE" });
  });
});

import { chmod, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { parseConfigFile, readConfigFile } from "../../src/config/config-file.ts";

const valuesOf = (text: string): Record<string, unknown> => {
  const { entries, problems } = parseConfigFile(text, "/etc/shoal/f.yaml");
  expect(problems).toEqual([]);
  return Object.fromEntries(entries.map(({ key, value }) => [key.name, value]));
};
const problemsOf = (text: string): readonly string[] => parseConfigFile(text, "f.yaml").problems;

describe("a configuration file", () => {
  test("may have units, lists, comments, and policies by their names", () => {
    const text = `
# a comment
uploadRateBytesPerSec: 2MiB   # another
cacheAgeMs: 3d
backgroundPercent: 50%
verifyOnComplete: yes
listen: [/ip4/0.0.0.0/tcp/1, /ip4/0.0.0.0/tcp/2]
peers: /ip4/10.0.0.1/tcp/1/p2p/x
umask: 027
DODownloadMode: 2
DOAllowVPNPeerCaching: true
DOCacheHost: [a.example, b.example]
DOGroupId: "{6f0e8a1c-0000-4000-8000-000000000000}"
mdns:
`;
    expect(valuesOf(text)).toEqual({
      uploadRateBytesPerSec: 2 * 1024 * 1024,
      cacheAgeMs: 3 * 86_400_000,
      backgroundPercent: 50,
      verifyOnComplete: 1,
      listen: ["/ip4/0.0.0.0/tcp/1", "/ip4/0.0.0.0/tcp/2"],
      peers: ["/ip4/10.0.0.1/tcp/1/p2p/x"],
      umask: 0o27,
      DODownloadMode: 2,
      DOAllowVPNPeerCaching: 1,
      DOCacheHost: "a.example,b.example",
      DOGroupId: "{6f0e8a1c-0000-4000-8000-000000000000}",
    });
  });

  test("may be JSON, and may be empty", () => {
    expect(valuesOf('{ "mdns": false, "share": ["a", "/b"] }')).toEqual({
      mdns: false,
      share: ["/etc/shoal/a", "/b"],
    });
    expect(valuesOf("")).toEqual({});
    expect(valuesOf("# nothing\n")).toEqual({});
  });

  test.each([
    ["mdsn: on", 'f.yaml:1:1: there is no key "mdsn": did you mean mdns?'],
    ["\nuploadRate: 1", 'f.yaml:2:1: there is no key "uploadRate"'],
    ["__proto__: 1", 'f.yaml:1:1: there is no key "__proto__"'],
    ["mdns: maybe", 'f.yaml:1:7: mdns: "maybe" is not possible: it takes true or false'],
    ["logLevel: loud", "it takes debug, info, warn, error"],
    ["uploadsMax: 99", "it takes whole numbers from 0 to 16"],
    ["uploadsMax: 1.5", "it takes whole numbers from 0 to 16"],
    ["cacheBytesMax: 2 litres", "in bytes or such as 2MiB"],
    ["umask: 999", "it takes octal digits"],
    ["DODownloadMode: 7", "it takes one of 0, 1, 2, 3, 99, 100"],
    ["mdns: [on]", "mdns: it takes one value"],
    ["listen: {a: 1}", "listen: it takes a plain value"],
    ["a: &x 1\nmdns: *x", "there is no key"],
    ["mdns: on\nmdns: off", "f.yaml:2:1: Map keys must be unique"],
    ["- a", "it holds no keys and values"],
    ["mdns: 'on", "f.yaml:1:"],
  ])("is refused with the place of what is wrong: %j", (text, words) => {
    expect(problemsOf(text).join("\n")).toContain(words);
  });

  test("never shows what may hold a password", () => {
    expect(problemsOf('httpProxy: "http://u:secret@h\\n"').join()).not.toContain("secret");
  });

  test("of any text is read or refused, and never throws (R-PROC-06)", () => {
    const word = fc.constantFrom(
      "mdns",
      "listen",
      ": ",
      "\n",
      "- ",
      "&a ",
      "*a",
      "{",
      "[",
      "'",
      "1",
    );
    fc.assert(
      fc.property(fc.array(fc.oneof(word, fc.string()), { maxLength: 30 }), (words) => {
        const { entries, problems } = parseConfigFile(words.join(""), "f");
        expect(entries.length + problems.length).toBeGreaterThanOrEqual(0);
      }),
    );
  });
});

describe("a configuration file on disk", () => {
  let directory = "";
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), "shoal-config-"));
  });
  afterEach(() => rm(directory, { recursive: true }));

  test("that others may write is refused (R-FS-01)", async () => {
    const path = join(directory, "f.yaml");
    await writeFile(path, "mdns: on\n", { mode: 0o644 });
    expect((await readConfigFile(path))?.entries).toHaveLength(1);
    for (const mode of [0o646, 0o664, 0o666]) {
      await chmod(path, mode);
      await expect(readConfigFile(path)).rejects.toMatchObject({ code: "ERR_CONFIG_INVALID" });
    }
  });

  test("is a file; where there is none, that is no mistake", async () => {
    expect(await readConfigFile(join(directory, "none.yaml"))).toBeUndefined();
    expect(await readConfigFile(join(directory, "none", "none.yaml"))).toBeUndefined();
    await expect(readConfigFile(directory)).rejects.toMatchObject({ code: "ERR_CONFIG_INVALID" });
    const link = join(directory, "link.yaml");
    await symlink(join(directory, "target.yaml"), link);
    await writeFile(join(directory, "target.yaml"), "mdns: on\n", { mode: 0o600 });
    expect((await readConfigFile(link))?.entries).toHaveLength(1);
  });
});

/**
 * Groups from end to end: the command makes a key, agents with it give each other a file, and an
 * agent without it gets nothing, although it knows the content's id and the member's address.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { startAgent } from "@shoal/agent";
import type { Agent } from "@shoal/agent";
import { MiB } from "@shoal/core";
import { afterEach, beforeEach, expect, test } from "vitest";
import { CliUser } from "./cli-process.ts";
import { LOOPBACK, sha256Of, TestSite, until } from "./harness.ts";

let site: TestSite;
let cli: CliUser;
beforeEach(async () => {
  site = await TestSite.create();
  cli = await CliUser.create(site.directory);
});
afterEach(() => site[Symbol.asyncDispose]());

async function agentOf(name: string, options: { keys: string[]; peers: string[] }): Promise<Agent> {
  const agent = await startAgent({
    stateDirectory: join(site.directory, name),
    listen: [LOOPBACK],
    mdns: false,
    watchNetwork: false,
    peers: options.peers,
    groupKeyFiles: options.keys,
  });
  return site.use(agent);
}

test("R-GRP-01: members share a file, and who has no key or another gets nothing", async () => {
  const content = await site.publish("file.bin", 2 * MiB + 5);
  const made = await cli.run("group", "create", "office.group");
  expect(made).toMatchObject({ exitCode: 0 });
  await cli.run("group", "create", "other.group");
  const again = await cli.run("group", "create", "office.group");
  expect(again.exitCode).not.toBe(0);
  const key = join(cli.cwd, "office.group");
  const secret = (await readFile(key, "utf8")).split(":")[1]?.trim() ?? "";
  expect(secret).not.toBe("");
  expect([made, again].some(({ stdout, stderr }) => `${stdout}${stderr}`.includes(secret))).toBe(
    false,
  );
  const seed = await agentOf("seed", { keys: [key], peers: [] });
  const contentId = await seed.share(content.path);
  const peers = [...seed.addresses];
  const member = await agentOf("member", { keys: [key], peers });
  const other = join(cli.cwd, "other.group");
  const strangers = [
    await agentOf("stranger", { keys: [], peers }),
    await agentOf("another", { keys: [other], peers }),
  ];
  const destination = join(site.directory, "copy.bin");
  const { peerId } = member;
  await until(() => seed.connectedPeers.includes(peerId), "the members' connection");
  const [peer = ""] = peers;
  const where = ["--content-id", contentId, "--peer", peer, "-o", destination];
  const got = await cli.run("get", ...where, "--group-key", key);
  expect(got).toMatchObject({ exitCode: 0 });
  expect(await sha256Of(destination)).toBe(await sha256Of(content.path));
  for (const stranger of strangers) expect(stranger.connectedPeers).toEqual([]);
  expect(seed.connectedPeers).not.toContain(strangers[0]?.peerId);
});

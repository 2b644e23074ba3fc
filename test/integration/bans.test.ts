/** Bans of whole agents over real sockets: identity churn, a restart, and forgiveness. */
import { join } from "node:path";
import { startAgent } from "@shoal/agent";
import type { Agent, Notice } from "@shoal/agent";
import { MiB } from "@shoal/core";
import { afterEach, beforeEach, expect, test } from "vitest";
import { LOOPBACK, sha256Of, TestSite, until } from "./harness.ts";
import type { TestContent } from "./harness.ts";
import { HostilePeer } from "./hostile-peer.ts";

let site: TestSite;
let content: TestContent;
beforeEach(async () => {
  site = await TestSite.create();
  content = await site.publish("file.bin", 32 * MiB);
});
afterEach(() => site[Symbol.asyncDispose]());

function start(): Promise<Agent> {
  const stateDirectory = join(site.directory, "state");
  return startAgent({ stateDirectory, listen: [LOOPBACK], mdns: false, watchNetwork: false });
}

/** A hostile peer of a new identity that dials the agent by itself. */
async function intrude(agent: Agent): Promise<HostilePeer> {
  const peer = site.use(await HostilePeer.start(content));
  peer.dial(agent);
  await until(() => peer.connected.size > 0 || peer.failedDials > 0, "an answer to the dial");
  return peer;
}

test("identities of one address cost the address, which stays refused until it is forgiven (R-BAN-02, R-BAN-03, R-BAN-05, R-SCH-07)", async () => {
  const origin = await site.serve(content, { rateBytesPerSec: 8 * MiB });
  let agent = await start();
  const notices: Notice[] = [];
  agent.onNotice((notice) => notices.push(notice));
  const destination = join(site.directory, "got.bin");
  const { contentId } = content;
  const job = await agent.jobs.createJob({ files: [{ url: origin.url, contentId, destination }] });
  const intruders: HostilePeer[] = [];
  while (!notices.some(({ type }) => type === "addressBanned") && intruders.length < 12) {
    const peer = await intrude(agent);
    intruders.push(peer);
    await until(() => peer.connected.size === 0 || peer.sentPieces > 0, "the first piece");
  }
  expect(notices).toContainEqual({
    type: "addressBanned",
    address: "127.0.0.1",
    offence: "corruptPiece",
  });
  const late = await intrude(agent);
  expect(late.connected.size).toBe(0);
  const sent = intruders.reduce((sum, { sentPieces }) => sum + sentPieces, 0);
  expect(sent).toBeLessThanOrEqual(5);
  await job.transferred;
  await job.acknowledge();
  expect(await sha256Of(destination)).toBe(content.sha256);

  const before = agent.bans.list();
  expect(before.map(({ subject }) => subject)).toContain("127.0.0.1");
  await agent.close();
  agent = site.use(await start());
  const after = agent.bans.list();
  expect(after.map(({ subject }) => subject)).toEqual(before.map(({ subject }) => subject));
  expect((await intrude(agent)).connected.size).toBe(0);
  expect(agent.bans.remove("127.0.0.1")).toBe(true);
  expect(agent.bans.remove("127.0.0.1")).toBe(false);
  expect((await intrude(agent)).connected.size).toBe(1);
});

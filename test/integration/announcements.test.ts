/**
 * Announcements from end to end: a publisher fetches somebody else's file once, and agents that trust
 * the key get it from peers, as long as the origin's validator is the announced one. The origins have
 * nothing but the file and its ETag, over plain HTTP.
 */
import { rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { startAgent } from "@shoal/agent";
import type { Agent, AgentOptions } from "@shoal/agent";
import { encodeAnnouncement, encodeEnvelope, MiB, urlTag, validatorTag } from "@shoal/core";
import type { Announcement } from "@shoal/core";
import { validatorInText } from "@shoal/origin";
import { afterEach, beforeEach, expect, test } from "vitest";
import { serveFiles } from "../../examples/origin/serve-files.ts";
import type { FileOrigin } from "../../examples/origin/serve-files.ts";
import { makeKey } from "../../packages/core/test/content/signing.ts";
import type { TestKey } from "../../packages/core/test/content/signing.ts";
import { CliUser } from "./cli-process.ts";
import { LOOPBACK, sha256Of, TestSite, until } from "./harness.ts";
import type { TestContent } from "./harness.ts";

const NAME = "file.bin";
const ALICE = makeKey();

let site: TestSite;
let content: TestContent;
let origin: FileOrigin;
let url: string;
beforeEach(async () => {
  site = await TestSite.create();
  content = await site.publish(NAME, 4 * MiB + 5);
  origin = site.use(await serveFiles({ [NAME]: content.path }));
  url = origin.urlOf(NAME);
});
afterEach(() => site[Symbol.asyncDispose]());

interface TestAgent {
  readonly agent: Agent;
  /** Codes of warnings, in order. */
  readonly warnings: string[];
}

async function agentOf(name: string, options: Partial<AgentOptions> = {}): Promise<TestAgent> {
  const warnings: string[] = [];
  const agent = await startAgent({
    stateDirectory: join(site.directory, name),
    listen: [LOOPBACK],
    mdns: false,
    watchNetwork: false,
    trustedKeys: [ALICE.text],
    // On a busy machine half a second is soon over.
    settings: { announcementTimeoutMs: 3_000 },
    logger: {
      debug() {},
      info() {},
      error() {},
      warn: ({ code, offence }) => void warnings.push(String(code ?? offence)),
    },
    ...options,
  });
  site.use({ [Symbol.asyncDispose]: () => agent.close() });
  return { agent, warnings };
}

/** An agent that is connected with others. */
async function joined(
  name: string,
  others: readonly TestAgent[],
  options: Partial<AgentOptions> = {},
): Promise<TestAgent> {
  const peers = others.flatMap(({ agent }) => agent.addresses);
  const made = await agentOf(name, { peers, ...options });
  const isConnected = (): boolean => made.agent.connectedPeers.length >= others.length;
  await until(isConnected, "the agents are connected");
  return made;
}

let downloads = 0;

/** Downloads the plain URL; checks the file, and returns how it came with what the origin sent. */
async function get({ agent }: TestAgent, sha256 = content.sha256) {
  const destination = join(site.directory, `got-${++downloads}`);
  const before = origin.sentBytesOf(NAME);
  const job = await agent.jobs.createJob({ files: [{ url, destination }] });
  await job.transferred;
  const { files } = await job.snapshot();
  await job.acknowledge();
  expect(await sha256Of(destination)).toBe(sha256);
  return { ...files[0], sentBytes: origin.sentBytesOf(NAME) - before };
}

/** What a publisher signs about the file as the origin has it now. */
async function announcementOf(change: Partial<Announcement> = {}): Promise<Announcement> {
  const response = await fetch(url, { method: "HEAD" });
  const header = [...response.headers].map(([name, value]) => `${name}: ${value}\r\n`).join("");
  const issuedAtSec = Math.floor(Date.now() / 1_000) - 10;
  return {
    tag: urlTag(url) ?? new Uint8Array(32),
    validator: validatorTag(content.length, validatorInText(header)) ?? new Uint8Array(32),
    sequence: 1,
    issuedAtSec,
    expiresAtSec: issuedAtSec + 3_600,
    contentId: content.contentId,
    ...change,
  };
}

function signedBy(announcement: Announcement, key: TestKey = ALICE): Uint8Array {
  const statementBytes = encodeAnnouncement(announcement);
  const signatures = [key.sign(statementBytes, "announcement")];
  return encodeEnvelope({ statementBytes, signatures });
}

/** An agent that has the file and the announcement. */
async function publisher(change: Partial<Announcement> = {}): Promise<TestAgent> {
  const made = await agentOf("publisher");
  await made.agent.share(content.path);
  made.agent.announce(signedBy(await announcementOf(change)));
  return made;
}

const FROM_ORIGIN = { integrity: "none", peerBytes: 0 } as const;

test("a file of somebody else's comes from peers once a trusted publisher has announced it (T3)", async () => {
  const first = await publisher();
  const second = await joined("second", [first]);
  const file = await get(second);
  expect(file).toMatchObject({ integrity: "pieces", contentId: content.contentId });
  expect(file.peerBytes).toBeGreaterThan(0);
  // The third knows only the second, which passes on what it has heard.
  const third = await joined("third", [second]);
  expect(await get(third)).toMatchObject({ integrity: "pieces", contentId: content.contentId });
  expect([...second.warnings, ...third.warnings]).toEqual([]);
});

test("it is passed on after a restart, also when the publisher has gone", async () => {
  const first = await publisher();
  const second = await joined("second", [first]);
  await get(second);
  await first.agent.close();
  await second.agent.close();
  const again = await agentOf("second");
  await until(() => again.agent.servedContents.length > 0, "the content is on offer");
  const third = await joined("third", [again]);
  expect(await get(third)).toMatchObject({ integrity: "pieces", contentId: content.contentId });
});

test("a file that has changed since comes from the origin alone, as it now is", async () => {
  const first = await publisher();
  const changed = await site.publish("changed.bin", 4 * MiB + 6);
  await rename(changed.path, content.path);
  const second = await joined("second", [first]);
  expect(await get(second, changed.sha256)).toMatchObject(FROM_ORIGIN);
  expect(second.warnings).toEqual([]);
});

test("nobody is asked by who trusts nobody, nor about a URL that is not everybody's (R-PRIV-02)", async () => {
  const first = await publisher();
  const trusting = await joined("trusting", [first]);
  const counted = (): number => first.agent.counters().shoal_announcement_requests_total;
  url = `${origin.urlOf(NAME)}?token=1`;
  await get(trusting);
  url = origin.urlOf(NAME);
  const distrustful = await joined("distrustful", [first], { trustedKeys: [] });
  expect(await get(distrustful)).toMatchObject(FROM_ORIGIN);
  expect(counted()).toBe(0);
  await get(trusting);
  expect(counted()).toBe(1);
});

test("an expired, older or unknown word is not taken, by an agent or by its peers (R-MAN-06, R-MAN-07)", async () => {
  const { agent } = await publisher({ sequence: 2 });
  const expiresAtSec = Math.floor(Date.now() / 1_000) - 1;
  const refused: ReadonlyArray<readonly [Uint8Array, string]> = [
    [signedBy(await announcementOf({ sequence: 1 })), "ERR_MANIFEST_ROLLBACK"],
    [signedBy(await announcementOf({ sequence: 3, expiresAtSec })), "ERR_MANIFEST_EXPIRED"],
    [signedBy(await announcementOf(), makeKey()), "ERR_MANIFEST_UNTRUSTED"],
    [new Uint8Array(5_000), "ERR_MANIFEST_MALFORMED"],
  ];
  for (const [signed, code] of refused) {
    expect(() => agent.announce(signed)).toThrow(expect.objectContaining({ code }));
  }
});

test("a key that is not trusted any more is not believed, and its word not passed on (R-MAN-13)", async () => {
  const first = await publisher();
  const second = await joined("second", [first]);
  await get(second);
  await Promise.all([first.agent.close(), second.agent.close()]);
  const revoked = await agentOf("second", { trustedKeys: [makeKey().text] });
  const third = await joined("third", [revoked]);
  expect(await get(third)).toMatchObject(FROM_ORIGIN);
});

test("what was signed by others costs the peers and not the job (R-MAN-01)", async () => {
  const first = await publisher();
  const stranger = await joined("stranger", [first], { trustedKeys: [makeKey().text] });
  expect(await get(stranger)).toMatchObject(FROM_ORIGIN);
  expect(stranger.warnings).toEqual(["ERR_MANIFEST_UNTRUSTED"]);
});

test("the wrong content under a trusted signature is noticed by its length, or not found", async () => {
  const other = await site.publish("other.bin", MiB);
  const first = await publisher({ contentId: other.contentId });
  const second = await joined("second", [first]);
  expect(await get(second)).toMatchObject(FROM_ORIGIN);
  await first.agent.share(other.path);
  expect(await get(second)).toMatchObject(FROM_ORIGIN);
  expect(second.warnings).toEqual(["ERR_MANIFEST_MISMATCH"]);
});

test("shoal publish URL announces by the state of an agent, and by a running one", async () => {
  const user = await CliUser.create(site.directory);
  const keyFile = join(site.directory, "publisher.key");
  const key = (await user.run("key", "generate", keyFile)).stdout.trim();
  const state = join(site.directory, "state");
  const published = await user.run("publish", url, "--key", keyFile, "--state", state, "--json");
  expect(published).toMatchObject({ exitCode: 0 });
  const { contentId } = content;
  expect(JSON.parse(published.stdout)).toMatchObject({ contentId, length: content.length });
  // Once, and a byte of the probe.
  expect(origin.sentBytesOf(NAME)).toBeLessThan(content.length + 16);
  const trustedKeys = [key];
  const jobSocket = join(site.directory, "socket", "jobs");
  const first = await agentOf("state", { trustedKeys, api: { socketPath: jobSocket } });
  await until(() => first.agent.servedContents.length > 0, "the content is on offer");
  const second = await joined("second", [first], { trustedKeys });
  expect(await get(second)).toMatchObject({ integrity: "pieces", contentId });
  // A new version, to the agent that runs.
  const changed = await site.publish("changed.bin", 2 * MiB);
  await rename(changed.path, content.path);
  const args = ["publish", url, "--key", keyFile, "--socket", jobSocket];
  expect((await user.run(...args)).stderr).toContain("exists");
  const again = await user.run(...args, "--sequence", "9999999999", "--overwrite");
  expect(again).toMatchObject({ exitCode: 0 });
  const third = await joined("third", [first], { trustedKeys });
  const file = await get(third, changed.sha256);
  // Its manifest has another name in it than the one made where the file came from.
  expect(file).toMatchObject({ integrity: "pieces", contentId: again.stdout.trim() });
});

test("shoal publish URL says what is missing", async () => {
  const user = await CliUser.create(site.directory);
  const keyFile = join(site.directory, "publisher.key");
  await user.run("key", "generate", keyFile);
  const stderrOf = async (...args: string[]) => (await user.run("publish", ...args)).stderr;
  expect(await stderrOf(url)).toContain("--key FILE is missing");
  expect(await stderrOf(`${url}?a=b`, "--key", keyFile)).toContain("a query");
  expect(await stderrOf(content.path, "--state", "s")).toContain("for a URL");
  await writeFile(join(user.cwd, NAME), "mine");
  expect(await stderrOf(url, "--key", keyFile)).toContain("exists");
});

/**
 * Signed manifests from end to end: agents with real sockets and files believe them or do not, and
 * the command makes keys and signs. Origins speak plain HTTP, where nothing else could vouch for a
 * manifest.
 */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { startAgent } from "@shoal/agent";
import type { Agent, AgentOptions } from "@shoal/agent";
import { MiB, SIGNED_SIDECAR_SUFFIX } from "@shoal/core";
import { afterEach, beforeEach, expect, test } from "vitest";
import { serveFiles } from "../../examples/origin/serve-files.ts";
import type { FileOrigin } from "../../examples/origin/serve-files.ts";
import { CliUser } from "./cli-process.ts";
import { LOOPBACK, sha256Of, TestSite, until } from "./harness.ts";
import type { TestContent } from "./harness.ts";
import { makeKey, signedBy } from "../../packages/core/test/content/signing.ts";

const NAME = "file.bin";

let site: TestSite;
let content: TestContent;
let signedPath: string;
let origin: FileOrigin;
const ALICE = makeKey();
beforeEach(async () => {
  site = await TestSite.create();
  content = await site.publish(NAME, 4 * MiB + 5);
  signedPath = content.path + SIGNED_SIDECAR_SUFFIX;
  const files = { [NAME]: content.path, [NAME + SIGNED_SIDECAR_SUFFIX]: signedPath };
  origin = site.use(await serveFiles(files));
});
afterEach(() => site[Symbol.asyncDispose]());

/** Puts a signed manifest beside the file. */
async function sign(sequence = 1): Promise<void> {
  const issuedAtSec = Math.floor(Date.now() / 1_000);
  const times = { issuedAtSec, expiresAtSec: issuedAtSec + 3_600 };
  const statement = { product: "p", sequence, ...times, manifestBytes: content.manifestBytes };
  await writeFile(signedPath, signedBy(statement, ALICE));
}

interface TestAgent extends AsyncDisposable {
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
    logger: {
      debug() {},
      info() {},
      error() {},
      warn: ({ code }) => void warnings.push(String(code)),
    },
    ...options,
  });
  return site.use({ agent, warnings, [Symbol.asyncDispose]: () => agent.close() });
}

let downloads = 0;

/** Downloads the plain URL, without a content id; returns the file as it then is. */
async function get({ agent }: TestAgent) {
  const destination = join(site.directory, `got-${++downloads}`);
  const job = await agent.jobs.createJob({ files: [{ url: origin.urlOf(NAME), destination }] });
  await job.transferred;
  const { files } = await job.snapshot();
  await job.acknowledge();
  expect(await sha256Of(destination)).toBe(content.sha256);
  return files[0];
}

test("an http: URL with a sidecar signed by a trusted key has verified pieces and peers (T3)", async () => {
  await sign();
  const first = await agentOf("first");
  const { contentId } = content;
  expect(await get(first)).toMatchObject({ integrity: "pieces", contentId, peerBytes: 0 });
  const second = await agentOf("second", { peers: first.agent.addresses });
  await until(() => second.agent.connectedPeers.length > 0, "the agents are connected");
  const before = origin.sentBytesOf(NAME);
  const file = await get(second);
  expect(file).toMatchObject({ integrity: "pieces", contentId });
  expect(file?.peerBytes).toBeGreaterThan(0);
  expect(origin.sentBytesOf(NAME) - before).toBeLessThan(content.length);
  expect([...first.warnings, ...second.warnings]).toEqual([]);
});

test("without a trusted key behind it, it costs the peers and not the job (R-MAN-01, R-MAN-04)", async () => {
  await sign();
  const trustsAnother = await agentOf("another", { trustedKeys: [makeKey().text] });
  expect(await get(trustsAnother)).toMatchObject({ integrity: "none" });
  expect(trustsAnother.warnings).toEqual(["ERR_MANIFEST_UNTRUSTED"]);
  const bytes = await readFile(signedPath);
  bytes[200]! ^= 1;
  await writeFile(signedPath, bytes);
  const deceived = await agentOf("deceived");
  expect(await get(deceived)).toMatchObject({ integrity: "none" });
  expect(deceived.warnings).toHaveLength(1);
});

test("an older manifest is refused by an agent that has seen a newer one, also after a restart (R-MAN-06)", async () => {
  await sign(2);
  const before = await agentOf("agent");
  expect(await get(before)).toMatchObject({ integrity: "pieces" });
  await before.agent.close();
  await sign(1);
  const after = await agentOf("agent");
  expect(await get(after)).toMatchObject({ integrity: "none" });
  expect(after.warnings).toEqual(["ERR_MANIFEST_ROLLBACK"]);
});

test("a key that is not trusted any more is not believed by the next job (R-MAN-13)", async () => {
  await sign();
  const before = await agentOf("agent");
  expect(await get(before)).toMatchObject({ integrity: "pieces" });
  await before.agent.close();
  const after = await agentOf("agent", { trustedKeys: [] });
  expect(await get(after)).toMatchObject({ integrity: "none" });
});

test("shoal makes keys, signs with them, and takes what two of two have signed (R-MAN-05)", async () => {
  const user = await CliUser.create(site.directory);
  const files = ["first.key", "second.key"].map((name) => join(site.directory, name));
  const keys: string[] = [];
  for (const file of files) keys.push((await user.run("key", "generate", file)).stdout.trim());
  const publish = (...args: string[]) => user.run("publish", content.path, ...args);
  const args = ["get", origin.urlOf(NAME), "--trust", `2/${keys.join()}`, "--no-mdns"];
  const [first = "", second = ""] = files;
  const published = await publish("--key", first);
  expect(published).toMatchObject({ exitCode: 0, stdout: `${content.contentId}\n` });
  expect(published.stderr).toContain("file.bin.shoal-signed, signed: number");
  const once = await user.run(...args, "-o", "once");
  expect(once.stderr).toContain("Not checked");
  await publish("--key", first, "--key", second);
  const twice = await user.run(...args, "-o", "twice");
  expect(twice.stderr).toContain("Every piece was checked against the manifest");
});

/**
 * Two subnets joined by a router that passes on no multicast: mDNS finds neighbours, and what lies
 * across is found through a peer that the administrator names, over presence.
 *
 *   a1 a2 foreign ─ switch A ─ router ─ switch B ─ b1 b2
 *
 * Skips, with the reason, where the kernel refuses network namespaces.
 */
import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { MiB } from "@shoal/core";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { TestContext } from "vitest";
import type { AgentReport } from "../../examples/main-job/agent-process.ts";
import { root, sha256Of, TestSite } from "./harness.ts";
import type { AgentProcess, AgentProcessOptions, TestContent } from "./harness.ts";
import { LabHost, NetworkLab } from "./namespaces.ts";

const execute = promisify(execFile);
const LISTEN = ["/ip4/0.0.0.0/tcp/0"];
/** How long strangers try: several times what friends need to meet. */
const STRANGE_MS = 5_000;
const FETCH_TIMEOUT_MS = 30_000;

/** One agent on a host, and whom it has met. */
interface Member {
  readonly host: LabHost;
  readonly agent: AgentProcess;
  readonly peerId: string;
  readonly addresses: readonly string[];
  readonly met: ReadonlySet<string>;
}

class TwoSubnets {
  readonly #site: TestSite;
  readonly #hosts: ReadonlyMap<string, LabHost>;

  constructor(site: TestSite, hosts: ReadonlyMap<string, LabHost>) {
    this.#site = site;
    this.#hosts = hosts;
  }

  async start(name: string, options: AgentProcessOptions = {}): Promise<Member> {
    const host = this.#hosts.get(name);
    if (host === undefined) throw new Error(`there is no host ${name}`);
    const met = new Set<string>();
    const onReport = (report: AgentReport): void => {
      if (report.type === "peerConnected") met.add(report.peerId);
    };
    const { within } = host;
    const settings = { manifestTimeoutMs: FETCH_TIMEOUT_MS };
    const place = {
      listen: LISTEN,
      mdns: true,
      allowLoopbackPeers: false,
      settings,
      within,
      onReport,
    };
    const agent = this.#site.startAgent(name, { ...place, ...options });
    const { peerId, addresses } = await agent.next("ready");
    return { host, agent, peerId, addresses, met };
  }

  async share({ agent }: Member, { path }: TestContent): Promise<void> {
    agent.send({ type: "share", path });
    await agent.next("shared");
  }

  /** Downloads by content id alone, so that nothing but peers can deliver. */
  async fetch(
    { agent }: Member,
    content: TestContent,
    timeoutMs = FETCH_TIMEOUT_MS,
  ): Promise<string> {
    const { contentId } = content;
    const destination = join(this.#site.directory, `${agent.name}.bin`);
    agent.send({ type: "download", job: { files: [{ contentId, destination }] } });
    await agent.next("published", timeoutMs);
    return sha256Of(destination);
  }
}

let site: TestSite;
beforeEach(async () => void (site = await TestSite.create()));
afterEach(() => site[Symbol.asyncDispose]());

async function build(context: TestContext): Promise<TwoSubnets> {
  const lab = await NetworkLab.create();
  if (typeof lab === "string") return context.skip(lab);
  site.use(lab);
  const [a, b] = [await lab.addSwitch(), await lab.addSwitch()];
  await lab.addRouter(a, b);
  const hosts = new Map<string, LabHost>();
  for (const name of ["a1", "a2", "foreign"]) hosts.set(name, await lab.addHost(a));
  for (const name of ["b1", "b2"]) hosts.set(name, await lab.addHost(b));
  return new TwoSubnets(site, hosts);
}

describe("agents in two subnets", () => {
  test("meet by mDNS within their own, and across through a named peer", async (context) => {
    const subnets = await build(context);
    const content = await site.publish("file.bin", 8 * MiB);
    const holder = await subnets.start("a2");
    await subnets.share(holder, content);
    const gate = await subnets.start("b1", { peers: holder.addresses });
    const neighbour = await subnets.start("b2");
    expect(await subnets.fetch(gate, content)).toBe(content.sha256);
    expect(await subnets.fetch(neighbour, content)).toBe(content.sha256);
    expect(gate.met).toEqual(new Set([holder.peerId, neighbour.peerId]));
    expect(neighbour.met).toContain(gate.peerId);
  });

  test("find a holder across through a named peer that holds nothing", async (context) => {
    const subnets = await build(context);
    const content = await site.publish("file.bin", 8 * MiB);
    const named = await subnets.start("a1");
    const holder = await subnets.start("a2");
    await subnets.share(holder, content);
    const seeker = await subnets.start("b1", { peers: named.addresses });
    expect(await subnets.fetch(seeker, content)).toBe(content.sha256);
    expect(seeker.met).toContain(holder.peerId);
  });
});

describe("an agent of no group of ours", () => {
  test("is told nothing by a connection before it has proved who it is (R-PRIV-05)", async (context) => {
    const subnets = await build(context);
    const content = await site.publish("file.bin", MiB);
    const holder = await subnets.start("a1");
    await subnets.share(holder, content);
    const said = await listenTo(holder, await subnets.start("foreign"));
    expect(said).toMatch(/^(.?\/multistream\/1\.0\.0\n)?$/s);
  });

  test("exchanges nothing and learns nothing (R-GRP-01, R-GRP-05)", async (context) => {
    const subnets = await build(context);
    const content = await site.publish("file.bin", 8 * MiB);
    const [ours, theirs] = [await makeKey("ours"), await makeKey("theirs")];
    const holder = await subnets.start("a2", ours);
    await subnets.share(holder, content);
    const foreign = await subnets.start("foreign", theirs);
    const friend = await subnets.start("b1", { ...ours, peers: holder.addresses });
    const peers = [...holder.addresses, ...friend.addresses];
    foreign.agent.send({ type: "meet", addresses: peers });
    const wanted = subnets.fetch(foreign, content, STRANGE_MS).catch((error: unknown) => error);
    expect(await subnets.fetch(friend, content)).toBe(content.sha256);
    expect(await wanted).toBeInstanceOf(Error);
    expect(foreign.met).toEqual(new Set());
    expect(holder.met).toEqual(new Set([friend.peerId]));
    expect(friend.met).toEqual(new Set([holder.peerId]));
  });
});

/** A group's key in a file of its own, as options of its agents. */
async function makeKey(name: string): Promise<AgentProcessOptions> {
  const path = join(site.directory, `${name}.key`);
  await shoal("group", "create", path);
  return { groupKeyFiles: [path] };
}

async function shoal(...args: readonly string[]): Promise<string> {
  const main = join(root, "packages", "agent", "src", "main.ts");
  const { stdout } = await execute(process.execPath, ["--conditions=shoal-source", main, ...args]);
  return stdout;
}

/** What a process on another host reads that connects and says nothing of its own. */
async function listenTo(member: Member, from: Member): Promise<string> {
  const [, , host, , port] =
    member.addresses.find((text) => !text.includes("127."))?.split("/") ?? [];
  const script =
    `const s = require("node:net").connect(${port}, "${host}");` +
    `s.pipe(process.stdout); s.on("connect", () => setTimeout(() => s.destroy(), 1000));`;
  const [command, ...rest] = [...from.host.within, process.execPath, "-e", script];
  const { stdout } = await execute(command, rest, { timeout: FETCH_TIMEOUT_MS });
  return stdout;
}

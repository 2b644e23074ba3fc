/**
 * Networks of their own for processes under test: Linux network namespaces joined by switches, and
 * switches joined by a router that passes on no multicast. A host's link may be given a rate, a
 * delay and a loss.
 *
 *   host ─eth0──p1─┐                        ┌─p1──eth0─ host
 *                  ├─ switch ─ router ─ switch ┤
 *   host ─eth0──p2─┘      .1        .1      └─p2──eth0─ host
 *
 * Everything lies in namespaces whose names hold the pid of the process that made them: it removes
 * them when it is done, and those of processes that have ended when it begins. Needs Linux, root,
 * `ip` and `tc`; where they are missing `create` says so. Knows nothing of agents.
 */
import { execFile } from "node:child_process";
import { promisify } from "node:util";

const execute = promisify(execFile);
const COMMAND_TIMEOUT_MS = 10_000;

async function run(command: string, ...args: readonly string[]): Promise<string> {
  const { stdout } = await execute(command, [...args], { timeout: COMMAND_TIMEOUT_MS });
  return stdout;
}

/** What a host's link does to what the host sends. */
export interface LinkShape {
  readonly rateBitsPerSec: number;
  /** Default 0. Needs the kernel's `netem`. */
  readonly delayMs?: number;
  /** Default 0. Needs the kernel's `netem`. */
  readonly lossPercent?: number;
}

/** A switch, and the addresses behind it: a /24 network. */
export interface LabSwitch {
  readonly namespace: string;
  /** The first three numbers of the addresses, such as `10.78.1`. */
  readonly prefix: string;
  portCount: number;
}

const NAME_PREFIX = "shoal-lab";
const NAME_PATTERN = new RegExp(`^${NAME_PREFIX}-(\\d+)-`);
/** What may wait for the link, and what may pass at once: enough for 1 Gbit/s. */
const QUEUE_MS = 50;
const BURST_BYTES = 128 * 1024;
let labCount = 0;

/** The networks of one test. Removed when it is disposed of. */
export class NetworkLab implements AsyncDisposable {
  readonly #namespaces: string[] = [];
  readonly #number = ++labCount;
  #switchCount = 0;

  private constructor() {}

  /** An empty lab, or the reason why this machine can have none. */
  static async create(): Promise<NetworkLab | string> {
    const lab = new NetworkLab();
    try {
      await removeLeftovers();
      const probe = await lab.addHost(await lab.addSwitch());
      await probe.shape({ rateBitsPerSec: 1e9 });
      return lab;
    } catch (error) {
      await lab[Symbol.asyncDispose]();
      return `no network namespaces can be had here: ${String(error).split("\n").slice(0, 2).join(" ")}`;
    }
  }

  /** `prefix` is by default a private one of its own, such as `10.78.1`. */
  async addSwitch(prefix = `10.78.${++this.#switchCount}`): Promise<LabSwitch> {
    const namespace = await this.#addNamespace();
    // Without a querier, snooping would forget who listens to multicast.
    await run("ip", "-n", namespace, ..."link add br0 type bridge mcast_snooping 0".split(" "));
    await run("ip", "-n", namespace, "link", "set", "br0", "up");
    return { namespace, prefix, portCount: 0 };
  }

  /** A host with one link to the switch; what is not behind the switch it sends to the router. */
  async addHost(at: LabSwitch): Promise<LabHost> {
    const namespace = await this.#addNamespace();
    const address = `${at.prefix}.${at.portCount + 10}`;
    await this.#connect(namespace, "eth0", at, address);
    const gateway = `${at.prefix}.1`;
    await run("ip", "-n", namespace, "route", "add", "default", "via", gateway, "dev", "eth0");
    return new LabHost(namespace, address);
  }

  /** Joins switches by a router that passes on what is sent to one host, and no multicast. */
  async addRouter(...switches: readonly LabSwitch[]): Promise<void> {
    const namespace = await this.#addNamespace();
    for (const [index, at] of switches.entries()) {
      await this.#connect(namespace, `eth${index}`, at, `${at.prefix}.1`);
    }
    const command = "echo 1 > /proc/sys/net/ipv4/ip_forward";
    await run("ip", "netns", "exec", namespace, "sh", "-c", command);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const namespace of this.#namespaces.splice(0)) {
      await run("ip", "netns", "delete", namespace).catch(() => {});
    }
  }

  async #addNamespace(): Promise<string> {
    const number = this.#namespaces.length;
    const namespace = `${NAME_PREFIX}-${process.pid}-${this.#number}-${number}`;
    await run("ip", "netns", "add", namespace);
    this.#namespaces.push(namespace);
    await run("ip", "-n", namespace, "link", "set", "lo", "up");
    return namespace;
  }

  async #connect(namespace: string, name: string, at: LabSwitch, address: string): Promise<void> {
    const port = `p${++at.portCount}`;
    const peer = ["peer", "name", port, "netns", at.namespace];
    await run("ip", "link", "add", name, "netns", namespace, "type", "veth", ...peer);
    await run("ip", "-n", at.namespace, "link", "set", port, "master", "br0", "up");
    await run("ip", "-n", namespace, "address", "add", `${address}/24`, "dev", name);
    await run("ip", "-n", namespace, "link", "set", name, "up");
  }
}

/** A place in a lab for processes. */
export class LabHost {
  readonly address: string;
  /** The command that runs what follows it on this host. */
  readonly within: readonly string[];
  readonly #namespace: string;

  constructor(namespace: string, address: string) {
    this.#namespace = namespace;
    this.address = address;
    this.within = ["ip", "netns", "exec", namespace];
  }

  /** Shapes what the host sends, from now on. Rejects where the kernel lacks what it needs. */
  async shape({ rateBitsPerSec, delayMs = 0, lossPercent = 0 }: LinkShape): Promise<void> {
    const device = ["-n", this.#namespace, "qdisc", "replace", "dev", "eth0"];
    const rate = ["rate", `${rateBitsPerSec}bit`, "burst", `${BURST_BYTES}`];
    const queue = ["latency", `${QUEUE_MS}ms`];
    await run("tc", ...device, "root", "handle", "1:", "tbf", ...rate, ...queue);
    if (delayMs === 0 && lossPercent === 0) return;
    const trouble = ["netem", "delay", `${delayMs}ms`, "loss", `${lossPercent}%`];
    await run("tc", ...device, "parent", "1:1", "handle", "10:", ...trouble);
  }

  /** Bytes that have left through the host's link, headers included. */
  async sentBytes(): Promise<number> {
    const text = await run("ip", "-n", this.#namespace, "-j", "-s", "link", "show", "eth0");
    const [link] = JSON.parse(text) as { stats64: { tx: { bytes: number } } }[];
    return link?.stats64.tx.bytes ?? 0;
  }
}

/** Removes the namespaces of test processes that have ended without doing so. */
async function removeLeftovers(): Promise<void> {
  for (const line of (await run("ip", "netns", "list")).split("\n")) {
    const [name = ""] = line.split(" ");
    const pid = NAME_PATTERN.exec(name)?.[1];
    if (pid === undefined || isRunning(Number(pid))) continue;
    await run("ip", "netns", "delete", name).catch(() => {});
  }
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { AGENT_NODE_FLAGS } from "@shoal/agent";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { packDeb, stageDeb } from "../../tools/deb/build-deb.ts";
import { DebRoot, whyNoDebRoot } from "./deb-root.ts";
import { root, TestSite, until } from "./harness.ts";

const UNIT = join(root, "packaging/systemd/shoal.service");
const unitText = readFileSync(UNIT, "utf8");
const hasAnalyzer = spawnSync("systemd-analyze", ["--version"]).status === 0;
if (!hasAnalyzer) console.log("units are not looked at: there is no systemd-analyze");

/** The value of the last line that sets `name` in the unit. */
function unitValue(name: string): string {
  const lines = unitText.split("\n").filter((line) => line.startsWith(`${name}=`));
  return lines.at(-1)?.slice(name.length + 1) ?? "";
}

describe.skipIf(!hasAnalyzer)("the systemd units", () => {
  let site: TestSite;
  beforeAll(async () => void (site = await TestSite.create()));
  afterAll(() => site[Symbol.asyncDispose]());

  test("leave the agent exposed by 2.5 at most", () => {
    const args = ["security", "--offline=true", "--threshold=25", UNIT];
    const { status, stdout, stderr } = spawnSync("systemd-analyze", args, { encoding: "utf8" });
    const exposure = /exposure level for shoal.service: ([\d.]+)/.exec(stdout)?.[1];
    console.log(`exposure level: ${exposure}`);
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    expect(Number(exposure)).toBeLessThanOrEqual(2.5);
    expect(unitText).not.toContain("MemoryDenyWriteExecute");
    expect(unitValue("RestrictAddressFamilies")).toContain("AF_NETLINK");
  });

  test("are written without mistakes", () => {
    // Only what is installed can be started; the rest is looked at as it is.
    const text = unitText.replace(/^ExecStart=.*$/m, "ExecStart=/bin/true");
    const paths = ["shoal.service", "shoal.socket"].map((name) => join(site.directory, name));
    writeFileSync(paths[0] ?? "", text);
    copyFileSync(join(root, "packaging/systemd/shoal.socket"), paths[1] ?? "");
    const args = ["verify", "--man=no", ...paths];
    const { stderr } = spawnSync("systemd-analyze", args, { encoding: "utf8" });
    const ours = stderr.split("\n").filter((line) => line.includes("shoal"));
    expect(ours).toEqual([]);
  });
});

/** CPU seconds that a process has used, and MiB that it takes. */
function usageOf(pid: number | undefined): {
  readonly cpuSec: number;
  readonly residentMiB: number;
} {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? [];
  const kib = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
  const ticksPerSec = 100;
  return {
    cpuSec: (Number(fields[11]) + Number(fields[12])) / ticksPerSec,
    residentMiB: Number(kib) / 1024,
  };
}

let staged: TestSite;
/** What packages hold, ready to be packed. */
let tree: string;
beforeAll(async () => {
  staged = await TestSite.create();
  chmodSync(staged.directory, 0o755);
  tree = join(staged.directory, "tree");
  await stageDeb(tree);
}, 180_000);
afterAll(() => staged[Symbol.asyncDispose]());

test.skipIf(process.platform !== "linux")(
  "as it is installed, it starts, idles and stops with little",
  async () => {
    const startedAt = performance.now();
    const main = join(tree, "usr/lib/shoal/app/main.js");
    const args = ["--json", "--no-mdns", "--listen", "/ip4/127.0.0.1/tcp/0"];
    const agent = spawn(process.execPath, [...AGENT_NODE_FLAGS, main, "agent", ...args], {
      env: { PATH: process.env["PATH"], HOME: staged.directory },
      stdio: ["ignore", "pipe", "ignore"],
      timeout: 60_000,
    });
    const ended = once(agent, "close");
    await once(agent.stdout, "data");
    const readyMs = performance.now() - startedAt;
    const started = usageOf(agent.pid);
    await new Promise((resolve) => setTimeout(resolve, 3_000));
    const { cpuSec, residentMiB } = usageOf(agent.pid);
    const idlePercent = ((cpuSec - started.cpuSec) / 3) * 100;
    const stoppingAt = performance.now();
    agent.kill("SIGTERM");
    await ended;
    const stopMs = performance.now() - stoppingAt;
    console.log(
      `ready after ${Math.round(readyMs)} ms and ${started.cpuSec} s of CPU; idle: ` +
        `${Math.round(residentMiB)} MiB, ${idlePercent.toFixed(1)} % of a CPU; ` +
        `stopped after ${Math.round(stopMs)} ms`,
    );
    expect(agent.exitCode).toBe(0);
    // Times of the machine say little while others use it; what the agent itself takes is bounded.
    expect(started.cpuSec).toBeLessThan(1.5);
    expect(residentMiB).toBeLessThan(130);
    // Among them what it takes to give back the memory of the start.
    expect(idlePercent).toBeLessThan(10);
    expect(stopMs).toBeLessThan(10_000);
  },
);

const why = whyNoDebRoot();
if (why !== undefined) console.log(`the package is not installed: ${why}`);

describe.skipIf(why !== undefined)("the Debian package", () => {
  let site: TestSite;
  let debian: DebRoot;
  let packages: readonly string[] = [];
  beforeAll(async () => {
    site = await TestSite.create();
    chmodSync(site.directory, 0o755);
    packages = ["0.0.9", "0.1.0"].map((version) =>
      packDeb(tree, { directory: site.directory, version, compression: "none" }),
    );
    copyFileSync(join(import.meta.dirname, "supervise.pl"), join(site.directory, "supervise.pl"));
    mkdirSync(join(site.directory, "mount"));
    debian = site.use(await DebRoot.create(site.directory));
  }, 180_000);
  afterAll(() => site[Symbol.asyncDispose]());

  const install = (path = ""): ReturnType<DebRoot["run"]> =>
    debian.run("dpkg", "-i", join("/site", path.slice(site.directory.length)));

  test("installs with a user of its own, and upgrades an older version with its configuration", () => {
    expect(install(packages[0])).toMatchObject({ exitCode: 0 });
    expect(debian.run("id", "-un", "shoal").output).toBe("shoal\n");
    const state = debian.run("stat", "-c", "%U %a", "/var/lib/shoal").output;
    expect(state).toBe("shoal 700\n");
    const config = "/etc/shoal/config.yaml";
    debian.run("sh", "-c", `echo 'uploadRateBytesPerSec: 2MiB' >> ${config}`);
    expect(install(packages[1])).toMatchObject({ exitCode: 0 });
    expect(debian.run("dpkg-query", "-Wf", "${Version}", "shoal").output).toBe("0.1.0");
    expect(debian.run("shoal", "--version").output).toBe("0.1.0\n");
    const files = debian.run("dpkg", "-L", "shoal").output;
    expect(files).toContain("/usr/share/man/man1/shoal.1.gz\n");
    for (const shell of ["bash-completion/completions/shoal", "zsh/vendor-completions/_shoal"]) {
      expect(files).toContain(`/usr/share/${shell}\n`);
    }
    const rate = debian.run("shoal", "config", "get", "uploadRateBytesPerSec", "--origin").output;
    expect(rate).toContain("2MiB\n");
    expect(rate).toContain(`system file: ${config}:`);
  });

  test("runs its service under a supervisor, reloads it, refuses a second one, and stops it", async () => {
    debian.run("install", "-d", "-o", "shoal", "-m", "0750", "/run/shoal");
    debian.run("install", "-d", "-o", "shoal", "-m", "0700", "/var/cache/shoal");
    const [, prepare = ""] = /^\+\/bin\/sh -c "(.*)"$/.exec(unitValue("ExecStartPre")) ?? [];
    expect(debian.run("/bin/sh", "-c", prepare)).toEqual({ exitCode: 0, output: "" });
    const command = unitValue("ExecStart").split(" ");
    const env = {
      STATE_DIRECTORY: "/var/lib/shoal",
      RUNTIME_DIRECTORY: "/run/shoal",
      HOME: "/var/lib/shoal",
      SHOAL_MDNS: "off",
      SHOAL_DO_REST: "on",
    };
    const supervise = ["perl", "/site/supervise.pl", "shoal", "/run/notify", ...command];
    await using agent = debian.start(env, ...supervise);
    await until(() => agent.countSaid("READY=1") === 1, "READY", 30_000);
    // Whoever is in the group, and root, reaches it where commands look for the system's agent.
    expect(debian.run("stat", "-c", "%U %a", "/run/shoal/agent.sock").output).toBe("shoal 660\n");
    expect(debian.run("shoal", "jobs")).toEqual({ exitCode: 0, output: "There are no jobs.\n" });
    // Any user's program of the DO SDK finds the port.
    const port =
      "stat -c '%U %a' /run/deliveryoptimization-agent /run/deliveryoptimization-agent/*";
    expect(debian.run("sh", "-c", port).output).toBe("shoal 755\nshoal 444\n");
    console.log(`ready after ${agent.stdout.split(" ")[0]} ms`);
    // What these read and start must have come along.
    const doctor = debian.run("shoal", "doctor", "--json", "--html", "/tmp/report.html");
    expect(doctor.output).not.toContain("This is a bug");
    expect(doctor.output).toMatch(/"title":"Database","result":"pass"/);
    const bundled = debian.run("shoal", "support-bundle", "/tmp/bundle.tgz");
    expect(bundled).toMatchObject({ exitCode: 0 });
    expect(debian.run("grep", "-c", "uPlot", "/tmp/report.html").exitCode).toBe(0);
    const setRate = "echo 'downloadRateBytesPerSec: 3MiB' >> /etc/shoal/config.yaml";
    debian.run("sh", "-c", setRate);
    agent.signal("HUP");
    await until(() => agent.countSaid("READY=1") === 2, "READY again", 30_000);
    expect(agent.countSaid("RELOADING=1")).toBe(1);
    await until(() => agent.stderr.includes("downloadRateBytesPerSec"), "the log of the reload");
    await using second = debian.start(env, ...supervise.with(3, "/run/other"));
    await until(() => second.stdout.includes("ended"), "the second one", 30_000);
    expect(second.stdout).toMatch(/ended 11 0 /);
    agent.signal("TERM");
    await until(() => agent.stdout.includes("ended"), "its end", 30_000);
    expect(agent.countSaid("STOPPING=1")).toBe(1);
    const [, waitedMs = ""] = /ended 0 0 (\d+)/.exec(agent.stdout) ?? [];
    console.log(`stopped after ${waitedMs} ms`);
    expect(waitedMs).not.toBe("");
    expect(debian.run("ls", "/var/lib/shoal").output).toContain("clean");
  });

  test("goes away with everything when it is removed and purged", () => {
    expect(debian.run("dpkg", "-r", "shoal")).toMatchObject({ exitCode: 0 });
    expect(debian.run("ls", "/usr/lib/shoal").exitCode).not.toBe(0);
    expect(debian.run("ls", "/etc/shoal/config.yaml", "/var/lib/shoal").exitCode).toBe(0);
    expect(debian.run("dpkg", "-P", "shoal")).toMatchObject({ exitCode: 0 });
    const made = ["/etc/shoal", "/var/lib/shoal", "/var/cache/shoal"];
    for (const path of [...made, "/run/deliveryoptimization-agent"]) {
      expect({ path, isThere: debian.run("ls", "-d", path).exitCode === 0 }).toMatchObject({
        isThere: false,
      });
    }
    expect(debian.run("id", "shoal").exitCode).not.toBe(0);
  });

  test("changes nothing outside of the root it is installed in", () => {
    expect(existsSync("/usr/lib/shoal")).toBe(false);
  });
});

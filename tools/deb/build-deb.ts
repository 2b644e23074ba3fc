/**
 * Builds the Debian package: Node, the bundled command, the systemd units and what installs and
 * removes them. Needs `dpkg-deb`, no privileges and no network.
 *
 *   bundle ─┐
 *   Node   ─┼─▶ tree ─▶ dpkg-deb ─▶ shoal_VERSION_ARCH.deb
 *   packaging/ ─┘
 *
 * Knows where files go in Debian. Called by `pnpm package:deb` and by the test of the package.
 */
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { bundle } from "./bundle.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const COMMAND_TIMEOUT_MS = 300_000;

/** Debian's names of what `process.arch` says. */
const ARCHITECTURES: Readonly<Record<string, string>> = { x64: "amd64", arm64: "arm64" };

export interface DebOptions {
  /** Where the package goes; made where it is missing. */
  readonly directory: string;
  /** Default: that of the agent. */
  readonly version?: string;
  /** How dpkg-deb compresses: `xz`, the default, or `none` to be quick. */
  readonly compression?: "xz" | "none";
}

/** Lays the tree out once, so that several versions can be packed from it. */
export async function stageDeb(tree: string): Promise<void> {
  fs.rmSync(tree, { recursive: true, force: true });
  const library = join(tree, "usr/lib/shoal");
  await bundle(join(library, "app"));
  put(join(library, "package.json"), agentManifest(), 0o644);
  fs.copyFileSync(process.execPath, join(library, "node"));
  fs.chmodSync(join(library, "node"), 0o755);
  put(join(tree, "usr/bin/shoal"), COMMAND, 0o755);
  for (const unit of ["shoal.service", "shoal.socket"]) {
    const text = readPackaging(`systemd/${unit}`);
    put(join(tree, "usr/lib/systemd/system", unit), text, 0o644);
  }
  put(join(tree, "etc/shoal/config.yaml"), readPackaging("config.yaml"), 0o644);
  fs.mkdirSync(join(tree, "etc/shoal/conf.d"), { mode: 0o755 });
  const license = fs.readFileSync(join(root, "LICENSE"), "utf8");
  put(join(tree, "usr/share/doc/shoal/copyright"), license, 0o644);
  putManual(tree);
  putCompletions(tree);
}

/** Packs a tree that `stageDeb` has laid out; returns the package's path. */
export function packDeb(tree: string, options: DebOptions): string {
  const { directory, compression = "xz" } = options;
  const { version: own } = JSON.parse(agentManifest()) as { version: string };
  const version = options.version ?? own;
  const architecture = ARCHITECTURES[process.arch] ?? process.arch;
  const control = join(tree, "DEBIAN");
  fs.rmSync(control, { recursive: true, force: true });
  const fields = { VERSION: version, ARCHITECTURE: architecture, SIZE: String(kibibytesOf(tree)) };
  const text = readPackaging("deb/control").replaceAll(
    /@(\w+)@/g,
    (_, name: string) => (fields as Readonly<Record<string, string>>)[name] ?? "",
  );
  put(join(control, "control"), text, 0o644);
  put(join(control, "conffiles"), "/etc/shoal/config.yaml\n", 0o644);
  for (const script of ["postinst", "prerm", "postrm"]) {
    put(join(control, script), readPackaging(`deb/${script}`), 0o755);
  }
  fs.mkdirSync(directory, { recursive: true });
  const path = join(directory, `shoal_${version}_${architecture}.deb`);
  run("dpkg-deb", ["--root-owner-group", `-Z${compression}`, "--build", tree, path]);
  return path;
}

/** Small enough to be read twice; `#!` starts the Node that comes along, with its flags. */
const COMMAND = `#!/bin/sh
exec /usr/lib/shoal/node --max-semi-space-size=2 --efficiency-mode --expose-gc /usr/lib/shoal/app/main.js "$@"
`;

function agentManifest(): string {
  return fs.readFileSync(join(root, "packages/agent/package.json"), "utf8");
}

function readPackaging(path: string): string {
  return fs.readFileSync(join(root, "packaging", path), "utf8");
}

function putManual(tree: string): void {
  const page = join(root, "docs/shoal.1");
  if (!fs.existsSync(page)) return;
  put(join(tree, "usr/share/man/man1/shoal.1.gz"), gzipSync(fs.readFileSync(page)), 0o644);
}

const COMPLETIONS = {
  bash: "usr/share/bash-completion/completions/shoal",
  zsh: "usr/share/zsh/vendor-completions/_shoal",
  fish: "usr/share/fish/vendor_completions.d/shoal.fish",
} as const;

/** What the command itself prints for each shell. */
function putCompletions(tree: string): void {
  const main = join(tree, "usr/lib/shoal/app/main.js");
  for (const [shell, path] of Object.entries(COMPLETIONS)) {
    const { status, stdout } = spawnSync(process.execPath, [main, "completion", shell], {
      encoding: "utf8",
      timeout: COMMAND_TIMEOUT_MS,
    });
    if (status === 0 && stdout !== "") put(join(tree, path), stdout, 0o644);
  }
}

function put(path: string, content: string | Uint8Array, mode: number): void {
  fs.mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
  fs.writeFileSync(path, content);
  // The mask of whoever builds must not show in the package.
  fs.chmodSync(path, mode);
}

function kibibytesOf(tree: string): number {
  const sizes = fs
    .readdirSync(tree, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => fs.statSync(join(entry.parentPath, entry.name)).size);
  return Math.ceil(sizes.reduce((sum, size) => sum + size, 0) / 1024);
}

function run(command: string, args: readonly string[]): void {
  const { status, stderr, error } = spawnSync(command, args, {
    encoding: "utf8",
    timeout: COMMAND_TIMEOUT_MS,
  });
  if (status !== 0) throw new Error(`${command}: ${error?.message ?? stderr}`);
}

if (import.meta.main) {
  const directory = join(root, "dist");
  const tree = join(directory, "deb");
  await stageDeb(tree);
  console.log(packDeb(tree, { directory }));
}

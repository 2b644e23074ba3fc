/**
 * Real web servers over one directory, each a process of its own on a free port of 127.0.0.1:
 * nginx, Apache httpd and Python's `http.server`. One that this machine does not have is
 * `undefined`; who asked says so and goes on.
 */
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { connect, createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { once } from "node:events";
import { delimiter, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

export interface WebServer extends AsyncDisposable {
  /** Without a slash at its end. */
  readonly url: string;
}

/** Starts a server for the files of `root`. nginx and Apache keep `/forbidden/` from everybody. */
export type StartServer = (
  root: string,
  options?: WebServerOptions,
) => Promise<WebServer | undefined>;

export interface WebServerOptions {
  /** Limits each connection; nginx alone can. */
  readonly rateBytesPerSec?: number;
}

const START_TIMEOUT_MS = 10_000;
const STOP_TIMEOUT_MS = 5_000;
const APACHE_MODULES = "/usr/lib/apache2/modules";

export const startNginx: StartServer = (root, { rateBytesPerSec } = {}) =>
  start(root, ["nginx"], async (directory, port) => {
    const limit = rateBytesPerSec === undefined ? "" : `limit_rate ${rateBytesPerSec};`;
    const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
      .map((name) => `${name}_temp_path ${directory}/${name};`)
      .join("\n");
    const text = `daemon off; worker_processes 1; pid ${directory}/pid; error_log stderr crit;
      ${process.getuid?.() === 0 ? "user root;" : ""}
      events { worker_connections 256; }
      http {
        access_log off; sendfile on; tcp_nopush on; ${temporary}
        server {
          listen 127.0.0.1:${port}; root ${root}; ${limit}
          location /forbidden/ { return 403; }
        }
      }`;
    await writeFile(join(directory, "nginx.conf"), text);
    return ["-c", join(directory, "nginx.conf"), "-p", directory, "-e", "stderr"];
  });

export const startApache: StartServer = (root) =>
  start(root, ["apache2", "httpd"], async (directory, port) => {
    const modules = ["mpm_event", "authz_core", "unixd"].filter((name) =>
      existsSync(join(APACHE_MODULES, `mod_${name}.so`)),
    );
    const loaded = modules.map(
      (name) => `LoadModule ${name}_module ${APACHE_MODULES}/mod_${name}.so`,
    );
    const text = [
      ...loaded,
      `ServerRoot ${directory}`,
      `ServerName 127.0.0.1`,
      `PidFile ${directory}/pid`,
      `DefaultRuntimeDir ${directory}`,
      `Listen 127.0.0.1:${port}`,
      `ErrorLog ${directory}/error.log`,
      `DocumentRoot ${root}`,
      "<Location /forbidden>\nRequire all denied\n</Location>",
    ].join("\n");
    await writeFile(join(directory, "httpd.conf"), text);
    return ["-f", join(directory, "httpd.conf"), "-DFOREGROUND"];
  });

/** It knows no ranges: every answer is the whole file. */
export const startPython: StartServer = (root) =>
  start(root, ["python3"], (_, port) => {
    const place = ["--directory", root, "--bind", "127.0.0.1", String(port)];
    return Promise.resolve(["-m", "http.server", ...place]);
  });

async function start(
  root: string,
  names: readonly string[],
  configure: (directory: string, port: number) => Promise<readonly string[]>,
): Promise<WebServer | undefined> {
  const program = names.map(findProgram).find((path) => path !== undefined);
  if (program === undefined) return undefined;
  const directory = await mkdtemp(join(root, "..", "web-server-"));
  await mkdir(directory, { recursive: true });
  const port = await freePort();
  const server = spawn(program, await configure(directory, port), { stdio: "ignore" });
  const close = async (): Promise<void> => {
    await stop(server);
    await rm(directory, { recursive: true, force: true });
  };
  try {
    await answers(server, port);
  } catch (error) {
    await close();
    throw error;
  }
  return { url: `http://127.0.0.1:${port}`, [Symbol.asyncDispose]: close };
}

function findProgram(name: string): string | undefined {
  const places = [...(process.env["PATH"] ?? "").split(delimiter), "/usr/sbin", "/usr/bin"];
  return places.map((place) => join(place, name)).find((path) => existsSync(path));
}

/** Free a moment ago. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

async function answers(server: ChildProcess, port: number): Promise<void> {
  const deadline = AbortSignal.timeout(START_TIMEOUT_MS);
  while (!deadline.aborted && server.exitCode === null) {
    const socket = connect(port, "127.0.0.1");
    const isUp = await once(socket, "connect").then(
      () => true,
      () => false,
    );
    socket.destroy();
    if (isUp) return;
    await delay(20);
  }
  throw new Error(`${server.spawnfile} did not start`);
}

async function stop(server: ChildProcess): Promise<void> {
  if (server.exitCode !== null || server.signalCode !== null) return;
  const gone = once(server, "exit");
  server.kill("SIGTERM");
  const timer = setTimeout(() => server.kill("SIGKILL"), STOP_TIMEOUT_MS);
  await gone;
  clearTimeout(timer);
}

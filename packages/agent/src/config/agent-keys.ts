/**
 * The agent's own configuration keys, beside settings and policies: where it listens, whom it
 * knows, where it keeps things, how it logs. Part of the table in `config-keys.ts`.
 */
import { POLICY_PRESETS } from "@shoal/core";
import type { AgentKeyRow } from "./config-keys.ts";

export const LOG_LEVELS = ["debug", "info", "warn", "error"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

export const LOG_FORMATS = ["auto", "text", "json"] as const;
export type LogFormat = (typeof LOG_FORMATS)[number];

const PLACE_KEYS = {
  stateDirectory: {
    kind: "path",
    defaultWords: "`$STATE_DIRECTORY`, or `~/.local/state/shoal/agent`",
    flag: "--state",
    help: "Where jobs, the index, the cache and the identity are kept; one agent at a time.",
  },
  share: {
    kind: "paths",
    default: [],
    flag: "--share",
    help: "Files of this machine to offer to peers.",
  },
} as const satisfies Record<string, AgentKeyRow>;

const PEER_KEYS = {
  listen: {
    kind: "texts",
    defaultWords: "any port of every IPv4 interface",
    flag: "--listen",
    help: "Multiaddrs to take peers' connections at.",
  },
  peers: {
    kind: "texts",
    default: [],
    flag: "--peer",
    help: "Multiaddrs of peers to stay connected with, each ending in `/p2p/` and an id.",
  },
  peerNetworks: {
    kind: "texts",
    default: [],
    help: "Networks such as `192.0.2.0/24` that peers may be in, beside private ones and this machine's.",
  },
  groupKeyFiles: {
    kind: "paths",
    default: [],
    flag: "--group-key",
    help: "The group's key file and, while the key is being changed, the previous one.",
  },
  mdns: {
    kind: "boolean",
    default: true,
    flag: "--no-mdns",
    help: "Whether peers are looked for on the local network.",
  },
  allowLoopbackPeers: {
    kind: "boolean",
    defaultWords: "when `listen` names a loopback address",
    help: "Whether agents on this machine may connect.",
  },
  policyPreset: {
    kind: "choice",
    values: POLICY_PRESETS,
    defaultWords: "none",
    flag: "--policy-preset",
    help: "`do`: Delivery Optimization's own defaults for what neither settings nor policies say.",
  },
} as const satisfies Record<string, AgentKeyRow>;

const ORIGIN_KEYS = {
  cacheHosts: {
    kind: "texts",
    defaultWords: "what DOCacheHost says",
    flag: "--cache-host",
    help: "Cache servers, asked before the origin.",
  },
  trustedKeys: {
    kind: "texts",
    default: [],
    flag: "--trust",
    help: "Publishers whose signed manifests are believed: what `shoal key generate` prints.",
  },
  caFile: {
    kind: "path",
    defaultWords: "none",
    flag: "--ca",
    help: "PEM file of authorities that origins may have certificates from, beside the usual.",
  },
  httpProxy: {
    kind: "text",
    defaultWords: "`$http_proxy`",
    isSecret: true,
    help: "URL of the proxy for http: origins; it may hold a user name and password.",
  },
  httpsProxy: {
    kind: "text",
    defaultWords: "`$https_proxy`",
    isSecret: true,
    help: "URL of the proxy for https: origins; it may hold a user name and password.",
  },
  noProxy: {
    kind: "text",
    defaultWords: "`$no_proxy`",
    help: "Hosts that are reached without a proxy, with commas between them.",
  },
} as const satisfies Record<string, AgentKeyRow>;

const API_KEYS = {
  api: {
    kind: "boolean",
    default: true,
    flag: "--no-api",
    help: "Whether commands and programs on this machine reach the agent.",
  },
  apiSocket: {
    kind: "path",
    defaultWords:
      "`$RUNTIME_DIRECTORY/agent.sock`, or `$XDG_RUNTIME_DIR/shoal/agent.sock`, or `~/.local/state/shoal/agent.sock`",
    flag: "--api-socket",
    help: "The Unix socket of the API; who may open it is an administrator.",
  },
  apiSocketMode: {
    kind: "mode",
    defaultWords: "0660 under `$RUNTIME_DIRECTORY`, else 0600",
    help: "The socket's mode: 0660 lets the group of its directory in.",
  },
  apiPort: {
    kind: "port",
    defaultWords: "none",
    flag: "--api-port",
    help: "A port of 127.0.0.1 for those who have the token; 0 is any free one.",
  },
  apiTokenFile: {
    kind: "path",
    defaultWords: "`agent.token` beside the socket",
    help: "Where the token of the port is kept, for its owner alone.",
  },
} as const satisfies Record<string, AgentKeyRow>;

const COMPATIBLE_KEYS = {
  doRest: {
    kind: "boolean",
    default: false,
    flag: "--do-rest",
    help: "Whether programs built on Microsoft's Delivery Optimization SDK for Linux are served.",
  },
  doRunDirectory: {
    kind: "path",
    flag: "--do-rest-run",
    defaultWords: "`/var/run/deliveryoptimization-agent`",
    help: "Where those programs look for the port.",
  },
  doConfigDirectory: {
    kind: "path",
    flag: "--do-rest-config",
    defaultWords: "`/etc/deliveryoptimization-agent`",
    help: "Where those programs and their administrators keep admin-config.json and sdk-config.json.",
  },
} as const satisfies Record<string, AgentKeyRow>;

const PROCESS_KEYS = {
  logLevel: {
    kind: "choice",
    values: LOG_LEVELS,
    default: "info",
    flag: "--log-level",
    isLive: true,
    help: "The least that is worth a line in the log.",
  },
  logFormat: {
    kind: "choice",
    values: LOG_FORMATS,
    default: "auto",
    flag: "--log-format",
    help: "How the log on stderr is written; `auto`: text on a terminal, else JSON.",
  },
  memoryBytesMax: {
    kind: "bytes",
    default: 768 * 1024 * 1024,
    isLive: true,
    help: "Resident memory above which nothing is uploaded; 0 is no limit.",
  },
  umask: {
    kind: "mode",
    defaultWords: "the one it is started with",
    help: "Permission bits that new files of jobs do not get, in octal digits such as 027.",
  },
} as const satisfies Record<string, AgentKeyRow>;

export const AGENT_KEYS = {
  ...PLACE_KEYS,
  ...PEER_KEYS,
  ...ORIGIN_KEYS,
  ...API_KEYS,
  ...COMPATIBLE_KEYS,
  ...PROCESS_KEYS,
} as const satisfies Record<string, AgentKeyRow>;

export type AgentKeyName = keyof typeof AGENT_KEYS;

/** `@shoal/agent`: `startAgent()` for embedding; the `shoal` command is `main.ts`. */
export type { AgentBans } from "./agent-bans.ts";
export type { AgentConfiguration, AgentPolicyOptions } from "./agent-policies.ts";
export {
  DO_REST_CONFIG_DIRECTORY,
  DO_REST_RUN_DIRECTORY,
  startDoRest,
} from "./do-rest/start-do-rest.ts";
export type { DoRest, DoRestDeps, DoRestOptions, DoRestTimes } from "./do-rest/start-do-rest.ts";
export type { CacheServers } from "./do-rest/config-files.ts";
export type { RetryDelays } from "./do-rest/fetch.ts";
export type { PortRange, RestListenerOptions } from "./do-rest/listener.ts";
export { CONFIG_KEYS } from "./config/config-keys.ts";
export type { ConfigKey, ConfigKind, ConfigValue } from "./config/config-keys.ts";
export { valueText } from "./config/config-report.ts";
export type { MachineProbe } from "./probes/machine-probe.ts";
export type { PolicyFace } from "./agent-machine.ts";
export type { Logger, LogFields } from "./logger.ts";
export { AGENT_NODE_FLAGS } from "./node-flags.ts";
export { connectAgent } from "./rest/connect-agent.ts";
export type { ApiOptions, RestDeps, RestListener, TcpOptions } from "./rest/rest-options.ts";
export { openApiDocument, startRest } from "./rest/start-rest.ts";
export { startAgent } from "./start-agent.ts";
export { CHECK_RESULTS } from "./service/agent-service.ts";
export type {
  AgentEvent,
  AgentFacts,
  AgentService,
  AgentWatcher,
  CacheChange,
  CheckReport,
  ContentStatus,
  LogRecord,
  MonthSnapshot,
  PeerStatus,
  PerformanceSnapshot,
  TrafficPoint,
} from "./service/agent-service.ts";
export type { AgentServiceHooks } from "./service/local-agent-service.ts";
export type { AgentCache } from "./agent-cache.ts";
export type { AgentOptions } from "./start-agent.ts";
export type { Agent } from "./running-agent.ts";
export type { CacheEntry } from "@shoal/store";
export type { BodyReader, ProxyOptions } from "@shoal/origin";
export { ERRORS, ShoalError } from "@shoal/core";
export type {
  Ban,
  ContentId,
  ErrorCode,
  FileSnapshot,
  JobExplanation,
  JobId,
  JobSnapshot,
  JobState,
  JobSummary,
  MachineFacts,
  NetworkState,
  Notice,
  PeerId,
  Peering,
  Policies,
  PolicyPreset,
  Settings,
} from "@shoal/core";
export { Job, Jobs } from "@shoal/jobs";
export type {
  CreateJobFile,
  CreateJobOptions,
  JobCaller,
  JobEvent,
  JobOptions,
  JobService,
  ProgressOptions,
} from "@shoal/jobs";

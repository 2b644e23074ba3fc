/**
 * Finds an agent by the path of its socket, or by its port and token. Over TCP the agent must prove
 * that it has the token before it is sent (R-API-11): a stale port file may lead to anybody.
 *
 * Knows how a conversation begins; what is said then is the services'.
 */
import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import { ShoalError } from "@shoal/core";
import type { Millis } from "@shoal/core";
import type { JobService } from "../job-service.ts";
import { Jobs } from "../jobs.ts";
import { orAborted } from "../or-aborted.ts";
import { RemoteJobService } from "./remote-job-service.ts";
import { RestClient } from "./rest-client.ts";
import type { AgentAddress } from "./rest-client.ts";

export interface ConnectJobsOptions {
  /** Ends the attempt with the signal's reason. */
  readonly signal?: AbortSignal;
  /** For the connection, and then for each call but `acknowledge`. Default 30 s. */
  readonly timeoutMs?: Millis;
}

const DEFAULT_TIMEOUT_MS = 30_000;
const API_VERSION = 1;

/**
 * The jobs of an agent that runs elsewhere on this machine. Rejects with `ERR_AGENT_UNREACHABLE`.
 * When the connection is lost, everything that waits rejects with `ERR_AGENT_CLOSED`, and whatever
 * is asked later with `ERR_AGENT_UNREACHABLE`; jobs go on, and a new connection finds them.
 */
export async function connectJobs(
  address: AgentAddress,
  options?: ConnectJobsOptions,
): Promise<Jobs> {
  return new Jobs(await connectJobService(address, options));
}

/** The same as plain service: every call rejects with `ERR_TIMEOUT` when its time is over. */
export async function connectJobService(
  address: AgentAddress,
  options?: ConnectJobsOptions,
): Promise<JobService> {
  return new RemoteJobService(await connectRest(address, options));
}

/** What services are made of, once an agent of this version has answered. */
export async function connectRest(
  address: AgentAddress,
  { signal, timeoutMs = DEFAULT_TIMEOUT_MS }: ConnectJobsOptions = {},
): Promise<RestClient> {
  signal?.throwIfAborted();
  const client = new RestClient(address, { timeoutMs });
  try {
    await orAborted(greet(client, address), signal);
    return client;
  } catch (cause) {
    client.end("closed");
    if (signal?.aborted === true) throw cause;
    // Who may not ask must know why; all else is no agent.
    const isRefused = cause instanceof ShoalError && REFUSALS.has(cause.code);
    if (isRefused) throw cause;
    throw new ShoalError("ERR_AGENT_UNREACHABLE", client.place, { cause });
  }
}

const REFUSALS: ReadonlySet<string> = new Set(["ERR_TOKEN_REFUSED", "ERR_TOO_MANY_REQUESTS"]);

async function greet(client: RestClient, address: AgentAddress): Promise<void> {
  if ("token" in address) await challenge(client, address);
  const greeting = (await client.call("GET", "/v1")) as { readonly apiVersion?: number };
  if (greeting.apiVersion === API_VERSION) return;
  throw new ShoalError("ERR_AGENT_UNREACHABLE", "what answers is no agent of this version");
}

async function challenge(
  client: RestClient,
  { url, token }: { readonly url: string; readonly token: string },
): Promise<void> {
  const nonce = randomBytes(32).toString("hex");
  const path = `/challenge?nonce=${nonce}`;
  const answer = (await client.call("GET", path, { isTrusted: false })) as { proof?: unknown };
  const { port } = new URL(url);
  const wanted = createHmac("sha256", token).update(`server${nonce}${port}`).digest();
  const proof = Buffer.from(typeof answer.proof === "string" ? answer.proof : "", "hex");
  if (proof.length === wanted.length && timingSafeEqual(proof, wanted)) return;
  throw new ShoalError("ERR_AGENT_UNREACHABLE", "what answers has not the token");
}

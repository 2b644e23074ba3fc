/**
 * Which origins are worth a look, and what asking them came to. URLs lose user information and
 * query first: what signs a download is nobody's to use for anything else (R-LOG-01).
 *
 * Knows jobs' URLs; judges nothing. Used by the checks of clock, proxy and origins.
 */
import { createOriginCheck } from "@shoal/origin";
import type { OriginLook, OriginOptions } from "@shoal/origin";
import type { AgentService } from "../service/agent-service.ts";

/** A URL without secrets, and how it was answered. */
export interface NamedOrigin {
  readonly url: string;
  /** Such as `https://example.org`. */
  readonly place: string;
  readonly look: OriginLook;
}

/** The latest jobs that are looked through, and the servers that are asked. */
const JOBS_MAX = 16;
const ORIGINS_MAX = 6;
/** Shorter than the deadline of the checks that wait for it. */
export const LOOK_TIMEOUT_MS = 6_000;
export const ORIGIN_CHECK_TIMEOUT_MS = 9_000;

/** One URL of each server that recent jobs name, the latest jobs first. */
export async function recentOrigins(service: AgentService): Promise<readonly string[]> {
  const jobs = await service.jobs.list();
  const latest = jobs.toSorted((a, b) => b.createdAt - a.createdAt).slice(0, JOBS_MAX);
  const urls: string[] = [];
  for (const { jobId } of latest) {
    const job = await service.jobs.snapshot(jobId);
    for (const { url, mirrors = [] } of job?.files ?? []) {
      if (url !== undefined) urls.push(url, ...mirrors);
    }
  }
  return urls;
}

/** Asks each server once, all at a time. Throws `ERR_PROXY_INVALID` or `ERR_CA_INVALID`. */
export async function lookAtOrigins(
  urls: readonly string[],
  options: OriginOptions,
): Promise<readonly NamedOrigin[]> {
  const byPlace = new Map<string, string>();
  for (const text of urls) {
    const url = plainUrl(text);
    if (url !== undefined && !byPlace.has(url.origin)) byPlace.set(url.origin, url.href);
  }
  const check = createOriginCheck({}, { ...options, connectTimeoutMs: LOOK_TIMEOUT_MS });
  const signal = AbortSignal.timeout(LOOK_TIMEOUT_MS);
  try {
    return await Promise.all(
      [...byPlace].slice(0, ORIGINS_MAX).map(async ([place, url]) => {
        return { place, url, look: await check.look(url, signal) };
      }),
    );
  } finally {
    check.close();
  }
}

function plainUrl(text: string): URL | undefined {
  const url = URL.parse(text);
  if (url === null || !/^https?:$/.test(url.protocol)) return undefined;
  url.username = "";
  url.password = "";
  url.search = "";
  url.hash = "";
  return url;
}

/** Calls `ask` when it is first needed, and once. */
export function once<Value>(ask: () => Promise<Value>): () => Promise<Value> {
  let asked: Promise<Value> | undefined;
  return () => (asked ??= ask());
}

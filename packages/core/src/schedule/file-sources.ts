/**
 * Where one file can be had over HTTP, and which of these places to ask now: cache servers first,
 * then the origin, then its mirrors in the order given. A place that delivers stays. One that
 * fails for good is not asked again by this transfer; one that may work later waits by backoff
 * (R-TIME-05) while the next has its turn, and only when all wait there is nothing to ask.
 *
 *   cache servers ─fails─▶ origin ─fails─▶ mirror 1 ─▶ …      no fallback delay
 *   cache servers ─fails─▶ next cache server … ─delay over, or all banned─▶ origin ─▶ …
 *
 * Knows URLs and failures, never bytes: whether those of two places may be put together is for
 * `OriginRuns` to say (R-HTTP-11). Lives as long as its transfer. Called by `Transfer`, `Resolver`
 * and `OriginRuns`.
 */
import type { JobFileSpec } from "../job/file-spec.ts";
import type { OriginFailure, OriginRequestOptions } from "../ports/origin-port.ts";
import { ERRORS } from "../registry/errors.ts";
import type { ErrorInfo } from "../registry/errors.ts";
import type { Settings } from "../registry/settings.ts";
import type { Random } from "../random.ts";
import type { Millis } from "../units.ts";
import { cacheUrl } from "./cache-hosts.ts";
import type { CacheHosts } from "./cache-hosts.ts";
import { backoffMs } from "./pace.ts";
import { RestartBudget } from "./restart-budget.ts";

export interface FileSource {
  readonly kind: "origin" | "mirror" | "cacheServer";
  readonly url: string;
  /** Host and port: requests of all transfers to it share its connections. */
  readonly host: string;
  /** Header fields and certificates, for the file's own origin alone (R-HTTP-05). */
  readonly request?: OriginRequestOptions;
}

/** How a place stands, for those who explain why it is asked or not. */
export interface PlaceStanding {
  readonly kind: FileSource["kind"];
  /** Host and port. */
  readonly host: string;
  /** False: it will never work for this file. */
  readonly isUsable: boolean;
  /** Why it failed last, with nothing delivered since. */
  readonly error?: ErrorInfo;
  /** How long it is not asked for. */
  readonly waitMs?: Millis;
}

interface State {
  readonly source: FileSource;
  /** The cache server's name in the list, and the host of the origin it stands in for. */
  readonly cache?: { readonly host: string; readonly originHost: string };
  /** In a row, without a verified byte between them. */
  failures: number;
  retryAt: Millis;
  /** Why it will never work; the last failure that may pass is kept apart. */
  fatal: ErrorInfo | undefined;
  lastError: ErrorInfo | undefined;
  hasRanges: boolean;
}

export interface FileSourcesDeps {
  readonly random: Random;
  readonly settings: Settings;
  readonly cacheHosts: CacheHosts;
}

export interface FileSourcesOptions {
  /** Absent: there is nothing to fetch. */
  readonly file: JobFileSpec | undefined;
  readonly isForeground: boolean;
}

export class FileSources {
  readonly #deps: FileSourcesDeps;
  /** Cache servers, origin, mirrors: the order in which they are tried. */
  readonly #states: readonly State[];
  #current: State | undefined;
  #peersOnlyUntil: Millis;
  /** Until then a cache server that fails is followed by a cache server. */
  readonly #cachesOnlyUntil: Millis;
  /** A cache server has failed, and with no delay to keep to the others come last from now on. */
  #hasCacheFailed = false;
  readonly #restarts = new RestartBudget();
  #deliveredBy: FileSource | undefined;
  /** Why a signed manifest beside the file was not used, if there was one. */
  manifestRefused: ErrorInfo | undefined;

  constructor(deps: FileSourcesDeps, { file, isForeground }: FileSourcesOptions, now: Millis) {
    this.#deps = deps;
    const { settings, cacheHosts } = deps;
    this.#states = file === undefined ? [] : statesOf(file, cacheHosts);
    this.#peersOnlyUntil =
      now + (isForeground ? settings.p2pDelayForegroundMs : settings.p2pDelayBackgroundMs);
    const { cacheFallbackForegroundMs, cacheFallbackBackgroundMs } = settings;
    const usualMs = isForeground ? cacheFallbackForegroundMs : cacheFallbackBackgroundMs;
    const fallbackMs = cacheHosts.fallbackMs ?? usualMs;
    this.#cachesOnlyUntil = fallbackMs === 0 ? -Infinity : this.#peersOnlyUntil + fallbackMs;
  }

  /** Peers alone until then, where there can be any. */
  get peersOnlyUntil(): Millis {
    return this.#peersOnlyUntil;
  }

  /** There can be no peers: nobody waits for them. */
  waivePeers(): void {
    this.#peersOnlyUntil = -Infinity;
  }

  /** The file's own URL. */
  get url(): string | undefined {
    return this.#states.find(({ source }) => source.kind === "origin")?.source.url;
  }

  /** The place that has delivered a piece last. */
  get deliveredBy(): FileSource | undefined {
    return this.#deliveredBy;
  }

  /** Whether some place may yet deliver something. */
  get isUsable(): boolean {
    return this.#states.some(({ fatal }) => fatal === undefined);
  }

  /** Whether all that may deliver failed so often in a row that the job should wait. */
  get isExhausted(): boolean {
    return this.#states.every((state) => this.#isSpent(state) || this.#isLastResort(state));
  }

  /** What to tell the user: why none will ever work, or what happened last. */
  get failure(): { readonly error: ErrorInfo; readonly fatal: boolean } | undefined {
    const transient = this.#states.findLast(({ fatal, lastError }) => !fatal && lastError);
    if (transient?.lastError !== undefined) return { error: transient.lastError, fatal: false };
    const isOver = this.#states.length > 0 && !this.isUsable;
    const isOwn = ({ source }: State): boolean => source.kind === "origin";
    const own = (this.#states.find(isOwn) ?? this.#states[0])?.fatal;
    // A place that was left for another may have failed in a way that passes.
    const fatal = own === undefined || !ERRORS[own.code].transient;
    return isOver && own !== undefined ? { error: own, fatal } : undefined;
  }

  /** How each place stands, in the order in which they are tried. */
  standings(now: Millis): PlaceStanding[] {
    return this.#states.map((state) => {
      const { kind, host } = state.source;
      const error = state.fatal ?? state.lastError;
      const bannedMs = state.cache === undefined ? 0 : this.#bannedUntil(state) - now;
      const waitMs = Math.max(state.retryAt - now, bannedMs, 0);
      return {
        kind,
        host,
        isUsable: state.fatal === undefined,
        ...(error && { error }),
        ...(waitMs > 0 && { waitMs }),
      };
    });
  }

  /** Until then a cache server that fails is followed by a cache server, where one is usable. */
  holdsForCaches(now: Millis): Millis | undefined {
    const isHeld = this.#states.some((state) => this.#isCacheUsable(state, now));
    return isHeld && now < this.#cachesOnlyUntil ? this.#cachesOnlyUntil : undefined;
  }

  find(url: string | undefined): FileSource | undefined {
    return this.#states.find(({ source }) => source.url === url)?.source;
  }

  /** The place to ask now; `undefined` when all have to wait. */
  next(now: Millis): FileSource | undefined {
    const before = this.#current;
    const stays = before?.hasRanges === true && before.retryAt <= now;
    if (stays && this.#isEligible(before, now)) return before.source;
    let best: State | undefined;
    for (const state of this.#states) {
      if (state.retryAt > now || !this.#isEligible(state, now)) continue;
      if (best === undefined || this.#rank(state) < this.#rank(best)) best = state;
    }
    this.#current = best ?? before;
    return best?.source;
  }

  /** When `next` may have an answer though it has none now; `Infinity` for never. */
  retryAt(now: Millis): Millis {
    let at: Millis = Infinity;
    for (const state of this.#states) {
      if (state.fatal !== undefined) continue;
      if (this.#isEligible(state, now)) at = Math.min(at, state.retryAt);
      else if (state.cache === undefined) at = Math.min(at, this.#cachesOnlyUntil);
      else if (!this.#isLate(now)) at = Math.min(at, this.#bannedUntil(state));
    }
    return at;
  }

  /**
   * Origin and mirrors that may be asked for a manifest beside the file, now or later, in their
   * order: never cache servers, which are nobody's word, and whatever is asked for pieces.
   */
  get manifestPlaces(): readonly FileSource[] {
    const open = this.#states.filter(({ cache, fatal }) => cache === undefined && !fatal);
    return open.map(({ source }) => source);
  }

  /** `isExhausted` of the places that may be asked for a manifest. */
  get isManifestExhausted(): boolean {
    return this.#states.every((state) => state.cache !== undefined || this.#isSpent(state));
  }

  /** When the place may be asked again; `Infinity` when it never may. */
  readyAt(source: FileSource): Millis {
    const state = this.#stateOf(source);
    return state.fatal === undefined ? state.retryAt : Infinity;
  }

  /** Whether another place is left that has not failed too often; cache servers: not at all. */
  hasOther(source: FileSource): boolean {
    return this.#states.some((state) => {
      return state.source !== source && !this.#isSpent(state) && !this.#isLastResort(state);
    });
  }

  isSpent(source: FileSource): boolean {
    return this.#isSpent(this.#stateOf(source));
  }

  hasRanges(source: FileSource): boolean {
    return this.#stateOf(source).hasRanges;
  }

  /** It serves files only from their start (R-HTTP-12): others are preferred from now on. */
  rangesBroken(source: FileSource): void {
    this.#stateOf(source).hasRanges = false;
  }

  /** It has delivered a piece that is as it should be. */
  delivered(source: FileSource): void {
    const state = this.#stateOf(source);
    state.failures = 0;
    state.lastError = undefined;
    this.#deliveredBy = source;
  }

  /** It failed, and may work later. Requests that fail together count once. */
  failed(
    source: FileSource,
    failure: Pick<OriginFailure, "error" | "retryAfterMs"> & { readonly hasDelivered: boolean },
    now: Millis,
  ): void {
    const state = this.#stateOf(source);
    state.lastError = failure.error;
    this.#tellCache(state, failure, now);
    this.#giveUpCaches(now);
    if (now < state.retryAt) {
      state.retryAt = Math.max(state.retryAt, now + (failure.retryAfterMs ?? 0));
      return;
    }
    state.failures++;
    const { settings, random } = this.#deps;
    const bounds = { min: settings.retryDelayMsMin, max: settings.retryDelayMsMax };
    state.retryAt = now + (failure.retryAfterMs ?? backoffMs(state.failures, bounds, random));
  }

  /** It will not work for this file. */
  failedForGood(source: FileSource, error: ErrorInfo, now: Millis): void {
    const state = this.#stateOf(source);
    state.fatal = error;
    this.#tellCache(state, { error, hasDelivered: true }, now);
    this.#giveUpCaches(now);
  }

  /**
   * Where neither origin nor mirrors will work, cache servers of which one has failed, or which all
   * are banned, do not either.
   */
  #giveUpCaches(now: Millis): void {
    const own = this.#states.find(({ cache }) => cache === undefined);
    const isLost = this.#states.every(({ cache, fatal }) => cache !== undefined || fatal);
    if (!isLost) return;
    const isOneUsable = this.#states.some((state) => this.#isCacheUsable(state, now));
    if (isOneUsable && !this.#hasCacheFailed) return;
    for (const state of this.#states) state.fatal ??= own?.fatal;
  }

  /**
   * Whether the file may be begun anew, what is stored from `url` being thrown away. A place that
   * has cost too many beginnings is given up for the next, if there is one.
   */
  mayBeginAnew(url: string | undefined, because: ErrorInfo, now: Millis): boolean {
    return this.#restarts.spend(url ?? "", now) || this.giveUp(url, because, now);
  }

  /** Gives a place up where another is left; false where none is. */
  giveUp(url: string | undefined, error: ErrorInfo, now: Millis): boolean {
    const source = this.find(url);
    if (source === undefined || !this.hasOther(source)) return false;
    this.failedForGood(source, error, now);
    return true;
  }

  #tellCache(
    { cache }: State,
    failure: Pick<OriginFailure, "error"> & { readonly hasDelivered: boolean },
    now: Millis,
  ): void {
    if (cache === undefined) return;
    this.#hasCacheFailed = true;
    this.#deps.cacheHosts.failed(cache.host, cache.originHost, failure, now);
  }

  #isSpent({ fatal, failures }: State): boolean {
    return fatal !== undefined || failures >= this.#deps.settings.originFailuresMax;
  }

  #isEligible(state: State, now: Millis): boolean {
    if (state.fatal !== undefined) return false;
    const isHeld = now < this.#cachesOnlyUntil;
    if (state.cache === undefined) {
      return !isHeld || !this.#states.some((other) => this.#isCacheUsable(other, now));
    }
    return !this.#isLate(now) && this.#isCacheUsable(state, now);
  }

  /** After the delay cache servers are not asked again once one has failed. */
  #isLate(now: Millis): boolean {
    const hasDelay = this.#cachesOnlyUntil !== -Infinity;
    return hasDelay && now >= this.#cachesOnlyUntil && this.#hasCacheFailed;
  }

  /** A cache server after one has failed. */
  #isLastResort({ cache }: State): boolean {
    return cache !== undefined && this.#hasCacheFailed;
  }

  #isCacheUsable({ cache, fatal }: State, now: Millis): boolean {
    if (cache === undefined || fatal !== undefined) return false;
    return !this.#deps.cacheHosts.isBanned(cache.host, cache.originHost, now);
  }

  #bannedUntil({ cache }: State): Millis {
    if (cache === undefined) return -Infinity;
    return this.#deps.cacheHosts.bannedUntil(cache.host, cache.originHost);
  }

  /** Places with ranges before those without; the least failed first, then by their order. */
  #rank(state: State): number {
    const order = this.#states.indexOf(state);
    const isLastResort = this.#isLastResort(state);
    const count = this.#states.length;
    return order + (isLastResort ? count : 0) + (state.hasRanges ? 0 : 2 * count);
  }

  #stateOf(source: FileSource): State {
    const state = this.#states.find((other) => other.source === source);
    if (state === undefined) throw new Error("the source is of another file");
    return state;
  }
}

function statesOf(file: JobFileSpec, { inTurn, fallbackMs }: CacheHosts): State[] {
  const { url, mirrors = [], request } = file;
  if (url === undefined) return [];
  const states: State[] = [];
  const own = URL.parse(url);
  for (const host of inTurn) {
    const cached = cacheUrl(host, url);
    if (cached === undefined || own === null) continue;
    const source = { kind: "cacheServer", url: cached, host: hostOf(cached) } as const;
    states.push({ source, cache: { host, originHost: own.hostname }, ...FRESH });
  }
  if (fallbackMs === Infinity && states.length > 0) return states;
  const known = new Set<string>();
  for (const place of [url, ...mirrors]) {
    if (known.has(place)) continue;
    known.add(place);
    const isOwn = URL.parse(place)?.origin === own?.origin;
    const kind = place === url ? "origin" : "mirror";
    const source: FileSource = {
      kind,
      url: place,
      host: hostOf(place),
      ...(isOwn && request !== undefined && { request }),
    };
    states.push({ source, ...FRESH });
  }
  return states;
}

const FRESH = {
  failures: 0,
  retryAt: 0,
  fatal: undefined,
  lastError: undefined,
  hasRanges: true,
} as const;

function hostOf(url: string): string {
  return URL.parse(url)?.host ?? url;
}

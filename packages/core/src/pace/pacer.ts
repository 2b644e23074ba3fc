/**
 * Divides the link: what every transfer may take from its origin and from its peers, so that all
 * limits hold that nest and overlap. Fair between the jobs of a class; what one does not use goes
 * to the others.
 *
 *   downloads ─┬─ foreground ─┬─ job ─┬─ origin ── host
 *              │              │       └─ peers
 *              └─ background ─┴─ job …     (next to the foreground: a share of what comes)
 *
 * Percentages are of the measured capacity and bind origins alone, as Delivery Optimization does
 * not throttle peers of the LAN by them. Divides anew several times a second while any limit may
 * bind, so that a change of settings or of the hour is in force at once.
 *
 * Knows rates, decides nothing about pieces. Called by the scheduler and by `Fetcher`.
 */
import type { CounterName, Counters } from "../registry/counters.ts";
import type { PaceSettingName, PaceSettings } from "../registry/pace-settings.ts";
import { PACE_SETTINGS } from "../registry/pace-settings.ts";
import { ShoalError } from "../registry/errors.ts";
import { resolveSettings } from "../registry/settings.ts";
import type { Settings } from "../registry/settings.ts";
import type { Urgency } from "../schedule/demand.ts";
import type { FlowGate } from "../schedule/flow-gate.ts";
import type { Outbox } from "../schedule/outbox.ts";
import { RateMeter } from "../schedule/pace.ts";
import { TrafficMeter } from "../schedule/traffic-meter.ts";
import type { WallClock } from "../schedule/wall-clock.ts";
import type { Millis } from "../units.ts";
import { BackgroundYield } from "./background-yield.ts";
import { classLimitsAt, orNone } from "./class-limits.ts";
import type { ClassLimits } from "./class-limits.ts";
import { divideFairly } from "./fair-shares.ts";
import type { SharedLimit } from "./fair-shares.ts";
import { LinkCapacity } from "./link-capacity.ts";
import { PaceFlow } from "./pace-flow.ts";
import type { PaceFlowOptions } from "./pace-flow.ts";
import { TokenBucket } from "./token-bucket.ts";

export interface PacerDeps {
  readonly outbox: Outbox;
  readonly wallClock: WallClock;
  readonly flowGate: FlowGate;
  readonly counters: Counters;
}

/** How often the link is divided anew. */
const INTERVAL_MS = 200;
/** Rates that rise by less are not worth telling an adapter. */
const RISE_MIN = 1.01;
/** Background downloads are never held below this by the foreground. */
const BACKGROUND_BYTES_PER_SEC_MIN = 64 * 1_024;

export class Pacer {
  /** The limit of all uploads, and of those to peers of the LAN. */
  readonly uploads: TokenBucket;
  readonly lanUploads: TokenBucket;
  /** All that came, from wherever, and all that was sent to peers. */
  readonly downloads = new TrafficMeter();
  readonly sent = new TrafficMeter();
  readonly #deps: PacerDeps;
  readonly #flows = new Set<PaceFlow>();
  readonly #capacity = new LinkCapacity();
  readonly #fromOrigins = new RateMeter(0);
  readonly #foreground = new RateMeter(0);
  readonly #yield = new BackgroundYield();
  /** Those whose rates it has been told, and the hosts that they came from. */
  #yielding: ReadonlyArray<readonly [flow: PaceFlow, host: string | undefined]> = [];
  /** Every setting, of which those of `PACE_SETTINGS` may change. */
  #settings: Settings;
  /** What follows from the settings at an hour. */
  #limits: { settings: Settings; hour: number; ofClass: ClassLimits } | undefined;
  #deadline: Millis = Infinity;

  constructor(deps: PacerDeps, settings: Settings) {
    this.#deps = deps;
    this.#settings = settings;
    this.uploads = new TokenBucket(orNone(settings.uploadRateBytesPerSec), 0);
    this.lanUploads = new TokenBucket(orNone(settings.lanUploadRateBytesPerSec), 0);
  }

  /** What is in force. */
  get settings(): PaceSettings {
    return this.#settings;
  }

  /** Changes settings, at once. Throws `ERR_SETTING_INVALID`, having changed nothing. */
  apply(changes: Partial<PaceSettings>, now: Millis): void {
    for (const name of Object.keys(changes)) {
      if (Object.hasOwn(PACE_SETTINGS, name)) continue;
      throw new ShoalError("ERR_SETTING_INVALID", `${name} cannot change while the agent runs`);
    }
    const given = Object.entries(changes).filter(([, value]) => value !== undefined);
    this.#settings = resolveSettings({ ...this.#settings, ...Object.fromEntries(given) });
    this.uploads.setRate(orNone(this.#settings.uploadRateBytesPerSec), now);
    this.lanUploads.setRate(orNone(this.#settings.lanUploadRateBytesPerSec), now);
    this.divide(now);
  }

  /** A transfer begins to fetch pieces. To be closed when it ends. */
  open(options: PaceFlowOptions, now: Millis): PaceFlow {
    const { urgency } = options;
    let cameAt = now;
    const came = (source: "origin" | "peers", bytes: number, at: Millis): void => {
      this.#count(urgency, { bytes, tookMs: at - cameAt }, at);
      cameAt = at;
      if (source === "origin") this.#fromOrigins.add(bytes, at);
      if (urgency.isForeground) this.#foreground.add(bytes, at);
    };
    const flow = new PaceFlow(options, { came, close: (closed) => this.#close(closed) }, now);
    this.#flows.add(flow);
    this.divide(now);
    return flow;
  }

  pollDeadline(): Millis {
    return this.#deadline;
  }

  handleTimeout(now: Millis): void {
    if (now >= this.#deadline) this.divide(now);
  }

  /** Gives every flow its rates. To be called when a job's own limit or its class has changed. */
  divide(now: Millis): void {
    const flows = [...this.#flows];
    const limits = this.#classLimits(this.#deps.wallClock.localHourAt(now));
    this.#measure(flows, now);
    this.#makeRoom(flows, now);
    const shared = this.#sharedLimits(flows, limits, now);
    const shares = flows.flatMap((flow) => flow.shares(now));
    const rates = divideFairly(shares, shared);
    flows.forEach((flow, index) => {
      flow.setPeersRate(rates[2 * index + 1] ?? Infinity, now);
      this.#paceOrigin(flow, rates[2 * index] ?? Infinity);
    });
    this.#deadline = this.#mayBind(flows) ? now + INTERVAL_MS : Infinity;
  }

  /** Of the settings in force, which change rarely, as the hour does. */
  #classLimits(hour: number): ClassLimits {
    if (this.#limits?.settings !== this.#settings || this.#limits.hour !== hour) {
      const settings = this.#settings;
      this.#limits = { settings, hour, ofClass: classLimitsAt(settings, hour) };
    }
    return this.#limits.ofClass;
  }

  /** For those who look on. A download takes time until its last byte has come. */
  #count({ isForeground }: Urgency, came: { bytes: number; tookMs: Millis }, at: Millis): void {
    const [bytes, seconds] = CLASS_COUNTERS[isForeground ? "foreground" : "background"];
    this.#deps.counters.add(bytes, came.bytes);
    this.#deps.counters.add(seconds, came.tookMs / 1_000);
    this.downloads.add(came.bytes, at);
  }

  #close(flow: PaceFlow): void {
    if (!this.#flows.delete(flow)) return;
    // What others may take of its share they learn at the next division.
    this.#paceOrigin(flow, Infinity);
    if (this.#flows.size === 0) this.#deadline = Infinity;
  }

  #paceOrigin(flow: PaceFlow, rate: number): void {
    const { origin, transferId } = flow;
    const next = rate === Infinity ? Infinity : Math.max(1, Math.floor(rate));
    if (next >= origin.rateBytesPerSec && next < RISE_MIN * origin.rateBytesPerSec) return;
    if (next === origin.rateBytesPerSec) return;
    origin.rateBytesPerSec = next;
    const rateBytesPerSec = next === Infinity ? 0 : next;
    this.#deps.outbox.origin({ type: "setPace", transferId, rateBytesPerSec });
  }

  #measure(flows: readonly PaceFlow[], now: Millis): void {
    if (flows.length === 0) this.#capacity.rest();
    else this.#capacity.note(this.#fromOrigins.rateBytesPerSec(now), now);
  }

  /** All limits there are; a flow's origin has index 2 i and its peers 2 i + 1. */
  #sharedLimits(flows: readonly PaceFlow[], limits: ClassLimits, now: Millis): SharedLimit[] {
    const all: number[] = [];
    const ofClass = { foreground: [] as number[], background: [] as number[] };
    const originsOfClass = { foreground: [] as number[], background: [] as number[] };
    const ofHost = new Map<string, number[]>();
    const shared: SharedLimit[] = [];
    flows.forEach(({ urgency, host }, index) => {
      const both = [2 * index, 2 * index + 1];
      const name = urgency.isForeground ? "foreground" : "background";
      all.push(...both);
      ofClass[name].push(...both);
      originsOfClass[name].push(2 * index);
      shared.push({ rateBytesPerSec: orNone(urgency.rateBytesPerSec), members: both });
      if (host === undefined) return;
      const members = ofHost.get(host);
      if (members === undefined) ofHost.set(host, [2 * index]);
      else members.push(2 * index);
    });
    const settings = this.#settings;
    shared.push({ rateBytesPerSec: orNone(settings.downloadRateBytesPerSec), members: all });
    const capacity = this.#capacity.limitingBytesPerSec;
    for (const name of ["foreground", "background"] as const) {
      const { rateBytesPerSec, capacityShare } = limits[name];
      shared.push({ rateBytesPerSec, members: ofClass[name] });
      const ofCapacity = capacityShare === Infinity ? Infinity : capacity * capacityShare;
      shared.push({ rateBytesPerSec: ofCapacity, members: originsOfClass[name] });
    }
    for (const members of ofHost.values()) {
      shared.push({ rateBytesPerSec: orNone(settings.originHostRateBytesPerSec), members });
    }
    const beside = this.#besideForeground(ofClass.foreground.length > 0, now);
    shared.push({ rateBytesPerSec: beside, members: ofClass.background });
    const yielding = flows.flatMap((flow, index) => (flow.mayYield ? [2 * index] : []));
    shared.push({ rateBytesPerSec: this.#yield.limitBytesPerSec, members: yielding });
    return shared.filter(({ members }) => members.length > 0);
  }

  /** Lets the background feel whether others want the link. */
  #makeRoom(flows: readonly PaceFlow[], now: Millis): void {
    const yielding = flows.filter((flow) => flow.mayYield);
    const isSame =
      yielding.length === this.#yielding.length &&
      yielding.every((flow, index) => {
        const [before, host] = this.#yielding[index] ?? [];
        return flow === before && flow.host === host;
      });
    this.#yielding = yielding.map((flow) => [flow, flow.host]);
    let [took, allowed, isLimited] = [0, 0, false];
    for (const { origin } of yielding) {
      took += origin.tookBytesPerSec(now);
      allowed += origin.rateBytesPerSec;
      isLimited ||= origin.isAtLimit(now);
    }
    const limit = this.#yield.limitBytesPerSec;
    if (limit !== Infinity) isLimited = allowed < 0.95 * limit;
    // Next to our own foreground, short of our own disk or at another limit it is our own doing.
    const isOurs = flows.some(({ urgency }) => urgency.isForeground) || isLimited;
    if (!isSame || isOurs || !this.#deps.flowGate.isOpen) this.#yield.reset();
    if (yielding.length > 0) this.#yield.note(took, now);
  }

  /** What the background may take next to the foreground, so that it has its share of both. */
  #besideForeground(hasForeground: boolean, now: Millis): number {
    const share = this.#settings.backgroundSharePercent / 100;
    const foreground = this.#foreground.rateBytesPerSec(now);
    // A foreground job to which nothing comes does not need the link.
    if (!hasForeground || foreground === 0 || share === 1) return Infinity;
    return Math.max((foreground * share) / (1 - share), BACKGROUND_BYTES_PER_SEC_MIN);
  }

  /** Whether a limit may hold or begin to hold before anything else happens. */
  #mayBind(flows: readonly PaceFlow[]): boolean {
    if (flows.length === 0) return false;
    if (flows.some(({ urgency }) => urgency.rateBytesPerSec > 0)) return true;
    const classes = new Set(flows.map(({ urgency }) => urgency.isForeground));
    if (classes.size === 2 || flows.some((flow) => flow.mayYield)) return true;
    return LIMITING.some((name) => this.#settings[name] > 0);
  }
}

const CLASS_COUNTERS = {
  foreground: ["shoal_foreground_received_bytes_total", "shoal_foreground_download_seconds_total"],
  background: ["shoal_background_received_bytes_total", "shoal_background_download_seconds_total"],
} as const satisfies Record<string, readonly [CounterName, CounterName]>;

/** Settings that, above 0, limit downloads. */
const LIMITING = (Object.keys(PACE_SETTINGS) as PaceSettingName[]).filter(
  (name) => name !== "backgroundSharePercent" && !/upload/i.test(name),
);

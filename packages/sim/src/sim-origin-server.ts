/**
 * The simulated origin: files, one uplink shared by all requests, and troubles that begin and end
 * at given instants. It counts what leaves it; that count over the length is the number of copies.
 *
 * Knows files, requests under way and its link. Knows neither agents nor HTTP: what an answer means
 * to an agent is the adapter's to say (`SimOrigin`). Called by `SimOrigin` and by scenarios.
 */
import { assert } from "@shoal/core";
import type { Millis, Random, Validator } from "@shoal/core";
import { FairLink } from "./fair-link.ts";
import type { Flow } from "./fair-link.ts";
import type { VirtualClock } from "./virtual-clock.ts";

/** A file at the origin. */
export interface OriginFile {
  readonly length: number;
  readonly validator: Validator;
  /** The sidecar manifest beside it, if one was published. */
  readonly manifest?: Uint8Array;
  /** Its own bytes, for a document that is fetched by its exact URL, such as piece hashes. */
  readonly bytes?: Uint8Array;
  /** Whether the server obeys `Range` for it; default what the server does. */
  readonly hasRanges?: boolean;
  /** What is wrong with this file alone, for good. */
  readonly trouble?: OriginTrouble;
}

/** What can be wrong with an origin for a while. */
export type OriginTrouble =
  /** Connections are refused; those that are open break. */
  | { readonly kind: "down" }
  /** Connections are accepted and nothing comes, also on those that are open. */
  | { readonly kind: "silent" }
  /** It sends no faster than this, to all together. */
  | { readonly kind: "slow"; readonly rateBytesPerSec: number }
  /** New requests are answered with this status. */
  | { readonly kind: "status"; readonly status: number; readonly retryAfterMs?: Millis };

export interface SimOriginServerOptions {
  readonly rateBytesPerSec: number;
  /** What one request gets at most; default no limit. */
  readonly requestRateBytesPerSecMax?: number;
  /** Turns of the link; small, so that many slow requests all show progress. Default 64 KiB. */
  readonly sliceBytesMax?: number;
  /** Whether `Range` is obeyed; default true. */
  readonly hasRanges?: boolean;
  /** Share of pieces sent with wrong bytes; default 0. */
  readonly corruptShare?: number;
  /** Whether pieces may be wrong on fresh connections too; default false. */
  readonly corruptWhenFresh?: boolean;
}

/** The body of an answer. */
export interface OriginBody extends Flow {
  /** Whether the agent has stopped reading for now. */
  readonly isPaused: boolean;
  /** The slice being sent was cut short after `bytes`, which have left. */
  sliceCut(bytes: number): void;
  /** The server has ended it early. */
  interrupted(): void;
}

export class SimOriginServer {
  readonly #clock: VirtualClock;
  readonly #random: Random;
  readonly #options: Required<SimOriginServerOptions>;
  readonly #files = new Map<string, OriginFile>();
  readonly #link: FairLink;
  /** Bodies being sent: on the link, or waiting for the end of a silence or of back-pressure. */
  readonly #bodies = new Map<OriginBody, "sending" | "held">();
  #trouble: OriginTrouble | undefined;
  #requests = 0;

  constructor(
    deps: { readonly clock: VirtualClock; readonly random: Random },
    options: SimOriginServerOptions,
  ) {
    this.#clock = deps.clock;
    this.#random = deps.random;
    this.#options = {
      rateBytesPerSec: options.rateBytesPerSec,
      requestRateBytesPerSecMax: options.requestRateBytesPerSecMax ?? Infinity,
      sliceBytesMax: options.sliceBytesMax ?? 64 * 1_024,
      hasRanges: options.hasRanges ?? true,
      corruptShare: options.corruptShare ?? 0,
      corruptWhenFresh: options.corruptWhenFresh ?? false,
    };
    this.#link = new FairLink(deps, this.#options);
  }

  /** Body bytes that have left; over a file's length, the number of copies. */
  get sentBytes(): number {
    return this.#link.sentBytes;
  }

  /** Requests that reached the server. */
  get requests(): number {
    return this.#requests;
  }

  get requestRateBytesPerSecMax(): number {
    return this.#options.requestRateBytesPerSecMax;
  }

  /** What is wrong now, with the server or with the file. */
  troubleWith(file: OriginFile | undefined): OriginTrouble | undefined {
    return this.#trouble ?? file?.trouble;
  }

  hasRanges(file: OriginFile): boolean {
    return file.hasRanges ?? this.#options.hasRanges;
  }

  /** Puts a file, or another file, behind `url`. */
  setFile(url: string, file: OriginFile): void {
    this.#files.set(url, file);
  }

  /** Counts a request and finds its file. */
  request(url: string): OriginFile | undefined {
    this.#requests++;
    return this.#files.get(url);
  }

  /** Trouble begins at `from` and ends at `until`; one at a time. */
  plan(trouble: OriginTrouble, from: Millis, until: Millis): void {
    assert(from < until, "trouble ends after it begins");
    this.#clock.schedule(from, () => this.#begin(trouble));
    this.#clock.schedule(until, () => this.#end(trouble));
  }

  /** Whether the next piece of an answer has wrong bytes. */
  isNextCorrupt(fresh: boolean): boolean {
    const { corruptShare, corruptWhenFresh } = this.#options;
    if (corruptShare === 0 || (fresh && !corruptWhenFresh)) return false;
    return this.#random.fraction() < corruptShare;
  }

  /** Begins to send a body. */
  begin(body: OriginBody): void {
    this.#bodies.set(body, "held");
    this.resume(body);
  }

  /** Stops sending, keeping the request open; `resume` goes on. */
  hold(body: OriginBody): void {
    if (this.#bodies.get(body) !== "sending") return;
    this.#bodies.set(body, "held");
    body.sliceCut(this.#link.remove(body));
  }

  resume(body: OriginBody): void {
    if (this.#bodies.get(body) !== "held") return;
    if (body.isPaused || this.#trouble?.kind === "silent") return;
    this.#bodies.set(body, "sending");
    this.#link.add(body);
  }

  /** The request is over, whether all was sent or not. */
  end(body: OriginBody): void {
    if (this.#bodies.delete(body)) this.#link.remove(body);
  }

  #begin(trouble: OriginTrouble): void {
    this.#trouble = trouble;
    if (trouble.kind === "slow") this.#link.setRate(trouble.rateBytesPerSec);
    if (trouble.kind === "status" || trouble.kind === "slow") return;
    for (const body of this.#bodies.keys()) {
      if (trouble.kind === "silent") {
        this.hold(body);
        continue;
      }
      this.end(body);
      body.interrupted();
    }
  }

  #end(trouble: OriginTrouble): void {
    if (this.#trouble !== trouble) return;
    this.#trouble = undefined;
    this.#link.setRate(this.#options.rateBytesPerSec);
    for (const body of this.#bodies.keys()) this.resume(body);
  }
}
